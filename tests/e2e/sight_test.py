"""What an operator sees of a server: log lines, metrics, health."""

import json
import os
import re
import subprocess
import sys
import urllib.request

import harness
from harness import (EXISTS, INVALID, NOT_FOUND, SERVER, TIMEOUT_S, EndToEnd, read, run, small_file, tensor,
                     to_bytes, write_safetensors)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "s3"))
import fake_s3  # noqa: E402

REPOSITORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def documented_metrics():
    """name -> (type, labels) from server/METRICS.md."""
    with open(os.path.join(REPOSITORY, "server", "METRICS.md")) as f:
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*) \|", f.read(), re.MULTILINE)
    return {name: (kind, {label for label in labels.strip().split(", ") if label})
            for name, kind, labels in rows}


def scrape(server):
    url = re.search(r"metrics on (http://[^\s\"]+)", read(server.log_path).decode()).group(1)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=TIMEOUT_S) as answer:
        return answer.read().decode()


def exported_metrics(text):
    """As documented_metrics, of what the server itself exports."""
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    found = {}
    for name, labels in re.findall(r"^(\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$", text,
                                   re.MULTILINE):
        if name.startswith("exposer_"):  # the library's own
            continue
        names = set(re.findall(r'(\w+)="', labels)) - {"le"}
        kind, known = found.get(name, (kinds[name], set()))
        found[name] = (kind, known | names)
    return found


def value(text, sample):
    match = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return float(match.group(1)) if match else None


