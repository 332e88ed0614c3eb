"""Commands that need no server: compress, decompress, inspect, estimate, devices."""

import contextlib
import glob
import itertools
import json
import os
import shutil
import signal
import sqlite3
import struct
import time
import unittest

import harness
from harness import (EXISTS, INVALID, NOT_FOUND, EndToEnd, read, read_safetensors, run, slow_file,
                     small_directory, small_file, tree)

PACKED = "layers.0.up.weight"


def recorded_pieces(state):
    """How many pieces of work a compress that runs has recorded so far."""
    for path in glob.glob(os.path.join(state, "seedlm/compress/*/jobs.sqlite")):
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            try:
                return database.execute("SELECT count(*) FROM work_pieces").fetchone()[0]
            except sqlite3.OperationalError:  # it is being made
                return 0
    return 0


class GoingOn(EndToEnd):
    """compress is killed, and the same command goes on."""

    def setUp(self):
        super().setUp()
        self.state = self.path("state")
        self.source = self.path("in.safetensors")
        harness.write_safetensors(self.source, {
            f"{i}.weight": harness.tensor("F32", (16, 64), i) for i in range(12)})

    def compress(self, *more, env=None, **kwargs):
        return harness.start("compress", self.source, self.path("out"), "--include", "*",
                             "--threads", "1", "--backend", "reference", *more,
                             env={"XDG_STATE_HOME": self.state, **(env or {})}, **kwargs)

    def killed_after(self, pieces):
        process = self.compress()
        harness.wait_for(lambda: recorded_pieces(self.state) >= pieces, 60)
        process.kill()
        process.communicate()
        self.assertFalse(os.path.exists(self.path("out")))

    def expected(self, *more):
        out = self.path("expected")
        self.ok(run("compress", self.source, out, "--include", "*", *more))
        return read(out)

    def interrupted_after(self, pieces, *signals):
        process = self.compress()
        harness.wait_for(lambda: recorded_pieces(self.state) >= pieces, 60)
        for number in signals:
            process.send_signal(number)
        _, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, harness.INTERRUPTED, err)
        self.assertRegex(err, "seedlm: error: interrupted.*; .* kept.*: the same command goes on")
        self.assertFalse(os.path.exists(self.path("out")))
        self.assertGreaterEqual(recorded_pieces(self.state), pieces)

    def test_the_same_command_goes_on(self):
        self.killed_after(2)
        self.killed_after(4)
        self.interrupted_after(6, signal.SIGINT)
        self.interrupted_after(8, signal.SIGINT, signal.SIGTERM)  # leaves at once
        process = self.compress("--json")
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("takes up what an earlier run", err)
        summary = json.loads(out)
        self.assertEqual(len(summary["tensors"]), 12)
        # The rate is of what this run did.
        self.assertGreaterEqual(summary["weights_kept"], 8 * 16 * 64)
        self.assertAlmostEqual(summary["weights_per_second"],
                               (summary["weights"] - summary["weights_kept"]) / summary["seconds"])
        self.assertEqual(read(self.path("out")), self.expected())
        self.assertEqual(self.listing(), ["expected", "in.safetensors", "out", "state"])
        self.assertEqual(os.listdir(os.path.join(self.state, "seedlm/compress")), [])

    def test_other_options_begin_anew(self):
        self.killed_after(3)
        process = self.compress("--scale", "pow2")
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertNotIn("goes on", err)
        self.assertEqual(err.count("seedlm: other options or another input: begins anew, "), 1, err)
        self.assertEqual(read(self.path("out")), self.expected("--scale", "pow2"))

    def test_a_command_that_is_refused_gives_nothing_up(self):
        self.killed_after(3)
        for wrong in (("--include", "re:("), ("--exclude", "*")):
            process = self.compress(*wrong)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, harness.INVALID, err)
            self.assertGreaterEqual(recorded_pieces(self.state), 3, wrong)
        self.finishes_what_is_there()

    def test_an_interrupt_at_any_time_gives_nothing_up(self):
        self.killed_after(3)
        for delay in (0.01, 0.03, 0.06, 0.1, 0.15, 0.2):
            process = self.compress()
            time.sleep(delay)
            for _ in range(2):  # the second ends the process at once
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
            self.assertGreaterEqual(recorded_pieces(self.state), 3, delay)
        self.finishes_what_is_there()

    def finishes_what_is_there(self):
        process = self.compress()
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("takes up what an earlier run", err)
        self.assertRegex(out, r"[\d.]+ k of 12\.3 k weights were kept from before\n")
        self.assertEqual(read(self.path("out")), self.expected())
        self.assertEqual(os.listdir(os.path.join(self.state, "seedlm/compress")), [])

    def test_another_source_begins_anew(self):
        self.killed_after(3)
        harness.write_safetensors(self.source, {
            f"{i}.weight": harness.tensor("F32", (16, 64), 100 + i) for i in range(12)})
        process = self.compress()
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(err.count("seedlm: the source has changed: begins anew\n"), 1, err)
        self.assertEqual(read(self.path("out")), self.expected())
        self.assertEqual(self.listing(), ["expected", "in.safetensors", "out", "state"])

    def test_a_second_one_to_the_same_output_is_refused(self):
        first = self.compress()
        harness.wait_for(lambda: recorded_pieces(self.state) >= 1, 60)
        first.send_signal(signal.SIGSTOP)
        before = self.listing()
        second = self.compress()
        out, err = second.communicate(timeout=30)
        self.assertEqual((second.returncode, out), (harness.UNAVAILABLE, ""), err)
        self.assertEqual(err, f"seedlm: error: {os.path.realpath(self.path('out'))}: another seedlm is writing it; "
                              "wait for that one, or choose another output\n")
        self.assertEqual(self.listing(), before)
        first.send_signal(signal.SIGCONT)
        _, err = first.communicate(timeout=60)
        self.assertEqual(first.returncode, 0, err)
        self.assertEqual(read(self.path("out")), self.expected())

    def test_an_output_that_appears_meanwhile(self):
        """What is said of the same command is true."""
        process = self.compress()
        harness.wait_for(lambda: recorded_pieces(self.state) >= 2, 60)
        with open(self.path("out"), "w") as f:
            f.write("of somebody else")
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, EXISTS, err)
        self.assertRegex(err, "what is done is kept, 100 % of the weights: once .*/out has been moved away, "
                              "the same command goes on")
        self.assertEqual(read(self.path("out")), b"of somebody else")
        os.remove(self.path("out"))
        self.finishes_what_is_there()

    def test_what_an_interrupt_left_may_be_removed(self):
        self.interrupted_after(3, signal.SIGINT)
        staged = glob.glob(self.path(".out.*.seedlm-partial"))
        self.assertEqual(len(staged), 1)
        shutil.rmtree(staged[0])
        process = self.compress()
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(read(self.path("out")), self.expected())

    def test_without_a_state_directory_it_works_all_the_same(self):
        with open(self.state, "w") as f:
            f.write("a file")
        told = "no directory below XDG_STATE_HOME or HOME can be written: if this run ends early"
        process = self.compress()
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn(told, err)
        self.assertEqual(read(self.path("out")), self.expected())
        process = self.compress("--force")
        self.assertIn(told, process.stderr.readline())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, harness.INTERRUPTED, err)
        self.assertIn("interrupted; nothing is left of what was done", err)


