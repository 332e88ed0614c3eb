#!/usr/bin/env python3
"""What a service has to live through: kills, full disks, damaged files, jumping clocks.

Usage: faults.py [--short] [--seed N]

Runs each fault many times (--short: a few) against seedlm-server and seedlm, compares what comes
out byte for byte with an undisturbed run, and prints one table: fault, times, jobs, bytes compared,
lost. Exit 1 if anything was lost or differs. A fault that needs what this machine has not (mounts,
libfaketime) is skipped by name.

The programs come from the environment: SEEDLM and SEEDLM_SERVER_PROGRAM.
"""

import argparse
import contextlib
import glob
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402
from harness import read, run, start, wait_for  # noqa: E402

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
PATIENCE_S = 300  # only what hangs runs into it
SELECT = ("--include", "*", "--exclude", "raw")


harness.TIMEOUT_S = PATIENCE_S


class Skipped(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


class Server:
    """seedlm-server on a Unix socket: the address stays when the process does not."""

    def __init__(self, directory, *args, env=None):
        self.directory = directory
        self.data = os.path.join(directory, "data")
        self.address = "unix:" + os.path.join(directory, "socket")
        self.args = ["--listen", self.address, "--data-dir", self.data, "--threads", "2",
                     "--index-memory", "0", "--storage-root", os.path.dirname(directory), *args]
        self.env = env or {}
        self.log_path = os.path.join(directory, "server.log")
        self.process = None

    def spawn(self):
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen([harness.SERVER, *self.args], stdout=subprocess.DEVNULL,
                                            stderr=log, env=harness.environment(**self.env))

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
        """Starts it, and gives its one line and exit code when it has refused to."""
        before = len(self.log())
        self.spawn()
        code = self.process.wait(timeout=30)
        return code, self.log()[before:]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            expect(self.process.wait(timeout=30) == 0, "the server did not end well")

    def run(self, *args):
        return run(*args, "--server", self.address)

    def must(self, *args):
        result = self.run(*args)
        expect(result.code == 0, str(result))
        return result

    def pieces(self):
        """How many pieces of work are recorded."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data}/jobs.sqlite?mode=ro",
                                                uri=True)) as database:
            return database.execute("SELECT count(*) FROM work_pieces").fetchone()[0]


class Faults:
    def __init__(self, short, seed):
        self.short = short
        self.random = random.Random(seed)
        self.rows = []
        self.root = tempfile.mkdtemp(prefix="seedlm-faults-")
        os.chmod(self.root, 0o755)
        self.source = os.path.join(self.root, "in.safetensors")
        tensors = {f"{i}.weight": harness.tensor("F32", (16, 64), i) for i in range(200)}
        tensors["raw"] = ("U8", (300_000,), self.random.randbytes(300_000))
        harness.write_safetensors(self.source, tensors)
        expected = os.path.join(self.root, "expected")
        result = run("compress", self.source, expected, "--include", "*", "--exclude", "raw")
        expect(result.code == 0, str(result))  # by the fast backend: the bytes are the same
        self.expected = read(expected)

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def times(self, full, short):
        return short if self.short else full

    def directory(self):
        return tempfile.mkdtemp(prefix="server-", dir=self.root)

    def submit(self, server, out, *more):
        return server.must("submit", "file://" + self.source, "--to", "file://" + out, *SELECT,
                           "--request-id", out, *more).out.strip()

    def same(self, path):
        """1 if the file is what an undisturbed run makes."""
        return int(os.path.exists(path) and read(path) == self.expected)

    # --- the faults: each returns (times, jobs, jobs whose bytes are right) -------------------

    def kill_server(self):
        """kill -9 of the server at random times, with jobs under way."""
        server = Server(self.directory())
        server.start()
        outs, jobs = [], []
        times = self.times(60, 8)
        for i in range(times):
            if len(jobs) < 2 or "SUCCEEDED" in server.must("status", jobs[-1]).out:
                outs.append(os.path.join(server.directory, f"out{len(outs)}"))
                jobs.append(self.submit(server, outs[-1]))
            time.sleep(self.random.uniform(0.0, 0.5))
            server.kill()
            server.start()
        for job in jobs:
            server.must("wait", job)
        server.stop()
        left = [n for n in os.listdir(server.directory) if n.endswith("seedlm-partial")]
        expect(not left, f"left behind: {left}")
        return times, len(jobs), sum(map(self.same, outs))

    def kill_client(self):
        """kill -9 of submit while it uploads and of fetch while it downloads, and the same again."""
        server = Server(self.directory()).start()
        big = os.path.join(server.directory, "big.safetensors")
        harness.write_safetensors(big, {
            "a.weight": harness.tensor("F32", (16, 64), 1),
            "raw": ("U8", (40_000_000,), self.random.randbytes(40_000_000))})
        expected = os.path.join(server.directory, "expected")
        expect(run("compress", big, expected, "--include", "a.weight").code == 0, "compress")
        times, killed = self.times(60, 8), 0

        def until_done(*args):
            nonlocal killed
            while True:
                process = start(*args, "--server", server.address)
                try:
                    out, err = process.communicate(
                        timeout=self.random.uniform(0.02, 0.5) if killed < times else PATIENCE_S)
                    expect(process.returncode == 0, err)
                    return out
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    killed += 1

        jobs, right = 0, 0
        while killed < times or jobs == 0:
            job = until_done("submit", big, "--include", "a.weight", "--request-id",
                             f"r{jobs}").strip()
            server.must("wait", job)
            out = os.path.join(server.directory, f"out{jobs}")
            until_done("fetch", job, out)
            right += read(out) == read(expected)
            jobs += 1
            for path in glob.glob(f"{server.data}/artifacts/*"):  # so that the next one uploads
                if not os.path.exists(os.path.join(path, ".seedlm-result")):
                    shutil.rmtree(path)
        server.stop()
        return killed, jobs, right

    def kill_compress(self):
        """kill -9 of compress without a server, and the same command again."""
        directory = self.directory()
        times, killed, jobs, right = self.times(50, 5), 0, 0, 0
        env = {"XDG_STATE_HOME": os.path.join(directory, "state")}
        while killed < times:
            out = os.path.join(directory, f"out{jobs}")
            jobs += 1
            done = False
            while not done:
                process = start("compress", self.source, out, *SELECT, "--threads", "2", env=env)
                try:
                    _, err = process.communicate(
                        timeout=self.random.uniform(0.1, 0.8) if killed < times else PATIENCE_S)
                    # Killed between the output's name and its own end: the output is there.
                    expect(process.returncode in (0, harness.EXISTS), err)
                    done = True
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    killed += 1
            right += self.same(out)
        return killed, jobs, right

    @contextlib.contextmanager
    def small_disk(self, path, size):
        os.makedirs(path, exist_ok=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path],
                          stderr=subprocess.DEVNULL).returncode != 0:
            raise Skipped("cannot mount a tmpfs here")
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", path], check=True)

    def remount(self, path, options):
        subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)

    def full_sink(self):
        """The disk of the output is full: the job fails by name, and is resumed with more room."""
        server = Server(self.directory()).start()
        disk = os.path.join(server.directory, "disk")
        times = self.times(10, 2)
        right = 0
        with self.small_disk(disk, "64k"):
            for i in range(times):
                out = os.path.join(disk, f"out{i}")
                self.remount(disk, "size=64k")
                job = self.submit(server, out)
                result = server.run("wait", job)
                expect(result.code == harness.STORAGE and disk in result.err, str(result))
                self.remount(disk, "size=8m")
                server.must("resume", job)
                server.must("wait", job)
                right += self.same(out)
                os.unlink(out)
        server.stop()
        return times, times, right

    def full_spool(self):
        """The disk of the data directory is full: refused by name, and it works with more room."""
        directory = self.directory()
        times = self.times(10, 2)
        jobs, right = 0, 0
        with self.small_disk(os.path.join(directory, "data"), "8m"):
            server = Server(directory).start()
            for i in range(times):
                filler = os.path.join(server.data, "filler")
                with open(filler, "wb") as f, contextlib.suppress(OSError):
                    while f.write(b"x" * 65536):
                        f.flush()
                request = ("submit", self.source, *SELECT, "--request-id", f"r{i}")
                result = server.run(*request)
                if result.code == 0:  # the database had a little room of its own
                    result = server.run("wait", result.out.strip())
                expect(result.code == harness.STORAGE, str(result))
                os.unlink(filler)
                job = server.must(*request).out.strip()
                if "FAILED" in server.must("status", job).out:
                    server.must("resume", job)
                server.must("wait", job)
                out = os.path.join(directory, f"out{i}")
                server.must("fetch", job, out)
                server.must("delete", job)
                jobs += 1
                right += self.same(out)
            server.stop()
        return times, jobs, right

    def read_only(self):
        """Output and data directory on a disk that is read-only."""
        server = Server(self.directory()).start()
        disk = os.path.join(server.directory, "disk")
        with self.small_disk(disk, "8m"):
            out = os.path.join(disk, "out")
            self.remount(disk, "ro")
            result = server.run("submit", "file://" + self.source, "--to", "file://" + out, *SELECT)
            expect(result.code == harness.STORAGE and disk in result.err, str(result))
            self.remount(disk, "rw")
            server.must("wait", self.submit(server, out))
            right = self.same(out)
            server.stop()
            other = Server(os.path.join(disk, "server"))
            os.makedirs(os.path.join(other.directory, "data"))
            other.log_path = os.path.join(server.directory, "other.log")
            with open(other.log_path, "w"):
                pass
            self.remount(disk, "ro")
            code, said = other.refuses()
            expect(code == 3 and other.data in said and said.count("\n") == 1, said)
        return 2, 1, right

    def killed_midway(self, pieces):
        """(server, job, output): killed with some pieces recorded."""
        server = Server(self.directory()).start()
        out = os.path.join(server.directory, "out")
        job = self.submit(server, out)
        wait_for(lambda: server.pieces() >= pieces, 60)
        server.kill()
        return server, job, out

    def damaged_spool(self):
        """Bits flip in what is staged, or it is cut, while no server runs."""
        times, right = self.times(12, 3), 0
        for i in range(times):
            server, job, out = self.killed_midway(3)
            staged = glob.glob(os.path.join(server.directory, ".out.*.seedlm-partial/*"))
            expect(len(staged) == 1, f"staged: {staged}")
            with open(staged[0], "r+b") as f:
                size = os.path.getsize(staged[0])
                if i % 3 == 2:
                    f.truncate(self.random.randrange(size))
                for _ in range(200 if i % 3 == 1 else 1):
                    f.seek(self.random.randrange(size))
                    f.write(self.random.randbytes(1))
            server.start()
            server.must("wait", job)
            server.stop()
            right += self.same(out)
        return times, times, right

    def damaged_database(self):
        """The job database is damaged: the server refuses, writes nothing, and goes on with a sound
        copy."""
        times, right = self.times(10, 2), 0
        for i in range(times):
            server, job, out = self.killed_midway(3)
            files = sorted(glob.glob(server.data + "/jobs.sqlite*"))
            sound = {path: read(path) for path in files}
            # The WAL of a killed server comes before the file: damage what will be read.
            with contextlib.closing(sqlite3.connect(server.data + "/jobs.sqlite")) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            merged = read(server.data + "/jobs.sqlite")
            damaged = bytearray(merged)
            if i % 2 == 0:
                damaged[0:16] = b"no database here"
            else:
                for page in range(4096, len(damaged), 4096):
                    damaged[page:page + 64] = self.random.randbytes(64)
            for path in glob.glob(server.data + "/jobs.sqlite*"):
                os.unlink(path)
            with open(server.data + "/jobs.sqlite", "wb") as f:
                f.write(damaged)
            code, said = server.refuses()
            expect(code == 3 and "jobs.sqlite" in said and "damaged" in said, f"{code} {said}")
            expect(read(server.data + "/jobs.sqlite") == bytes(damaged), "the file was written to")
            for path in glob.glob(server.data + "/jobs.sqlite*"):
                os.unlink(path)
            for path, content in sound.items():
                with open(path, "wb") as f:
                    f.write(content)
            server.start()
            server.must("wait", job)
            server.stop()
            right += self.same(out)
        return times, times, right

    def clock_jumps(self):
        """The wall clock jumps by years, both ways, while jobs run and servers die."""
        if not FAKETIME:
            raise Skipped("libfaketime is not installed")
        directory = self.directory()
        clock = os.path.join(directory, "clock")

        def jump(offset):
            with open(clock + ".new", "w") as f:
                f.write(offset + "\n")
            os.replace(clock + ".new", clock)

        jump("+0")
        server = Server(directory, env={
            "LD_PRELOAD": FAKETIME[0], "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1"}).start()
        times, jobs, outs = self.times(20, 3), [], []
        for i in range(times):
            outs.append(os.path.join(directory, f"out{i}"))
            jobs.append(self.submit(server, outs[-1]))
            jump(self.random.choice(["-9y", "+9y", "-3h", "+3h", "+0"]))
            time.sleep(0.3)
            if i % 4 == 1:
                server.kill()
                server.start()
        for job in jobs:
            server.must("wait", job)
        server.stop()
        return times, len(jobs), sum(map(self.same, outs))

    ALL = ("kill_server", "kill_client", "kill_compress", "full_sink", "full_spool", "read_only",
           "damaged_spool", "damaged_database", "clock_jumps")

    def run_all(self, chosen):
        failed = 0
        print(f"{'fault':<18} {'times':>6} {'jobs':>5} {'bytes compared':>15} {'lost':>5}  seconds")
        for name in chosen or self.ALL:
            begin = time.monotonic()
            try:
                times, jobs, right = getattr(self, name)()
                lost = jobs - right
                note = ""
            except Skipped as why:
                print(f"{name:<18} skipped: {why}", flush=True)
                continue
            except (AssertionError, subprocess.SubprocessError, OSError) as error:
                times, jobs, right, lost, note = 0, 0, 0, 1, f"  FAILED: {error}"
            failed += lost
            print(f"{name:<18} {times:>6} {jobs:>5} {right * len(self.expected):>15,} {lost:>5}  "
                  f"{time.monotonic() - begin:.1f}{note}", flush=True)
        return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("fault", nargs="*", choices=[[], *Faults.ALL])
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    faults = Faults(arguments.short, arguments.seed)
    try:
        sys.exit(1 if faults.run_all(arguments.fault) else 0)
    finally:
        faults.close()


if __name__ == "__main__":
    main()
