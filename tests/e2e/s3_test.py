"""submit --to s3://: against tests/s3/fake_s3.py, or against the S3 server that the AWS variables and
SEEDLM_TEST_BUCKET name (tests/s3/ceph.sh: make test-s3)."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest
import urllib.request
import uuid

import harness
from harness import EXISTS, INVALID, NOT_FOUND, STORAGE, EndToEnd, Server, read, run, tree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3"))
import client  # noqa: E402
import fake_s3  # noqa: E402
from proxy import Proxy  # noqa: E402

REAL = "SEEDLM_TEST_BUCKET" in os.environ
NO_S3 = {name: "" for name in (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE")}
PARTS = ("--s3-part-size", "5MiB", "--threads", "2")


def large_file(path, slow=False, shape=(64, 96)):
    """A tensor of `shape` to compress, and 12 MB that pass through: three parts of 5 MiB. `slow`: minutes
    of the reference backend."""
    harness.write_safetensors(path, {
        "layers.0.up.weight": harness.tensor("F32", (512, 256) if slow else shape, 1),
        "embed_tokens.weight": ("F32", (12, 1 << 18), os.urandom(12 << 20)),
    })
    return path


class S3Sink(EndToEnd):
    def setUp(self):
        super().setUp()
        if REAL:
            self.s3 = client.S3.from_environment()
            self.bucket = os.environ["SEEDLM_TEST_BUCKET"]
        else:
            self.fake = fake_s3.start(["models"])
            self.addCleanup(self.fake.shutdown)
            self.addCleanup(self.fake.server_close)
            endpoint = f"http://127.0.0.1:{self.fake.server_address[1]}"
            self.s3 = client.S3(endpoint, fake_s3.ACCESS_KEY, fake_s3.SECRET_KEY)
            self.bucket = "models"
        self.env = {**NO_S3, "AWS_ACCESS_KEY_ID": self.s3.access_key,
                    "AWS_SECRET_ACCESS_KEY": self.s3.secret_key,
                    "AWS_ENDPOINT_URL": self.s3.endpoint}
        self.prefix = "out/" + uuid.uuid4().hex
        self.uri = f"s3://{self.bucket}/{self.prefix}"

    def serve(self, *args, env=None, name="server"):
        os.makedirs(self.path(name), exist_ok=True)
        server = Server(self.path(name), *args, env={**self.env, **(env or {})})
        self.addCleanup(lambda: server.process.poll() is None and server.process.kill())
        return server

    def objects(self):
        return self.s3.tree(self.bucket, self.prefix)

    def open_uploads(self):
        return [key for key in self.s3.uploads(self.bucket) if key.startswith(self.prefix)]

    def submit(self, server, source, *args):
        return self.ok(server.run("submit", source, "--to", self.uri, *args)).out.strip()

    def test_a_directory_arrives_whole(self):
        source = harness.small_directory(self.path("in"))
        self.ok(run("compress", source, self.path("local")))
        server = self.serve()
        job = self.submit(server, source)
        self.ok(server.run("wait", job))
        self.assertEqual(self.objects(), tree(self.path("local")))
        self.assertEqual(self.open_uploads(), [])
        # What is there is not replaced unasked; --force replaces it.
        self.fails(server.run("submit", source, "--to", self.uri), EXISTS, self.uri)
        self.ok(run("compress", source, self.path("three"), "--bits", "3"))
        self.ok(server.run("wait", self.submit(server, source, "--bits", "3", "--force")))
        self.assertEqual(self.objects(), tree(self.path("three")))
        self.fails(server.run("fetch", job, self.path("x")), INVALID, self.uri)
        self.assertEqual(server.stop(), 0)

    def test_a_file_in_parts(self):
        source = large_file(self.path("in.safetensors"))
        self.ok(run("compress", source, self.path("local.safetensors")))
        server = self.serve(*PARTS)
        self.ok(server.run("wait", self.submit(server, source)))
        self.assertEqual(self.objects(),
                         {"model.safetensors": read(self.path("local.safetensors"))})
        self.assertEqual(self.open_uploads(), [])
        self.assertEqual(server.stop(), 0)
        self.assertEqual(self.listing(self.path("server", "data", "s3")), [])

    def test_a_connection_that_is_cut_in_the_middle_of_a_part(self):
        source = large_file(self.path("in.safetensors"))
        self.ok(run("compress", source, self.path("local.safetensors")))
        proxy = Proxy(self.s3.endpoint.partition("//")[2])
        self.addCleanup(proxy.close)
        proxy.cut_up_at = 7 << 20
        server = self.serve(*PARTS, env={"AWS_ENDPOINT_URL": "http://" + proxy.address})
        self.ok(server.run("wait", self.submit(server, source)))
        self.assertIsNone(proxy.cut_up_at)
        self.assertEqual(self.objects(),
                         {"model.safetensors": read(self.path("local.safetensors"))})
        self.assertEqual(self.open_uploads(), [])
        self.assertEqual(server.stop(), 0)

    def test_a_job_that_is_cancelled_leaves_no_parts(self):
        server = self.serve(*PARTS)
        job = self.submit(server, large_file(self.path("in.safetensors"), slow=True),
                          "--backend", "reference")
        harness.wait_for(lambda: self.open_uploads())
        self.assertEqual(self.objects(), {})
        self.ok(server.run("cancel", job))
        harness.wait_for(lambda: not self.open_uploads())
        self.assertEqual(self.objects(), {})
        self.assertEqual(server.stop(), 0)

    def test_a_server_that_is_killed_leaves_no_parts_and_goes_on(self):
        source = large_file(self.path("in.safetensors"), slow=True)
        server = self.serve(*PARTS)
        job = self.submit(server, source, "--backend", "reference")
        harness.wait_for(lambda: self.open_uploads())
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        server.log.close()
        self.assertEqual(len(self.open_uploads()), 1)
        os.makedirs(self.path("again"))
        os.rename(self.path("server", "data"), self.path("again", "data"))
        server = self.serve(*PARTS, name="again")
        # Aborted with the job, whether that has taken it up again or not.
        harness.wait_for(lambda: server.run("status", job, "--json").json()["attempt"] == 2)
        self.ok(server.run("cancel", job))
        harness.wait_for(lambda: not self.open_uploads())
        self.assertEqual(self.objects(), {})
        self.assertEqual(server.stop(), 0)

    def test_a_server_that_is_killed_goes_on_with_what_it_has_sent(self):
        source = large_file(self.path("in.safetensors"), shape=(128, 256))  # some seconds
        self.ok(run("compress", source, self.path("local.safetensors")))
        server = self.serve(*PARTS)
        job = self.submit(server, source, "--backend", "reference")
        if REAL:
            harness.wait_for(lambda: self.open_uploads())
            time.sleep(1)
        else:
            harness.wait_for(lambda: any(len(upload["parts"]) == 2
                                         for upload in list(self.fake.store.uploads.values())))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        server.log.close()
        os.makedirs(self.path("again"))
        os.rename(self.path("server", "data"), self.path("again", "data"))
        server = self.serve(*PARTS, name="again")
        self.ok(server.run("wait", job))
        self.assertEqual(self.objects(),
                         {"model.safetensors": read(self.path("local.safetensors"))})
        harness.wait_for(lambda: not self.open_uploads())
        if not REAL:
            self.assertEqual(self.fake.store.calls["CreateUpload"], 1)
            self.assertNotIn("AbortUpload", self.fake.store.calls)
        self.assertEqual(server.stop(), 0)

    def test_wrong_keys_and_a_bucket_that_is_not_there(self):
        source = harness.small_file(self.path("in.safetensors"))
        server = self.serve(env={"AWS_SECRET_ACCESS_KEY": "wrong"})
        self.fails(server.run("submit", source, "--to", self.uri), STORAGE, self.bucket,
                   "SignatureDoesNotMatch")
        self.assertEqual(server.stop(), 0)
        server = self.serve(name="other")
        self.fails(server.run("submit", source, "--to", "s3://seedlm-nowhere-at-all/x"), NOT_FOUND,
                   "seedlm-nowhere-at-all", "NoSuchBucket")
        self.fails(server.run("submit", source, "--to", "s3://Upper/x"), INVALID, "Upper")
        self.assertEqual(server.stop(), 0)

    def test_keys_from_a_file(self):
        keys = self.path("keys")
        with open(keys, "w") as file:
            file.write("[other]\naws_access_key_id = x\naws_secret_access_key = y\n[models]\n"
                       f"aws_access_key_id = {self.s3.access_key}\n"
                       f"aws_secret_access_key = {self.s3.secret_key}\n")
        options = ("--s3-credentials", keys, "--s3-profile", "models")
        os.chmod(keys, 0o644)
        refused = subprocess.run([harness.SERVER, "--data-dir", self.path("d"), *options],
                                 capture_output=True, text=True, timeout=30)
        self.assertEqual(refused.returncode, 3, refused.stderr)
        self.assertIn("chmod 600", refused.stderr)
        os.chmod(keys, 0o600)
        printed = subprocess.run([harness.SERVER, *options, "--print-config"], capture_output=True,
                                 text=True, timeout=30)
        self.assertIn(f's3-credentials = "{keys}"', printed.stdout)
        self.assertNotIn(self.s3.secret_key, printed.stdout + printed.stderr + refused.stderr)
        wrong = {"AWS_ACCESS_KEY_ID": "wrong", "AWS_SECRET_ACCESS_KEY": "wrong"}  # the file wins
        server = self.serve(*options, env=wrong)
        source = harness.small_file(self.path("in.safetensors"))
        self.ok(server.run("wait", self.submit(server, source)))
        self.assertTrue(self.objects())
        # Keys that change are used without a restart; a file that is wrong changes nothing.
        with open(keys) as file:
            right = file.read()
        kept = f"the keys of S3 stay as they were: {keys}:1".encode()
        for text, code, told in ((right.replace(self.s3.secret_key, "another"), STORAGE, b"were read again"),
                                 ("nonsense", STORAGE, kept), (right, harness.OK, kept)):
            with open(keys, "w") as file:
                file.write(text)
            server.process.send_signal(signal.SIGHUP)
            harness.wait_for(lambda: told in read(server.log_path))
            harness.wait_for(lambda: server.run("submit", source, "--to", self.uri + "/again", "--force").code == code)
        log = read(server.log_path).decode()
        self.assertNotIn(self.s3.secret_key, log)
        self.assertEqual(server.stop(), 0)

    @unittest.skipIf(REAL, "needs no S3 server at all")
    def test_a_file_of_keys_of_the_environment_stops_no_server(self):
        server = self.serve(env={**NO_S3, "AWS_SHARED_CREDENTIALS_FILE": self.path("not-there")})
        self.assertIn("AWS_SHARED_CREDENTIALS_FILE", harness.read(server.log_path).decode())
        self.assertEqual(server.stop(), 0)

    @unittest.skipIf(REAL, "needs no S3 server at all")
    def test_a_server_without_keys_says_so(self):
        server = self.serve(env=NO_S3)
        self.fails(server.run("submit", harness.small_file(self.path("in.safetensors")), "--to",
                              self.uri), INVALID, "AWS_ACCESS_KEY_ID")
        self.assertEqual(server.stop(), 0)

    @unittest.skipIf(REAL, "a real server does not fail on demand")
    def test_an_outage_in_the_middle_is_waited_out(self):
        faults = [{"operation": "UploadPart", "action": "cut"},
                  {"operation": "UploadPart", "action": "status", "status": 503, "code": "SlowDown",
                   "times": 3},
                  {"operation": "CreateUpload", "action": "lose_answer"},
                  {"operation": "CompleteUpload", "action": "late_error", "code": "InternalError"}]
        source = large_file(self.path("in.safetensors"))
        self.ok(run("compress", source, self.path("local.safetensors")))
        server = self.serve(*PARTS)
        request = urllib.request.Request(self.s3.endpoint + "/-/faults", method="PUT",
                                         data=json.dumps(faults).encode())
        urllib.request.urlopen(request, timeout=10).close()
        self.ok(server.run("wait", self.submit(server, source)))
        self.assertEqual(self.objects(),
                         {"model.safetensors": read(self.path("local.safetensors"))})
        harness.wait_for(lambda: not self.open_uploads())
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    harness.main()
