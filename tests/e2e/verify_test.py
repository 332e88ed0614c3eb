"""verify must see damage: exit code 1, naming the tensor."""

import os
import shutil
import struct
import unittest

import harness
from harness import CHECK_FAILED, INVALID, NOT_FOUND, EndToEnd, read_safetensors, run, small_file, tensor, \
    write_safetensors

TENSOR = "layers.0.up.weight"


class Verify(EndToEnd):
    @classmethod
    def setUpClass(cls):
        cls.made = harness.tempfile.mkdtemp(prefix="seedlm-verify-")
        cls.source = small_file(os.path.join(cls.made, "in.safetensors"))
        cls.good = os.path.join(cls.made, "good.safetensors")
        result = run("compress", cls.source, cls.good)
        assert result.code == 0, str(result)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.made, ignore_errors=True)

    def damaged(self, tensor, offset, change):
        """A copy in which the 32-bit word at a tensor's offset is changed."""
        path = self.path("damaged.safetensors")
        shutil.copyfile(self.good, path)
        at = read_safetensors(path)[1][tensor] + offset
        with open(path, "r+b") as f:
            f.seek(at)
            word = struct.unpack("<I", f.read(4))[0]
            f.seek(at)
            f.write(struct.pack("<I", change(word)))
        return path

    def check_fails(self, path, *words, args=()):
        result = run("verify", path, self.source, *args)
        self.assertEqual(result.code, CHECK_FAILED, str(result))
        text = "\n".join(result.error_lines())
        for line in result.error_lines():
            self.assertIn("; ", line)
        for word in (path, *words):
            self.assertIn(word, text, str(result))

    def test_the_good_one_passes(self):
        result = self.ok(run("verify", self.good, self.source))
        self.assertRegex(result.out, r"layers\.0\.up\.weight +\[64, 96\] +0\.1\d+ +0\.0\d+")
        self.assertIn("3 other tensors are byte-identical", result.out)
        report = self.ok(run("verify", self.good, self.source, "--json")).json()
        self.assertTrue(report["ok"])
        self.assertEqual([t["name"] for t in report["tensors"]],
                         ["layers.0.down.weight", "layers.0.up.weight"])
        self.assertEqual(len(report["passed_through"]), 3)
        self.assertEqual(report["problems"], [])

    def test_the_error_of_the_output(self):
        inputs = self.path("x.safetensors")
        write_safetensors(inputs, {"layers.0.up": tensor("F16", (12, 96), 9),
                                   "nobody": tensor("F32", (1, 2), 10)})
        result = self.ok(run("verify", self.good, self.source, "--activations", inputs))
        self.assertRegex(result.out, r"layers\.0\.up\.weight .* 0\.1\d+\n")
        self.assertRegex(result.out, r"layers\.0\.down\.weight .* -\n")
        self.assertIn("no compressed tensor has the name of 1 of its tensors, such as 'nobody'", result.err)
        report = self.ok(run("verify", self.good, self.source, "--activations", inputs, "--backend", "cpu",
                             "--json")).json()
        up = [t for t in report["tensors"] if t["name"] == TENSOR][0]
        # Of inputs that know nothing of the weights, it is about that of the weights.
        self.assertAlmostEqual(up["output_error"], up["relative_error"], delta=0.02)
        self.assertEqual(up["samples"], 12)
        write_safetensors(inputs, {"layers.0.up": tensor("F32", (12, 95), 9)})
        self.fails(run("verify", self.good, self.source, "--activations", inputs), INVALID, inputs, "layers.0.up",
                   "[n, 96]")

    def test_a_zero_seed(self):
        path = self.damaged(TENSOR + "_packed", 4 * (12 * 7 + 3), lambda w: w & 0xFFFF0000)
        self.check_fails(path, TENSOR, "row 7", "block 3")
        report = run("verify", path, self.source, "--json").json()
        self.assertFalse(report["ok"])
        inspected = run("inspect", path, "--json")
        self.assertEqual(inspected.code, CHECK_FAILED, str(inspected))
        self.assertEqual(sum(t.get("zero_seeds", 0) for t in inspected.json()["tensors"]), 1)
        self.assertIn(f"{path}: tensor '{TENSOR}': 1 of its blocks have the seed 0; compress it again", inspected.err)

    def test_a_flipped_bit(self):
        """Of a seed, the lowest of a coefficient, the lowest of a level: seen without any sample."""
        for bit in (0x10, 1 << 16, 1 << 28):
            path = self.damaged(TENSOR + "_packed", 4 * (12 * 9 + 2), lambda w: w ^ bit)
            self.check_fails(path, TENSOR, "row 9", "block 2", args=("--sample", 0))

    def test_a_block_worse_than_nothing(self):
        path = self.damaged(TENSOR + "_packed", 4 * 5, lambda w: w & 0xFFFF | 0xF8880000)
        self.check_fails(path, TENSOR, "row 0", "block 5", args=("--sample", 0))

    def test_a_changed_level_table(self):
        """Also in its last bit, where all codes stay the best of their seeds."""
        for change in (0x02000000, 1):
            path = self.damaged(TENSOR + "_scale", 4 * 8, lambda w: w + change)
            self.check_fails(path, TENSOR, args=("--sample", 0))

    def test_a_level_that_is_not_finite(self):
        path = self.damaged(TENSOR + "_scale", 0, lambda w: 0x7FC00000)
        self.check_fails(path, TENSOR)

    def test_a_shape_that_does_not_fit(self):
        path = self.damaged(TENSOR + "_shape", 0, lambda w: w + 1)
        self.check_fails(path, TENSOR)

    def test_a_passed_through_tensor(self):
        path = self.damaged("embed_tokens.weight", 100, lambda w: w ^ 1)
        self.check_fails(path, "embed_tokens.weight")

    def test_a_truncated_file(self):
        path = self.path("damaged.safetensors")
        shutil.copyfile(self.good, path)
        os.truncate(path, os.path.getsize(path) - 8)
        self.check_fails(path)

    def test_max_error(self):
        self.ok(run("verify", self.good, self.source, "--max-error", 0.2))
        self.check_fails(self.good, TENSOR, "--max-error", args=("--max-error", 0.05))

    def test_another_original(self):
        other = small_file(self.path("other.safetensors"), seed=77)
        result = run("verify", self.good, other)
        self.assertEqual(result.code, CHECK_FAILED, str(result))
        self.assertEqual(len(result.error_lines()), 1, str(result))
        self.assertIn("the original is not what was compressed", result.err)

    def test_another_original_of_other_shapes_or_names(self):
        """What is not damaged need not be compressed again, and of nothing there is no error."""
        other = self.path("other.safetensors")
        for name, shape in ((TENSOR, (64, 104)), ("of.another.model.weight", (64, 96))):
            write_safetensors(other, {name: tensor("F32", shape, 1)})
            result = run("verify", self.good, other)
            self.assertEqual(result.code, CHECK_FAILED, str(result))
            self.assertTrue(result.error_lines(), str(result))
            for line in result.error_lines():
                self.assertIn("; it is damaged, or the original is another one: give the one that "
                              "was compressed", line)
            self.assertNotIn("compress it again", result.err)
            self.assertNotIn("0.0000", result.out)
            self.assertIn("no compressed tensor could be compared", result.out)
            report = run("verify", self.good, other, "--json").json()
            self.assertEqual((report["ok"], report["relative_error"]), (False, None))

    def test_the_wrong_arguments(self):
        self.fails(run("verify", self.source, self.source), INVALID, "in.safetensors",
                   "no compressed tensor")
        for compressed in (self.good, self.source):
            self.fails(run("verify", compressed, self.good), INVALID, self.good, "is compressed itself",
                       "the checkpoint that was compressed")
        self.fails(run("verify", self.path("none"), self.source), NOT_FOUND, "none")
        self.fails(run("verify", self.good, self.path("none")), NOT_FOUND, "none")


if __name__ == "__main__":
    harness.main()
