#!/usr/bin/env python3
"""Checks that each image is built from all that CMake configures without the tests.

Usage: dockerfile.py ROOT

A stage of docker/Dockerfile that runs cmake must COPY CMakeLists.txt, CMakePresets.json and every directory of
an add_subdirectory of the root's CMakeLists.txt but `tests`. Exit 1 with one line for each that is missing.
"""

import pathlib
import re
import sys


def stages(dockerfile):
    """name -> its lines, continued ones joined."""
    found, name = {}, None
    for line in dockerfile.replace("\\\n", " ").splitlines():
        if match := re.match(r"FROM \S+ AS (\S+)", line):
            found[name := match.group(1)] = []
        elif name:
            found[name].append(line)
    return found


def missing(dockerfile, cmake):
    """(stages that run cmake, a line for each thing that one of them lacks)."""
    needed = {"CMakeLists.txt", "CMakePresets.json"}
    needed |= set(re.findall(r"^\s*add_subdirectory\((\w+)\)", cmake, re.MULTILINE)) - {"tests"}
    built, lacks = [], []
    for name, lines in stages(dockerfile).items():
        if not any(re.match(r"RUN .*\bcmake\b", line) for line in lines):
            continue
        built.append(name)
        copied = {source for line in lines if line.startswith("COPY ") for source in line.split()[1:-1]}
        lacks += [f"docker/Dockerfile: stage {name} does not COPY {what}" for what in sorted(needed - copied)]
    return built, lacks


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    example = "FROM x AS a\nCOPY CMakeLists.txt CMakePresets.json ./\nRUN cmake .\n"
    if missing(example, "add_subdirectory(room)") != (["a"], ["docker/Dockerfile: stage a does not COPY room"]):
        sys.exit("dockerfile.py: its own negative example was not found")
    root = pathlib.Path(sys.argv[1])
    built, lacks = missing((root / "docker/Dockerfile").read_text(), (root / "CMakeLists.txt").read_text())
    if not built:
        sys.exit("dockerfile.py: no stage of docker/Dockerfile runs cmake")
    if lacks:
        sys.exit("\n".join(lacks))
    print(f"dockerfile: {', '.join(built)} have all that CMake configures")


if __name__ == "__main__":
    main()
