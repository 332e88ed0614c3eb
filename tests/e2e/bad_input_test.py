"""Bad input: one line that names the thing and the way out, the right exit code, nothing left."""

import contextlib
import os
import pwd
import shutil
import signal
import struct
import subprocess
import time
import unittest

import harness
from harness import (CANCELLED, EXISTS, INVALID, NOT_FOUND, STORAGE, UNAVAILABLE, USAGE, EndToEnd,
                     read, run, small_directory, small_file)

NAN, INFINITY = 0x7FC00000, 0x7F800000


def poisoned(path, row, column, bits):
    """A 64 x 96 matrix with one bad weight."""
    dtype, shape, data = harness.tensor("F32", (64, 96), 3)
    at = 4 * (row * 96 + column)
    data = data[:at] + struct.pack("<I", bits) + data[at + 4:]
    harness.write_safetensors(path, {"layers.0.up.weight": (dtype, shape, data)})
    return path


class BadFiles(EndToEnd):
    def compress_fails(self, source, code, *words, out="out.safetensors"):
        before = self.listing()
        for command in (("compress", source, self.path(out)), ("estimate", source)):
            self.fails(run(*command), code, *words)
        self.assertEqual(self.listing(), before)

    def test_missing(self):
        self.compress_fails(self.path("none.safetensors"), NOT_FOUND, "none.safetensors", "; ")

    def test_an_empty_name(self):
        self.compress_fails("", INVALID, "a path is empty")

    def test_not_safetensors(self):
        with open(self.path("in.safetensors"), "w") as f:
            f.write("this is not a checkpoint, it is a sentence")
        self.compress_fails(self.path("in.safetensors"), INVALID, "in.safetensors")

    def test_empty(self):
        open(self.path("in.safetensors"), "w").close()
        self.compress_fails(self.path("in.safetensors"), INVALID, "in.safetensors")

    def test_truncated(self):
        source = small_file(self.path("in.safetensors"))
        os.truncate(source, os.path.getsize(source) - 1)
        self.compress_fails(source, INVALID, "in.safetensors")

    def test_another_kind_of_file_is_named(self):
        rows = ((b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer",
                 "git lfs pull"),
                (b"GGUF\x03\0\0\0" + bytes(100), "GGUF file", "made of"),
                (b"PK\x03\x04\0\0\x08\x08" + bytes(100), "zip archive", "convert it"),
                (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "pickle", "convert it"),
                (b'{\n  "metadata": {}}', "JSON file", "its directory"))
        for content, *words in rows:
            with open(self.path("in.safetensors"), "wb") as f:
                f.write(content)
            self.compress_fails(self.path("in.safetensors"), INVALID, "in.safetensors", *words)
            for command in (("decompress", self.path("in.safetensors"), self.path("out.safetensors")),
                            ("inspect", self.path("in.safetensors"))):
                self.fails(run(*command), INVALID, *words)
        source = small_directory(self.path("in"))
        self.compress_fails(os.path.join(source, "model.safetensors.index.json"), INVALID, "JSON file")
        with open(os.path.join(source, "model-00001-of-00002.safetensors"), "wb") as f:
            f.write(rows[0][0])
        self.compress_fails(source, INVALID, "model-00001-of-00002.safetensors", "git lfs pull", out="out")

    def test_a_header_longer_than_the_file(self):
        with open(self.path("in.safetensors"), "wb") as f:
            f.write(struct.pack("<Q", 1 << 62) + b"{}")
        self.compress_fails(self.path("in.safetensors"), INVALID, "in.safetensors")

    def test_a_shape_that_overflows(self):
        sizes = {"w.weight": ("F32", (1 << 40, 1 << 40), 64)}
        with open(self.path("in.safetensors"), "wb") as f:
            f.write(harness.header(sizes) + b"\0" * 64)
        self.compress_fails(self.path("in.safetensors"), INVALID, "in.safetensors", "w.weight")

    def test_overlapping_tensors(self):
        text = (b'{"a.weight":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},'
                b'"b.weight":{"dtype":"U8","shape":[8],"data_offsets":[4,12]}}')
        with open(self.path("in.safetensors"), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + b"\0" * 12)
        self.compress_fails(self.path("in.safetensors"), INVALID, "in.safetensors", "b.weight")

    def test_nothing_to_compress(self):
        harness.write_safetensors(self.path("in.safetensors"),
                                  {"norm.weight": harness.tensor("F32", (64,), 1)})
        self.compress_fails(self.path("in.safetensors"), INVALID, "in.safetensors")

    def test_a_directory_without_safetensors(self):
        os.mkdir(self.path("in"))
        self.compress_fails(self.path("in"), INVALID, "in", out="out")

    def test_a_hugging_face_cache(self):
        """Its blobs, the original weights without an ending, would be copied beside the output."""
        cache = self.path("hub", "models--me--small")
        os.makedirs(os.path.join(cache, "blobs"))
        os.makedirs(os.path.join(cache, "refs"))
        older, newer = (os.path.join(cache, "snapshots", name) for name in ("0abc", "9def"))
        os.makedirs(older)
        source = small_directory(self.path("dir"))
        shutil.copytree(source, newer)
        for given in (self.path("hub"), cache):
            self.compress_fails(given, INVALID, cache + ": is a Hugging Face cache", older, out="out")
        with open(os.path.join(cache, "refs", "main"), "w") as f:
            f.write("9def")
        for given in (self.path("hub"), cache):
            self.compress_fails(given, INVALID, cache + ": is a Hugging Face cache", "; give " + newer, out="out")
        self.ok(run("compress", newer, self.path("out")))
        self.ok(run("compress", source, self.path("expected")))
        self.assertEqual(harness.tree(self.path("out")), harness.tree(self.path("expected")))

    def test_files_that_do_not_fit_each_other(self):
        """Nothing is damaged: the way out says which file to move or to download."""
        source = small_directory(self.path("in"))
        first = "model-00001-of-00002.safetensors"
        shutil.copyfile(os.path.join(source, first), os.path.join(source, "other.safetensors"))
        self.compress_fails(source, INVALID, "other.safetensors", "is also in '" + first, "; keep one of the two",
                            out="out")
        os.remove(os.path.join(source, "other.safetensors"))
        small_file(os.path.join(source, first), seed=9)
        self.compress_fails(source, INVALID, "is not in its file '" + first, "; download index and files again",
                            out="out")
        os.remove(os.path.join(source, first))
        self.compress_fails(source, INVALID, "its file '" + first + "' is missing", "; download that file too",
                            out="out")

    def test_compressed_twice(self):
        source = small_file(self.path("in.safetensors"))
        self.ok(run("compress", source, self.path("c.safetensors")))
        self.compress_fails(self.path("c.safetensors"), INVALID, "c.safetensors")

    def test_a_weight_that_is_not_finite_is_named(self):
        for bits, row, column in ((NAN, 17, 5), (INFINITY, 63, 95)):
            source = poisoned(self.path("in.safetensors"), row, column, bits)
            result = run("compress", source, self.path("out.safetensors"))
            self.fails(result, INVALID, "layers.0.up.weight", f"row {row}", f"column {column}")
            self.assertEqual(self.listing(), ["in.safetensors"])

    def test_decompress_and_inspect_refuse_too(self):
        with open(self.path("in.safetensors"), "wb") as f:
            f.write(b"\xff" * 40)
        for command in (("decompress", self.path("in.safetensors"), self.path("out.safetensors")),
                        ("inspect", self.path("in.safetensors"))):
            self.fails(run(*command), INVALID, "in.safetensors")
        self.fails(run("inspect", self.path("none")), NOT_FOUND, "none")
        source = small_file(self.path("plain.safetensors"))
        self.fails(run("decompress", source, self.path("out.safetensors")), INVALID,
                   "plain.safetensors")
        self.assertEqual(self.listing(), ["in.safetensors", "plain.safetensors"])


