"""kill -9 of server, client and compress at random times."""

import glob
import os
import shutil
import subprocess
import time

import harness
from bench import PATIENCE_S, SELECT, Outcome, Server, expect
from harness import start


def kill_server(bench):
    """kill -9 of the server at random times, with jobs under way."""
    outcome = Outcome(bench.times(60, 8))
    server = Server(bench.directory()).start()
    outs, jobs = [], []
    for i in range(outcome.times):
        # A new job where none is under way, and every fourth time: early and late steps are met.
        if i % 4 == 0 or server.state(jobs[-1]) == "SUCCEEDED":
            outs.append(os.path.join(server.directory, f"out{len(outs)}"))
            jobs.append(bench.submit(server, outs[-1]))
        time.sleep(bench.random.uniform(0.0, 0.5))
        server.kill()
        server.start()
    for job in jobs:
        server.must("wait", job)
    server.stop()
    left = [n for n in os.listdir(server.directory) if n.endswith("seedlm-partial")]
    expect(not left, f"left behind: {left}")
    for out in outs:
        outcome.compare_file(out, bench.expected)
    return outcome


class Killer:
    """Runs a client's command again and again until it gets through; kills it `times` times."""

    def __init__(self, bench, times, patience_s):
        self.random, self.left, self.killed, self.patience_s = bench.random, times, 0, patience_s

    def until_done(self, *args, codes=(0,), **kwargs):
        while True:
            process = start(*args, **kwargs)
            killing = self.killed < self.left
            try:
                out, err = process.communicate(
                    timeout=self.random.uniform(*self.patience_s) if killing else PATIENCE_S)
                expect(process.returncode in codes, err)
                return out
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                self.killed += 1


def kill_client(bench):
    """kill -9 of submit while it uploads and of fetch while it downloads, and the same again."""
    server = Server(bench.directory()).start()
    big, expected = bench.checkpoint("big", 1, 30_000_000)
    outcome, times = Outcome(), bench.times(60, 8)
    killer = Killer(bench, times, (0.02, 0.8))
    while killer.killed < times or outcome.jobs == 0:
        job = killer.until_done("submit", big, *SELECT, "--request-id", f"r{outcome.jobs}",
                                "--server", server.address).strip()
        server.must("wait", job)
        out = os.path.join(server.directory, f"out{outcome.jobs}")
        # Killed between the output's name and its own end: the output is there.
        killer.until_done("fetch", job, out, "--server", server.address, codes=(0, harness.EXISTS))
        outcome.compare_file(out, expected)
        os.unlink(out)
        server.must("delete", job)
        for path in glob.glob(f"{server.data}/artifacts/*"):  # so that the next one uploads
            shutil.rmtree(path)
    server.stop()
    outcome.times = killer.killed
    return outcome


def kill_compress(bench):
    """kill -9 of compress without a server, and the same command again."""
    directory = bench.directory()
    outcome, times = Outcome(), bench.times(50, 5)
    killer = Killer(bench, times, (0.1, 1.6))
    env = {"XDG_STATE_HOME": os.path.join(directory, "state")}
    while killer.killed < times:
        out = os.path.join(directory, f"out{outcome.jobs}")
        killer.until_done("compress", bench.source, out, *SELECT, "--threads", "2", env=env,
                          codes=(0, harness.EXISTS))  # as above
        outcome.compare_file(out, bench.expected)
    outcome.times = killer.killed
    return outcome
