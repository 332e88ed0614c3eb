#!/usr/bin/env python3
"""Checks the import law: which room may include which, and that the rooms form no circle.

Usage: import_law.py [--graph] ROOT

Reads every #include of the C++ and CUDA sources under ROOT. `--graph` prints the edges that
exist, one `room -> room` a line. Exit 1 with one line for each violation.
"""

import argparse
import pathlib
import re
import sys
import tempfile

# a room: the rooms whose headers it may include, besides its own.
LAW = {
    "kernels/codec": [],
    "kernels/format": ["kernels/codec"],
    "kernels/checksum": ["kernels/format"],
    "kernels/verify": ["kernels/registry", "kernels/backend", "kernels/format", "kernels/codec"],
    "kernels/search": ["kernels/codec"],
    "kernels/backend": ["kernels/codec"],
    "kernels/cpu": ["kernels/backend", "kernels/search", "kernels/codec"],
    "kernels/cuda": ["kernels/backend", "kernels/search", "kernels/codec"],
    "kernels/registry": ["kernels/backend", "kernels/cpu", "kernels/search"],
    "kernels/bench": ["kernels/registry", "kernels/cpu", "kernels/cuda", "kernels/backend", "kernels/search",
                      "kernels/codec"],
    "hardware/hls": [],
    "hardware/sim": ["hardware/hls", "kernels/format", "kernels/codec"],
    "proto": [],
    "server/errors": [],
    "server/auth": ["server/errors", "kernels/format"],
    "server/log": [],
    "server/metrics": [],
    "server/jobs": ["server/errors", "kernels/codec"],  # profile.h: the words of a request
    "server/admission": ["server/errors", "server/jobs", "kernels/format", "kernels/codec"],
    "server/storage/s3": ["server/errors"],
    "server/storage": ["server/errors", "server/storage/s3", "kernels/checksum", "kernels/format"],
    "server/workers": ["server/errors", "server/storage", "kernels/backend", "kernels/checksum",
                       "kernels/codec", "kernels/format"],
    "server/scheduler": ["server/errors", "server/jobs", "server/log", "server/metrics",
                         "server/workers", "server/storage", "server/storage/s3", "kernels/verify",
                         "kernels/registry", "kernels/backend", "kernels/checksum",
                         "kernels/codec", "kernels/format"],
    "server/rpc": ["proto", "server/errors", "server/auth", "server/admission", "server/jobs",
                   "server/metrics", "server/scheduler", "server/storage", "kernels/checksum",
                   "kernels/format"],  # utf8.h: what may stand in a message
    # The composition root: main, config, server. It alone sees every room of the server.
    "server": ["proto", "server/errors", "server/auth", "server/admission", "server/jobs",
               "server/log", "server/metrics", "server/rpc", "server/scheduler", "server/storage",
               "server/storage/s3",
               "server/workers", "kernels/registry", "kernels/backend"],
    "client": ["client/commands", "proto", "kernels/checksum", "kernels/verify", "kernels/format", "kernels/codec"],
    "client/commands": ["client", "proto", "kernels/verify", "kernels/format", "kernels/codec"],
}

# Rooms that are one library and may include each other; drawn as one in the search for circles.
JOINED = {"client/commands": "client"}

# The only files that may cross a wall, and into which rooms.
EXCEPTIONS = {
    "client/embedded_server.h": ["server"],
    "client/embedded_server.cc": ["server"],
}

# Rooms that may include anything but are themselves included by nobody.
TOP = ["tests"]

SUFFIXES = {".h", ".cc", ".cu", ".cuh", ".cpp", ".hpp"}
SKIPPED_DIRECTORIES = {"build", ".git"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)
GENERATED = ("seedlm/", "google/rpc/", "grpc/health/")  # what proto/ holds


def room_of(path):
    """The room of a file: the longest known prefix of its directory."""
    directory = str(pathlib.PurePosixPath(path).parent)
    if directory.split("/")[0] in TOP:
        return directory.split("/")[0]
    while directory not in LAW and "/" in directory:
        directory = directory.rsplit("/", 1)[0]
    return directory if directory in LAW else None


def is_generated(target):
    return target.startswith(GENERATED) and target.endswith(".pb.h")


def third_party(root, file, bracket, target):
    """A header of the system, or one in a folder that is not ours ("absl/status/status.h")."""
    ours = {room.split("/")[0] for room in LAW} | set(TOP)
    if target.split("/")[0] in ours or is_generated(target):
        return False
    if bracket == "<":
        return True
    return "/" in target and not (root / file).parent.joinpath(target).is_file()


