"""Disks that are full or read-only."""

import contextlib
import json
import os
import subprocess

import harness
from bench import SELECT, Outcome, Server, Skipped, expect


@contextlib.contextmanager
def small_disk(path, size):
    os.makedirs(path, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path],
                      stderr=subprocess.DEVNULL).returncode != 0:
        raise Skipped("cannot mount a tmpfs here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def remount(path, options):
    subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)


def full_sink(bench):
    """The disk of the output is full: the job fails by name, and is resumed with more room."""
    server = Server(bench.directory()).start()
    disk = os.path.join(server.directory, "disk")
    outcome = Outcome(bench.times(10, 2))
    with small_disk(disk, "64k"):
        for i in range(outcome.times):
            out = os.path.join(disk, f"out{i}")
            remount(disk, "size=64k")
            job = bench.submit(server, out)
            result = server.run("wait", job)
            expect(result.code == harness.STORAGE and out + ": " in result.err, str(result))
            remount(disk, "size=8m")
            server.must("resume", job)
            server.must("wait", job)
            outcome.compare_file(out, bench.expected)
            os.unlink(out)
    server.stop()
    return outcome


def full_spool(bench):
    """The disk of the data directory is full: refused by name, and it works with more room; what an
    owner deletes makes it."""
    directory = bench.directory()
    kept = None  # an earlier job, with its result
    outcome = Outcome(bench.times(10, 2))
    with small_disk(os.path.join(directory, "data"), "8m"):
        server = Server(directory).start()
        for i in range(outcome.times):
            filler = os.path.join(server.data, "filler")
            with open(filler, "wb", buffering=0) as f, contextlib.suppress(OSError):
                while f.write(b"x" * 65536):
                    pass
            request = ("submit", bench.source, *SELECT, "--request-id", f"r{i}")
            result = server.run(*request)
            if result.code == 0:  # the database had a little room of its own
                result = server.run("wait", result.out.strip())
            expect(result.code == harness.STORAGE, str(result))
            if kept is not None:
                delete_on_full_disk(server, kept)
            os.unlink(filler)
            job = server.must(*request).out.strip()
            if server.state(job) == "FAILED":
                server.must("resume", job)
            server.must("wait", job)
            out = os.path.join(directory, f"out{i}")
            server.must("fetch", job, out)
            kept = job
            outcome.compare_file(out, bench.expected)
        server.stop()
    return outcome


def delete_on_full_disk(server, job):
    """The database may have no room to note that a job goes; its result can go all the same."""
    artifact = json.loads(server.must("status", job, "--json").out)["output_artifact"]
    result = server.run("delete", job)
    if result.code != 0:
        expect(result.code == harness.STORAGE and "artifacts delete" in result.err, str(result))
        server.must("artifacts", "delete", artifact)
        server.must("delete", job)


def read_only(bench):
    """Output and data directory on a disk that is read-only."""
    outcome = Outcome(2)
    server = Server(bench.directory()).start()
    disk = os.path.join(server.directory, "disk")
    with small_disk(disk, "8m"):
        out = os.path.join(disk, "out")
        remount(disk, "ro")
        result = server.run("submit", "file://" + bench.source, "--to", "file://" + out, *SELECT)
        expect(result.code == harness.STORAGE and disk in result.err, str(result))
        remount(disk, "rw")
        server.must("wait", bench.submit(server, out))
        outcome.compare_file(out, bench.expected)
        server.stop()
        other = Server(os.path.join(disk, "server"))
        os.makedirs(os.path.join(other.directory, "data"))
        other.log_path = os.path.join(server.directory, "other.log")
        with open(other.log_path, "w"):
            pass
        remount(disk, "ro")
        code, said = other.refuses()
        expect(code == 3 and other.data in said and said.count("\n") == 1, said)
    return outcome
