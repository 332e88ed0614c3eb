#!/usr/bin/env python3
"""Checks that no file of the project depends on the place where it was written.

Usage: paths.py ROOT

Refused: the path of the checkout itself, and anybody's home directory.
"""

import os
import pathlib
import re
import sys

HOME = r"(?<![\w.}\])-])/(?:home|Users)/\w+/"
SKIPPED_DIRECTORIES = {"build", "demo-out", ".git", ".cache", "__pycache__"}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = pathlib.Path(sys.argv[1]).resolve()
    forbidden = re.compile(f"{HOME}|{re.escape(str(root))}/")
    for negative in (f'open("{root}/x")', "see /home" + "/me/x"):
        if not forbidden.search(negative):
            sys.exit(f"paths.py: its own negative example was not found: {negative}")
    violations, count = [], 0
    for directory, subdirectories, files in os.walk(root):
        subdirectories[:] = sorted(d for d in subdirectories
                                   if d not in SKIPPED_DIRECTORIES and not d.startswith("build-"))
        for name in sorted(files):
            path = pathlib.Path(directory, name)
            count += 1
            for number, line in enumerate(
                    path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                if forbidden.search(line):
                    violations.append(f"{path.relative_to(root)}:{number}: {line.strip()[:120]}")
    if count == 0:
        sys.exit(f"paths.py: no files under {root}")
    if violations:
        sys.exit("paths of one machine:\n" + "\n".join(violations))
    print(f"paths: {count} files, none names a machine's own path")


if __name__ == "__main__":
    main()
