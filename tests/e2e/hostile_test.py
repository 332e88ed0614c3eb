"""Every hostile file through the client: refused in one line that names it, nothing left behind."""

import concurrent.futures
import os
import subprocess
import sys

import harness
from harness import INVALID, EndToEnd, run

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "hostile"))
import make_hostile  # noqa: E402


def commands(opened_as, path, out):
    """What a user may do with it, that must fail."""
    compress, decompress = ("compress", path, out), ("decompress", path, out)
    return {
        "safetensors": [compress, ("inspect", path)],
        "packed": [decompress],
        "rows": [decompress],
        "checkpoint": [compress, ("estimate", path)],
        "plan": [(*compress, "--include", "*")],
        "compress": [compress],
        "weights": [compress],
        "decompress": [decompress],
    }[opened_as]


class Hostile(EndToEnd):
    def test_all(self):
        cases = make_hostile.CASES + make_hostile.LARGE
        self.assertGreater(len(make_hostile.CASES), 0)
        self.assertGreater(len(make_hostile.LARGE), 0)
        for folder in ([], ["--large"]):
            subprocess.run([sys.executable, make_hostile.__file__, *folder, self.path()], check=True)
        before = self.listing()
        # An output each: of two commands for one, the second would be refused for that.
        runs = [(name, refusal, command) for name, opened_as, refusal, _ in cases
                for command in commands(opened_as, self.path(name), self.path("out-" + name))]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:  # they wait for the disk, mostly
            results = pool.map(lambda one: run(*one[2]), runs)
            for (name, refusal, command), result in zip(runs, results):
                with self.subTest(name=name, command=command[0], refusal=refusal):
                    self.fails(result, INVALID, name)
        self.assertEqual(self.listing(), before)


if __name__ == "__main__":
    harness.main()
