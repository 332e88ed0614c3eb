#!/usr/bin/env python3
"""The paper's table, from the simulator: cycles of both units, and the plot of the speed-up.

Usage: table.py --sim PROGRAM [--write | --squares]

Prints the tables as Markdown. Exit 1 if a speed-up is below what is asked of it, or if README.md or
speedup.svg beside this file hold other figures; --write puts them there, --squares looks at the table
of squares alone. Everything is deterministic.
"""

import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BEGIN, END = "<!-- cycles: table.py -->\n", "<!-- end -->\n"

# The paper's speed-ups, and its cycles at 2048.
PAPER = {512: 3.67, 1024: 3.92, 2048: 3.98}
PAPER_CYCLES_2048 = 34331
SQUARES = (512, 1024, 2048, 4096, 8192)
# name, rows, columns, whether the vector is there already (k and v after q, up after gate)
LAYERS = (
    ("7B q, o", 4096, 4096, False),
    ("7B k, v", 4096, 4096, True),
    ("7B gate, up", 11008, 4096, False),
    ("7B down", 4096, 11008, False),
    ("70B q, o", 8192, 8192, False),
    ("70B k, v", 1024, 8192, True),
    ("70B gate, up", 28672, 8192, False),
    ("70B down", 8192, 28672, False),
)
PLOTTED = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)


class Simulator:
    def __init__(self, program):
        self.program = program

    def cycles(self, unit, rows, columns, count=1, same_vector=False):
        command = [self.program, "--rows", rows, "--cols", columns, "--unit", unit,
                   "--count", count, "--json"] + (["--same-vector"] if same_vector else [])
        run = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            sys.exit(f"table.py: {run.stderr}")
        return json.loads(run.stdout)["cycles"]

    def alone(self, rows, columns):
        return tuple(self.cycles(unit, rows, columns) for unit in ("fp16", "seedlm"))

    def in_sequence(self, rows, columns, same_vector):
        """What one more such matrix adds to a sequence of them."""
        return tuple(self.cycles(unit, rows, columns, 3, same_vector)
                     - self.cycles(unit, rows, columns, 2, same_vector)
                     for unit in ("fp16", "seedlm"))


def squares(simulator, failures):
    lines = ["| matrix | fp16 cycles | over weights / 32 | seedlm cycles | speed-up | the paper's |",
             "|---|---|---|---|---|---|"]
    for side in SQUARES:
        fp16, seedlm = simulator.alone(side, side)
        over = fp16 / (side * side / 32) - 1
        lines.append(f"| {side} x {side} | {fp16:,} | {100 * over:.2f} % | {seedlm:,} | "
                     f"{fp16 / seedlm:.3f} | {PAPER.get(side, '')} |")
        if fp16 / seedlm < PAPER.get(side, 3.99):
            failures.append(f"{side}: speed-up {fp16 / seedlm:.3f}")
        if over > 0.05:
            failures.append(f"{side}: fp16 is {100 * over:.1f} % over its floor")
        if side == 2048 and seedlm > PAPER_CYCLES_2048:
            failures.append(f"2048: {seedlm} cycles")
    return "\n".join(lines) + "\n"


def layers(simulator, failures):
    lines = ["", "| Llama-2 layer | rows x columns | fp16, alone | seedlm, alone | speed-up | "
              "fp16, in sequence | seedlm, in sequence | speed-up |",
              "|---|---|---|---|---|---|---|---|"]
    for name, rows, columns, same_vector in LAYERS:
        fp16, seedlm = simulator.alone(rows, columns)
        fp16_next, seedlm_next = simulator.in_sequence(rows, columns, same_vector)
        lines.append(f"| {name} | {rows} x {columns} | {fp16:,} | {seedlm:,} | "
                     f"{fp16 / seedlm:.3f} | {fp16_next:,} | {seedlm_next:,} | "
                     f"{fp16_next / seedlm_next:.3f} |")
        if fp16_next / seedlm_next < 3.99:
            failures.append(f"{name}: speed-up in sequence {fp16_next / seedlm_next:.3f}")
    return "\n".join(lines) + "\n"


def plot(simulator):
    """Speed-up against the side of a square matrix, alone; the paper's three points."""
    left, top, width, height, low, high = 60, 20, 520, 260, 2.8, 4.05
    step = width / (len(PLOTTED) - 1)

    def x(side):
        return left + step * PLOTTED.index(side)

    def y(value):
        return top + height * (high - value) / (high - low)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 20} '
             f'{top + height + 60}" font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>']
    for value in (2.8, 3.0, 3.2, 3.4, 3.6, 3.8, 4.0):
        parts.append(f'<path d="M{left} {y(value):.1f}h{width}" stroke="#ddd"/>'
                     f'<text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>')
    for side in PLOTTED:
        parts.append(f'<text x="{x(side):.1f}" y="{top + height + 18}" '
                     f'text-anchor="middle">{side}</text>')
    points = [(x(side), y(fp16 / seedlm)) for side in PLOTTED
              for fp16, seedlm in [simulator.alone(side, side)]]
    parts.append('<polyline fill="none" stroke="#0b6" stroke-width="2" points="'
                 + " ".join(f"{a:.1f},{b:.1f}" for a, b in points) + '"/>')
    parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="#0b6"/>' for a, b in points]
    parts += [f'<rect x="{x(side) - 4:.1f}" y="{y(value) - 4:.1f}" width="8" height="8" fill="none" '
              'stroke="#c30" stroke-width="2"/>' for side, value in PAPER.items()]
    bottom = top + height + 42
    parts += [f'<text x="{left + width / 2}" y="{bottom}" text-anchor="middle">side of a square '
              'matrix, one product alone, no memory stalls</text>',
              f'<text transform="translate(16 {top + height / 2}) rotate(-90)" '
              'text-anchor="middle">fp16 cycles / seedlm cycles</text>',
              f'<text x="{left + width - 190}" y="{y(3.1):.1f}" fill="#0b6">&#9679; these units</text>',
              f'<text x="{left + width - 190}" y="{y(3.0):.1f}" fill="#c30">&#9633; the paper\'s '
              'figures</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def finish(failures):
    for failure in failures:
        print(f"table.py: {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sim", required=True, help="the program seedlm-fpga-sim")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="update README.md and speedup.svg")
    what.add_argument("--squares", action="store_true", help="the table of squares alone")
    arguments = parser.parse_args()
    simulator, failures = Simulator(arguments.sim), []
    readme_path, plot_path = HERE / "README.md", HERE / "speedup.svg"
    readme = readme_path.read_text(encoding="utf-8")
    markdown = squares(simulator, failures)
    if arguments.squares:
        print(markdown)
        if markdown not in readme:
            failures.append("README.md holds another table of squares; table.py --write mends it")
        finish(failures)
    markdown, svg = markdown + layers(simulator, failures), plot(simulator)
    print(markdown)
    begin, end = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    if arguments.write:
        readme_path.write_text(readme[:begin] + markdown + readme[end:], encoding="utf-8")
        plot_path.write_text(svg, encoding="utf-8")
    else:
        if readme[begin:end] != markdown:
            failures.append("README.md holds another table; table.py --write puts this one there")
        if not plot_path.exists() or plot_path.read_text(encoding="utf-8") != svg:
            failures.append("speedup.svg shows something else; table.py --write draws it")
    finish(failures)


if __name__ == "__main__":
    main()