class Compress(EndToEnd):
    def test_every_search_gives_the_same_bytes(self):
        source = small_file(self.path("in.safetensors"))
        for search in ("auto", "exhaustive", "index"):
            self.ok(run("compress", source, self.path(search), "--search", search,
                        env={"XDG_CACHE_HOME": self.path("cache")}))
            self.assertEqual(read(self.path(search)), read(self.path("auto")))

    def test_a_file_becomes_a_file(self):
        source = small_file(self.path("in.safetensors"))
        result = self.ok(run("compress", source, self.path("out.safetensors"), "--json"))
        summary = result.json()
        self.assertEqual(summary["weights"], 64 * 96 + 96 * 64)
        self.assertEqual(summary["bits_per_weight"], 4.0)
        self.assertEqual(summary["input_bytes"], os.path.getsize(source))
        self.assertEqual(summary["output_bytes"], os.path.getsize(self.path("out.safetensors")))
        self.assertEqual(summary["tensor_bytes"], 64 * 96 * 4 + 96 * 64 * 2)
        self.assertEqual(summary["packed_bytes"], 2 * 64 * 96 // 2 + 160)
        self.assertTrue(0.09 < summary["relative_error"] < 0.13, summary)
        self.assertEqual(len(summary["tensors"]), 2)
        self.assertEqual(self.listing(), ["in.safetensors", "out.safetensors"])
        before, _, _ = read_safetensors(source)
        after, _, metadata = read_safetensors(self.path("out.safetensors"))
        self.assertIn("seedlm", metadata)
        self.assertEqual(after[PACKED + "_packed"][:2], ("I32", [64, 12]))
        for name in ("layers.0.norm.weight", "embed_tokens.weight", "position_ids"):
            self.assertEqual(after[name], before[name])

    def test_the_summary_for_people(self):
        result = self.ok(run("compress", small_file(self.path("in.safetensors")),
                             self.path("out.safetensors")))
        self.assertIn("4.000 bits a weight", result.out)
        self.assertIn("relative error 0.1", result.out)
        self.assertIn("weights/s", result.out)

    def test_the_summary_counts_and_names_what_is_copied(self):
        source = small_directory(self.path("in"))
        with open(os.path.join(source, "pytorch_model.bin"), "wb") as f:
            f.write(b"x" * 50_000)
        stray = small_file(os.path.join(source, "consolidated.safetensors"))
        before, _, _ = read_safetensors(stray)
        harness.write_safetensors(stray, {"again." + name: entry for name, entry in before.items()})

        def total(directory):
            return sum(os.path.getsize(os.path.join(directory, name))
                       for name in harness.tree(directory))
        for out, options in (("out", ()), ("json", ("--json",))):
            result = self.ok(run("compress", source, self.path(out), *options))
            for name in ("pytorch_model.bin", "consolidated.safetensors"):
                self.assertRegex(result.err, f"(?m)^seedlm: [^:]*{name}[^:]*: ")
            self.assertNotIn("model-00001", result.err)
        summary = result.json()
        self.assertEqual(summary["input_bytes"], total(source))
        self.assertEqual(summary["output_bytes"], total(self.path("json")))
        self.assertGreater(summary["copied_bytes"], 50_000)
        estimate = self.ok(run("estimate", source))
        self.assertIn("pytorch_model.bin", estimate.err)
        self.assertIn("consolidated.safetensors", estimate.err)

    def test_bytes_do_not_depend_on_threads_or_backend(self):
        source = small_file(self.path("in.safetensors"))
        self.ok(run("compress", source, self.path("a.safetensors"), "--threads", 1))
        self.ok(run("compress", source, self.path("b.safetensors"), "--threads", 2))
        self.assertEqual(read(self.path("a.safetensors")), read(self.path("b.safetensors")))
        one = ["--include", "layers.0.up.weight"]
        self.ok(run("compress", source, self.path("c.safetensors"), "--backend", "reference", *one))
        self.ok(run("compress", source, self.path("d.safetensors"), *one))
        self.assertEqual(read(self.path("c.safetensors")), read(self.path("d.safetensors")))

    def test_a_directory_becomes_a_directory(self):
        source = small_directory(self.path("in"))
        self.ok(run("compress", source, self.path("out")))
        before, after = tree(source), tree(self.path("out"))
        self.assertEqual(sorted(before), sorted(after))
        for name in ("tokenizer.json", "onnx/note.txt"):
            self.assertEqual(before[name], after[name])
        config = json.loads(after["config.json"])
        self.assertEqual(config["quantization_config"]["quant_method"], "seedlm")
        self.assertEqual(config["hidden_size"], 64)
        index = json.loads(after["model.safetensors.index.json"])
        self.assertEqual(index["weight_map"]["model.layers.1.q_proj.weight_packed"],
                         "model-00002-of-00002.safetensors")
        self.assertEqual(self.listing(), ["in", "out"])
        self.ok(run("verify", self.path("out"), source))

    def test_every_profile_fit_and_scale_verifies(self):
        source = small_file(self.path("in.safetensors"))
        rows = [("2", "optimal", "fitted", 0.45), ("3", "optimal", "pow2", 0.25),
                ("4.5", "optimal", "fitted", 0.12), ("4", "nearest", "paper", 0.25),
                ("4", "nearest", "pow2", 0.14)]
        for bits, fit, scale, error in rows:
            with self.subTest(bits=bits, fit=fit, scale=scale):
                out = self.path(f"{bits}-{fit}-{scale}.safetensors")
                summary = self.ok(run("compress", source, out, "--bits", bits, "--fit", fit,
                                      "--scale", scale, "--json")).json()
                self.assertLess(summary["relative_error"], error)
                report = self.ok(run("verify", out, source, "--json", "--max-error", error)).json()
                self.assertAlmostEqual(report["relative_error"], summary["relative_error"],
                                       places=6)

    def test_names_with_blanks_and_percent_signs(self):
        os.mkdir(self.path("a b 100%"))
        source = small_file(self.path("a b 100%", "in #1?.safetensors"))
        self.ok(run("compress", source, self.path("a b 100%", "out %41.safetensors")))
        self.assertEqual(self.listing(self.path("a b 100%")),
                         ["in #1?.safetensors", "out %41.safetensors"])

    def test_force_replaces(self):
        source = small_file(self.path("in.safetensors"))
        with open(self.path("out.safetensors"), "w") as f:
            f.write("old")
        self.ok(run("compress", source, self.path("out.safetensors"), "--force"))
        self.ok(run("verify", self.path("out.safetensors"), source))

    def test_a_slash_puts_a_file_into_a_directory(self):
        """OUT/ puts a file into a directory that exists; a directory alone is refused."""
        source = small_file(self.path("in.safetensors"))
        self.fails(run("compress", source, self.path("out") + "/"), NOT_FOUND, "out", "create it")
        os.mkdir(self.path("out"))
        self.fails(run("compress", source, self.path("out")), EXISTS, "out", "is a directory",
                   "out/")
        self.ok(run("compress", source, self.path("out") + "/"))
        self.assertEqual(self.listing(self.path("out")), ["in.safetensors"])
        os.mkdir(self.path("back"))
        compressed = self.path("out", "in.safetensors")
        self.ok(run("decompress", compressed, self.path("back") + "/"))
        self.assertEqual(self.listing(self.path("back")), ["in.safetensors"])
        self.fails(run("decompress", compressed, self.path("back") + "/"), EXISTS, "--force")
        self.assertEqual(self.listing(), ["back", "in.safetensors", "out"])

    def test_a_tensor_of_many_shards_has_the_same_bytes_with_any_threads(self):
        shard = self.ok(run("devices", "--json")).json()["limits"]["shard_bytes"]
        columns = 1024
        rows = 3 * shard // (4 * columns)  # and one row more: four shards
        real = harness.gaussian(3, columns)
        data = harness.to_bytes("F32", real) + bytes(4 * columns * (rows - 1))
        data += harness.to_bytes("F32", reversed(real))
        harness.write_safetensors(self.path("in.safetensors"),
                                  {"big.weight": ("F32", (rows + 1, columns), data)})
        for threads in (1, 2):
            self.ok(run("compress", self.path("in.safetensors"), self.path(f"{threads}.safetensors"),
                        "--threads", threads))
        self.assertEqual(read(self.path("1.safetensors")), read(self.path("2.safetensors")))
        # Nor do they depend on the memory that there is.
        small = self.ok(run("compress", self.path("in.safetensors"), self.path("small.safetensors"),
                            "--threads", 8, "--memory", "400MiB"))
        self.assertRegex(small.err, r"1 of 8 threads, an index of \d+ MiB of 1024 MiB, "
                                    "to stay within 400 MiB of memory")
        self.assertEqual(read(self.path("1.safetensors")), read(self.path("small.safetensors")))

    def test_too_little_memory_is_refused(self):
        source = small_file(self.path("in.safetensors"))
        self.fails(run("compress", source, self.path("out.safetensors"), "--memory", "100MiB"),
                   INVALID, "memory", "100 MiB", "too little; one thread takes up to")
        self.assertEqual(self.listing(), ["in.safetensors"])


class Interrupts(EndToEnd):
    def begin(self):
        slow_file(self.path("in.safetensors"))
        process = harness.start("compress", self.path("in.safetensors"),
                                self.path("out.safetensors"), "--backend", "reference")
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        # The output is being built: a hidden name beside it.
        harness.wait_for(lambda: any("partial" in name for name in self.listing()))
        # And nothing else: the scratch of the server in the process is in TMPDIR.
        self.assertEqual(len(self.listing()), 2, self.listing())
        return process

    def ended(self, process, word):
        out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, harness.INTERRUPTED, err)
        self.assertEqual(out, "")
        self.assertIn(word, err)
        self.assertRegex(err, r"seedlm: error: .*; ")
        self.assertEqual(self.listing(), ["in.safetensors"])

    def test_each_signal_cancels_and_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number):
                process = self.begin()
                process.send_signal(number)
                self.ended(process, "interrupted")

    def test_two_of_them_leave_at_once_and_leave_nothing(self):
        process = self.begin()
        # Of one number two would be one while the first is not taken: two numbers are two.
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        self.ended(process, "interrupted twice")

    def test_two_of_the_same(self):
        process = self.begin()
        process.send_signal(signal.SIGINT)
        time.sleep(0.03)
        process.send_signal(signal.SIGINT)
        self.ended(process, "interrupted")

    def test_two_of_them_leave_nothing_of_decompress(self):
        zeros = {"big.weight": ("F32", (4096, 8192), bytes(4 * 4096 * 8192))}
        harness.write_safetensors(self.path("in.safetensors"), zeros)
        self.ok(run("compress", self.path("in.safetensors"), self.path("c.safetensors")))
        process = harness.start("decompress", self.path("c.safetensors"),
                                self.path("out.safetensors"))
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        harness.wait_for(lambda: len(self.listing()) > 2)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, harness.INTERRUPTED, err)
        self.assertEqual(self.listing(), ["c.safetensors", "in.safetensors"])

    def test_nohup_is_kept(self):
        slow_file(self.path("in.safetensors"), rows=64)
        process = harness.start("compress", self.path("in.safetensors"),
                                self.path("out.safetensors"), preexec_fn=lambda: signal.signal(
                                    signal.SIGHUP, signal.SIG_IGN))
        time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, harness.OK, err)

    def test_a_sample_of_verify(self):
        source = slow_file(self.path("in.safetensors"))
        self.ok(run("compress", source, self.path("c.safetensors"), "--fit", "nearest"))
        process = harness.start("verify", self.path("c.safetensors"), source, "--sample", 1000000)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, harness.INTERRUPTED, err)
        self.assertLess(time.monotonic() - start, 5)
        self.assertIn("interrupted", err)


