#!/usr/bin/env python3
"""Writes first inputs of requests_fuzz and packed_file_fuzz, below tests/fuzz/corpus.

Usage: make_corpus.py SEEDLM    the client's program, which compresses for packed_file_fuzz

requests_fuzz draws its messages from bytes (message_from_bytes.h): here is the other direction, by
the fields of proto/. One file for each rpc, and some calls that belong together. Inputs that were
made of older protos stay inputs; they only mean something else.
"""

import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROTOS = os.path.join(HERE, "..", "..", "proto", "seedlm", "v1")

# The words of requests_fuzz.cc, in its order.
WORDS = ["", "*", "re:.*", "re:(", "a.weight", "auto", "reference", "artifacts/a",
         "artifacts/a/files/model.safetensors", "artifacts/a/files/../b", "request-1", "SOURCE",
         "OUTPUT", "DATABASE", "OUTSIDE", "s3://bucket/prefix", "jobs/none", "JOB", "RESULT"]
RPCS = ["CreateJob", "GetJob", "ListJobs", "CancelJob", "ResumeJob", "DeleteJob",
        "GetCapabilities", "QueryWriteStatus", "ListArtifacts", "DeleteArtifact", "VerifyArtifact",
        "WatchJob", "ReadArtifact", "WriteArtifact"]
NUMBERS = {"int32": "<i", "int64": "<q", "uint32": "<I", "uint64": "<Q", "fixed32": "<I"}


def read_messages():
    """message -> [(field, type, is repeated)], in the order of the files."""
    messages = {}
    for name in sorted(os.listdir(PROTOS)):
        with open(os.path.join(PROTOS, name)) as file:
            text = re.sub(r"//[^\n]*", "", file.read())
        for message, body in re.findall(r"^message (\w+) \{(\}|.*?^\})$", text, re.M | re.S):
            fields = re.findall(r"(repeated |optional )?(map<.*?>|[\w.]+) (\w+) = \d+;", body)
            messages[message] = [(field, kind, label == "repeated " or kind.startswith("map"))
                                 for label, kind, field in fields]
    messages["entry"] = [("key", "string", False), ("value", "string", False)]  # of a map
    return messages


MESSAGES = read_messages()


def encode_text(text):
    if text in WORDS:
        return bytes([WORDS.index(text)])
    raw = text if isinstance(text, bytes) else text.encode()
    return bytes([224]) + struct.pack("<H", len(raw)) + raw


def encode_value(kind, value):
    if kind in ("string", "bytes"):
        return encode_text(value)
    if kind == "bool":
        return bytes([value])
    if kind in NUMBERS:
        return bytes([value]) if 0 <= value < 128 else b"\xff" + struct.pack(NUMBERS[kind], value)
    if kind.startswith("map"):
        return encode("entry", {"key": value[0], "value": value[1]})
    return encode(kind, value) if kind in MESSAGES else bytes([value])  # else an enum's number


def encode(message, values):
    unknown = set(values) - {field for field, _, _ in MESSAGES[message]}
    assert not unknown, f"{message} has no {unknown}"
    out = b""
    for field, kind, repeated in MESSAGES[message]:
        if field not in values:
            out += b"\0"
        elif repeated:
            out += bytes([4 * len(values[field]) + 1])
            out += b"".join(encode_value(kind, value) for value in values[field])
        else:
            out += b"\1" + encode_value(kind, values[field])
    return out


def call(rpc, **values):
    return bytes([RPCS.index(rpc)]) + encode(rpc + "Request", values)


def write_artifact(*chunks):
    out = bytes([RPCS.index("WriteArtifact"), len(chunks)])
    return out + b"".join(encode("WriteArtifactRequest", chunk) + b"\1" for chunk in chunks)


def job(**more):
    return {"source": {"uri": "SOURCE"}, "destination": {"managed": True}, **more}


