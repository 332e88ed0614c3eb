"""A checkpoint that is truncated while the client reads it: one line and an exit code, no signal.

The program is stopped as soon as it has the file open, which is then cut; the file is a hole of
256 MiB, so that it cannot have been read by then.
"""

import os
import signal
import time
import unittest

import harness
from harness import EndToEnd

BYTES = 256 << 20
CUT = 64 << 10   # behind the header
HOLE = ("U8", [BYTES], BYTES)


def opened(process, path):
    """Whether the process has the file open."""
    directory = f"/proc/{process.pid}/fd"
    try:
        return any(os.readlink(os.path.join(directory, fd)) == path for fd in os.listdir(directory))
    except FileNotFoundError:  # a descriptor that was closed meanwhile
        return False


class Truncation(EndToEnd):
    def compressed(self):
        """A compressed file with a tensor that passes through, a hole; and its original."""
        original, packed = self.path("in.safetensors"), self.path("packed.safetensors")
        tensors, _, _ = harness.read_safetensors(harness.small_file(original))
        self.ok(harness.run("compress", original, packed))
        planes, _, metadata = harness.read_safetensors(packed)
        for path, content, meta in ((original, tensors, None), (packed, planes, metadata)):
            sizes = {n: (d, s, len(b)) for n, (d, s, b) in content.items()}
            with open(path, "wb") as f:
                f.write(harness.header({**sizes, "hole": HOLE}, meta))
                for _, _, data in content.values():
                    f.write(data)
                f.truncate(f.tell() + BYTES)
        return packed, original

    def codes(self):
        """A compressed file whose codes are a hole; its seeds are zero, so that inspect says so."""
        path = self.path("codes.safetensors")
        _, _, metadata = harness.read_safetensors(self.compressed()[0])
        meta = harness.json.loads(metadata["seedlm"])
        meta["dtypes"] = {"w": "F32"}
        rows, columns = 4096, BYTES // 4096 * 2
        small = {"w_scale": ("F32", [16], 64), "w_shape": ("I64", [2], 16)}
        with open(path, "wb") as f:
            f.write(harness.header({**small, "w_packed": ("I32", [rows, columns // 8], BYTES)},
                                   {"seedlm": harness.json.dumps(meta)}))
            f.write(harness.to_bytes("F32", [1.0] * 16))
            f.write(harness.struct.pack("<2q", rows, columns))
            f.truncate(f.tell() + BYTES)
        return path

    def cut_while_open(self, path, *args):
        process = harness.start(*args)
        deadline = time.monotonic() + 20
        while not opened(process, path):
            self.assertLess(time.monotonic(), deadline)
            self.assertIsNone(process.poll(), "it ended before it was seen to open the file")
        time.sleep(0.003)  # for the header
        process.send_signal(signal.SIGSTOP)
        os.truncate(path, CUT)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        return harness.Result(args, process.returncode, out, err)

    def check(self, path, *args):
        result = self.cut_while_open(path, *args)
        self.fails(result, harness.INVALID, path, "while ", "was being read; start again")

    def test_decompress(self):
        packed, _ = self.compressed()
        self.check(packed, "decompress", packed, self.path("out.safetensors"))
        self.assertEqual(self.listing(), ["in.safetensors", "packed.safetensors"])

    def test_verify_compressed(self):
        packed, original = self.compressed()
        self.check(packed, "verify", packed, original)

    def test_verify_original(self):
        packed, original = self.compressed()
        self.check(original, "verify", packed, original)

    def test_inspect(self):
        path = self.codes()
        self.check(path, "inspect", path)


if __name__ == "__main__":
    harness.main()
