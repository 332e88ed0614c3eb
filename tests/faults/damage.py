"""Damaged files, and a clock that jumps."""

import contextlib
import glob
import os
import sqlite3
import time

from bench import Outcome, Server, Skipped, expect
from harness import read, wait_for

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")


def killed_midway(bench, pieces):
    """(server, job, output): killed with some pieces recorded."""
    server = Server(bench.directory()).start()
    out = os.path.join(server.directory, "out")
    job = bench.submit(server, out)
    wait_for(lambda: server.pieces() >= pieces, 60)
    server.kill()
    return server, job, out


def damaged_spool(bench):
    """Bits flip in what is staged, or it is cut, while no server runs."""
    outcome = Outcome(bench.times(12, 3))
    for i in range(outcome.times):
        server, job, out = killed_midway(bench, 3)
        staged = glob.glob(os.path.join(server.directory, ".out.*.seedlm-partial/*"))
        expect(len(staged) == 1, f"staged: {staged}")
        with open(staged[0], "r+b") as f:
            size = os.path.getsize(staged[0])
            if i % 3 == 2:
                f.truncate(bench.random.randrange(size))
            for _ in range(200 if i % 3 == 1 else 1):
                f.seek(bench.random.randrange(size))
                f.write(bench.random.randbytes(1))
        server.start()
        server.must("wait", job)
        server.stop()
        outcome.compare_file(out, bench.expected)
    return outcome


def damaged_database(bench):
    """The job database is damaged: the server refuses, writes nothing, and goes on with a sound
    copy."""
    outcome = Outcome(bench.times(10, 2))
    for i in range(outcome.times):
        server, job, out = killed_midway(bench, 3)
        database_path = server.data + "/jobs.sqlite"
        sound = {path: read(path) for path in glob.glob(database_path + "*")}
        # The WAL of a killed server comes before the file: damage what will be read.
        with contextlib.closing(sqlite3.connect(database_path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damaged = bytearray(read(database_path))
        if i % 2 == 0:
            damaged[0:16] = b"no database here"
        else:
            for page in range(4096, len(damaged), 4096):
                damaged[page:page + 64] = bench.random.randbytes(64)
        replace(database_path, {database_path: bytes(damaged)})
        code, said = server.refuses()
        expect(code == 3 and "jobs.sqlite" in said and "damaged" in said, f"{code} {said}")
        expect(read(database_path) == bytes(damaged), "the file was written to")
        replace(database_path, sound)
        server.start()
        server.must("wait", job)
        server.stop()
        outcome.compare_file(out, bench.expected)
    return outcome


def replace(database_path, contents):
    for path in glob.glob(database_path + "*"):
        os.unlink(path)
    for path, content in contents.items():
        with open(path, "wb") as f:
            f.write(content)


def clock_jumps(bench):
    """The wall clock jumps by years, both ways, while jobs run and servers die."""
    if not FAKETIME:
        raise Skipped("libfaketime is not installed")
    directory = bench.directory()
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
    outcome, jobs, outs = Outcome(bench.times(20, 3)), [], []
    for i in range(outcome.times):
        outs.append(os.path.join(directory, f"out{i}"))
        jobs.append(bench.submit(server, outs[-1]))
        jump(bench.random.choice(["-9y", "+9y", "-3h", "+3h", "+0"]))
        time.sleep(0.3)
        if i % 4 == 1:
            server.kill()
            server.start()
    for job in jobs:
        server.must("wait", job)
    server.stop()
    for out in outs:
        outcome.compare_file(out, bench.expected)
    return outcome
