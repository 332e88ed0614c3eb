#!/usr/bin/env python3
"""Writes the hostile files of this folder and the table in README.md. Standard library only.

usage: make_hostile.py [DIRECTORY]     (default: the folder of this script)
       make_hostile.py --large DIRECTORY

Each case is a file or a directory that a reader must refuse, with the refusal in words. The same
bytes every time; tests/kernels/format_hostile_test.cc opens each and checks code and message.
--large writes those that are too large or too odd for a repository; the test has them made.
"""
import json
import os
import shutil
import struct
import sys

CASES = []  # (name, opened as, refusal, writer)
LARGE = []  # the same, but the writer is given the path


def case(name, opened_as, refusal):
    def register(build):
        CASES.append((name, opened_as, refusal, build))
        return build

    return register


def large_case(name, opened_as, refusal):
    def register(build):
        LARGE.append((name, opened_as, refusal, build))
        return build

    return register


def raw_file(header, data=b"", length=None):
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def file_of(tensors, data, **metadata):
    header = {"__metadata__": metadata} if metadata else {}
    header.update(tensors)
    return raw_file(json.dumps(header, separators=(",", ":")), data)


# --- the safetensors layer -----------------------------------------------------------------------

def text_case(name, refusal, header, data=b"", length=None):
    case(name + ".safetensors", "safetensors", refusal)(lambda: raw_file(header, data, length))


def bytes_case(name, refusal, content):
    case(name + ".safetensors", "safetensors", refusal)(lambda: content)


GOOD = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
FOUR = b"\0" * 4