class BadOutputs(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source = small_file(self.path("in.safetensors"))

    def test_exists(self):
        with open(self.path("out.safetensors"), "w") as f:
            f.write("precious")
        self.fails(run("compress", self.source, self.path("out.safetensors")), EXISTS,
                   "out.safetensors", "--force")
        self.assertEqual(read(self.path("out.safetensors")), b"precious")
        self.ok(run("compress", self.source, self.path("c.safetensors")))
        self.fails(run("decompress", self.path("c.safetensors"), self.path("out.safetensors")),
                   EXISTS, "out.safetensors", "--force")
        self.assertEqual(read(self.path("out.safetensors")), b"precious")

    def test_force_does_not_replace_a_directory_of_other_things(self):
        source = small_directory(self.path("dir"))
        os.mkdir(self.path("photos"))
        with open(self.path("photos", "a.jpg"), "w") as f:
            f.write("precious")
        self.fails(run("compress", source, self.path("photos"), "--force"), INVALID, "photos")
        self.assertEqual(self.listing(self.path("photos")), ["a.jpg"])

    def test_force_keeps_a_file_that_the_output_has_not(self):
        """In a directory that compress made, somebody put his own."""
        source = small_directory(self.path("dir"))
        self.ok(run("compress", source, self.path("c")))
        shutil.copytree(self.path("c"), self.path("back"))
        self.ok(run("compress", source, self.path("c"), "--force"))
        for target, command in (("back", "decompress"), ("c", "compress")):
            for foreign in ("notes.txt", "onnx/notes.txt", ".git/HEAD", "mine/notes.txt"):
                with self.subTest(command=command, foreign=foreign):
                    path = self.path(target, foreign)
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with open(path, "w") as f:
                        f.write("precious")
                    before = harness.tree(self.path(target))
                    given = source if command == "compress" else self.path("c")
                    self.fails(run(command, given, self.path(target), "--force"), INVALID,
                               foreign.split("/")[0], "remove it")
                    self.assertEqual(harness.tree(self.path(target)), before)
                    os.remove(path)
                    if not os.listdir(os.path.dirname(path)):
                        os.rmdir(os.path.dirname(path))
        self.assertEqual(self.listing(), ["back", "c", "dir", "in.safetensors"])

    def test_force_does_not_replace_the_original_by_what_is_restored(self):
        """Nor an earlier output of decompress, which nothing tells from an original; a file it does."""
        source = small_directory(self.path("dir"))
        self.ok(run("compress", source, self.path("c")))
        original = harness.tree(source)
        self.fails(run("decompress", self.path("c"), source, "--force"), INVALID, "ordinary weights",
                   "remove it if that is what you mean")
        self.assertEqual(harness.tree(source), original)
        self.ok(run("decompress", self.path("c"), self.path("back")))
        self.fails(run("decompress", self.path("c"), self.path("back"), "--force"), INVALID, "ordinary weights")
        os.mkdir(self.path("empty"))
        shutil.copytree(self.path("c"), self.path("copy"))
        for replaced in ("empty", "copy"):
            self.ok(run("decompress", self.path("c"), self.path(replaced), "--force"))
            self.assertEqual(harness.tree(self.path(replaced)), harness.tree(self.path("back")))
        self.ok(run("compress", self.source, self.path("c.safetensors")))
        self.ok(run("decompress", self.path("c.safetensors"), self.path("back.safetensors")))
        self.ok(run("decompress", self.path("c.safetensors"), self.path("back.safetensors"), "--force"))

    def test_a_report_takes_the_place_of_a_report_alone(self):
        source = small_directory(self.path("dir"))
        out = self.path("out.safetensors")
        letter = self.path("letter.txt")
        with open(letter, "w") as f:
            f.write("precious")
        os.link(self.source, self.path("link.safetensors"))
        before = read(self.source)
        for report, given, to in ((self.source, self.source, out), (out, self.source, out),
                                  (self.path("link.safetensors"), self.source, out),
                                  (os.path.join(source, "r.html"), source, self.path("c")),
                                  (letter, self.source, out)):
            with self.subTest(report=report):
                self.fails(run("compress", given, to, "--report", report, "--force"), INVALID,
                           os.path.basename(report))
                self.assertFalse(os.path.exists(to))
        self.assertEqual(read(self.source), before)
        self.assertEqual(read(letter), b"precious")
        page = self.path("page.html")
        for _ in range(2):
            self.ok(run("compress", self.source, out, "--report", page, "--force"))
        self.fails(run("compress", self.source, out, "--report", out, "--force"), INVALID, out)
        self.ok(run("verify", out, self.source))

    def test_the_input_itself(self):
        self.fails(run("compress", self.source, self.source, "--force"), INVALID, "in.safetensors")

    def test_no_such_directory(self):
        self.fails(run("compress", self.source, self.path("no", "out.safetensors")), NOT_FOUND,
                   self.path("no"))

    def test_a_directory_that_may_not_be_written(self):
        os.mkdir(self.path("locked"), 0o555)
        options = {}
        if os.geteuid() == 0:  # to root every directory is open
            nobody = pwd.getpwnam("nobody")
            options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        out = self.path("locked", "out.safetensors")
        try:
            result = run("compress", self.source, out, **options)
        except PermissionError:
            self.skipTest("the user nobody cannot run the program where it lies")
        self.fails(result, STORAGE, self.path("locked"))
        self.assertEqual(self.listing(self.path("locked")), [])

    def test_an_input_that_may_not_be_looked_up(self):
        os.mkdir(self.path("locked"))
        source = small_file(self.path("locked", "in.safetensors"))
        os.chmod(self.path("locked"), 0)
        self.addCleanup(os.chmod, self.path("locked"), 0o755)
        options = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        try:
            result = run("compress", source, self.path("out.safetensors"), **options)
        except PermissionError:
            self.skipTest("the user nobody cannot run the program where it lies")
        self.fails(result, STORAGE, source, "Permission denied")

    def test_an_output_that_is_a_link(self):
        """What it leads to is replaced, by every command; the link stays."""
        source = small_directory(self.path("dir"))
        os.mkdir(self.path("real"))
        os.symlink("real", self.path("link"))
        self.fails(run("compress", source, self.path("link")), EXISTS, "real", "--force")
        self.ok(run("compress", source, self.path("link"), "--force"))
        os.mkdir(self.path("real_back"))
        os.symlink("real_back", self.path("back"))
        self.ok(run("decompress", self.path("real"), self.path("back"), "--force"))
        self.assertTrue(os.path.islink(self.path("link")) and os.path.islink(self.path("back")))
        self.assertIn("config.json", self.listing(self.path("real_back")))
        os.symlink("nowhere", self.path("dangling"))
        os.symlink("loop", self.path("loop"))
        for name, words in (("dangling", "leads nowhere"), ("loop", "symbolic links")):
            for command, given in (("decompress", self.path("real")), ("compress", source)):
                with self.subTest(command=command, out=name):
                    self.fails(run(command, given, self.path(name), "--force"), INVALID, name, words)

    @contextlib.contextmanager
    def small_disk(self, size):
        disk = self.path("disk")
        os.mkdir(disk)
        if os.geteuid() != 0:
            self.skipTest("a small disk needs root, to mount a tmpfs")
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk],
                                 capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest("cannot mount a tmpfs: " + mounted.stderr.strip())
        try:
            yield disk
        finally:
            subprocess.run(["umount", "-l", disk], check=True)

    def test_a_full_disk(self):
        big = {"big.weight": ("F32", (1024, 4096), bytes(4 * 1024 * 4096))}  # 2 MiB compressed
        harness.write_safetensors(self.path("big.safetensors"), big)
        with self.small_disk("1536k") as disk:
            result = run("compress", self.path("big.safetensors"), disk + "/out.safetensors")
            self.fails(result, STORAGE, disk)
            self.assertEqual(os.listdir(disk), [])
        # The files that are copied at the end have room, too, or nothing is searched.
        source = small_directory(self.path("in"))
        with open(os.path.join(source, "pytorch_model.bin"), "wb") as f:
            f.truncate(2 << 20)
        os.rmdir(self.path("disk"))
        with self.small_disk("1536k") as disk:
            result = run("compress", source, disk + "/out", "--json")
            self.fails(result, STORAGE, ": the files that are copied: needs 20")
            self.assertNotIn("kept", result.err)
            self.assertEqual(os.listdir(disk), [])
        # Decompressing needs room as well.
        self.ok(run("compress", self.path("big.safetensors"), self.path("c.safetensors")))
        os.rmdir(self.path("disk"))
        with self.small_disk("1536k") as disk:
            result = run("decompress", self.path("c.safetensors"), disk + "/out.safetensors")
            self.fails(result, STORAGE, disk)
            self.assertEqual(os.listdir(disk), [])


