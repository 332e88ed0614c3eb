"""The cache of the cell index as a user meets it: a help, and never in the way.

Whatever is wrong with it, the job gives the same bytes, and says so in one line of warning.
"""

import contextlib
import os
import subprocess
import unittest

import harness
from harness import OK, EndToEnd, read, run

# Large enough that lists of the index pay.
ROWS, COLUMNS = 1536, 1024


class IndexCache(EndToEnd):
    @classmethod
    def setUpClass(cls):
        cls.tensor = harness.tensor("F32", (ROWS, COLUMNS), 7)

    def setUp(self):
        super().setUp()
        harness.write_safetensors(self.path("in.safetensors"), {"w.weight": self.tensor})
        self.home = self.path("home")
        self.cache = os.path.join(self.home, "seedlm")
        os.mkdir(self.home)

    def compress(self, warnings):
        """Returns the output's bytes; there are so many lines of warning, each naming the cache."""
        result = run("compress", self.path("in.safetensors"), self.path("out.safetensors"), "--force",
                     env={"XDG_CACHE_HOME": self.home})
        self.assertEqual(result.code, OK, str(result))
        lines = [line for line in result.err.splitlines() if "warning" in line]
        self.assertEqual(len(lines), warnings, str(result))
        for line in lines:
            self.assertIn(self.home, line)
        return read(self.path("out.safetensors"))

    def cached(self):
        return [os.path.join(self.cache, name) for name in self.listing(self.cache)]

    def test_it_is_made_used_and_rebuilt_when_damaged(self):
        expected = self.compress(0)
        files = self.cached()
        self.assertGreater(len(files), 0)
        good = {path: read(path) for path in files}
        self.assertEqual(self.compress(0), expected)
        damages = {"cut": lambda b: b[:len(b) // 2],
                   "empty": lambda b: b"",
                   "another version": lambda b: b[:8] + b"\x7f" + b[9:],
                   "one bit": lambda b: b[:len(b) // 2] + bytes([b[len(b) // 2] ^ 4]) +
                                        b[len(b) // 2 + 1:]}
        for name, damage in damages.items():
            with self.subTest(damage=name):
                for path in files:
                    with open(path, "wb") as f:
                        f.write(damage(good[path]))
                self.assertEqual(self.compress(1), expected)
                self.assertEqual(self.compress(0), expected)  # was replaced by a sound one

    @contextlib.contextmanager
    def mounted(self, options):
        if os.geteuid() != 0:
            self.skipTest("needs root, to mount a tmpfs")
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.home],
                                 capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest("cannot mount a tmpfs: " + mounted.stderr.strip())
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", self.home], check=True)

    def test_a_disk_that_takes_nothing(self):
        expected = self.compress(0)
        for options in ("ro", "size=64k"):
            with self.subTest(options=options), self.mounted(options):
                self.assertEqual(self.compress(1), expected)
                if os.path.isdir(self.cache):
                    self.assertEqual(self.listing(self.cache), [])

    def test_a_file_where_its_directory_should_be(self):
        with open(self.cache, "w") as f:
            f.write("precious")
        self.compress(1)
        self.assertEqual(read(self.cache), b"precious")


if __name__ == "__main__":
    harness.main()
