#!/usr/bin/env python3
"""The paper's search in NumPy, vectorised over all seeds: the baseline that a good NumPy programmer
would write. For each block: t = pinv(U) w for all 65,535 seeds by one matrix product, the common
exponent, the rounded coefficients, the reconstruction error, and the least of it.

Usage: numpy_search.py [--profile 4bit|3bit] [--seconds S] [--batch N]

Prints blocks/s as JSON. NumPy's BLAS uses as many threads as it likes; set OPENBLAS_NUM_THREADS=1
for one.
"""

import argparse
import json
import time

import numpy

SHAPES = {"4bit": (8, 3), "3bit": (12, 4)}
WIDTH = 16
TAPS = 0b1000000001011  # bits 0, 1, 3, 12


def cycle():
    """All 65,535 states, each followed by the next."""
    states = numpy.empty(2**WIDTH - 1, numpy.int64)
    state = 1
    for i in range(len(states)):
        states[i] = state
        state = (state >> 1) | ((state & TAPS).bit_count() % 2 << (WIDTH - 1))
    assert state == 1
    return states


def bases(block, rank):
    """U [seeds, block, rank] in the order of the cycle: row by row the states after the seed."""
    states = cycle()
    window = (numpy.arange(len(states))[:, None] + 1 + numpy.arange(block * rank)) % len(states)
    values = (states[window] - 2 ** (WIDTH - 1)) / (2 ** (WIDTH - 1) - 1)
    return values.reshape(-1, block, rank).astype(numpy.float32)


def search(u, inverse, weights, bias):
    """Place of the best seed and its squared error, for each row of weights [n, block]."""
    count, block, rank = u.shape
    t = (inverse.reshape(count * rank, block) @ weights.T).reshape(count, rank, -1)
    exponent = numpy.floor(numpy.log2(numpy.abs(t).max(axis=1))) - 2
    scale = numpy.exp2(numpy.clip(exponent, bias - 8, bias + 7)).astype(numpy.float32)
    q = numpy.clip(numpy.rint(t / scale[:, None, :]), -8, 7) * scale[:, None, :]
    error = ((numpy.matmul(u, q) - weights.T[None]) ** 2).sum(axis=1)
    return error.argmin(axis=0), error.min(axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", choices=SHAPES, default="4bit")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()
    block, rank = SHAPES[arguments.profile]
    u = bases(block, rank)
    inverse = numpy.linalg.pinv(u.astype(numpy.float64)).astype(numpy.float32)
    random = numpy.random.default_rng(1)
    weights = random.normal(0, 0.02, (100_000, block)).astype(numpy.float32)
    done, squared, start = 0, 0.0, time.perf_counter()
    while time.perf_counter() - start < arguments.seconds:
        part = weights[done:done + arguments.batch]
        squared += search(u, inverse, part, -10)[1].sum()
        done += len(part)
    seconds = time.perf_counter() - start
    relative = float(numpy.sqrt(squared / (weights[:done].astype(numpy.float64) ** 2).sum()))
    print(json.dumps({"profile": arguments.profile, "blocks_per_second": round(done / seconds, 1),
                      "batch": arguments.batch, "relative_error": round(relative, 4)}))


if __name__ == "__main__":
    main()