def sources(root):
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if relative.parts[0] in SKIPPED_DIRECTORIES or relative.parts[0].startswith("build-"):
            continue
        if path.suffix in SUFFIXES and path.is_file():
            yield relative.as_posix(), path.read_text(encoding="utf-8", errors="replace")


def find_circle(edges):
    """A circle among the rooms as a list, or None."""
    state, trail = {}, []

    def visit(room):
        state[room] = "open"
        trail.append(room)
        for other in sorted(edges.get(room, ())):
            if state.get(other) == "open":
                return trail[trail.index(other):] + [other]
            if other not in state:
                circle = visit(other)
                if circle:
                    return circle
        state[room] = "done"
        trail.pop()
        return None

    for room in sorted(edges):
        if room not in state:
            circle = visit(room)
            if circle:
                return circle
    return None


def check(root):
    """Returns (violations, edges between rooms, number of files read)."""
    violations, edges, count = [], {}, 0
    for file, text in sources(root):
        count += 1
        room = room_of(file)
        if room is None:
            violations.append(f"{file}: lies in no room of the import law")
            continue
        for bracket, target in INCLUDE.findall(text):
            if third_party(root, file, bracket, target):
                continue
            other = "proto" if is_generated(target) else room_of(target)
            if other is None or not (other == "proto" or (root / target).is_file()):
                violations.append(f'{file}: "{target}" is no file of the project, spelled from its '
                                  "root")
            elif other in TOP and room not in TOP:
                violations.append(f'{file}: nobody includes {other}: "{target}"')
            elif room in TOP or other == room or other in EXCEPTIONS.get(file, ()):
                continue
            elif other in LAW[room]:
                a, b = JOINED.get(room, room), JOINED.get(other, other)
                if a != b:
                    edges.setdefault(a, set()).add(b)
            else:
                violations.append(f'{file}: {room} may not include {other}: "{target}"')
    circle = find_circle(edges)
    if circle:
        violations.append("circle: " + " -> ".join(circle))
    return violations, edges, count


def prove_itself():
    """The checker must find each of these; a check that cannot fail is worth nothing."""
    tree = {
        "kernels/codec/a.h": '#include "kernels/format/b.h"\n',  # against the direction
        "kernels/format/b.h": '#include "kernels/codec/a.h"\n',  # fine
        "server/jobs/c.cc": "#include <seedlm/v1/job.pb.h>\n",   # generated code outside rpc
        "client/d.cc": '#include "server/server.h"\n',           # only embedded_server may
        "client/embedded_server.cc": '#include "server/server.h"\n',  # fine
        "server/server.h": '#include "tests/e.h"\n',             # nobody includes tests
        "tests/e.h": '#include "server/server.h"\n',             # fine
        "kernels/search/f.cc": '#include "f.h"\n'                # not spelled from the root
                               '#include "absl/status/status.h"\n#include <vector>\n',  # fine
        "attic/g.cc": "",                                        # no room
    }
    expected = ["kernels/codec may not include kernels/format", "server/jobs may not include proto",
                "client may not include server", "nobody includes tests", 'f.cc: "f.h" is no file',
                "attic/g.cc: lies in no room"]
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, text in tree.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        violations, _, _ = check(root)
    for text in expected:
        if not any(text in violation for violation in violations):
            sys.exit(f"import_law.py: its own negative example was not found: {text}")
    if len(violations) != len(expected):
        sys.exit("import_law.py: its own example gives more than expected:\n"
                 + "\n".join(violations))
    if find_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) is None or find_circle({"a": {"b"}}):
        sys.exit("import_law.py: its search for circles is broken")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graph", action="store_true", help="print the edges that exist")
    parser.add_argument("root", type=pathlib.Path)
    arguments = parser.parse_args()
    prove_itself()
    law_edges = {JOINED.get(room, room): {JOINED.get(o, o) for o in others} - {JOINED.get(room, room)}
                 for room, others in LAW.items()}
    circle = find_circle(law_edges)
    if circle:
        sys.exit("import_law.py: the law itself has a circle: " + " -> ".join(circle))
    violations, edges, count = check(arguments.root.resolve())
    if count == 0:
        sys.exit(f"import_law.py: no sources under {arguments.root}")
    if arguments.graph:
        for room in sorted(edges):
            for other in sorted(edges[room]):
                print(f"{room} -> {other}")
    for violation in violations:
        print(violation, file=sys.stderr)
    if violations:
        sys.exit(1)
    print(f"import law: {count} files, {sum(map(len, edges.values()))} edges, no circle")


if __name__ == "__main__":
    main()
