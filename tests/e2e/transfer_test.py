"""Uploads and downloads whose client is killed, or whose bytes are damaged on the way."""

import os
import signal
import time
import unittest

import harness
from harness import EndToEnd, read, run, tree
from proxy import Proxy

SIZE = 8 << 20
SLOW = 8 << 20  # bytes a second: a kill in the middle hits the middle


def source_file(path):
    """8 MB that pass through, and a little to compress."""
    harness.write_safetensors(path, {
        "layers.0.up.weight": harness.tensor("F32", (64, 96), 1),
        "embed_tokens.weight": ("F32", (SIZE >> 20, 1 << 18), os.urandom(SIZE)),
    })
    return path


class Transfers(EndToEnd):
    def connect(self, server):
        proxy = Proxy(server.address)
        self.addCleanup(proxy.close)
        return proxy

    def killed_after(self, proxy, way, size, *args):
        """The command, killed when so many bytes went that way."""
        process = harness.start(*args, "--server", proxy.address)
        harness.wait_for(lambda: getattr(proxy, way) >= size or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, -signal.SIGKILL)

    def settle(self, proxy):
        """What killed clients had sent is still on its way: until all of it has arrived."""
        proxy.rate = None
        harness.wait_for(lambda: proxy.carrying == 0)

    def result(self, server, source):
        job = self.ok(server.run("submit", source)).out.strip()
        self.ok(server.run("wait", job))
        return job

    def test_an_upload_goes_on_after_its_client_was_killed(self):
        source = source_file(self.path("in.safetensors"))
        with self.server() as server:
            proxy = self.connect(server)
            proxy.rate = SLOW
            for i in (1, 2):  # more than once
                self.killed_after(proxy, "up", i * SIZE // 4, "submit", source)
            self.settle(proxy)
            listed = self.ok(server.run("artifacts", "list", "--json")).json()["artifacts"]
            there = listed[0]["arriving_bytes"]
            self.assertGreater(there, 0)
            before = proxy.up
            job = self.ok(run("submit", source, "--server", proxy.address)).out.strip()
            self.assertLess(proxy.up - before, os.path.getsize(source) - there + (1 << 20))
            self.ok(server.run("wait", job))

    def test_an_upload_that_broke_between_two_files_is_no_whole_model(self):
        os.mkdir(self.path("model"))
        for name, seed in (("a", 1), ("b", 2)):
            harness.write_safetensors(self.path("model", name + ".safetensors"),
                                      {name + ".weight": harness.tensor("F32", (256, 256), seed)})
        with self.server() as server:
            proxy = self.connect(server)
            proxy.rate = 1 << 19
            args = ("submit", self.path("model"), "--request-id", "r1")
            process = harness.start(*args, "--server", proxy.address)
            kept = os.path.join(os.path.dirname(server.log_path), "data", "artifacts")
            harness.wait_for(lambda: tree(kept), seconds=60)
            process.kill()
            process.communicate(timeout=20)
            self.settle(proxy)
            self.assertEqual(self.ok(server.run("list", "--json")).json(), {"jobs": []})
            job = self.ok(server.run(*args)).out.strip()
            self.ok(server.run("wait", job))
            status = self.ok(server.run("status", job, "--json")).json()
            self.assertEqual(status["weights_total"], 2 * 256 * 256)
            self.assertEqual(len(status["output_files"]), 2)

    def test_a_download_goes_on_after_its_client_was_killed(self):
        source = source_file(self.path("in.safetensors"))
        out = self.path("out", "model.safetensors")
        os.mkdir(self.path("out"))
        with self.server() as server:
            job = self.result(server, source)
            proxy = self.connect(server)
            proxy.rate = SLOW
            for i in (1, 2):
                self.killed_after(proxy, "down", i * SIZE // 4, "fetch", job, out)
            self.settle(proxy)
            partial = self.listing(self.path("out"))
            self.assertEqual(len(partial), 1)
            there = os.path.getsize(self.path("out", partial[0]))
            self.assertGreater(there, 0)
            before = proxy.down
            self.ok(run("fetch", job, out, "--server", proxy.address))
            self.assertLess(proxy.down - before, SIZE - there + (2 << 20))
            self.ok(server.run("fetch", job, self.path("whole.safetensors")))
            self.assertEqual(read(out), read(self.path("whole.safetensors")))
            self.assertEqual(self.listing(self.path("out")), ["model.safetensors"])

    def test_a_client_that_died_with_much_on_its_way_does_not_keep_the_server_from_ending(self):
        source = source_file(self.path("in.safetensors"))
        with self.server() as server:
            job = self.result(server, source)
            proxy = self.connect(server)
            proxy.hold_down_at = SIZE // 8  # what is left is more than the kernel takes
            fetch = harness.start("fetch", job, self.path("out"), "--server", proxy.address)
            harness.wait_for(lambda: proxy.down >= proxy.hold_down_at)
            time.sleep(0.3)  # until the server's write waits
            fetch.kill()  # its end reaches the server, which nobody reads from
            fetch.communicate(timeout=20)
            self.assertEqual(server.stop(), 0)
            proxy.hold_down_at = None

    def test_a_directory_goes_on_with_the_file_that_was_under_way(self):
        source = harness.small_directory(self.path("in"))
        harness.write_safetensors(os.path.join(source, "z.safetensors"), {
            "embed_tokens.weight": ("F32", (SIZE >> 20, 1 << 18), os.urandom(SIZE))})
        os.remove(os.path.join(source, "model.safetensors.index.json"))
        with self.server() as server:
            job = self.result(server, source)
            proxy = self.connect(server)
            proxy.rate = SLOW
            os.mkdir(self.path("out"))
            self.killed_after(proxy, "down", SIZE // 2, "fetch", job, self.path("out", "model"))
            proxy.rate, before = None, proxy.down
            self.ok(run("fetch", job, self.path("out", "model"), "--server", proxy.address))
            self.assertLess(proxy.down - before, SIZE * 3 // 4)
            self.ok(server.run("fetch", job, self.path("whole")))
            self.assertEqual(tree(self.path("out", "model")), tree(self.path("whole")))
            self.assertEqual(self.listing(self.path("out")), ["model"])

    def test_what_was_kept_and_is_damaged_is_fetched_again(self):
        source = source_file(self.path("in.safetensors"))
        os.mkdir(self.path("out"))
        out = self.path("out", "model.safetensors")
        with self.server() as server:
            job = self.result(server, source)
            proxy = self.connect(server)
            proxy.rate = SLOW
            self.killed_after(proxy, "down", SIZE // 2, "fetch", job, out)
            partial = self.path("out", self.listing(self.path("out"))[0])
            with open(partial, "r+b") as f:
                f.seek(1000)
                f.write(b"\xff" * 100)
            self.ok(server.run("fetch", job, out))
            self.ok(server.run("fetch", job, self.path("whole.safetensors")))
            self.assertEqual(read(out), read(self.path("whole.safetensors")))

    def test_a_flipped_bit_is_caught_and_sent_again(self):
        source = source_file(self.path("in.safetensors"))
        with self.server() as server:
            proxy = self.connect(server)
            proxy.flip_up_at = SIZE // 2
            job = self.ok(run("submit", source, "--server", proxy.address)).out.strip()
            self.assertIsNone(proxy.flip_up_at)
            self.ok(server.run("wait", job))
            proxy.flip_down_at = proxy.down + SIZE // 2
            self.ok(run("fetch", job, self.path("out.safetensors"), "--server", proxy.address))
            self.assertIsNone(proxy.flip_down_at)
            self.ok(server.run("fetch", job, self.path("whole.safetensors")))
            self.assertEqual(read(self.path("out.safetensors")),
                             read(self.path("whole.safetensors")))

    def test_a_flipped_bit_on_the_servers_disk_is_named(self):
        source = source_file(self.path("in.safetensors"))
        with self.server() as server:
            job = self.result(server, source)
            artifact = self.ok(server.run("status", job, "--json")).json()["output_artifact"]
            stored = os.path.join(os.path.dirname(server.log_path), "data", artifact,
                                  "model.safetensors")
            with open(stored, "r+b") as f:
                f.seek(SIZE // 2)
                byte = f.read(1)
                f.seek(SIZE // 2)
                f.write(bytes([byte[0] ^ 1]))
            self.fails(server.run("fetch", job, self.path("out.safetensors")), harness.STORAGE,
                       "model.safetensors", "SHA-256")
            self.assertEqual(self.listing(), ["in.safetensors", os.path.basename(
                os.path.dirname(server.log_path))])


if __name__ == "__main__":
    harness.main()
