"""What the faults share: a server that dies and comes back, inputs, and how an outcome is counted."""

import contextlib
import dataclasses
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402
from harness import read, run, wait_for  # noqa: E402

PATIENCE_S = 300  # only what hangs runs into it
SELECT = ("--include", "*", "--exclude", "raw")

harness.TIMEOUT_S = PATIENCE_S


class Skipped(Exception):
    """A fault that this machine cannot make, and why."""


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


@dataclasses.dataclass
class Outcome:
    times: int = 0     # that the fault happened
    jobs: int = 0      # that lived through it
    right: int = 0     # jobs whose bytes are those of an undisturbed run
    compared: int = 0  # bytes

    def compare(self, found, expected):
        """`found`: bytes, or None if there is no output."""
        self.jobs += 1
        self.right += found == expected
        self.compared += len(found or b"")

    def compare_file(self, path, expected):
        self.compare(read(path) if os.path.exists(path) else None, expected)


class Server:
    """seedlm-server on a Unix socket: the address stays when the process does not. `listen`: another
    address. `within`: what its command line begins with."""

    spawned = []  # processes of all servers: none outlives its fault

    def __init__(self, directory, *args, env=None, listen=None, within=()):
        self.directory = directory
        self.data = os.path.join(directory, "data")
        self.address = listen or "unix:" + os.path.join(directory, "socket")
        self.args = ["--listen", self.address, "--data-dir", self.data, "--threads", "2",
                     "--index-memory", "0", "--storage-root", os.path.dirname(directory), *args]
        self.env = env or {}
        self.within = within
        self.log_path = os.path.join(directory, "server.log")
        self.process = None

    def spawn(self):
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(
                [*self.within, harness.SERVER, *self.args], stdout=subprocess.DEVNULL, stderr=log,
                env=harness.environment(**self.env))
        self.spawned.append(self.process)

    def start(self):
        said = read(self.log_path).count(b"listening on") if os.path.exists(self.log_path) else 0
        self.spawn()
        wait_for(lambda: read(self.log_path).count(b"listening on") > said
                 or self.process.poll() is not None, 30)
        expect(self.process.poll() is None, "the server does not start: " + self.log()[-500:])
        return self

    def log(self):
        return read(self.log_path).decode(errors="replace")

    def refuses(self):
        """Starts it, and gives its exit code and its one line when it has refused to."""
        before = len(self.log())
        self.spawn()
        code = self.process.wait(timeout=30)
        return code, self.log()[before:]

    def kill(self):
        self.process.kill()
        self.process.wait()

    @classmethod
    def kill_all(cls):
        for process in cls.spawned:
            if process.poll() is None:
                process.kill()
                process.wait()
        cls.spawned.clear()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            expect(self.process.wait(timeout=30) == 0, "the server did not end well")

    def run(self, *args, **kwargs):
        return run(*args, "--server", self.address, **kwargs)

    def must(self, *args, **kwargs):
        result = self.run(*args, **kwargs)
        expect(result.code == 0, str(result))
        return result

    def state(self, job):
        return self.must("status", job, "--json").json()["state"]

    def pieces(self):
        """How many pieces of work are recorded."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data}/jobs.sqlite?mode=ro",
                                                uri=True)) as database:
            return database.execute("SELECT count(*) FROM work_pieces").fetchone()[0]


class Bench:
    """A scratch directory, a source and what an undisturbed run makes of it."""

    def __init__(self, short, seed):
        self.short = short
        self.random = random.Random(seed)
        self.root = tempfile.mkdtemp(prefix="seedlm-faults-")
        os.chmod(self.root, 0o755)
        # Two hundred pieces of work, so that there is always one in flight.
        self.source, self.expected = self.checkpoint("in", 200, 300_000)

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def times(self, full, short):
        return short if self.short else full

    def directory(self):
        return tempfile.mkdtemp(prefix="server-", dir=self.root)

    def checkpoint(self, name, tensors, raw_bytes):
        """(path, the bytes that become of it by SELECT)."""
        path = os.path.join(self.root, name + ".safetensors")
        content = {f"{i}.weight": harness.tensor("F32", (16, 64), i) for i in range(tensors)}
        content["raw"] = ("U8", (raw_bytes,), self.random.randbytes(raw_bytes))
        harness.write_safetensors(path, content)
        expected = os.path.join(self.root, name + ".expected")
        result = run("compress", path, expected, *SELECT)
        expect(result.code == 0, str(result))
        return path, read(expected)

    def submit(self, server, out, *more):
        return server.must("submit", "file://" + self.source, "--to", "file://" + out, *SELECT,
                           "--request-id", out, *more).out.strip()
