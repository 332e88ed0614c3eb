"""What `seedlm compress` made, as the hardware sees it: the HLS test bench and the simulator.

Environment: SEEDLM, SEEDLM_SERVER_PROGRAM, HLS_TEST_BENCH, SEEDLM_FPGA_SIM, VECTORS.
"""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import harness  # noqa: E402
from harness import EndToEnd, run  # noqa: E402

NAME = "layers.0.up.weight"


def program(name, *arguments):
    return subprocess.run([os.environ[name], *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, check=False)


def bench(compressed, decompressed):
    return program("HLS_TEST_BENCH", os.environ["VECTORS"], compressed, decompressed)


def simulator(*arguments):
    return program("SEEDLM_FPGA_SIM", *arguments)


class CompressedModel(EndToEnd):
    def compressed(self, bits="4", shape=(64, 384), scale="fitted"):
        source, packed, plain = (self.path(f"{n}-{bits}-{scale}.safetensors")
                                 for n in ("in", "out", "back"))
        harness.write_safetensors(source, {NAME: harness.tensor("F32", shape, 3)})
        self.assertEqual(run("compress", source, packed, "--bits", bits, "--scale", scale).code, 0)
        self.assertEqual(run("decompress", packed, plain, "--dtype", "f16").code, 0)
        return packed, plain

    def damaged(self, path, plane, change):
        """A copy with the bytes of one plane changed."""
        tensors, _, metadata = harness.read_safetensors(path)
        dtype, shape, data = tensors[f"{NAME}_{plane}"]
        tensors[f"{NAME}_{plane}"] = (dtype, *change(shape, bytearray(data)))
        copy = self.path("damaged.safetensors")
        harness.write_safetensors(copy, tensors, metadata)
        return copy

    def refused(self, result, *words):
        self.assertNotEqual(result.returncode, 0, result.stdout)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_same_weights(self):
        for bits in ("4", "3"):
            packed, plain = self.compressed(bits)
            result = bench(packed, plain)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(" 0 failures", result.stdout)

    def test_levels_that_are_shifts(self):
        # The bench multiplies each on the unit that takes any levels, and on the one that takes shifts.
        for scale in ("paper", "pow2"):
            packed, plain = self.compressed(scale=scale)
            result = bench(packed, plain)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(simulator("--model", packed, "--pow2").returncode, 0)
        packed, _ = self.compressed(scale="fitted")
        self.refused(simulator("--model", packed, "--pow2"), NAME, "no significand in common")

    def test_difference_is_found(self):
        packed, _ = self.compressed()
        other = self.path("other.safetensors")
        harness.write_safetensors(other, {NAME: ("F16", [64, 384], bytes(2 * 64 * 384))})
        self.refused(bench(packed, other), f"'{NAME}' weight")

    def test_simulated(self):
        packed, _ = self.compressed()
        result = simulator("--model", packed, "--check", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["weights"], 64 * 384)
        self.assertEqual(report["cycles"], report["words"] + sum(report["stalls"].values()))
        self.assertEqual(report["decoder"], [{"name": NAME, "weights": 64 * 384, "differences": 0}])

    def test_3bit_is_decoded_without_cycles(self):
        packed, plain = self.compressed("3")
        result = simulator("--model", packed, "--check", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(result.stdout), {
            "decoder": [{"name": NAME, "weights": 64 * 384, "differences": 0}]})
        decoded = self.path("decoded.safetensors")
        result = simulator("--model", packed, "--decode", decoded)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"{NAME}: 24576 weights, 0 differ", result.stdout)
        expected = harness.read_safetensors(plain)[0][NAME]
        self.assertEqual(bytes(harness.read_safetensors(decoded)[0][NAME][2]), bytes(expected[2]))
        self.refused(simulator("--model", packed), "profile 3bit", NAME)

    def test_zero_seed(self):
        packed, plain = self.compressed()

        def change(shape, data):
            data[4 * 50:4 * 50 + 2] = b"\0\0"  # row 1, block 2
            return shape, bytes(data)
        bad = self.damaged(packed, "packed", change)
        self.refused(bench(bad, plain), "zero seed", NAME)
        self.refused(simulator("--model", bad, "--check"), "row 1", "block 2", NAME)

    def test_damaged_planes(self):
        packed, plain = self.compressed()
        short = self.damaged(packed, "packed", lambda s, d: ([s[0] - 1, s[1]], bytes(d[:-4 * s[1]])))
        self.refused(bench(short, plain), NAME, "damaged")
        self.refused(simulator("--model", short), NAME)
        scale = self.damaged(packed, "scale", lambda s, d: (s, b"\0\0\xc0\x7f" + bytes(d[4:])))
        self.refused(bench(scale, plain), NAME, "finite")
        self.refused(simulator("--model", scale), NAME, "scale")
        packed, plain = self.compressed("3")
        level = self.damaged(packed, "level", lambda s, d: ([s[0] - 1, s[1]], bytes(d[:-s[1]])))
        self.refused(bench(level, plain), NAME, "level plane")
        self.refused(simulator("--model", level, "--check"), NAME)

    def test_wrong_profile(self):
        packed, plain = self.compressed("2")
        self.refused(bench(packed, plain), "2bit")
        self.refused(simulator("--model", packed), "2bit", NAME)
        self.refused(simulator("--model", packed, "--check"), "2bit", NAME)

    def test_row_is_no_multiple_of_the_block(self):
        packed, plain = self.compressed(shape=(64, 100))
        self.refused(bench(packed, plain), "100", "no multiple", NAME)
        self.refused(simulator("--model", packed), "100", "no multiple", NAME)
        self.refused(simulator("--rows", 64, "--cols", 100), "100", "no multiple")

    def test_not_compressed(self):
        _, plain = self.compressed()
        self.refused(simulator("--model", plain), "no compressed tensor")
        self.refused(simulator("--model", self.path("none")), "none")
        self.refused(bench(self.path("none"), plain), "none", "no safetensors file")
        self.refused(bench(plain, plain), "neither 4bit nor 3bit")
        self.assertEqual(simulator("--unit", "seedlm").returncode, 2)


if __name__ == "__main__":
    harness.main()
