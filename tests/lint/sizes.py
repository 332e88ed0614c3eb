#!/usr/bin/env python3
"""Checks that no source file has grown too long, and prints the median.

Usage: sizes.py ROOT
"""

import pathlib
import statistics
import sys

MAX_LINES = 600
MANY_LINES = 350  # few files should be longer: they are named, but allowed
SUFFIXES = {".h", ".cc", ".cpp", ".cu", ".proto", ".py", ".sh", ".sql", ".sv", ".tcl"}
SKIPPED_DIRECTORIES = {"build", ".git"}


def too_long(lengths):
    return [name for name, lines in lengths.items() if lines > MAX_LINES]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = pathlib.Path(sys.argv[1]).resolve()
    lengths = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        first = relative.parts[0]
        if first in SKIPPED_DIRECTORIES or first.startswith("build-"):
            continue
        if path.suffix in SUFFIXES and path.is_file():
            lengths[relative.as_posix()] = len(path.read_bytes().splitlines())
    if not lengths:
        sys.exit(f"sizes.py: no sources under {root}")
    if too_long({"a": MAX_LINES, "b": MAX_LINES + 1}) != ["b"]:
        sys.exit("sizes.py: its own negative example was not found")
    for name, lines in lengths.items():
        if lines > MANY_LINES:
            print(f"{name}: {lines} lines")
    print(f"sizes: {len(lengths)} files, median {statistics.median(lengths.values()):.0f} lines, "
          f"longest {max(lengths.values())}")
    if too_long(lengths):
        sys.exit(f"more than {MAX_LINES} lines: {', '.join(too_long(lengths))}: split by meaning")


if __name__ == "__main__":
    main()