class BadStandardOutput(EndToEnd):
    """A result that cannot be written is no success."""

    def setUp(self):
        super().setUp()
        self.source = small_file(self.path("in.safetensors"))
        self.out = self.path("c.safetensors")
        self.ok(run("compress", self.source, self.out))
        self.commands = (("inspect", self.out), ("verify", self.out, self.source, "--json"), ("--help",),
                         ("estimate", self.source),
                         ("compress", self.source, self.path("again.safetensors"), "--force", "--json"))

    def run_in_shell(self, command, redirection):
        line = '"$0" "$@" ' + redirection
        return subprocess.run(["bash", "-o", "pipefail", "-c", line, harness.SEEDLM, *command],
                              capture_output=True, text=True, env=harness.environment(), timeout=60)

    def test_it_is_an_error(self):
        for redirection, reason in ((">/dev/full", "No space left"), (">&-", "Bad file descriptor")):
            for command in self.commands:
                with self.subTest(command=command, redirection=redirection):
                    result = self.run_in_shell(command, redirection)
                    self.assertEqual(result.returncode, STORAGE, result.stderr)
                    self.assertRegex(result.stderr, r"seedlm: error: standard output: cannot write the result: "
                                                    + reason + ".*; ")
        self.ok(run("verify", self.path("again.safetensors"), self.source))

    def test_a_reader_that_leaves_is_none(self):
        for command in self.commands:
            with self.subTest(command=command):
                result = self.run_in_shell(command, "| true")
                self.assertEqual((result.returncode, result.stderr), (0, ""))