class Sight(EndToEnd):
    def test_every_line_of_a_json_log_is_an_object_whatever_is_in_it(self):
        hostile = 'a"b\\c\n{"level":"error"}\x1b[31m\u202e'
        source = self.path("in.safetensors")
        write_safetensors(source, {
            hostile + ".weight": tensor("F32", (64, 64), 1),
            "bad" + hostile + ".weight": ("F32", (64, 64), to_bytes("F32", [float("nan")] * 64 * 64))})
        with self.server("--log-format", "json", "--log-level", "debug", "--storage-root",
                         self.dir) as server:
            job = self.ok(server.run("submit", source, "--exclude", "bad*")).out.strip()
            self.ok(server.run("wait", job))
            failed = self.ok(server.run("submit", source)).out.strip()
            self.assertNotEqual(server.run("wait", failed).code, 0)
            missing = self.path("no\nsuch\"file")
            server.run("submit", "file://" + missing.replace("\n", "%0A").replace('"', "%22"))
            self.assertEqual(server.stop(), 0)
            lines = [json.loads(line) for line in read(server.log_path).decode().splitlines()]
        for line in lines:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("debug", "info", "warning", "error"))
            self.assertIn("message", line)
        encoded = [line for line in lines if line["message"].startswith("encoded in")]
        self.assertTrue(encoded)
        for line in encoded:
            self.assertEqual(line["shard"], "1/1")
            self.assertIn(line["backend"], ("cpu", "reference", "cuda"))
            if line["backend"] != "cuda":
                self.assertEqual(line["device"], "host")
            self.assertEqual(line["job"], job)
        self.assertIn(hostile + ".weight", [line["tensor"] for line in encoded])
        ends = [line for line in lines if line.get("job") == failed and line["level"] == "warning"]
        self.assertEqual(len(ends), 1, lines)
        self.assertIn("failed: ", ends[0]["message"])

    def test_a_text_log_is_a_line_a_message(self):
        source = self.path("in.safetensors")
        write_safetensors(source, {
            "a\nforged line.weight": ("F32", (64, 64), to_bytes("F32", [float("inf")] * 64 * 64))})
        with self.server() as server:
            job = self.ok(server.run("submit", source)).out.strip()
            server.run("wait", job)
            self.assertEqual(server.stop(), 0)
            lines = read(server.log_path).decode().splitlines()
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\S+Z (debug|info|warning|error) ")
        self.assertTrue(any(f"job={job}" in line for line in lines), lines)

    def test_documented_and_exported_metrics_agree(self):
        source = small_file(self.path("in.safetensors"))
        bad = self.path("bad.safetensors")
        write_safetensors(bad, {"w.weight": ("F32", (64, 64), to_bytes("F32", [float("nan")] * 64 * 64))})
        fake = fake_s3.start(["models"])
        self.addCleanup(fake.server_close)
        self.addCleanup(fake.shutdown)
        s3 = {"AWS_ACCESS_KEY_ID": fake_s3.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": fake_s3.SECRET_KEY,
              "AWS_ENDPOINT_URL": f"http://127.0.0.1:{fake.server_address[1]}"}
        with self.server("--metrics", "127.0.0.1:0", "--threads", "1", env=s3) as server:
            job = self.ok(server.run("submit", source)).out.strip()
            self.ok(server.run("wait", job))
            self.ok(server.run("fetch", job, self.path("out.safetensors")))
            failed = self.ok(server.run("submit", bad)).out.strip()
            self.assertNotEqual(server.run("wait", failed).code, 0)
            there = self.ok(server.run("submit", source, "--to", "s3://models/out")).out.strip()
            self.ok(server.run("wait", there))
            self.assertNotEqual(server.run("submit", source, "--to", "s3://nowhere/out").code, 0)
            self.assertEqual(server.run("status", "jobs/none").code, NOT_FOUND)
            text = scrape(server)
        self.assertEqual(exported_metrics(text), documented_metrics())
        profile = 'profile="4bit"}'
        weights = [float(v) for v in
                   re.findall(r'^seedlm_weights_total\{.*' + profile + r" (\S+)$", text, re.MULTILINE)]
        self.assertEqual(sum(weights), 2 * 12288)
        self.assertGreater(value(
            text, 'seedlm_device_busy_seconds_total{backend="cpu",device="host"}'), 0)
        self.assertEqual(value(text, 'seedlm_jobs_ended_total{state="SUCCEEDED"}'), 2)
        parts = 'seedlm_s3_requests_total{code="2xx",operation="PutObject"}'
        self.assertEqual(value(text, parts), 1)
        self.assertEqual(value(text, 'seedlm_s3_requests_total{code="4xx",operation="FirstKey"}'), 1)
        self.assertGreaterEqual(value(text, "seedlm_s3_sent_bytes_total"),
                                os.path.getsize(self.path("out.safetensors")))
        self.assertEqual(value(text, 'seedlm_jobs_ended_total{state="FAILED"}'), 1)
        self.assertEqual(value(text, 'seedlm_job_failures_total{reason="WEIGHT_NOT_FINITE"}'), 1)
        self.assertEqual(value(text, 'seedlm_rpc_calls_total{code="NOT_FOUND",method="GetJob"}'), 1)
        self.assertEqual(value(text, "seedlm_upload_received_bytes_total"),
                         os.path.getsize(source) + os.path.getsize(bad))
        self.assertEqual(value(text, "seedlm_download_sent_bytes_total"),
                         os.path.getsize(self.path("out.safetensors")))
        self.assertEqual(value(text, 'seedlm_rpc_in_flight{method="GetJob"}'), 0)
        self.assertEqual(value(text, "seedlm_draining"), 0)
        self.assertGreater(value(text, "process_resident_memory_bytes"), 1e6)

    def test_metrics_are_for_loopback_unless_insecure(self):
        for address, word in (("0.0.0.0:0", "--insecure"), ("9464", "HOST:PORT")):
            refused = subprocess.run(
                [SERVER, "--data-dir", self.path("data"), "--metrics", address],
                capture_output=True, text=True, timeout=TIMEOUT_S)
            self.assertEqual(refused.returncode, 2)
            self.assertIn(word, refused.stderr)
        with self.server("--metrics", "127.0.0.1:0") as server:
            taken = re.search(r"http://([^/]+)/", read(server.log_path).decode()).group(1)
            refused = subprocess.run(
                [SERVER, "--data-dir", self.path("other"), "--listen", "127.0.0.1:0", "--metrics",
                 taken], capture_output=True, text=True, timeout=TIMEOUT_S)
            self.assertEqual(refused.returncode, 3)
            self.assertIn(taken, refused.stderr)

    def test_a_report_of_a_job(self):
        source = self.path("in.safetensors")
        hostile = "layers.0.<script>alert(1)</script>.weight"
        write_safetensors(source, {hostile: tensor("F32", (64, 96), 1),
                                   "layers.1.up.weight": tensor("BF16", (96, 63), 2)})
        page = self.path("report.html")
        with self.server() as server:
            job = self.ok(server.run("submit", source)).out.strip()
            self.ok(server.run("wait", job))
            self.ok(server.run("report", job, "-o", page))
            text = read(page).decode()
            self.fails(server.run("report", job, "-o", page), EXISTS, page, "--force")
            self.ok(server.run("report", job, "-o", page, "--force"))
            self.assertEqual(read(page).decode(), text)  # the same events, the same bytes
            before = read(source)
            self.fails(server.run("report", job, "-o", source, "--force"), INVALID, source)
            self.assertEqual(read(source), before)
            self.fails(server.run("report", "jobs/none", "-o", self.path("n.html")), NOT_FOUND)
            self.fails(server.run("report", job, "-o", self.path("no", "n.html")), NOT_FOUND)
            status = self.ok(server.run("status", job, "--json")).json()
        self.assertEqual(text.count("<svg "), 4)  # errors, sizes, levels, time
        self.assertNotIn("<script", text)
        self.assertIn("&lt;script&gt;alert(1)", text)
        self.assertIn(status["name"], text)
        self.assertIn("SUCCEEDED", text)
        # Of a run in the process, too.
        other = self.path("other.html")
        self.ok(run("compress", source, self.path("out.safetensors"), "--report", other))
        self.assertEqual(read(other).decode().count("<svg "), 4)

    def check_health(self, address):
        return subprocess.run([SERVER, "--check-health", address], capture_output=True, text=True,
                              timeout=TIMEOUT_S)

    def test_health_is_told_by_the_exit_code(self):
        with self.server() as server:
            healthy = self.check_health(server.address)
            self.assertEqual((healthy.returncode, healthy.stdout), (0, "SERVING\n"))
            self.assertEqual(server.stop(), 0)
            gone = self.check_health(server.address)
            self.assertEqual((gone.returncode, gone.stdout), (1, ""))
            self.assertIn(server.address, gone.stderr)
        self.assertEqual(self.check_health("7433").returncode, 1)


if __name__ == "__main__":
    harness.main()
