"""Who gets in, and what the others are told: TLS and tokens, both programs as a user starts them."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import harness
from harness import NOT_LET_IN, UNAVAILABLE, EndToEnd, run, small_file


def openssl(*args, text=""):
    subprocess.run(["openssl", *args], input=text, check=True, capture_output=True, text=True)


def make_authority(directory, name):
    """NAME.pem and NAME.key; the path without the ending."""
    stem = os.path.join(directory, name)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", stem + ".key", "-out", stem + ".pem", "-days", "2", "-subj", f"/CN={name}")
    return stem


def make_certificate(directory, name, authority, names="IP:127.0.0.1,DNS:localhost"):
    stem = os.path.join(directory, name)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", stem + ".key", "-out", stem + ".csr", "-subj", f"/CN={name}")
    with open(stem + ".ext", "w") as f:
        f.write(f"subjectAltName={names}\n")
    openssl("x509", "-req", "-in", stem + ".csr", "-CA", authority + ".pem", "-CAkey",
            authority + ".key", "-CAcreateserial", "-days", "2", "-out", stem + ".pem", "-extfile",
            stem + ".ext")
    os.chmod(stem + ".key", 0o600)
    return stem


@unittest.skipUnless(shutil.which("openssl"), "no openssl program")
class Tls(EndToEnd):
    def setUp(self):
        super().setUp()
        self.ca = make_authority(self.dir, "ca")
        self.other = make_authority(self.dir, "other")
        self.pair = make_certificate(self.dir, "server", self.ca)
        self.tls = ("--tls-cert", self.pair + ".pem", "--tls-key", self.pair + ".key")

    def test_a_whole_job_over_tls(self):
        source = small_file(self.path("in.safetensors"))
        with self.server(*self.tls) as server:
            env = {"SEEDLM_CA": self.ca + ".pem"}
            self.ok(server.run("compress", source, self.path("out.safetensors"), env=env))
            self.assertIn("SUCCEEDED", self.ok(server.run("list", env=env)).out)

    def test_a_watch_goes_on_when_the_server_is_back(self):
        source = harness.slow_file(self.path("in.safetensors"))
        secure = (self.tls, {"SEEDLM_CA": self.ca + ".pem"})
        for number, doors, env in ((signal.SIGKILL, *secure), (signal.SIGTERM, *secure),
                                   (signal.SIGTERM, (), {})):
            with self.subTest(number=number, doors=doors):
                first, again = (tempfile.mkdtemp(dir=self.dir) for _ in range(2))
                server = harness.Server(first, *doors)
                job = self.ok(server.run("submit", source, "--backend", "reference",
                                         env=env)).out.strip()
                watch = harness.start("watch", job, "--json", "--server", server.address, env=env)
                watch.stdout.readline()
                server.process.send_signal(number)
                server.process.wait(timeout=30)
                server.log.close()
                time.sleep(1)  # the first attempts find nobody
                os.rename(os.path.join(first, "data"), os.path.join(again, "data"))
                back = harness.Server(again, "--listen", server.address, *doors)
                self.assertIsNone(watch.poll(), "the watch gave up")
                self.ok(back.run("cancel", job, env=env))
                out, err = watch.communicate(timeout=30)
                self.assertEqual(watch.returncode, harness.CANCELLED, err)
                self.assertIn("jobs/", err)  # whose end it is
                self.assertEqual(json.loads(out.splitlines()[-1])["state"], "CANCELLED", out)
                self.assertEqual(back.stop(), 0)

    def check_health(self, address, *more):
        return subprocess.run([harness.SERVER, "--check-health", address, *more], text=True,
                              capture_output=True, timeout=harness.TIMEOUT_S)

    def test_health_is_asked_over_tls(self):
        ca = ("--tls-ca", self.ca + ".pem")
        with self.server(*self.tls) as server:
            self.assertEqual(self.check_health(server.address, *ca).stdout, "SERVING\n")
            for wrong in ((), ("--tls-ca", self.other + ".pem"), ("--tls-ca", self.path("none.pem"))):
                with self.subTest(wrong=wrong):
                    asked = self.check_health(server.address, *wrong)
                    self.assertEqual((asked.returncode, asked.stdout), (1, ""), asked.stderr)
            self.assertIn("if it speaks TLS, give --tls-ca", self.check_health(server.address).stderr)
        with self.server(*self.tls, "--tls-client-ca", self.ca + ".pem") as server:
            self.assertEqual(self.check_health(server.address, *ca).returncode, 1)
            self.assertEqual(self.check_health(server.address, *ca, *self.tls).stdout, "SERVING\n")
        self.assertEqual(subprocess.run([harness.SERVER, *ca], capture_output=True).returncode, 2)

    def test_tls_on_one_side_only(self):
        with self.server(*self.tls) as server:
            self.fails(server.run("list"), NOT_LET_IN, server.address, "speaks TLS only", "--tls-ca")
            self.fails(server.run("list", "--insecure"), NOT_LET_IN, server.address, "TLS only")
        with self.server() as server:
            self.fails(server.run("list", "--tls-ca", self.ca + ".pem"), NOT_LET_IN, server.address,
                       "speaks no TLS", "--insecure")
            env = {"SEEDLM_CA": self.ca + ".pem"}
            self.ok(server.run("list", "--insecure", env=env))

    def test_a_certificate_that_is_not_believed(self):
        with self.server(*self.tls) as server:
            self.fails(server.run("list", "--tls-ca", self.other + ".pem"), NOT_LET_IN,
                       server.address, "not to be believed", "--tls-ca")
        elsewhere = make_certificate(self.dir, "elsewhere", self.ca, "DNS:elsewhere.example")
        with self.server("--tls-cert", elsewhere + ".pem", "--tls-key", elsewhere + ".key") as server:
            self.fails(server.run("list", "--tls-ca", self.ca + ".pem"), NOT_LET_IN, server.address,
                       "for another name", "--server")

    def test_a_certificate_of_the_client(self):
        own = make_certificate(self.dir, "client", self.ca)
        wrong = make_certificate(self.dir, "stranger", self.other)
        with self.server(*self.tls, "--tls-client-ca", self.ca + ".pem") as server:
            trust = ("--tls-ca", self.ca + ".pem")
            self.ok(server.run("list", *trust, "--tls-cert", own + ".pem", "--tls-key", own + ".key"))
            self.fails(server.run("list", *trust), NOT_LET_IN, server.address, "wants a certificate",
                       "--tls-cert")
            self.fails(server.run("list", *trust, "--tls-cert", wrong + ".pem", "--tls-key",
                                  wrong + ".key"), NOT_LET_IN, server.address, "does not accept")
            self.fails(server.run("list", *trust, "--tls-cert", own + ".pem", "--tls-key",
                                  wrong + ".key"), harness.INVALID, "--tls-key")

    def test_to_other_machines_the_client_speaks_tls_unless_told_otherwise(self):
        # An address of this machine that is not loopback stands for another machine.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # sends nothing; says which address would be used
            except OSError:
                self.skipTest("this machine has no address but loopback")
            host = probe.getsockname()[0]
        with self.server("--listen", f"{host}:0", "--insecure") as server:
            address = server.addresses[1]
            self.fails(run("list", "--server", address, env={"SEEDLM_TOKEN": "secret"}), NOT_LET_IN,
                       address, "speaks no TLS")
            self.ok(run("list", "--server", address, "--insecure"))

    def test_nobody_there_is_no_question_of_tls(self):
        for args in ((), ("--tls-ca", self.ca + ".pem")):
            self.fails(run("list", "--server", "127.0.0.1:1", *args), UNAVAILABLE, "127.0.0.1:1",
                       "refused")


class Tokens(EndToEnd):
    def digest(self, token):
        hashed = subprocess.run([harness.SERVER, "--hash-token"], input=token + "\n", text=True,
                                capture_output=True, check=True, timeout=60)
        self.assertEqual(hashed.stdout, hashlib.sha256(token.encode()).hexdigest() + "\n")
        return hashed.stdout.strip()

    def test_owners_through_the_command_line(self):
        source = small_file(self.path("in.safetensors"))
        with open(self.path("tokens"), "w") as f:
            f.write(f"{self.digest('token-of-alice-1')} alice user\n"
                    f"{self.digest('token-of-bob-1234')} bob readonly\n"
                    f"{self.digest('token-of-root-123')} root admin\n")
        os.chmod(self.path("tokens"), 0o600)
        alice, bob, root = ({"SEEDLM_TOKEN": t} for t in (
            "token-of-alice-1", "token-of-bob-1234", "token-of-root-123"))
        with self.server("--tokens", self.path("tokens")) as server:
            self.fails(server.run("list"), NOT_LET_IN, server.address, "none was sent", "SEEDLM_TOKEN")
            self.fails(server.run("list", env={"SEEDLM_TOKEN": "a-guess"}), NOT_LET_IN, server.address,
                       "does not know the token in SEEDLM_TOKEN", "--tokens")
            wrong = server.run("list", env={"SEEDLM_TOKEN": "two words"})
            self.fails(wrong, harness.INVALID, "SEEDLM_TOKEN")
            self.assertNotIn("two words", wrong.err)
            job = self.ok(server.run("submit", source, env=alice)).out.strip()
            self.ok(server.run("wait", job, env=alice))
            self.ok(server.run("fetch", job, self.path("out.safetensors"), env=alice))
            self.fails(server.run("status", job, env=bob), harness.NOT_FOUND, job)
            self.assertNotIn(job, self.ok(server.run("list", env=bob)).out)
            self.fails(server.run("submit", source, env=bob), NOT_LET_IN, server.address, "readonly",
                       "SEEDLM_TOKEN")
            listed = self.ok(server.run("list", env=root)).out
            for word in ("OWNER", "alice"):
                self.assertIn(word, listed)

            with open(self.path("tokens"), "w") as f:
                f.write(f"{self.digest('another-of-alice')} alice user\n")
            server.process.send_signal(signal.SIGHUP)
            harness.wait_for(lambda: server.run("list", env=alice).code == NOT_LET_IN)
            self.assertIn(job, self.ok(server.run("list", env={
                "SEEDLM_TOKEN": "another-of-alice"})).out)

    def test_a_token_that_can_be_guessed_is_not_hashed(self):
        for text in ("", "\n", "short\n"):
            refused = subprocess.run([harness.SERVER, "--hash-token"], input=text, text=True,
                                     capture_output=True, timeout=60)
            self.assertEqual((refused.returncode, refused.stdout), (2, ""))

    def test_a_wrong_token_file_keeps_the_server_from_starting(self):
        with open(self.path("tokens"), "w") as f:
            f.write("token-in-the-clear alice user\n")
        for path, word, code in ((self.path("tokens"), ":1: ", 2),
                                 (self.path("none"), "No such file", 3)):
            refused = subprocess.run(
                [harness.SERVER, "--listen", "127.0.0.1:0", "--data-dir", self.path("data"),
                 "--tokens", path], capture_output=True, text=True, timeout=60)
            self.assertEqual(refused.returncode, code, refused.stderr)
            self.assertIn(path, refused.stderr)
            self.assertIn(word, refused.stderr)
            self.assertNotIn("in-the-clear", refused.stderr)


if __name__ == "__main__":
    harness.main()
