#!/usr/bin/env python3
"""File to file, as a user does it: `seedlm compress` with the server in its process.

Usage: bench_files.py [--commit C] [--threads N] [--layers N] [--model PATH] SEEDLM

Compresses a generated bfloat16 checkpoint (Gaussian weights in the shapes of a 1.1B Llama, four
layers: 205 million weights; needs NumPy and 0.7 GB below TMPDIR) and, with --model, one of yours;
each with no lists of the index to begin with, and with those that the first run left. Prints JSON:
seconds and weights/s of the whole process, its peak resident memory, and the share of the threads'
time in which no tensor was measured or searched.
"""

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time

WIDTH, HIDDEN, SIGMA = 2048, 5632, 0.02
LAYER = {"self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (WIDTH, WIDTH),
         "self_attn.v_proj": (WIDTH, WIDTH), "self_attn.o_proj": (WIDTH, WIDTH),
         "mlp.gate_proj": (HIDDEN, WIDTH), "mlp.up_proj": (HIDDEN, WIDTH),
         "mlp.down_proj": (WIDTH, HIDDEN)}


def write_checkpoint(path, layers):
    import numpy  # only the generated checkpoint needs it

    shapes = {f"model.layers.{i}.{name}.weight": shape
              for i in range(layers) for name, shape in LAYER.items()}
    header, at = {}, 0
    for name, (rows, columns) in shapes.items():
        header[name] = {"dtype": "BF16", "shape": [rows, columns],
                        "data_offsets": [at, at + 2 * rows * columns]}
        at += 2 * rows * columns
    text = json.dumps(header).encode()
    random = numpy.random.default_rng(1)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for rows, columns in shapes.values():
            weights = random.standard_normal((rows, columns), numpy.float32) * SIGMA
            bits = weights.view(numpy.uint32)  # to the nearest bfloat16, ties to even
            out.write(((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes())


def run(seedlm, source, scratch, cache, threads):
    """One row: what a process did from start to end."""
    output = os.path.join(scratch, "compressed-" + os.path.basename(os.path.normpath(source)))
    command = [seedlm, "compress", source, output, "--threads", str(threads), "--force", "--json"]
    environment = dict(os.environ, XDG_CACHE_HOME=cache, XDG_STATE_HOME=scratch)
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    answer, said = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode != 0:
        sys.exit(f"bench_files.py: {' '.join(command)} ended with {process.returncode}: {said}")
    report = json.loads(answer)
    busy = sum(tensor["seconds"] for tensor in report["tensors"])
    return {"weights": report["weights"], "seconds": round(seconds, 2),
            "weights_per_second": round(report["weights"] / seconds),
            "relative_error": round(report["relative_error"], 4),
            "share_not_search": round(1 - busy / (threads * seconds), 3)}


def with_peak(function):
    """The function's row with the peak memory of what it started. In a fork: the system keeps one
    peak for all children that a process has had."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            row = function()
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
        row["peak_mib"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
        os.write(writer, json.dumps(row).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    if os.waitpid(child, 0)[1] != 0 or not text:
        sys.exit("bench_files.py: a run failed")
    return json.loads(text)


def measure(name, seedlm, source, scratch, threads):
    cache = tempfile.mkdtemp(dir=scratch)
    for lists in ("cold", "warm"):
        row = with_peak(lambda: run(seedlm, source, scratch, cache, threads))
        yield dict({"checkpoint": name, "lists": lists, "threads": threads}, **row)


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seedlm")
    parser.add_argument("--commit", default="")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--model")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        generated = os.path.join(scratch, "generated.safetensors")
        write_checkpoint(generated, arguments.layers)
        rows += measure("generated, bfloat16", arguments.seedlm, generated, scratch,
                        arguments.threads)
        if arguments.model:
            rows += measure(os.path.basename(os.path.normpath(arguments.model)), arguments.seedlm,
                            arguments.model, scratch, arguments.threads)
    print(json.dumps({"date": time.strftime("%Y-%m-%d", time.gmtime()),
                      "commit": arguments.commit, "machine": cpu_model(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
