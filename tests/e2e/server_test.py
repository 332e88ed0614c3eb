"""The client and a server, two processes."""

import json
import os
import signal
import time
import unittest

import harness
from harness import (CANCELLED, EXISTS, INTERRUPTED, INVALID, NOT_FOUND, EndToEnd, read, run,
                     small_directory, small_file, tree)


class Remote(EndToEnd):
    def test_a_file_the_same_bytes_as_in_the_process(self):
        source = small_file(self.path("in.safetensors"))
        self.ok(run("compress", source, self.path("local.safetensors")))
        with self.server() as server:
            submitted = self.ok(server.run("submit", source))
            job = submitted.out.strip()
            self.assertEqual(submitted.out, job + "\n")
            self.assertRegex(job, r"^jobs/\S+$")
            self.ok(server.run("wait", job))
            self.ok(server.run("fetch", job, self.path("remote.safetensors")))
            self.assertEqual(read(self.path("remote.safetensors")),
                             read(self.path("local.safetensors")))
            self.fails(server.run("fetch", job, self.path("remote.safetensors")), EXISTS,
                       "remote.safetensors", "--force")
            self.ok(server.run("fetch", job, self.path("remote.safetensors"), "--force"))
            # OUT/ puts it into a directory that exists, as compress does.
            self.fails(server.run("fetch", job, self.path("into") + "/"), NOT_FOUND, "create it")
            os.mkdir(self.path("into"))
            fetched = self.ok(server.run("fetch", job, self.path("into") + "/", "--json")).json()
            self.assertEqual(os.listdir(self.path("into")), ["model.safetensors"])
            self.assertEqual(fetched["name"], job)
            self.assertEqual(fetched["output"],
                             os.path.realpath(self.path("into", "model.safetensors")))
            self.assertEqual(fetched["files"][0]["size"], os.path.getsize(fetched["output"]))
            # The same, in one command.
            self.ok(server.run("compress", source, self.path("one.safetensors")))
            self.assertEqual(read(self.path("one.safetensors")), read(self.path("local.safetensors")))
            self.assertEqual(server.stop(), 0)

    def test_a_job_that_would_be_refused_uploads_nothing(self):
        source = small_file(self.path("in.safetensors"))
        with self.server() as server:
            self.fails(server.run("submit", source, "--to", "file:///nowhere/out"),
                       harness.STORAGE, "/nowhere/out")
            self.fails(server.run("submit", source, "--backend", "abacus"), INVALID, "abacus")
            self.fails(server.run("compress", source, self.path("x"), "--backend", "abacus"),
                       INVALID, "abacus")
            for command in (("submit", source), ("compress", source, self.path("x"))):
                self.fails(server.run(*command, "--exclude", "nothing.of.it"), INVALID,
                           "nothing.of.it")
            self.assertEqual(self.ok(server.run("artifacts", "list", "--json")).json(),
                             {"artifacts": []})

    def test_a_directory_the_same_bytes_as_in_the_process(self):
        source = small_directory(self.path("in"))
        self.ok(run("compress", source, self.path("local")))
        with self.server() as server:
            job = self.ok(server.run("submit", source)).out.strip()
            self.ok(server.run("wait", job))
            self.assertIn("nothing to stop", self.ok(server.run("cancel", job)).err)
            self.ok(server.run("fetch", job, self.path("remote")))
            self.assertEqual(tree(self.path("remote")), tree(self.path("local")))
            self.ok(server.run("compress", source, self.path("one")))
            self.assertEqual(tree(self.path("one")), tree(self.path("local")))

    def test_force_keeps_a_file_that_the_result_has_not(self):
        source = small_directory(self.path("in"))
        with self.server() as server:
            job = self.ok(server.run("submit", source)).out.strip()
            self.ok(server.run("wait", job))
            for command in (("fetch", job), ("compress", source)):
                out = self.path(command[0])
                self.ok(server.run(*command, out))
                self.ok(server.run(*command, out, "--force"))
                os.makedirs(os.path.join(out, "mine", ".git"))
                with open(os.path.join(out, "mine", "notes.txt"), "w") as f:
                    f.write("precious")
                before = tree(out)
                self.fails(server.run(*command, out, "--force"), INVALID, "mine", "remove it")
                self.assertEqual(tree(out), before)
                self.assertTrue(os.path.isdir(os.path.join(out, "mine", ".git")))

    def test_a_directory_of_one_file(self):
        os.mkdir(self.path("in"))
        small_file(self.path("in", "model.safetensors"))
        self.ok(run("compress", self.path("in"), self.path("local")))
        with self.server() as server:
            self.ok(server.run("compress", self.path("in"), self.path("one")))
            self.assertEqual(tree(self.path("one")), tree(self.path("local")))
            job = self.ok(server.run("submit", self.path("in"))).out.strip()
            self.ok(server.run("wait", job))
            self.ok(server.run("fetch", job, self.path("fetched")))
            self.assertEqual(tree(self.path("fetched")), tree(self.path("local")))

    def test_a_directory_of_one_file_that_the_server_reads_itself(self):
        os.mkdir(self.path("in"))
        source = small_file(self.path("in", "model.safetensors"))
        with self.server("--storage-root", self.dir) as server:
            for uri, is_directory in ((self.path("in"), True), (source, False)):
                job = self.ok(server.run("submit", "file://" + uri)).out.strip()
                self.ok(server.run("wait", job))
                out = self.path("out-" + str(is_directory))
                self.ok(server.run("fetch", job, out))
                self.assertEqual(os.path.isdir(out), is_directory)

    def test_files_that_the_server_reads_and_writes_itself(self):
        source = small_file(self.path("in.safetensors"))
        self.ok(run("compress", source, self.path("local.safetensors")))
        with self.server("--storage-root", self.dir) as server:
            job = self.ok(server.run("submit", "file://" + source, "--to",
                                     "file://" + self.path("out.safetensors"))).out.strip()
            self.ok(server.run("wait", job))
            self.assertEqual(read(self.path("out.safetensors")), read(self.path("local.safetensors")))
            self.fails(server.run("fetch", job, self.path("x")), INVALID, job, "out.safetensors")
            self.fails(server.run("submit", "file://" + source, "--to",
                                  "file://" + self.path("out.safetensors")), EXISTS,
                       "out.safetensors")
            self.fails(server.run("submit", "file:///etc/hostname"), harness.STORAGE, "/etc/hostname")
            self.fails(server.run("submit", "file://" + source, "--to", "s3://bucket/x"), INVALID,
                       "s3://")

    def test_the_address_comes_from_the_environment(self):
        with self.server() as server:
            self.addCleanup(os.environ.pop, "SEEDLM_SERVER", None)
            process = harness.subprocess.run(
                [harness.SEEDLM, "list", "--json"], capture_output=True, text=True,
                env={**harness.environment(), "SEEDLM_SERVER": server.address}, timeout=30)
            self.assertEqual(json.loads(process.stdout), {"jobs": []})

    def test_an_address_that_is_given_wins_over_the_environment(self):
        with self.server() as server:
            for command in (("list",), ("artifacts", "list"), ("devices",)):
                process = harness.subprocess.run(
                    [harness.SEEDLM, *command, "--json", "--server", server.address],
                    capture_output=True, text=True, timeout=30,
                    env={**harness.environment(), "SEEDLM_SERVER": "localhost:1"})
                self.assertEqual(process.returncode, 0, process.stderr)
            process = harness.subprocess.run(
                [harness.SEEDLM, "artifacts", "delete", "artifacts/x", "--server", server.address],
                capture_output=True, text=True, timeout=30,
                env={**harness.environment(), "SEEDLM_SERVER": "localhost:1"})
            self.assertEqual(process.returncode, NOT_FOUND, process.stderr)

    def test_status_list_and_watch(self):
        source = small_file(self.path("in.safetensors"))
        with self.server() as server:
            job = self.ok(server.run("submit", source)).out.strip()
            events = [json.loads(line) for line in
                      self.ok(server.run("watch", job, "--json")).out.splitlines()]
            self.assertEqual(events[0]["event"], "snapshot")
            numbers = [e["sequence"] for e in events[1:] if e["sequence"] > 0]
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertEqual([e["state"] for e in events if e["event"] == "state"][-1], "SUCCEEDED")
            self.assertEqual(sorted(e["tensor"]["name"] for e in events if e["event"] == "tensor"),
                             ["layers.0.down.weight", "layers.0.up.weight"])
            status = self.ok(server.run("status", job, "--json")).json()
            self.assertEqual((status["name"], status["state"], status["attempt"]),
                             (job, "SUCCEEDED", 1))
            self.assertEqual(status["weights_done"], 12288)
            self.assertEqual(status["weights_total"], 12288)
            shown = self.ok(server.run("status", job)).out
            for word in ("SUCCEEDED", "source " + status["source"], "destination managed",
                         "created 20", "started 20", "ended 20"):
                self.assertIn(word, shown)
            jobs = self.ok(server.run("list", "--json")).json()["jobs"]
            self.assertEqual([j["name"] for j in jobs], [job])
            self.assertEqual((status["output_file_count"], len(status["output_files"])), (1, 1))
            for left_out in ("output_file_count", "output_files"):  # a list does not have them
                self.assertNotIn(left_out, jobs[0])
            skipped = status["estimate"]["skipped_count"]
            self.assertEqual(jobs[0]["estimate"]["skipped_count"], skipped)
            self.assertNotIn("skipped", jobs[0]["estimate"])
            listed = self.ok(server.run("list", "--state", "SUCCEEDED")).out
            self.assertIn(job, listed)
            self.assertRegex(listed, r" 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)\n")  # seconds are enough
            self.assertNotIn(job, self.ok(server.run("list", "--state", "FAILED")).out)
            watched = self.ok(server.run("watch", job)).out.splitlines()
            self.assertIn("relative error", watched[0])
            # The last line, also where nobody looks at a bar: state, time, what came out.
            self.assertRegex(watched[-1], rf"^{job}  SUCCEEDED  [\d.]+ s, [\d.]+( [kM])? weights/s, "
                                          rf"[\d.]+ kB in {status['output_artifact']}, relative error 0\.1\d+$")

    def test_artifacts_are_listed_verified_and_deleted(self):
        source = small_file(self.path("in.safetensors"))
        with self.server() as server:
            job = self.ok(server.run("submit", source)).out.strip()
            self.ok(server.run("wait", job))
            listed = self.ok(server.run("artifacts", "list", "--json")).json()["artifacts"]
            self.assertEqual(sorted(a["job"] for a in listed), ["", job])
            self.assertTrue(all(a["size"] > 0 and a["arriving_files"] == 0 for a in listed))
            result = next(a["name"] for a in listed if a["job"])
            upload = next(a["name"] for a in listed if not a["job"])
            listed = self.ok(server.run("artifacts", "list")).out
            self.assertRegex(listed, rf"(?m)^{result} .* 20\d\d-\d\d-\d\dT\S+  {job}$")
            checked = self.ok(server.run("artifacts", "verify", result, "--json")).json()
            self.assertEqual((checked["ok"], checked["compared"], checked["problems"]),
                             (True, True, []))
            self.assertEqual(len(checked["tensors"]), 2)
            self.assertIn("layers.0.up.weight",
                          self.ok(server.run("artifacts", "verify", result)).out)
            self.ok(server.run("artifacts", "delete", upload))
            self.assertIn("not compared", self.ok(server.run("artifacts", "verify", result)).out)
            self.ok(server.run("artifacts", "delete", result.rpartition("/")[2]))
            self.fails(server.run("artifacts", "delete", result), NOT_FOUND, result)
            self.assertEqual(self.ok(server.run("artifacts", "list", "--json")).json(),
                             {"artifacts": []})
            log = harness.read(server.log_path).decode()
            for name in (upload, result):
                self.assertIn(f"{name} is deleted", log)

    def test_jobs_are_found_by_their_labels(self):
        source = small_file(self.path("in.safetensors"))
        with self.server() as server:
            def named(*options):
                listed = self.ok(server.run("list", "--json", *options)).json()["jobs"]
                return [job["name"] for job in listed]
            job = self.ok(server.run("submit", source, "--priority", "5", "--label", "run=7",
                                     "--label", "who=me")).out.strip()
            other = self.ok(server.run("submit", source, "--label", "run=8")).out.strip()
            self.assertEqual(named("--label", "run=7"), [job])
            self.assertEqual(named("--label", "run=7", "--label", "who=me"), [job])
            self.assertEqual(named("--label", "run=8", "--label", "who=me"), [])
            self.assertEqual(named(), [other, job])
            status = self.ok(server.run("status", job, "--json")).json()
            self.assertEqual((status["priority"], status["labels"]), (5, {"run": "7", "who": "me"}))
            text = self.ok(server.run("status", job)).out
            self.assertIn("priority 5\nlabel run=7\nlabel who=me\n", text)
            refused = harness.run("compress", source, self.path("x"), "--label", "run=7")
            self.assertEqual(refused.code, harness.USAGE, str(refused))
            self.ok(server.run("compress", source, self.path("x"), "--label", "run=9"))
            self.assertEqual(len(named("--label", "run=9")), 1)

    def test_a_request_id_gives_the_same_job(self):
        source = small_file(self.path("in.safetensors"))
        with self.server() as server:
            first = self.ok(server.run("submit", source, "--request-id", "r1")).out
            self.assertEqual(self.ok(server.run("submit", source, "--request-id", "r1")).out, first)
            self.assertNotEqual(self.ok(server.run("submit", source)).out, first)
            again = self.ok(server.run("submit", source, "--request-id", "r1", "--json")).json()
            self.assertEqual(again["name"], first.strip())
            self.fails(server.run("submit", source, "--request-id", "r1", "--bits", "3"), EXISTS,
                       "r1")

    def test_a_request_id_that_was_used_uploads_nothing(self):
        source = small_file(self.path("in.safetensors"))
        with self.server() as server:
            job = self.ok(server.run("submit", source, "--request-id", "r1")).out.strip()
            self.ok(server.run("wait", job))
            upload = self.ok(server.run("status", job, "--json")).json()["source"]
            self.ok(server.run("artifacts", "delete", upload))
            again = self.ok(server.run("submit", source, "--request-id", "r1")).out.strip()
            self.assertEqual(again, job)
            self.fails(server.run("submit", source, "--request-id", "r1", "--bits", "3"), EXISTS,
                       "r1")
            other = small_file(self.path("other.safetensors"), seed=9)
            self.fails(server.run("submit", other, "--request-id", "r1"), EXISTS, "r1")
            listed = self.ok(server.run("artifacts", "list", "--json")).json()["artifacts"]
            self.assertEqual([a["job"] for a in listed], [job])  # the result alone
            self.ok(server.run("submit", other, "--request-id", "r2"))  # and what is new is sent

    def test_cancel(self):
        harness.write_safetensors(self.path("in.safetensors"), {
            "big.weight": harness.tensor("F32", (512, 256), 1)})
        with self.server() as server:
            job = self.ok(server.run("submit", self.path("in.safetensors"), "--backend",
                                     "reference")).out.strip()
            self.fails(server.run("fetch", job, self.path("x")), INVALID, job)
            self.ok(server.run("cancel", job))
            self.fails(server.run("wait", job), CANCELLED, job)
            self.fails(server.run("fetch", job, self.path("x")), CANCELLED, job)
            self.assertEqual(server.run("status", job, "--json").json()["state"], "CANCELLED")
            self.ok(server.run("cancel", job))  # idempotent

    def test_a_cancelled_job_is_resumed_and_deleted(self):
        harness.write_safetensors(self.path("in.safetensors"), {
            "big.weight": harness.tensor("F32", (512, 256), 1)})
        with self.server() as server:
            job = self.ok(server.run("submit", self.path("in.safetensors"), "--backend",
                                     "reference")).out.strip()
            self.fails(server.run("delete", job), INVALID, job, "cancel")
            self.ok(server.run("cancel", job))
            self.assertRegex(server.run("watch", job).out, rf"(?m)^{job}  CANCELLED  .* of 131 k weights done$")
            self.assertIn(f"seedlm resume {job}",
                          self.fails(server.run("wait", job), CANCELLED, job).err)
            self.assertIn("QUEUED", self.ok(server.run("resume", job)).out)
            status = server.run("status", job, "--json").json()
            self.assertEqual(status["attempt"], 2)
            self.fails(server.run("cancel", job, "--etag", "1"), INVALID, job, "etag")
            self.fails(server.run("delete", job, "--etag", "1"), INVALID, job, "etag")
            self.ok(server.run("cancel", job))
            self.fails(server.run("wait", job), CANCELLED, job)
            self.assertEqual(self.ok(server.run("delete", job)).out, f"{job}  deleted\n")
            self.fails(server.run("status", job), NOT_FOUND, job)
            self.fails(server.run("delete", job), NOT_FOUND, job)
            self.assertIn(f"{job} is deleted", harness.read(server.log_path).decode())

    def test_an_interrupt_stops_watching_not_the_job(self):
        harness.write_safetensors(self.path("in.safetensors"), {
            "big.weight": harness.tensor("F32", (512, 256), 1)})
        with self.server() as server:
            job = self.ok(server.run("submit", self.path("in.safetensors"), "--backend",
                                     "reference")).out.strip()
            watcher = harness.start("watch", job, "--server", server.address)
            time.sleep(1)
            watcher.send_signal(signal.SIGINT)
            _, err = watcher.communicate(timeout=20)
            self.assertEqual(watcher.returncode, INTERRUPTED, err)
            self.assertIn("seedlm cancel", err)
            self.assertIn(server.run("status", job, "--json").json()["state"],
                          ("QUEUED", "RUNNING"))
            self.ok(server.run("cancel", job))

    def test_a_watch_ends_when_its_reader_has_left(self):
        with self.server("--watch-keep-alive", "100ms") as server:
            job = self.ok(server.run("submit", harness.slow_file(self.path("in.safetensors")),
                                     "--backend", "reference")).out.strip()
            for options in ((), ("--json",)):
                watcher = harness.start("watch", job, "--server", server.address, *options)
                if options:
                    watcher.stdout.readline()
                watcher.stdout.close()
                code = watcher.wait(timeout=20)
                with watcher.stderr as stream:
                    self.assertEqual((code, "error" in stream.read()), (0, False))
            self.ok(server.run("cancel", job))

    def test_a_server_that_is_lost_while_it_is_watched(self):
        with self.server() as server:
            job = self.ok(server.run("submit", harness.slow_file(self.path("in.safetensors")),
                                     "--backend", "reference")).out.strip()
            watcher = harness.start("wait", job, "--patience", 1, "--server", server.address)
            time.sleep(1)
            server.stop()
            _, err = watcher.communicate(timeout=30)
            self.assertEqual(watcher.returncode, harness.UNAVAILABLE, err)
            self.assertIn("seedlm: lost the server (", err)
            self.assertIn("trying again for 1 s", err)
            for line in err.splitlines():  # what a person could do is said at the end alone
                self.assertEqual("; " in line, line.startswith("seedlm: error: "), err)
            self.assertIn(f"; given up after 1 s: {job} goes on where its server runs", err)

    def test_a_job_that_fails_says_why(self):
        dtype, shape, data = harness.tensor("F32", (64, 96), 3)
        data = data[:400] + b"\x00\x00\xc0\x7f" + data[404:]  # NaN at row 1, column 4
        harness.write_safetensors(self.path("in.safetensors"), {"up.weight": (dtype, shape, data)})
        with self.server() as server:
            job = self.ok(server.run("submit", self.path("in.safetensors"))).out.strip()
            self.fails(server.run("wait", job), INVALID, job, "up.weight", "row 1", "column 4")
            status = server.run("status", job, "--json").json()
            self.assertEqual(status["state"], "FAILED")
            self.assertEqual(status["error"]["reason"], "WEIGHT_NOT_FINITE")
            self.fails(server.run("fetch", job, self.path("x")), INVALID, job, "up.weight", "row 1")
            # Why it failed, not what stands in the way of its result.
            self.fails(server.run("fetch", job, self.path("in.safetensors")), INVALID, "up.weight")

    def test_what_has_no_effect_is_said(self):
        source = small_file(self.path("in.safetensors"))
        here = ("--threads", 2, "--search", "index", "--index-memory", "1MiB")
        note = "seedlm: --threads, --search, --index-memory: without effect, the server uses its own"
        with self.server("--storage-root", self.dir) as server:
            for command in (("compress", source, self.path("x")), ("submit", source),
                            ("estimate", "file://" + source)):
                result = self.ok(server.run(*command, *here))
                self.assertEqual(result.err.splitlines().count(note), 1, str(result))
            # As a script has it, with the server in its environment.
            exported = {"SEEDLM_SERVER": server.address}
            compressed = self.ok(run("compress", source, self.path("y"), "--threads", 2, env=exported))
            self.assertIn("seedlm: --threads: without effect", compressed.err)
            self.assertEqual(read(self.path("y")), read(self.path("x")))
        self.assertNotIn("without effect", self.ok(run("estimate", source, "--threads", 1)).err)

    def test_an_estimate_of_a_server(self):
        source = small_file(self.path("in.safetensors"))
        here = self.ok(run("estimate", source, "--json")).json()
        with self.server("--storage-root", self.dir) as server:
            there = self.ok(server.run("estimate", "file://" + source, "--json"))
            self.assertEqual({**there.json(), "seconds": 0}, {**here, "seconds": 0})
            self.assertGreater(there.json()["seconds"], 0)
            self.assertEqual(there.err, "")
            self.assertIn("in.safetensors", self.fails(
                server.run("estimate", "file://" + source, "--include", "none"), INVALID).err)
            self.fails(server.run("estimate", "file:///etc/hostname"), harness.STORAGE,
                       "/etc/hostname")
            # A file of this machine: the server is not asked, and that is said.
            for local in (server.run("estimate", source, "--json"),
                          run("estimate", source, "--json", env={"SEEDLM_SERVER": server.address})):
                self.assertEqual({**self.ok(local).json(), "seconds": 0}, {**here, "seconds": 0})
                self.assertIn(f"seedlm: {source} is of this machine", local.err)
                self.assertIn(server.address, local.err)
            self.assertEqual(self.ok(server.run("list", "--json")).json()["jobs"], [])
            gone = server.address
        self.fails(run("estimate", "file://" + source, "--server", gone), harness.UNAVAILABLE, gone)
        self.fails(run("estimate", "file://" + source), harness.USAGE, "--server")

    def test_a_name_that_cannot_be_uploaded(self):
        source = small_directory(self.path("in"))
        os.rename(self.path("in", "tokenizer.json"), self.path("in", "tokenizer (1).json"))
        with self.server() as server:
            self.fails(server.run("submit", source), INVALID, "tokenizer (1).json", "; rename it")

    def test_a_job_that_is_not_there(self):
        with self.server() as server:
            for args in (("status", "jobs/none"), ("wait", "jobs/none"), ("watch", "jobs/none"),
                         ("cancel", "jobs/none"), ("fetch", "jobs/none", self.path("x"))):
                with self.subTest(args=args):
                    self.fails(server.run(*args), NOT_FOUND, "jobs/none")


if __name__ == "__main__":
    harness.main()
