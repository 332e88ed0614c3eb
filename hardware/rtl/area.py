#!/usr/bin/env python3
"""Counts the primitives of a 7-series FPGA that Yosys maps the RTL to, and holds them to ceilings.

Usage: area.py [--json FILE] [NAME..]

NAME: of the designs below; all of them without. Nothing is placed or routed: no clock is claimed.
LUTs are all that take the place of one: LUT1 to LUT6, inverters, those of carry chains, shift
registers, distributed memory. Modules that a design has many times are mapped once and not optimised
across their border, so its count is an upper bound. Exit 1 if a count exceeds its ceiling, if Yosys
warns of a wire without driver, or if it maps to a cell that is not counted here.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent

MOST_TOGETHER = 4  # each takes up to some GB

# Ceilings. The paper's unit has 67 K LUT, 45.4 K FF and 144 BRAM.
PAPER = {"LUT": 67_000, "FF": 45_400, "BRAM36": 144}
# Modules that are mapped by themselves.
DECODER = ("seedlm_lane", "normal_level", "weight_of_sum")
UNIT = ("block_dot", "fp16_product", "float16_to_stored", "adder_tree", "row_end", "vector_bank")

P4 = {"C": 12, "P": 4}  # 3bit
# name: (module, parameters, kept modules, ceilings); without DSP where their ceiling is 0
DESIGNS = {
    "lane": ("seedlm_lane", {}, (), {"LUT": 1300, "FF": 350, "DSP": 0, "BRAM36": 0}),
    "lane 3bit": ("seedlm_lane", P4, (), {"LUT": 3600, "FF": 430, "DSP": 0, "BRAM36": 0}),
    "decoder": ("seedlm_decoder", {}, DECODER, {**PAPER, "DSP": 256, "BRAM36": 0}),
    "decoder 3bit": ("seedlm_decoder", P4, DECODER,
                     {"LUT": 125_000, "FF": 32_000, "DSP": 384, "BRAM36": 0}),
    "decoder, no DSP": ("seedlm_decoder", {}, DECODER,
                        {"LUT": 210_000, "FF": 26_000, "DSP": 0, "BRAM36": 0}),
    "unit": ("gemv", {}, UNIT, {**PAPER, "DSP": 200}),
    "unit int8": ("gemv", {"INT8": 1}, UNIT, {**PAPER, "DSP": 200}),
    "unit pow2": ("gemv", {"POW2": 1}, UNIT, {**PAPER, "DSP": 136}),
    "unit, no DSP": ("gemv", {}, UNIT, {"LUT": 205_000, "FF": 40_000, "DSP": 0, "BRAM36": 40}),
    "fp16 unit": ("gemv", {"FP16": 1}, UNIT, {"LUT": 12_500, "FF": 7_000, "DSP": 40, "BRAM36": 40}),
    "fp16 unit, no DSP": ("gemv", {"FP16": 1}, UNIT,
                          {"LUT": 31_000, "FF": 8_000, "DSP": 0, "BRAM36": 40}),
}
# What a cell counts for.
CELLS = {**{f"LUT{i}": ("LUT", 1) for i in range(1, 7)}, "INV": ("LUT", 1),
         "SRL16E": ("LUT", 1), "SRLC32E": ("LUT", 1),
         "RAM32X1D": ("LUT", 2), "RAM64X1D": ("LUT", 2), "RAM128X1D": ("LUT", 4),
         "RAM32M": ("LUT", 4), "RAM64M": ("LUT", 4),
         **{f"FD{kind}E": ("FF", 1) for kind in "RSCP"},
         "DSP48E1": ("DSP", 1), "RAMB36E1": ("BRAM36", 1), "RAMB18E1": ("BRAM36", 0.5)}
FREE = ("CARRY4", "MUXF7", "MUXF8", "BUFG")  # no place of their own


def count(module, parameters, kept, dsp):
    """{"LUT": .., "FF": .., "DSP": .., "BRAM36": ..} of a module."""
    sources = " ".join(path.name for path in sorted(HERE.glob("*.sv")))
    chparam = "".join(f"chparam -set {n} {v} {module}; " for n, v in parameters.items())
    keep = "".join(f"setattr -mod -set keep_hierarchy 1 *{name}*; " for name in kept)
    script = (f"read_verilog -sv {sources}; {chparam}hierarchy -check -top {module}; {keep}"
              f"synth_xilinx -family xc7 -flatten -abc9 -noiopad {'' if dsp else '-nodsp'}; "
              "check; stat")
    run = subprocess.run(["yosys", "-Q", "-p", script], cwd=HERE, capture_output=True, text=True,
                         check=False)
    if run.returncode != 0:
        sys.exit(f"area.py: {module}: {(run.stdout + run.stderr)[-2000:]}")
    undriven = [line for line in (run.stdout + run.stderr).splitlines()
                if line.startswith("Warning:") and "no driver" in line]
    if undriven:
        sys.exit(f"area.py: {module}: {len(undriven)} wires without driver: {undriven[0]}")
    # With kept modules the last part counts the whole, each of them as often as it is there.
    text = run.stdout.split("Printing statistics.")[-1].split("Number of cells:")[-1]
    cells = {name: int(number) for name, number in
             re.findall(r"^ +([A-Za-z$\\\\]\S*) +(\d+)$", text, re.MULTILINE)}
    if not cells:
        sys.exit(f"area.py: {module}: Yosys counted nothing")
    unknown = [cell for cell in cells if cell not in CELLS and cell not in FREE]
    if unknown:
        sys.exit(f"area.py: {module}: cells that nothing is known of: {', '.join(unknown)}")
    totals = dict.fromkeys(("LUT", "FF", "DSP", "BRAM36"), 0)
    for cell, number in cells.items():
        if cell in CELLS:
            kind, each = CELLS[cell]
            totals[kind] += each * number
    return {**totals, "cells": cells}


def timed_count(name):
    """What `count` says of a design, and the seconds that it took."""
    module, parameters, kept, ceilings = DESIGNS[name]
    started = time.monotonic()
    return count(module, parameters, kept, ceilings["DSP"] != 0), time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in DESIGNS:
            parser.error(f"no design {name!r}; there are {', '.join(DESIGNS)}")
    results, failed = {}, False
    names = arguments.names or list(DESIGNS)
    cores = min(len(os.sched_getaffinity(0)), MOST_TOGETHER)
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:  # each thread waits for a Yosys
        for name, (counts, seconds) in zip(names, pool.map(timed_count, names)):
            results[name] = counts
            ceilings = DESIGNS[name][3]
            over = any(counts[kind] > ceiling for kind, ceiling in ceilings.items())
            failed |= over
            print(f"{name:18}", *(f"{kind} {counts[kind]:7,} of {ceilings[kind]:7,} " for kind in
                                  ("LUT", "FF", "DSP", "BRAM36")),
                  f"({seconds:.0f} s){'  OVER' if over else ''}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