class Decompress(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source = small_file(self.path("in.safetensors"))
        self.ok(run("compress", self.source, self.path("c.safetensors")))

    def test_source_dtypes_come_back(self):
        self.ok(run("decompress", self.path("c.safetensors"), self.path("back.safetensors")))
        before, _, _ = read_safetensors(self.source)
        after, _, metadata = read_safetensors(self.path("back.safetensors"))
        self.assertEqual({n: t[:2] for n, t in before.items()},
                         {n: t[:2] for n, t in after.items()})
        self.assertNotIn("seedlm", metadata)
        self.assertEqual(before["embed_tokens.weight"], after["embed_tokens.weight"])
        self.assertNotEqual(before[PACKED], after[PACKED])

    def test_the_decoded_weights_are_close_to_the_source(self):
        self.ok(run("decompress", self.path("c.safetensors"), self.path("back.safetensors")))
        import array
        before, after = (array.array("f", read_safetensors(p)[0][PACKED][2])
                         for p in (self.source, self.path("back.safetensors")))
        error = sum((a - b) ** 2 for a, b in zip(before, after)) / sum(a * a for a in before)
        report = run("verify", self.path("c.safetensors"), self.source, "--json").json()
        tensors = {t["name"]: t for t in report["tensors"]}
        self.assertAlmostEqual(error ** 0.5, tensors[PACKED]["relative_error"], places=5)

    def test_one_dtype_for_all(self):
        for name, dtype in (("f32", "F32"), ("f16", "F16"), ("bf16", "BF16")):
            out = self.path(name + ".safetensors")
            self.ok(run("decompress", self.path("c.safetensors"), out, "--dtype", name))
            self.assertEqual(read_safetensors(out)[0][PACKED][0], dtype)
            self.assertEqual(read_safetensors(out)[0]["embed_tokens.weight"][0], "F16")

    def test_weights_too_large_for_the_dtype_are_told(self):
        weights = harness.gaussian(3, 64 * 64, 1e5)
        harness.write_safetensors(self.path("large.safetensors"), {
            "large.weight": ("F32", (64, 64), harness.to_bytes("F32", weights)),
            "small.weight": harness.tensor("F32", (64, 64), 4)})
        self.ok(run("compress", self.path("large.safetensors"), self.path("lc.safetensors")))
        for dtype in ("source", "f32", "bf16"):
            result = self.ok(run("decompress", self.path("lc.safetensors"), self.path(dtype), "--dtype", dtype))
            self.assertEqual(result.err, "")
        result = self.ok(run("decompress", self.path("lc.safetensors"), self.path("f16"), "--dtype", "f16"))
        halves = struct.unpack("<4096H", read_safetensors(self.path("f16"))[0]["large.weight"][2])
        infinite = sum(h & 0x7FFF == 0x7C00 for h in halves)
        self.assertGreater(infinite, 1000)
        self.assertEqual(result.err, f"seedlm: warning: tensor 'large.weight': {infinite} of 4096 weights are too "
                                     "large for the dtype and became infinite; give another --dtype, such as f32\n")

    def test_json(self):
        out = self.path("back.safetensors")
        summary = self.ok(run("decompress", self.path("c.safetensors"), out, "--json")).json()
        self.assertEqual(summary["output"], os.path.realpath(out))
        self.assertEqual(summary["weights"], 12288)
        self.assertEqual(summary["dtype"], "source")

    def test_a_directory_comes_back(self):
        source = small_directory(self.path("dir"))
        self.ok(run("compress", source, self.path("dc")))
        self.ok(run("decompress", self.path("dc"), self.path("dd")))
        after = tree(self.path("dd"))
        self.assertEqual(sorted(tree(source)), sorted(after))
        self.assertNotIn("quantization_config", json.loads(after["config.json"]))
        index = json.loads(after["model.safetensors.index.json"])
        self.assertEqual(index["weight_map"],
                         json.loads(tree(source)["model.safetensors.index.json"])["weight_map"])


class Look(EndToEnd):
    def test_inspect(self):
        source = small_file(self.path("in.safetensors"))
        self.ok(run("compress", source, self.path("c.safetensors"), "--bits", "3"))
        result = self.ok(run("inspect", self.path("c.safetensors")))
        self.assertRegex(result.out, r"layers\.0\.up\.weight +\[64, 96\] +F32 +3bit +3\.000 +[.0-9]{16}")
        self.assertRegex(result.out, r"position_ids +\[4\] +I64 +- +64\.000")
        rows = {t["name"]: t for t in
                self.ok(run("inspect", self.path("c.safetensors"), "--json")).json()["tensors"]}
        self.assertEqual(sum(rows[PACKED]["level_use"]), 64 * 96 // 12)
        self.assertEqual(rows[PACKED]["zero_seeds"], 0)
        self.assertFalse(rows["embed_tokens.weight"]["compressed"])
        self.ok(run("inspect", source))

    def test_estimate_is_what_compress_does(self):
        source = small_file(self.path("in.safetensors"))
        estimate = self.ok(run("estimate", source, "--json")).json()
        summary = self.ok(run("compress", source, self.path("c.safetensors"), "--json")).json()
        for key in ("weights", "input_bytes", "output_bytes", "bits_per_weight"):
            self.assertEqual(estimate[key], summary[key], key)
        reasons = {t["name"]: t["reason"] for t in estimate["skipped"]}
        self.assertEqual(sorted(reasons), ["embed_tokens.weight", "layers.0.norm.weight",
                                           "position_ids"])
        text = self.ok(run("estimate", source)).out
        self.assertRegex(text, r"weights to compress +12\.3 k")
        self.assertRegex(text, r"embed_tokens\.weight +\S+")
        self.assertRegex(text, r"copied +0 B in 0 files")
        self.assertRegex(text, r"memory, at most +[\d.]+ MB")
        self.assertEqual(self.listing(), ["c.safetensors", "in.safetensors"])

    def test_estimates_stay_within_the_memory_that_is_given(self):
        shapes = {"F32": [(64, 4 << 20), (1 << 20, 1), (1 << 20, 13), (8192, 8192)],
                  "BF16": [(64, 4 << 20), (1 << 20, 1), (1 << 20, 9), (8192, 8192)]}
        for dtype, width in (("F32", 4), ("BF16", 2)):
            tensors = {f"{i}.weight": (dtype, shape, width * shape[0] * shape[1])
                       for i, shape in enumerate(shapes[dtype])}
            head = harness.header(tensors)
            source = self.path(dtype + ".safetensors")
            with open(source, "wb") as f:
                f.write(head)
                f.truncate(len(head) + sum(t[2] for t in tensors.values()))
            for name in tensors:
                for bits, memory in itertools.product((2, 3, 4, 4.5), (512, 2048, 65536)):
                    estimate = self.ok(run("estimate", source, "--include", name, "--bits", bits,
                                           "--threads", 64, "--memory", f"{memory}MiB",
                                           "--json")).json()
                    with self.subTest(dtype=dtype, name=name, bits=bits, memory=memory):
                        self.assertLessEqual(estimate["memory_bytes"] + estimate["index_bytes"],
                                             memory << 20)

    def test_estimate_counts_what_is_copied(self):
        os.mkdir(self.path("in"))
        small_file(self.path("in/model.safetensors"))
        for name, size in (("config.json", 3), ("tokenizer.json", 10_000_000)):
            with open(self.path("in/" + name), "w") as f:
                f.write("{" + " " * (size - 2) + "}")
        estimate = self.ok(run("estimate", self.path("in"), "--json")).json()
        self.ok(run("compress", self.path("in"), self.path("out")))
        self.assertEqual(estimate["copied_files"], 2)
        self.assertEqual(estimate["copied_bytes"],
                         sum(os.path.getsize(self.path("out/" + name))
                             for name in ("config.json", "tokenizer.json")))
        self.assertRegex(self.ok(run("estimate", self.path("in"))).out,
                         r"copied +10\.0 MB in 2 files")

    def test_devices(self):
        backends = {b["name"]: b for b in self.ok(run("devices", "--json")).json()["backends"]}
        self.assertTrue(backends["reference"]["available"])
        nowhere = {"SEEDLM_CUDA_PLUGIN": "/nowhere/seedlm_cuda.so"}
        self.assertRegex(self.ok(run("devices", env=nowhere)).out,
                         r"(?m)^cuda +no +0 +no plug-in: there is no /nowhere/seedlm_cuda\.so")
        self.assertIn("reference", self.ok(run("devices")).out)

    def test_version(self):
        self.assertRegex(self.ok(run("--version")).out, r"^seedlm \d+\.\d+\.\d+$")

    def test_help_names_the_exit_codes(self):
        self.assertIn("130", self.ok(run("--help")).out)
        self.assertIn("--bits", self.ok(run("compress", "--help")).out)

    def test_help_says_what_people_trip_over(self):
        for command in ("compress", "submit", "estimate"):
            text = " ".join(self.ok(run(command, "--help")).out.split())
            for word in ("Compressed by default: ", "*lm_head*", "at least 64", "compressed instead",
                         "match the whole name", "only * and ?"):
                self.assertIn(word, text, command)
        compress = " ".join(self.ok(run("compress", "--help")).out.split())
        self.assertRegex(compress, "transformers, vLLM, llama.cpp do not: .*seedlm decompress OUT DIR")
        self.assertRegex(" ".join(self.ok(run("decompress", "--help")).out.split()),
                         "--dtype .*Of the tensors that were compressed.*others.*config.json")


if __name__ == "__main__":
    harness.main()
