"""What the end-to-end tests share: the programs, checkpoints, servers. Standard library only.

The programs come from the environment: SEEDLM and SEEDLM_SERVER_PROGRAM.
"""

import array
import atexit
import contextlib
import json
import math
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SEEDLM = os.environ.get("SEEDLM", "seedlm")
SERVER = os.environ.get("SEEDLM_SERVER_PROGRAM", "seedlm-server")
TIMEOUT_S = 60

# Where compress keeps what it needs to go on after a kill.
STATE = tempfile.mkdtemp(prefix="seedlm-e2e-state-")
atexit.register(shutil.rmtree, STATE, ignore_errors=True)

OK, CHECK_FAILED, USAGE, INVALID, NOT_FOUND, EXISTS = 0, 1, 2, 3, 4, 5
UNAVAILABLE, STORAGE, CANCELLED, NOT_LET_IN, INTERRUPTED = 6, 7, 8, 9, 130


def environment(**more):
    """Without what would lead a test astray."""
    astray = ("SEEDLM_SERVER", "SEEDLM_TOKEN", "SEEDLM_CA")
    kept = {k: v for k, v in os.environ.items() if k not in astray}
    return {**kept, "XDG_STATE_HOME": STATE, **more}


def start(*args, env=None, within=(), **kwargs):
    """`within`: what the command line begins with, such as nsenter."""
    return subprocess.Popen([*within, SEEDLM, *map(str, args)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=environment(**(env or {})), **kwargs)


class Result:
    def __init__(self, args, code, out, err):
        self.args, self.code, self.out, self.err = args, code, out, err

    def __str__(self):
        return f"seedlm {' '.join(map(str, self.args))}\ncode {self.code}\n{self.out}\n{self.err}"

    def json(self):
        return json.loads(self.out)

    def error_lines(self):
        return [line for line in self.err.splitlines() if line.startswith("seedlm: error: ")]


def run(*args, **kwargs):
    process = start(*args, **kwargs)
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"seedlm {args}: still running after {TIMEOUT_S} s\n{out}\n{err}")
    return Result(args, process.returncode, out, err)


# --- safetensors ----------------------------------------------------------------------------------

WIDTH = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1}


def to_bytes(dtype, values):
    floats = array.array("f", values)
    if dtype == "F32":
        return floats.tobytes()
    if dtype == "BF16":  # truncated: good enough to make weights
        return b"".join(floats.tobytes()[i + 2:i + 4] for i in range(0, 4 * len(floats), 4))
    return b"".join(struct.pack("<e", v) for v in floats)


def gaussian(seed, count, sigma=0.02):
    rng = random.Random(seed)
    return [rng.gauss(0, sigma) for _ in range(count)]


def tensor(dtype, shape, seed):
    """(dtype, shape, bytes) of Gaussian weights."""
    return dtype, shape, to_bytes(dtype, gaussian(seed, math.prod(shape)))


def header(tensors, metadata=None):
    entries, offset = {}, 0
    if metadata:
        entries["__metadata__"] = metadata
    for name, (dtype, shape, size) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def write_safetensors(path, tensors, metadata=None):
    with open(path, "wb") as f:
        f.write(header({n: (d, s, len(b)) for n, (d, s, b) in tensors.items()}, metadata))
        for _, _, data in tensors.values():
            f.write(data)


def read_safetensors(path):
    """name -> (dtype, shape, bytes), and the offset in the file of each tensor's first byte."""
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack("<Q", data[:8])[0]
    entries = json.loads(data[8:8 + size])
    metadata = entries.pop("__metadata__", {})
    tensors, offsets = {}, {}
    for name, entry in entries.items():
        begin, end = (8 + size + o for o in entry["data_offsets"])
        tensors[name] = (entry["dtype"], entry["shape"], data[begin:end])
        offsets[name] = begin
    return tensors, offsets, metadata


def slow_file(path, rows=512):
    """Minutes of work for the reference backend: for jobs that are stopped."""
    write_safetensors(path, {"big.weight": tensor("F32", (rows, 256), 1)})
    return path


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)


def small_file(path, seed=1):
    """One file: two matrices to compress, the rest to pass through. 12,288 weights compressed."""
    write_safetensors(path, {
        "layers.0.up.weight": tensor("F32", (64, 96), seed),
        "layers.0.down.weight": tensor("BF16", (96, 64), seed + 1),
        "layers.0.norm.weight": tensor("F32", (64,), seed + 2),
        "embed_tokens.weight": tensor("F16", (80, 64), seed + 3),
        "position_ids": ("I64", (4,), struct.pack("<4q", 0, 1, 2, 3)),
    }, {"format": "pt"})
    return path


