#!/usr/bin/env python3
"""Checks that each refusal of kernels/format has a hostile file.

Usage: refusals.py ROOT

A refusal is a call of one of REFUSERS in kernels/format/*.cc. The longest piece of text in its
message must be in an expected message of tests/kernels/format_hostile_test.cc, the cases of which
are the files of tests/hostile; or in NOT_FROM_FILES, with the reason why no file can cause it.
Exit 1 with one line for each refusal that has neither.
"""

import pathlib
import re
import sys

REFUSERS = ("InvalidArgumentError", "Refuse", "TensorError")
CASES = "tests/kernels/format_hostile_test.cc"
SHORTEST = 6  # letters of a piece that says something

# The longest piece of text of a message: what causes it instead.
NOT_FROM_FILES = {
    "': is no file name": "the path of an output",
    ": is not a file, so it is not replaced; choose another name": "the path of an output",
    ": is a file, not a directory": "the path of an output",
    "'; it must match the whole name, and only * and ? stand for others, as in 'model.layers.*.o_proj.weight'":
        "an option",
    "fit 'nearest' works with scale 'pow2' or 'paper' only, not with 'fitted'": "an option",
    "'; there are source, f32, f16, bf16": "an option",
    "weights cannot be restored as ": "an option",
    "a pattern is empty": "an option",
    "': is longer than ": "an option",
    "pattern '": "an option",
    "is not UTF-8: ": "text that a program writes; what is read was checked before",
    "a side of the shape is negative": "a tensor that a program writes; a header has no sign",
    "the size of the file overflows": "tensors that a program writes",
    " bytes is over the limit of the format, ": "planes for a header of nearly 100 MB",
}

STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def calls(text):
    """(line, arguments as text) of each call of a refuser."""
    for match in re.finditer(r"\b(?:%s)\(" % "|".join(REFUSERS), text):
        depth, at, quoted = 1, match.end(), False
        while depth:
            char = text[at]
            if quoted:
                at += char == "\\"
                quoted = char != '"'
            elif char == '"':
                quoted = True
            else:
                depth += (char == "(") - (char == ")")
            at += 1
        yield text.count("\n", 0, match.start()) + 1, text[match.end():at - 1]


def pieces(arguments):
    """The texts of a message, adjacent literals joined."""
    joined = re.sub(r'"\s*\n\s*"', "", arguments)
    return [piece.replace('\\"', '"') for piece in STRING.findall(joined)]


def uncovered(files, cases):
    """(number of refusals, a line for each without a case, idle lines of NOT_FROM_FILES).

    `files`: name -> text.
    """
    expected = "\n".join(pieces(re.sub(r'"\s*\n\s*"', "", cases)))
    count, found, unused = 0, [], set(NOT_FROM_FILES)
    for name, text in files.items():
        for line, arguments in calls(text):
            texts = [piece for piece in pieces(arguments) if len(piece) >= SHORTEST]
            if not texts:
                continue  # hands on the message of another refusal
            count += 1
            longest = max(texts, key=len)
            unused.discard(longest)
            if longest in expected or longest in NOT_FROM_FILES:
                continue
            found.append(f"{name}:{line}: no hostile file is refused with \"{longest}\"")
    return count, found, unused


def prove_itself():
    files = {"a.cc": 'return Refuse(path, Cat("is far too ",\n  "large for ", x));\n'
                     'return absl::InvalidArgumentError(Cat(path, ": is (quite) small"));'}
    count, found, _ = uncovered(files, '{"a", ": is (quite) small"}')
    if count != 2 or len(found) != 1 or not found[0].startswith("a.cc:1: "):
        sys.exit(f"refusals.py: its own example gives {count}, {found}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    prove_itself()
    root = pathlib.Path(sys.argv[1])
    files = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
             for path in sorted(root.glob("kernels/format/*.cc"))}
    count, found, unused = uncovered(files, (root / CASES).read_text(encoding="utf-8"))
    found += [f"tests/lint/refusals.py: no refusal says \"{text}\" any more" for text in unused]
    if count == 0:
        sys.exit(f"refusals.py: no refusals under {root}")
    for line in found:
        print(line, file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"refusals: {count} in kernels/format, each with a hostile file or a reason why there is none")


if __name__ == "__main__":
    main()
