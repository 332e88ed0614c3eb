#!/usr/bin/env python3
"""Draws the ladder of searches, blocks/s on a logarithmic axis, as SVG.

Usage: draw_ladder.py INDEX.json NUMPY.json > ladder.svg

INDEX.json is bench_index's, NUMPY.json numpy_search.py's. The same picture for the same files.
"""

import json
import math
import sys

RUNGS = [  # (text, key of bench_index or search of numpy_search, dark)
    ("NumPy, all seeds at once", "all seeds at once", False),
    ("NumPy, in pieces", "in pieces", False),
    ("the paper's algorithm in C++", "plain_1_thread", False),
    ("scan of all seeds", "exhaustive_1_thread", True),
    ("cell index, built on the way", "index_1_thread_lists_built_on_the_way", True),
    ("cell index", "index_1_thread", True),
    ("cell index, two threads", "index_2_threads", True),
]
PROFILES = ("4bit", "3bit")
LEFT, RIGHT, TOP, BAR, GAP, BLOCK = 210, 700, 44, 17, 7, 26
FIRST, DECADES = 2, 5  # the axis runs from 10^2 over so many decades

STYLE = """text{font:13px system-ui,sans-serif;fill:#333}.head{font-weight:600}.small{font-size:11px;fill:#666}
.grid{stroke:#8884}.base{fill:#9aa5b1}.ours{fill:#2f7ed8}
@media(prefers-color-scheme:dark){text{fill:#ddd}.small{fill:#aaa}.base{fill:#7b8794}.ours{fill:#5aa2f0}}"""


def x_of(rate):
    return LEFT + (math.log10(max(rate, 10**FIRST)) - FIRST) / DECADES * (RIGHT - LEFT)


def rates(index, numpy, profile):
    row = next(row for row in index["rows"] if row["profile"] == profile)
    for other in numpy["rows"]:
        if other["profile"] == profile:
            row = dict(row, **{other["search"]: other["blocks_per_second"]})
    return row


def draw(index, numpy):
    height = TOP + len(PROFILES) * (len(RUNGS) * (BAR + GAP) + BLOCK) + 20
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {RIGHT + 80} {height}" '
             f'width="{RIGHT + 80}" height="{height}" role="img">',
             "<title>Blocks searched in a second, by method</title>", f"<style>{STYLE}</style>"]
    for decade in range(DECADES + 1):
        x = x_of(10 ** (FIRST + decade))
        label = "10" if FIRST + decade == 1 else f"10<tspan dy='-5' font-size='9'>{FIRST + decade}</tspan>"
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP - 14}" x2="{x:.1f}" y2="{height - 16}"/>')
        parts.append(f'<text class="small" x="{x:.1f}" y="{height - 3}" text-anchor="middle">{label}</text>')
    parts.append(f'<text class="small" x="{RIGHT + 78}" y="{height - 3}" text-anchor="end">blocks/s</text>')
    y = TOP
    for profile in PROFILES:
        parts.append(f'<text class="head" x="4" y="{y - 6}">{profile}</text>')
        row = rates(index, numpy, profile)
        for text, key, ours in RUNGS:
            rate = row[key]
            width = x_of(rate) - LEFT
            parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{text}</text>')
            parts.append(f'<rect class="{"ours" if ours else "base"}" x="{LEFT}" y="{y}" '
                         f'width="{width:.1f}" height="{BAR}" rx="2"/>')
            parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 13}">{rate:,.0f}</text>')
            y += BAR + GAP
        y += BLOCK
    where = f'{index["machine"]}, {index["rows"][0]["instructions"]}, {index["date"]}'
    parts.append(f'<text class="small" x="{RIGHT + 78}" y="14" text-anchor="end">{where}; one thread '
                 "unless said otherwise</text>")
    return "\n".join(parts + ["</svg>"]) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as index, open(sys.argv[2], encoding="utf-8") as numpy:
        sys.stdout.write(draw(json.load(index), json.load(numpy)))


if __name__ == "__main__":
    main()
