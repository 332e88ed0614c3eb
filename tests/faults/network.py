"""An S3 server that goes away and comes back, and a network that loses packets."""

import os
import shutil
import sys
import time

import harness
from bench import SELECT, Outcome, Server, Skipped, expect
from harness import wait_for
from lossy_link import LossyLink

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3"))
import fake_s3  # noqa: E402

LOSS = 0.10


class S3:
    """An S3 server with a bucket "models", which keeps what it has while it is away."""

    def __init__(self):
        self.server = fake_s3.start(["models"])
        self.port = self.server.server_address[1]
        self.store = self.server.store

    def go_away(self):
        self.server.end()

    def come_back(self):
        self.server = fake_s3.start([], self.port, self.store)

    def environment(self):
        return {"AWS_ACCESS_KEY_ID": fake_s3.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": fake_s3.SECRET_KEY,
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "AWS_REGION": fake_s3.REGION,
                "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL_S3": "", "AWS_CA_BUNDLE": ""}

    def object(self, key):
        return self.store.objects.get(("models", key), {}).get("data")


def s3_outage(bench):
    """The S3 server is gone, connections cut, while parts are on their way; every third time the
    server is killed, too."""
    source, expected = bench.checkpoint("parts", 1, 22_000_000)  # five parts of 5 MiB
    s3 = S3()
    server = Server(bench.directory(), "--s3-part-size", "5MiB", "--s3-parallel", "2",
                    "--s3-patience", "20s", env=s3.environment()).start()
    outcome, times, jobs = Outcome(), bench.times(30, 3), 0
    while outcome.times < times:
        key = f"out{jobs}/parts.safetensors"
        job = server.must("submit", "file://" + source, "--to", f"s3://models/out{jobs}", *SELECT,
                          "--request-id", key).out.strip()
        jobs += 1
        for _ in range(3):
            time.sleep(bench.random.uniform(0.0, 0.3))
            if server.state(job) not in ("QUEUED", "RUNNING"):
                break
            s3.go_away()
            outcome.times += 1
            if outcome.times % 3 == 0:
                server.kill()
                server.start()
            time.sleep(bench.random.uniform(0.1, 2.0))
            s3.come_back()
        server.must("wait", job)  # no outage was as long as the server is patient
        expect(s3.object(key) is not None, f"no {key} among {list(s3.store.objects)}")
        outcome.compare(s3.object(key), expected)
    if not bench.short:
        outcome.times += 1
        long_outage(bench, server, s3, source)
    wait_for(lambda: not s3.store.uploads, 60)  # what outages and kills left open is aborted
    server.stop()
    s3.go_away()
    return outcome


def long_outage(bench, server, s3, source):
    """Longer than the server is patient: the job fails by name, and goes on later."""
    job = server.must("submit", "file://" + source, "--to", "s3://models/late", *SELECT).out.strip()
    s3.go_away()
    result = server.run("wait", job)
    expect(result.code == harness.UNAVAILABLE and "s3://models" in result.err, str(result))
    s3.come_back()
    server.must("resume", job)
    server.must("wait", job)


def packet_loss(bench):
    """Every tenth packet is lost, both ways: jobs are submitted, watched and fetched all the same.
    `times`: packets lost."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "nsenter"))):
        raise Skipped("needs root, ip, unshare and nsenter")
    outcome = Outcome()
    directory = bench.directory()
    with LossyLink(LOSS, bench.random.random()) as link:
        address = link.left.address + ":7433"
        server = Server(directory, "--insecure", listen=address, within=link.left.within).start()
        there = {"within": link.right.within}
        for i in range(bench.times(10, 1)):
            job = server.must("submit", bench.source, *SELECT, "--insecure", "--request-id", f"r{i}",
                              **there).out.strip()
            server.must("wait", job, "--insecure", **there)
            out = os.path.join(directory, f"out{i}")
            server.must("fetch", job, out, "--insecure", **there)
            outcome.compare_file(out, bench.expected)
            upload = server.must("status", job, "--json", "--insecure", **there).json()["source"]
            server.must("delete", job, "--insecure", **there)
            server.must("artifacts", "delete", upload, "--insecure", **there)  # the next uploads again
        server.stop()
        outcome.times = link.lost
        expect(link.lost > 0.05 * link.carried, f"{link.lost} of {link.carried} packets were lost")
    return outcome
