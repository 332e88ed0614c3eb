#!/usr/bin/env python3
"""Counts the primitives of a 7-series FPGA that Yosys maps the RTL to, and holds them to ceilings.

Usage: area.py [--work DIR] [--json FILE] [NAME..]

NAME: of the designs below; all of them without. Nothing is placed or routed: no clock is claimed.
LUTs are Yosys' count of LUT1 to LUT6, a LUT of an adder's carry chain included. Exit 1 if a count
exceeds its ceiling.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent

# name: (module, parameters, DSP allowed, ceiling of LUT)
DESIGNS = {
    "lane": ("seedlm_lane", {}, False, 1300),
    "lane 3bit": ("seedlm_lane", {"C": 12, "P": 4}, False, 3600),
}


def count(module, parameters, dsp, work):
    """{"LUT": .., "FF": .., "DSP": .., "BRAM36": ..} of a module."""
    sources = " ".join(str(path) for path in sorted(HERE.glob("*.sv")))
    stat = work / "stat.txt"
    chparam = "".join(f"chparam -set {n} {v} {module}; " for n, v in parameters.items())
    script = (f"read_verilog -sv {sources}; {chparam}hierarchy -check -top {module}; "
              f"synth_xilinx -family xc7 -flatten -abc9 -top {module} {'' if dsp else '-nodsp'}; "
              f"tee -o {stat} stat")
    run = subprocess.run(["yosys", "-q", "-p", script], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"area.py: {module}: {(run.stdout + run.stderr)[-2000:]}")
    cells = {name: int(number) for name, number in
             re.findall(r"^ +([A-Z][A-Z0-9]+) +(\d+)$", stat.read_text(), re.MULTILINE)}
    if not cells:
        sys.exit(f"area.py: {module}: Yosys counted nothing")
    total = lambda pattern: sum(n for cell, n in cells.items() if re.fullmatch(pattern, cell))
    return {"LUT": total(r"LUT[1-6]"), "FF": total(r"FD[RSCP]E"), "DSP": total(r"DSP48E1"),
            "BRAM36": total(r"RAMB36E1") + total(r"RAMB18E1") / 2}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, default=HERE.parent.parent / "build" / "area")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in DESIGNS:
            parser.error(f"no design {name!r}; there are {', '.join(DESIGNS)}")
    arguments.work.mkdir(parents=True, exist_ok=True)
    results, failed = {}, False
    for name in arguments.names or DESIGNS:
        module, parameters, dsp, ceiling = DESIGNS[name]
        started = time.monotonic()
        counts = results[name] = count(module, parameters, dsp, arguments.work)
        over = counts["LUT"] > ceiling
        failed |= over
        print(f"{name:32} LUT {counts['LUT']:7,} of {ceiling:7,}  FF {counts['FF']:6,}  "
              f"DSP {counts['DSP']:4}  BRAM36 {counts['BRAM36']:5}  "
              f"({time.monotonic() - started:.0f} s){'  OVER' if over else ''}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
