#!/usr/bin/env python3
"""Checks that no file of the project depends on the place where it was written.

Usage: paths.py ROOT

Refused: absolute paths of a developer's machine, and relative paths that leave the repository.
"""

import os
import pathlib
import re
import sys

FORBIDDEN = re.compile(r"\.\./shared|(?<![\w.}\])-])/(?:work|farm|home/\w+)/")
SKIPPED_DIRECTORIES = {"build", "demo-out", ".git", ".cache", "__pycache__"}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for negative in ("see .." + "/shared/x", 'open("' + "/work" + '/main/x")', "/home" + "/me/x"):
        if not FORBIDDEN.search(negative):
            sys.exit(f"paths.py: its own negative example was not found: {negative}")
    root = pathlib.Path(sys.argv[1]).resolve()
    violations, count = [], 0
    for directory, subdirectories, files in os.walk(root):
        subdirectories[:] = sorted(d for d in subdirectories
                                   if d not in SKIPPED_DIRECTORIES and not d.startswith("build-"))
        for name in sorted(files):
            path = pathlib.Path(directory, name)
            count += 1
            for number, line in enumerate(
                    path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                if FORBIDDEN.search(line):
                    violations.append(f"{path.relative_to(root)}:{number}: {line.strip()[:120]}")
    if count == 0:
        sys.exit(f"paths.py: no files under {root}")
    if violations:
        sys.exit("paths of one machine:\n" + "\n".join(violations))
    print(f"paths: {count} files, none names a machine's own path")


if __name__ == "__main__":
    main()
