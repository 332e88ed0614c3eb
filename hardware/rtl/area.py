#!/usr/bin/env python3
"""Counts the primitives of a 7-series FPGA that Yosys maps the RTL to, and holds them to ceilings.

Usage: area.py [--json FILE] [NAME..]

NAME: of the designs below; all of them without. Nothing is placed or routed: no clock is claimed.
LUTs are all that take the place of one: LUT1 to LUT6, inverters, those of carry chains, shift
registers, distributed memory. Modules that a design has many times are mapped once and not optimised
across their border, so its count is an upper bound. Exit 1 if a count exceeds its ceiling, or if Yosys
warns of a wire without driver.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent

PAPER_LUT = 67_000  # of the paper's unit
# Modules that are mapped by themselves.
DECODER = ("seedlm_lane", "normal_level", "weight_of_sum")
UNIT = ("block_dot", "fp16_product", "float16_to_stored", "adder_tree", "row_end", "vector_bank")

# name: (module, parameters, kept modules, DSP allowed, ceiling of LUT, of DSP)
DESIGNS = {
    "lane": ("seedlm_lane", {}, (), False, 1300, 0),
    "lane 3bit": ("seedlm_lane", {"C": 12, "P": 4}, (), False, 3600, 0),
    "decoder": ("seedlm_decoder", {}, DECODER, True, PAPER_LUT, 256),
    "decoder, no DSP": ("seedlm_decoder", {}, DECODER, False, 210_000, 0),
    "unit": ("gemv", {}, UNIT, True, PAPER_LUT, 200),
    "unit, no DSP": ("gemv", {}, UNIT, False, 205_000, 0),
    "fp16 unit": ("gemv", {"FP16": 1}, UNIT, True, 12_500, 40),
    "fp16 unit, no DSP": ("gemv", {"FP16": 1}, UNIT, False, 31_000, 0),
}
# LUTs that a cell takes.
LUTS = {**{f"LUT{i}": 1 for i in range(1, 7)}, "INV": 1, "SRL16E": 1, "SRLC32E": 1,
        "RAM32X1D": 2, "RAM64X1D": 2, "RAM32M": 4, "RAM64M": 4, "RAM128X1D": 4}


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
    text = run.stdout.split("Printing statistics.")[-1].split("=== design hierarchy ===")[-1]
    cells = {name: int(number) for name, number in
             re.findall(r"^ +([A-Z][A-Z0-9]+) +(\d+)$", text, re.MULTILINE)}
    if not cells:
        sys.exit(f"area.py: {module}: Yosys counted nothing")
    total = lambda pattern: sum(n for cell, n in cells.items() if re.fullmatch(pattern, cell))
    return {"LUT": sum(LUTS[cell] * n for cell, n in cells.items() if cell in LUTS),
            "FF": total(r"FD[RSCP]E"), "DSP": total(r"DSP48E1"),
            "BRAM36": total(r"RAMB36E1") + total(r"RAMB18E1") / 2, "cells": cells}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in DESIGNS:
            parser.error(f"no design {name!r}; there are {', '.join(DESIGNS)}")
    results, failed = {}, False
    for name in arguments.names or DESIGNS:
        module, parameters, kept, dsp, ceiling, dsp_ceiling = DESIGNS[name]
        started = time.monotonic()
        counts = results[name] = count(module, parameters, kept, dsp)
        over = counts["LUT"] > ceiling or counts["DSP"] > dsp_ceiling
        failed |= over
        print(f"{name:24} LUT {counts['LUT']:7,} of {ceiling:7,}  FF {counts['FF']:6,}  "
              f"DSP {counts['DSP']:4} of {dsp_ceiling:4}  BRAM36 {counts['BRAM36']:5}  "
              f"({time.monotonic() - started:.0f} s){'  OVER' if over else ''}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