def small_directory(path, seed=5):
    """A sharded Hugging Face directory: two files, an index, config.json, a tokenizer, a README."""
    os.makedirs(os.path.join(path, "onnx"))
    shards = {
        "model-00001-of-00002.safetensors": {
            "model.layers.0.q_proj.weight": tensor("BF16", (64, 64), seed),
            "model.embed_tokens.weight": tensor("BF16", (70, 64), seed + 1),
        },
        "model-00002-of-00002.safetensors": {
            "model.layers.1.q_proj.weight": tensor("F16", (64, 72), seed + 2),
            "lm_head.weight": tensor("BF16", (70, 64), seed + 3),
        },
    }
    weight_map = {}
    for name, tensors in shards.items():
        write_safetensors(os.path.join(path, name), tensors, {"format": "pt"})
        weight_map.update({t: name for t in tensors})
    total = sum(len(b) for tensors in shards.values() for _, _, b in tensors.values())
    with open(os.path.join(path, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": total}, "weight_map": weight_map}, f)
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump({"model_type": "llama", "hidden_size": 64}, f)
    with open(os.path.join(path, "tokenizer.json"), "w") as f:
        f.write('{"version": "1.0"}')
    with open(os.path.join(path, "onnx", "note.txt"), "w") as f:
        f.write("copied")
    return path


def tree(path):
    """relative path -> bytes of every file below."""
    files = {}
    for root, _, names in os.walk(path):
        for name in names:
            full = os.path.join(root, name)
            with open(full, "rb") as f:
                files[os.path.relpath(full, path)] = f.read()
    return files


def read(path):
    with open(path, "rb") as f:
        return f.read()


# --- servers --------------------------------------------------------------------------------------

class Server:
    def __init__(self, directory, *args, env=None):
        self.log_path = os.path.join(directory, "server.log")
        self.log = open(self.log_path, "a")
        self.process = subprocess.Popen(
            [SERVER, "--listen", "127.0.0.1:0", "--data-dir", os.path.join(directory, "data"), *args],
            stdout=subprocess.DEVNULL, stderr=self.log, env=environment(**(env or {})))
        self.addresses = self.wait_for_addresses()
        self.address = self.addresses[0]

    def wait_for_addresses(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            found = re.search(r"listening on ([^\n\"]+)", read(self.log_path).decode())
            if found:
                return found.group(1).split()
            time.sleep(0.05)
        raise AssertionError("the server does not listen: " + read(self.log_path).decode())

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=30)
        self.log.close()
        return code

    def run(self, *args, **kwargs):
        return run(*args, "--server", self.address, **kwargs)


# --- the test case --------------------------------------------------------------------------------

class EndToEnd(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="seedlm-e2e-")
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def listing(self, directory=None):
        """Everything there, hidden names too: nothing partial may stay."""
        return sorted(os.listdir(directory or self.dir))

    def ok(self, result):
        self.assertEqual(result.code, OK, str(result))
        return result

    def fails(self, result, code, *words):
        """That exit code, nothing on stdout, and one error line with all the words and a way out."""
        self.assertEqual(result.code, code, str(result))
        self.assertEqual(result.out, "", str(result))
        errors = result.error_lines()
        self.assertEqual(len(errors), 1, str(result))
        for word in ("; ", *words):
            self.assertIn(word, errors[0], str(result))
        return result

    @contextlib.contextmanager
    def server(self, *args, env=None):
        directory = tempfile.mkdtemp(prefix="server-", dir=self.dir)
        server = Server(directory, *args, env=env)
        try:
            yield server
        except BaseException:
            if server.process.poll() is None:
                server.stop()
            raise
        if server.process.poll() is None:
            code = server.stop()
        else:
            code = server.process.returncode
        self.assertEqual(code, 0, read(server.log_path).decode())


def main():
    """Like unittest.main, but no test at all is a failure, and all skipped is ctest's skip."""
    program = unittest.main(exit=False, verbosity=2, module="__main__")
    result = program.result
    if result.testsRun == 0:
        print("no test ran", file=sys.stderr)
        sys.exit(1)
    if not result.wasSuccessful():
        sys.exit(1)
    if len(result.skipped) == result.testsRun:
        sys.exit(77)
