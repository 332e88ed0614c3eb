#!/usr/bin/env python3
"""Checks what the compiled kernels take of a processor against a checked-in budget.

Usage: check_resources.py [--write] DIRECTORY BUDGET

DIRECTORY: of a build; its *.ptxas files are what ptxas said of each object (log_ptxas.sh). BUDGET is
JSON: architecture -> kernel -> [registers, bytes of stack]. A kernel that spills, is above its budget,
has none, or is gone is an error: exit status 1, one line each. So is one with a stack beyond stack_bytes
of tuning.h beside this script, by which memory is counted. --write replaces BUDGET by what there is.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

USAGE = re.compile(r"Compiling entry function '(\w+)' for '(sm_\w+)'.*?"
                   r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?"
                   r"Used (\d+) registers", re.DOTALL)
NAME = re.compile(r"(\w+Kernel)(?:<(.*?)>)?\(")


def short_name(mangled):
    """"ScanKernel<8, 3>" for the mangled name of the instance for that shape."""
    name = subprocess.run(["c++filt", mangled], capture_output=True, text=True, check=True).stdout
    found = NAME.search(name)
    if not found:
        return name.strip()
    if found[2] is None:
        return found[1]
    arguments = re.sub(r"seedlm::codec::Shape<(\d+), (\d+)>", r"\1, \2", found[2])
    arguments = re.sub(r"\(seedlm::backend::WeightType\)(\d)", r"type \1", arguments)
    return f"{found[1]}<{arguments.strip()}>"


def measure(directory):
    """({architecture: {kernel: [registers, stack bytes]}}, lines about spills)"""
    usage, spills = {}, []
    for path in sorted(pathlib.Path(directory).rglob("*.ptxas")):
        for mangled, architecture, stack, stores, loads, registers in USAGE.findall(
                path.read_text(encoding="utf-8")):
            kernel = short_name(mangled)
            usage.setdefault(architecture, {})[kernel] = [int(registers), int(stack)]
            if int(stores) or int(loads):
                spills.append(f"{architecture} {kernel}: spills {stores} bytes, reads {loads}")
    if not usage:
        sys.exit(f"check_resources.py: no kernels under {directory}")
    return usage, spills


def compare(usage, budget):
    wrong = []
    for architecture in sorted(set(usage) | set(budget)):
        has, may = usage.get(architecture, {}), budget.get(architecture, {})
        for kernel in sorted(set(has) | set(may)):
            if kernel not in may:
                wrong.append(f"{architecture} {kernel}: has no budget")
            elif kernel not in has:
                wrong.append(f"{architecture} {kernel}: has a budget but is gone")
            elif any(h > m for h, m in zip(has[kernel], may[kernel])):
                wrong.append(f"{architecture} {kernel}: {has[kernel][0]} registers and "
                             f"{has[kernel][1]} bytes of stack, budget {may[kernel]}")
    return wrong


def beyond_stack(usage, limit):
    return [f"{architecture} {kernel}: {stack} bytes of stack, tuning.h counts with {limit}"
            for architecture, kernels in sorted(usage.items())
            for kernel, (_, stack) in sorted(kernels.items()) if stack > limit]


def tuned_stack():
    path = pathlib.Path(__file__).resolve().parent / "tuning.h"
    found = re.search(r"\bint stack_bytes = (\d+);", path.read_text(encoding="utf-8"))
    if not found:
        sys.exit(f"check_resources.py: no stack_bytes in {path}")
    return int(found[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("directory")
    parser.add_argument("budget")
    arguments = parser.parse_args()
    example = {"sm_1": {"a": [10, 0], "b": [10, 0], "c": [11, 8]}}
    if len(compare(example, {"sm_1": {"a": [10, 8], "c": [10, 8], "d": [1, 1]}})) != 3:
        sys.exit("check_resources.py: does not find the faults of its own example")
    if len(beyond_stack(example, 7)) != 1 or beyond_stack(example, 8):
        sys.exit("check_resources.py: does not find the stack of its own example")
    usage, spills = measure(arguments.directory)
    if arguments.write:
        lines = [f' "{a}": {{\n' + ",\n".join(
            f'  "{k}": {json.dumps(v)}' for k, v in sorted(kernels.items())) + "\n }"
            for a, kernels in sorted(usage.items())]
        with open(arguments.budget, "w", encoding="utf-8") as file:
            file.write("{\n" + ",\n".join(lines) + "\n}\n")
        return
    with open(arguments.budget, encoding="utf-8") as file:
        wrong = spills + beyond_stack(usage, tuned_stack()) + compare(usage, json.load(file))
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        sys.exit(1)
    print(f"resources: {sum(map(len, usage.values()))} kernels within their budget")


if __name__ == "__main__":
    main()
