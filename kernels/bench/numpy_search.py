#!/usr/bin/env python3
"""The paper's search in NumPy, vectorised over all seeds: the baseline that a good NumPy programmer
would write. For each block: t = pinv(U) w for all 65,535 seeds by one matrix product, the common
exponent, the rounded coefficients, the reconstruction error, and the least of it.

Usage: numpy_search.py [--commit C] [--seconds S]

Prints blocks/s as JSON, of two ways to write it: all seeds in one step, as one does it first, and in
pieces that fit the cache, as one does it in the end. NumPy's BLAS uses as many threads as it likes,
all else one; OPENBLAS_NUM_THREADS=1 keeps it to one.
"""

import argparse
import json
import os
import time

import numpy

SHAPES = {"4bit": (8, 3), "3bit": (12, 4)}
WIDTH = 16
BIAS = -10  # of pow2's exponents, right for a sigma of 0.02
# name, blocks together, seeds together
VARIANTS = (("all seeds at once", 16, 2**WIDTH - 1), ("in pieces", 64, 1024))
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
    exponent = numpy.frexp(numpy.abs(t).max(axis=1))[1] - 1 - 2  # floor(log2) - 2
    scale = numpy.ldexp(numpy.float32(1), numpy.clip(exponent, bias - 8, bias + 7))[:, None, :]
    q = numpy.clip(numpy.rint(t / scale), -8, 7) * scale
    difference = numpy.matmul(u, q)
    difference -= weights.T
    difference *= difference
    error = difference.sum(axis=1)
    return error.argmin(axis=0), error.min(axis=0)


def search_in_pieces(u, inverse, weights, bias, piece):
    """The same, `piece` seeds at a time, so that what lies between the steps stays in the cache."""
    place = numpy.zeros(len(weights), numpy.int64)
    least = numpy.full(len(weights), numpy.inf, numpy.float32)
    for first in range(0, len(u), piece):
        last = first + piece
        at, error = search(u[first:last], inverse[first:last], weights, bias)
        better = error < least
        place[better] = first + at[better]
        least[better] = error[better]
    return place, least


def measure(u, inverse, weights, batch, piece, seconds):
    search_in_pieces(u, inverse, weights[:batch], BIAS, piece)  # warm up
    done, squared, start = 0, 0.0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        part = weights[done:done + batch]
        squared += search_in_pieces(u, inverse, part, BIAS, piece)[1].sum()
        done += len(part)
    rate = done / (time.perf_counter() - start)
    norm = (weights[:done].astype(numpy.float64) ** 2).sum()
    return round(rate, 1), round(float(numpy.sqrt(squared / norm)), 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commit", default="")
    parser.add_argument("--seconds", type=float, default=5, help="for each row")
    arguments = parser.parse_args()
    rows = []
    for profile, (block, rank) in SHAPES.items():
        u = bases(block, rank)
        inverse = numpy.linalg.pinv(u.astype(numpy.float64)).astype(numpy.float32)
        weights = numpy.random.default_rng(1).normal(0, 0.02, (200_000, block))
        for name, batch, piece in VARIANTS:
            rate, error = measure(u, inverse, weights.astype(numpy.float32), batch, piece,
                                  arguments.seconds)
            rows.append({"profile": profile, "search": name, "batch": batch, "seeds": piece,
                         "blocks_per_second": rate, "relative_error": error})
    threads = os.environ.get("OPENBLAS_NUM_THREADS", str(os.cpu_count()))
    print(json.dumps({"date": time.strftime("%Y-%m-%d", time.gmtime()),
                      "commit": arguments.commit, "numpy": numpy.__version__,
                      "blas_threads": int(threads), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