FILE = "artifacts/a/files/model.safetensors"
SPEC = {"profile": 2, "fit": 1, "scale": 3, "backend": "auto",
        "selection": {"include": ["*", "re:.*"], "exclude": ["a.weight"]},
        "overrides": [{"pattern": "*", "skip": True}]}
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
REQUESTS = {
    "create": call("CreateJob", request_id="request-1", job=job()),
    "create_to_file": call("CreateJob", job={"source": {"uri": "SOURCE"}, "priority": 5, "spec": SPEC,
                                             "destination": {"uri": "OUTPUT", "overwrite": True},
                                             "labels": [("run", "7"), ("*", "")]}),
    "create_estimate": call("CreateJob", job=job(spec={"profile": 4}), validate_only=True),
    "create_of_artifact": call("CreateJob", job={"source": {"artifact": "artifacts/a"},
                                                 "destination": {"uri": "s3://bucket/prefix"}}),
    "create_outside": call("CreateJob", job={"source": {"uri": "DATABASE"},
                                             "destination": {"uri": "OUTSIDE"}}),
    "get": call("GetJob", name="JOB") + call("GetJob", name="jobs/none"),
    "list": call("ListJobs", page_size=2, state=3, labels=[("run", "7")]),
    "list_bad_page": call("ListJobs", page_size=-1) + call("ListJobs", page_token="00ff"),
    "cancel_resume_delete": call("CancelJob", name="JOB", etag="1") +
    call("ResumeJob", name="JOB") + call("DeleteJob", name="JOB", etag="2"),
    "capabilities": call("GetCapabilities"),
    "query": call("QueryWriteStatus", resource_name=FILE),
    "artifacts": call("ListArtifacts", page_size=1, page_token="artifacts/a"),
    "delete_artifact": call("DeleteArtifact", name="RESULT"),
    "verify": call("VerifyArtifact", name="RESULT", sample_blocks=2),
    "watch": call("WatchJob", name="JOB", after_sequence=1),
    "watch_past_the_end": call("WatchJob", name="JOB", after_sequence=1 << 40),
    "read": call("ReadArtifact", resource_name=FILE, offset=1),
    "write": write_artifact({"resource_name": FILE, "data": b"ab"},
                            {"offset": 2, "data": b"c", "finish": True, "sha256": SHA256_OF_ABC}),
    "write_gap": write_artifact({"resource_name": FILE, "offset": 7, "data": b"ab"}),
    "write_outside": write_artifact({"resource_name": "artifacts/a/files/../b", "data": b"ab"}),
    "upload_and_use": write_artifact({"resource_name": FILE, "data": b"abc", "finish": True,
                                      "sha256": SHA256_OF_ABC}) +
    call("ReadArtifact", resource_name=FILE) + call("DeleteArtifact", name="artifacts/a"),
}


def write(folder, name, data):
    with open(os.path.join(HERE, "corpus", folder, name), "wb") as file:
        file.write(data)


def packed_file(program, bits):
    """Two small tensors, one whose last block is not full, and one that passes through."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
        shapes = {"a.weight": (3, 16), "b.weight": (2, 13), "c.bias": (2,)}
        header, data = "{", b""
        for name, shape in shapes.items():
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            values = [((i * 2654435761) % 2001 - 1000) * 1e-5 for i in range(count)]
            begin, data = len(data), data + struct.pack("<%df" % count, *values)
            header += '%s"%s":{"dtype":"F32","shape":%s,"data_offsets":[%d,%d]}' % (
                "," if begin else "", name, str(list(shape)).replace(" ", ""), begin, len(data))
        header = (header + "}").encode()
        with open(source, "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header + data)
        subprocess.run([program, "compress", source, out, "--bits", bits, "--include", "*.weight",
                        "--backend", "reference"], check=True, stdout=subprocess.DEVNULL)
        with open(out, "rb") as file:
            return file.read()


def main():
    for name, data in REQUESTS.items():
        write("requests_fuzz", name, data)
    for bits in ("2", "3", "4", "4.5"):
        write("packed_file_fuzz", f"bits_{bits}.safetensors", packed_file(sys.argv[1], bits))


if __name__ == "__main__":
    main()