class BadCommandLines(EndToEnd):
    def test_usage(self):
        source = small_file(self.path("in.safetensors"))
        rows = [((), "subcommand"),
                (("explode",), "explode"),
                (("artifacts", "lst"), "'lst': no such command of seedlm artifacts"),
                (("compress", source, "x", "--bit", "3"), "--bit: no such option"),
                (("compress", source, "x", "y"), "'y': one argument too many"),
                (("compress",), "IN"),
                (("compress", source), "OUT"),
                (("compress", source, "x", "--bits", "5"), "--bits"),
                (("compress", source, "x", "--fit", "best"), "--fit"),
                (("compress", source, "x", "--fit", "nearest", "--scale", "fitted"), "--scale"),
                (("compress", source, "x", "--colour"), "--colour"),
                (("submit", source, "--to", "ftp://x"), "--to"),
                (("verify", source), "ORIGINAL"),
                (("decompress", source, "x", "--dtype", "f8"), "--dtype"),
                (("list", "--state", "TIRED"), "--state")]
        for args, word in rows:
            with self.subTest(args=args):
                self.fails(run(*args), USAGE, word, "--help")
        self.assertEqual(self.listing(), ["in.safetensors"])

    def test_a_directory_is_no_safetensors_file(self):
        source = harness.small_directory(self.path("in"))
        self.fails(run("compress", source, self.path("out.safetensors")), INVALID,
                   "out.safetensors", "is a directory")
        self.assertEqual(self.listing(), ["in"])

    def test_an_unknown_backend(self):
        source = small_file(self.path("in.safetensors"))
        self.fails(run("compress", source, self.path("out.safetensors"), "--backend", "abacus"),
                   INVALID, "abacus")
        self.assertEqual(self.listing(), ["in.safetensors"])

    def test_a_backend_that_is_not_there(self):
        source = small_file(self.path("in.safetensors"))
        nowhere = {"SEEDLM_CUDA_PLUGIN": "/nowhere/seedlm_cuda.so"}
        self.fails(run("compress", source, self.path("out.safetensors"), "--backend", "cuda",
                       env=nowhere), INVALID, "cuda", "no plug-in", "/nowhere/seedlm_cuda.so")
        self.assertEqual(self.listing(), ["in.safetensors"])
        self.ok(run("compress", source, self.path("out.safetensors"), env=nowhere))

    def test_a_pattern_that_is_none(self):
        source = small_file(self.path("in.safetensors"))
        self.fails(run("compress", source, self.path("out.safetensors"), "--include", "re:("),
                   INVALID, "re:(")


    def test_a_pattern_that_matches_nothing(self):
        """What was to be kept would be compressed: no name of a module, no brackets, no braces."""
        source = small_directory(self.path("in"))
        for option in ("--exclude", "--include"):
            for pattern in ("model.layers.*.q_proj", "model.layers.[01].q_proj.weight", "lm_heads*",
                            "model.layers.{0,1}.q_proj.weight", "re:lm_head"):
                with self.subTest(option=option, pattern=pattern):
                    for command in (("compress", source, self.path("out")), ("estimate", source)):
                        self.fails(run(*command, option, pattern), INVALID, pattern, option[2:],
                                   "whole name", "'model.layers.*.o_proj.weight'")
        self.assertEqual(self.listing(), ["in"])
        self.ok(run("compress", source, self.path("out"), "--exclude", "model.layers.*.q_proj.weight",
                    "--include", "*"))


class NoServer(EndToEnd):
    def test_not_there(self):
        source = small_file(self.path("in.safetensors"))
        address = "127.0.0.1:1"
        for args in (("status", "jobs/1"), ("list",), ("submit", source), ("watch", "jobs/1"),
                     ("fetch", "jobs/1", self.path("x")), ("devices",),
                     ("compress", source, self.path("x"))):
            with self.subTest(args=args):
                self.fails(run(*args, "--server", address), UNAVAILABLE, address, "seedlm-server")
        self.assertEqual(self.listing(), ["in.safetensors"])

    def test_an_address_that_is_none(self):
        self.fails(run("list", "--server", "unix:" + self.path("none")), UNAVAILABLE, "none")


if __name__ == "__main__":
    harness.main()