bytes_case("empty", "the file is empty", b"")
bytes_case("short", "shorter than the length prefix", b"\x08\0\0\0\0")
text_case("header_over_limit", "header over 100 MB, claimed by a tiny file", "{}", length=100_000_001)
text_case("header_length_maximal", "header length 2^64 - 1", "{}", length=2**64 - 1)
bytes_case("stranger_git_lfs", "a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\n")
bytes_case("stranger_gguf", "a GGUF file", b"GGUF\x03\0\0\0" + bytes(16))
bytes_case("stranger_zip", "a zip archive", b"PK\x03\x04\0\0\x08\x08" + bytes(16))
bytes_case("stranger_pickle", "a Python pickle", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
bytes_case("stranger_json", "a JSON file", b'{"weight_map": {}}')
text_case("header_past_end", "header reaches past the end of the file", "{}", length=3)
text_case("header_array", "header is not an object", "[]")
text_case("header_leading_space", "header does not start with '{'", " {}")
text_case("header_cut", "header ends in the middle of the JSON", '{"t":' + GOOD[:20])
text_case("header_garbage_after", "something follows the JSON object", '{"t":' + GOOD + "}x", FOUR)
text_case("header_not_utf8", "a name is not UTF-8", b'{"t\xff":' + GOOD.encode() + b"}", FOUR)
text_case("name_too_long", "a name of 1,025 bytes", '{"%s":%s}' % ("n" * 1025, GOOD), FOUR)
text_case("header_deep_arrays", "arrays nested 20000 deep", '{"t":{"shape":' + "[" * 20000)
text_case("header_deep_objects", "objects nested 5000 deep", '{"t":' * 5000)
text_case("tensor_null", "a tensor is null", '{"t":null}')
text_case("tensor_number", "a tensor is a number", '{"t":7}')
text_case("tensor_array", "a tensor is an array", '{"t":[]}')
text_case("name_twice", "a name is there twice",
          '{"t":%s,"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' % GOOD, FOUR * 2)
text_case("metadata_twice", "__metadata__ is there twice", '{"__metadata__":{},"__metadata__":{}}')
text_case("metadata_key_twice", "a metadata key is there twice", '{"__metadata__":{"k":"1","k":"2"}}')
text_case("metadata_number", "a metadata value is not a string", '{"__metadata__":{"k":1}}')
text_case("metadata_nested", "a metadata value is an object", '{"__metadata__":{"k":{}}}')
text_case("field_twice", "a field of a tensor is there twice",
          '{"t":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', FOUR)
text_case("field_unknown", "an unknown field",
          '{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"stride":[1]}}', FOUR)
text_case("field_missing", "a field is missing", '{"t":{"dtype":"F32","shape":[1]}}', FOUR)
text_case("dtype_unknown", "an unknown dtype", '{"t":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}', FOUR)
text_case("dtype_number", "dtype is not a string", '{"t":{"dtype":32,"shape":[1],"data_offsets":[0,4]}}', FOUR)
text_case("dtype_unknown_in_odd_name", "an unknown dtype; the name holds terminal controls",
          '{"a\\u001b[2J\\u0085b":{"dtype":"?","shape":[1],"data_offsets":[0,4]}}', FOUR)


def shape_case(name, refusal, shape, dtype="F32", data=FOUR):
    text_case("shape_" + name, refusal,
              '{"t":{"dtype":"%s","shape":%s,"data_offsets":[0,%d]}}' % (dtype, shape, len(data)), data)


shape_case("negative", "a side is negative", "[-1]")
shape_case("fraction", "a side is not an integer", "[1.5]")
shape_case("product_overflow", "the number of elements overflows", "[4294967296,4294967296]")
shape_case("bytes_overflow", "the number of bytes overflows", "[2305843009213693952]", "F64")
shape_case("overflow_times_zero", "the product overflows although one side is 0",
           "[4294967296,4294967296,0]", data=b"")
shape_case("side_over_int64", "a side does not fit in 63 bits", "[9223372036854775808]")
shape_case("too_many_sides", "65 dimensions", "[" + ",".join(["1"] * 65) + "]")
shape_case("part_of_a_byte", "4-bit elements that are not whole bytes", "[3]", "F4", b"\0\0")
shape_case("disagrees", "shape and offsets disagree", "[2]")


def offsets_case(name, refusal, offsets, data):
    entries = ",".join('"%s":{"dtype":"U8","shape":%s,"data_offsets":%s}' % entry for entry in offsets)
    text_case("offsets_" + name, refusal, "{" + entries + "}", data)


offsets_case("one", "data_offsets has one number", [("t", "[4]", "[4]")], FOUR)
offsets_case("three", "data_offsets has three numbers", [("t", "[4]", "[0,4,4]")], FOUR)
offsets_case("negative", "an offset is negative", [("t", "[4]", "[-4,0]")], FOUR)
offsets_case("reversed", "offsets end before they begin", [("t", "[4]", "[4,0]")], FOUR)
offsets_case("past_end", "offsets reach past the end of the file", [("t", "[8]", "[0,8]")], FOUR)
offsets_case("maximal", "offsets near 2^64",
             [("t", "[4]", "[18446744073709551611,18446744073709551615]")], FOUR)
offsets_case("overlap", "two tensors overlap", [("a", "[4]", "[0,4]"), ("b", "[4]", "[2,6]")], b"\0" * 6)
offsets_case("same", "two tensors share their bytes", [("a", "[4]", "[0,4]"), ("b", "[4]", "[0,4]")], FOUR)
offsets_case("hole", "a hole between two tensors", [("a", "[4]", "[0,4]"), ("b", "[2]", "[6,8]")], b"\0" * 8)
offsets_case("hole_at_start", "a hole before the first tensor", [("t", "[4]", "[4,8]")], b"\0" * 8)
offsets_case("out_of_order", "offsets are not in the order of the header",
             [("a", "[4]", "[4,8]"), ("b", "[4]", "[0,4]")], b"\0" * 8)
text_case("data_after_last", "bytes after the last tensor", '{"t":' + GOOD + "}", FOUR + b"\0")
text_case("truncated", "a file cut in the middle of its data",
          '{"t":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', b"\0" * 7)
text_case("data_without_tensors", "data and no tensor", "{}", FOUR)

# --- the compressed layer ------------------------------------------------------------------------

def good_metadata(rank=3):
    return {
        "format_version": 1, "profile": "4bit" if rank == 3 else "4.5bit", "block": 8, "rank": rank,
        "lfsr_width": 16, "lfsr_taps": [0, 1, 3, 12], "fit": "optimal", "scale": "fitted",
        "dtypes": {"w": "F32"},
    }


def good_planes(rank=3):
    """The planes of a tensor w [2, 10]: name -> (dtype, shape, data)."""
    planes = {
        "w_shape": ("I64", [2], struct.pack("<2q", 2, 10)),
        "w_packed": ("I32", [2, 2], struct.pack("<4I", 1, 2, 3, 4)),
        "w_scale": ("F32", [16], struct.pack("<16f", *[2.0**-i for i in range(16)])),
    }
    if rank == 4:
        planes["w_level"] = ("U8", [2, 1], b"\x10\x32")
    return planes


def packed_bytes(metadata, planes):
    tensors, data = {}, b""
    for name, (dtype, shape, content) in planes.items():
        tensors[name] = tensor(dtype, shape, len(data), len(data) + len(content))
        data += content
    text = metadata if isinstance(metadata, str) else json.dumps(metadata, sort_keys=True)
    return file_of(tensors, data, seedlm=text)


def metadata_case(name, refusal, change):
    def build():
        metadata = good_metadata()
        change(metadata)
        return packed_bytes(metadata, good_planes())

    case("metadata_%s.safetensors" % name, "packed", refusal)(build)


def set_to(field, value):
    return lambda metadata: metadata.update({field: value})


def metadata_text_case(name, refusal, text):
    case("metadata_%s.safetensors" % name, "packed", refusal)(lambda: packed_bytes(text, good_planes()))


metadata_text_case("not_json", "the seedlm metadata is not JSON", "{")
metadata_text_case("not_object", "the seedlm metadata is not an object", "[1]")
metadata_text_case("deep", "the seedlm metadata is nested 20000 deep", "[" * 20000)
metadata_text_case("field_twice", "a field of the seedlm metadata is there twice",
                   '{"format_version":1,"format_version":1}')
metadata_case("version_unknown", "an unknown format_version", set_to("format_version", 2))
metadata_case("version_missing", "no format_version", lambda m: m.pop("format_version"))
metadata_case("version_text", "format_version is not an integer", set_to("format_version", "1"))
metadata_case("profile_unknown", "an unknown profile", set_to("profile", "5bit"))
metadata_case("block_disagrees", "block disagrees with the profile", set_to("block", 12))
metadata_case("rank_disagrees", "rank disagrees with the profile", set_to("rank", 4))
metadata_case("width_disagrees", "lfsr_width disagrees with the profile", set_to("lfsr_width", 15))
metadata_case("taps_disagree", "lfsr_taps disagree with the width", set_to("lfsr_taps", [0, 1, 3, 13]))
metadata_case("fit_unknown", "an unknown fit", set_to("fit", "best"))
metadata_case("scale_unknown", "an unknown scale", set_to("scale", "linear"))
metadata_case("dtypes_missing", "no dtypes", lambda m: m.pop("dtypes"))
metadata_case("dtype_integer", "a dtype that no weight has", set_to("dtypes", {"w": "I32"}))
metadata_case("tensor_without_planes", "dtypes names a tensor that has no plane",
              lambda m: m["dtypes"].update({"x": "F32"}))


def plane_case(name, refusal, change, rank=3):
    def build():
        planes = good_planes(rank)
        change(planes)
        return packed_bytes(good_metadata(rank), planes)

    case("plane_%s.safetensors" % name, "packed", refusal)(build)


def put(name, dtype, shape, data):
    return lambda planes: planes.update({name: (dtype, shape, data)})


def shape_plane(rows, columns):
    return put("w_shape", "I64", [2], struct.pack("<2q", rows, columns))


def scale_plane(value):
    return put("w_scale", "F32", [16], struct.pack("<16f", *([1.0] * 15 + [value])))


for plane in ("packed", "scale", "shape"):
    plane_case(plane + "_missing", "the %s plane is missing" % plane,
               lambda planes, plane=plane: planes.pop("w_" + plane))
plane_case("level_missing", "the level plane is missing", lambda planes: planes.pop("w_level"), rank=4)
plane_case("packed_dtype", "the packed plane is not I32", put("w_packed", "U32", [2, 2], b"\1\0\0\0" * 4))
plane_case("packed_shape", "the packed plane's shape disagrees", put("w_packed", "I32", [2, 3], b"\1\0\0\0" * 6))
plane_case("level_dtype", "the level plane is not U8", put("w_level", "I8", [2, 1], b"\0\0"), rank=4)
plane_case("level_shape", "the level plane's shape disagrees", put("w_level", "U8", [2, 2], b"\0" * 4), rank=4)
plane_case("level_left_over", "a level plane that the profile does not have", put("w_level", "U8", [2, 1], b"\0\0"))
plane_case("scale_dtype", "the scale plane is not F32", put("w_scale", "F16", [16], b"\0\x3c" * 16))
plane_case("scale_shape", "the scale plane has not 16 levels", put("w_scale", "F32", [15], b"\0\0\x80\x3f" * 15))
plane_case("shape_dtype", "the shape plane is not I64", put("w_shape", "I32", [2], struct.pack("<2i", 2, 10)))
plane_case("shape_shape", "the shape plane has not two sides",
           put("w_shape", "I64", [3], struct.pack("<3q", 2, 10, 1)))
plane_case("rows_disagree", "the shape's rows disagree with the packed plane", shape_plane(3, 10))
plane_case("columns_disagree", "the shape's columns disagree with the packed plane", shape_plane(2, 17))
plane_case("rows_zero", "no rows", shape_plane(0, 10))
plane_case("columns_negative", "a negative number of columns", shape_plane(2, -10))
plane_case("shape_overflow", "rows times columns overflows", shape_plane(2**62, 2**62))
plane_case("scale_nan", "a level is NaN", scale_plane(float("nan")))
plane_case("scale_infinite", "a level is infinite", scale_plane(float("inf")))
plane_case("scale_zero", "a level is 0", scale_plane(0.0))
plane_case("scale_negative", "a level is negative", scale_plane(-1.0))
plane_case("and_tensor", "the tensor is there compressed and uncompressed", put("w", "F32", [2, 10], b"\0" * 80))


@case("plane_orphan.safetensors", "packed", "planes of a tensor that dtypes does not name")
def _():
    metadata = good_metadata()
    metadata["dtypes"] = {}
    return packed_bytes(metadata, good_planes())


@case("seed_zero.safetensors", "rows", "a seed is zero (row 1, block 0)")
def _():
    planes = good_planes()
    planes["w_packed"] = ("I32", [2, 2], struct.pack("<4I", 1, 2, 0xABCD0000, 4))
    return packed_bytes(good_metadata(), planes)


# --- directories ---------------------------------------------------------------------------------

PLAIN = file_of({"w": tensor("F32", [1], 0, 4)}, FOUR)
INDEX = "model.safetensors.index.json"


def index_of(weight_map, **more):
    return json.dumps(dict({"metadata": {}, "weight_map": weight_map}, **more)).encode()


def index_case(name, refusal, index):
    case("index_" + name, "checkpoint", refusal)(lambda: {"model.safetensors": PLAIN, INDEX: index})


index_case("not_json", "the index is not JSON", b"{")
index_case("deep", "the index is nested 20000 deep", b"[" * 20000)
index_case("key_twice", "a tensor is in the index twice",
           b'{"weight_map":{"w":"model.safetensors","w":"model.safetensors"}}')
index_case("without_map", "the index has no weight_map", b'{"metadata":{}}')
index_case("map_array", "weight_map is not an object", b'{"weight_map":[]}')
index_case("metadata_text", "metadata is not an object", index_of({"w": "model.safetensors"}, metadata="x"))
index_case("file_number", "a file is not a string", index_of({"w": 1}))
index_case("file_missing", "the index names a file that is not there", index_of({"w": "model-2.safetensors"}))
index_case("tensor_missing", "the index names a tensor that its file does not have",
           index_of({"v": "model.safetensors"}))
index_case("escape", "a path leaves the directory", index_of({"w": "../model.safetensors"}))
index_case("escape_inside", "a path leaves the directory on the way", index_of({"w": "a/../../x/model.safetensors"}))
index_case("absolute", "a path is absolute", index_of({"w": "/model.safetensors"}))
case("shards_same_tensor", "checkpoint", "a tensor is in two files")(
    lambda: {"model-1.safetensors": PLAIN, "model-2.safetensors": PLAIN})
case("hub_cache", "checkpoint", "a Hugging Face cache, with its blobs")(
    lambda: {"blobs/0": PLAIN, "refs/main": b"0abc", "snapshots/0abc/model.safetensors": PLAIN})
case("shards_none", "checkpoint", "a directory without .safetensors")(lambda: {"config.json": b"{}"})

WEIGHTS = file_of({"w": tensor("U8", [4], 0, 4), "v.weight": tensor("F32", [1, 1], 4, 8)}, FOUR * 2)


def config_case(name, refusal, config):
    case("config_" + name, "plan", refusal)(lambda: {"model.safetensors": WEIGHTS, "config.json": config})


config_case("not_json", "config.json is not JSON", b"{")
config_case("array", "config.json is not an object", b"[]")
config_case("deep", "config.json is nested 20000 deep", b"[" * 20000)
config_case("quantised", "config.json has a quantization_config already",
            b'{"quantization_config":{"quant_method":"gptq"}}')

# --- whole checkpoints ---------------------------------------------------------------------------

@case("plane_name_taken.safetensors", "compress", "a plane would have the name of a tensor")
def _():
    matrix, scale = tensor("F32", [64, 64], 0, 16384), tensor("F32", [1], 16384, 16388)
    return file_of({"a.weight": matrix, "a.weight_scale": scale}, b"\0" * 16388)


case("compressed_already.safetensors", "compress", "the checkpoint is compressed already")(
    lambda: packed_bytes(good_metadata(), good_planes()))
case("tensors_none.safetensors", "compress", "no tensor at all")(lambda: file_of({}, b""))
case("tensors_unsuitable.safetensors", "compress", "no tensor that can be compressed")(
    lambda: file_of({"a.weight": tensor("F32", [1, 1], 0, 4)}, FOUR))
case("nothing_compressed.safetensors", "decompress", "no tensor is compressed")(lambda: PLAIN)
case("restored_name_taken", "decompress", "a restored tensor has the name of one in another file")(
    lambda: {"a.safetensors": packed_bytes(good_metadata(), good_planes()), "b.safetensors": PLAIN})
case("config_escaped", "decompress", "config.json writes quantization_config with escapes")(
    lambda: {"model.safetensors": packed_bytes(good_metadata(), good_planes()),
             "config.json": b'{"quantization\\u005fconfig":{}}'})


def weights_case(name, refusal, dtype, column, bits):
    """A matrix of ones [64, 64] with a weight of these bits in row 2."""
    def build():
        one = {"F32": b"\0\0\x80\x3f", "F16": b"\0\x3c", "BF16": b"\x80\x3f"}[dtype]
        data = bytearray(one * 64 * 64)
        at = (2 * 64 + column) * len(one)
        data[at:at + len(one)] = bits
        return file_of({"a.weight": tensor(dtype, [64, 64], 0, len(data))}, bytes(data))

    case("weight_%s.safetensors" % name, "weights", refusal)(build)


weights_case("nan", "a weight is NaN (row 2, column 3)", "F32", 3, b"\0\0\xc0\x7f")
weights_case("infinite", "a weight is infinite (row 2, column 63)", "F16", 63, b"\0\xfc")
weights_case("nan_bfloat16", "a weight is NaN (row 2, column 0)", "BF16", 0, b"\x81\xff")

# --- made by the test ----------------------------------------------------------------------------

def sparse(path, size):
    with open(path, "wb") as out:
        out.truncate(size)


def empty_tensors(prefix, count):
    """The entries of a header: tensors without a byte."""
    entry = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    return ",".join('"%s%d":%s' % (prefix, i, entry) for i in range(count))


@large_case("tensors_too_many.safetensors", "safetensors", "500,001 tensors in one file")
def _(path):
    write(path, raw_file("{%s}" % empty_tensors("", 500_001)))


@large_case("metadata_too_many_keys.safetensors", "safetensors", "metadata of 100,001 keys")
def _(path):
    write(path, file_of({"t": tensor("F32", [1], 0, 4)}, FOUR,
                        **{str(i): "" for i in range(100_001)}))


@large_case("tensors_too_many_together", "checkpoint", "two files with 500,002 tensors together")
def _(path):
    write(path, {"%s.safetensors" % name: raw_file("{%s}" % empty_tensors(name, 250_001))
                 for name in "ab"})


@large_case("headers_over_limit_together", "checkpoint", "two headers of 60 MB each")
def _(path):
    padding = " " * (60_000_000 - len(GOOD) - 6)
    write(path, {"%s.safetensors" % name: raw_file('{"%s":%s}%s' % (name, GOOD, padding), FOUR)
                 for name in "ab"})


@large_case("index_values_too_many", "checkpoint", "an index with 1,000,001 values")
def _(path):
    index = '{"weight_map":{},"metadata":{"m":[%s]}}' % ",".join("0" * 1_000_000)
    write(path, {"model.safetensors": PLAIN, INDEX: index.encode()})


@large_case("planes_too_many", "plan", "167,000 tensors that are to become 501,000 planes")
def _(path):
    entries = ",".join('"%d":{"dtype":"F32","shape":[1,8],"data_offsets":[%d,%d]}' %
                       (i, 32 * i, 32 * i + 32) for i in range(167_000))
    write(path, {"model.safetensors": raw_file("{%s}" % entries, bytes(32 * 167_000))})


@large_case("index_over_limit", "checkpoint", "the index is larger than 100 MB")
def _(path):
    write(path, {"model.safetensors": PLAIN})
    sparse(os.path.join(path, INDEX), 100_000_001)


@large_case("config_over_limit", "plan", "config.json is larger than 16 MiB")
def _(path):
    write(path, {"model.safetensors": WEIGHTS})
    sparse(os.path.join(path, "config.json"), (16 << 20) + 1)


@large_case("directories_too_deep", "checkpoint", "directories nested 9 deep")
def _(path):
    os.makedirs(os.path.join(path, *"abcdefghi"))


@large_case("directory_loop", "checkpoint", "a symbolic link to its own directory")
def _(path):
    write(path, {"model.safetensors": PLAIN})
    os.symlink(".", os.path.join(path, "loop"))


@large_case("entries_too_many", "checkpoint", "100,001 entries")
def _(path):
    os.makedirs(path)
    for i in range(100_001):
        os.mknod(os.path.join(path, "%d" % i))


@large_case("pipe.safetensors", "safetensors", "a named pipe")
def _(path):
    os.mkfifo(path)

# --- output --------------------------------------------------------------------------------------

README = """# Hostile files

What readers must refuse, one file (or directory) a refusal. `make_hostile.py` writes them and this
page; `tests/kernels/format_hostile_test.cc` opens each and checks the status code, and that the
message names the file, the tensor and the reason. Opened as: `safetensors` any reader of the
container, `packed` a reader of compressed tensors, `rows` one that also looks at the codes,
`checkpoint` a reader of directories, `plan` whoever rewrites a directory's `config.json`,
`compress` and `decompress` whoever makes such a plan with the default options, `weights` whoever
encodes the weights. Those that are too large or too odd for a repository are made when the test
runs (`make_hostile.py --large`). `tests/lint/refusals.py` finds a refusal of the format room that
has no case.

| file | opened as | refusal |
|---|---|---|
"""


def write(path, content):
    if isinstance(content, dict):
        os.makedirs(path, exist_ok=True)
        for name, data in content.items():
            os.makedirs(os.path.join(path, os.path.dirname(name)), exist_ok=True)
            write(os.path.join(path, name), data)
        return
    with open(path, "wb") as out:
        out.write(content)


def remake(path, build):
    if os.path.isdir(path):
        shutil.rmtree(path)
    build(path)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--large":
        os.makedirs(sys.argv[2], exist_ok=True)
        for name, _, _, build in LARGE:
            remake(os.path.join(sys.argv[2], name), build)
        return
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    os.makedirs(folder, exist_ok=True)
    rows = []
    for name, opened_as, refusal, build in CASES:
        remake(os.path.join(folder, name), lambda path, build=build: write(path, build()))
        rows.append("| `%s` | %s | %s |\n" % (name, opened_as, refusal))
    for name, opened_as, refusal, _ in LARGE:
        rows.append("| `%s` | %s | %s; made at test time |\n" % (name, opened_as, refusal))
    write(os.path.join(folder, "README.md"), (README + "".join(rows)).encode())


if __name__ == "__main__":
    main()
