#!/usr/bin/env bash
# Fetches AMD's ap_int and hls_stream headers (Apache-2.0) out of the wheel of hls4ml, for compiling
# hls/ with g++. Nothing of it is committed.
#
#   hardware/fetch-hls-headers.sh [DIRECTORY]     default: build/hls-headers
#
# Does nothing when they are there. Needs python3 with pip, or python3-venv.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-$root/build/hls-headers}
requirement='hls4ml==1.3.0 --hash=sha256:01bf1de2cd9bca56699b9fe3385cb1735026b022f9580fe1d73faf192dfb90f2'

[[ -e "$target/.complete" ]] && exit 0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

python=python3
if ! python3 -m pip --version >/dev/null 2>&1; then
  python3 -m venv "$scratch/venv"
  python=$scratch/venv/bin/python
fi
echo "$requirement" >"$scratch/requirements.txt"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
  --dest "$scratch" --require-hashes --requirement "$scratch/requirements.txt" >&2

# The folder is put in place whole or not at all.
"$python" - "$scratch"/hls4ml-*.whl "$scratch/headers" <<'PYTHON'
import pathlib, sys, zipfile
wheel, target = sys.argv[1], pathlib.Path(sys.argv[2])
folder = "hls4ml/templates/vivado/ap_types/"
with zipfile.ZipFile(wheel) as archive:
    names = [n for n in archive.namelist() if n.startswith(folder) and n.endswith(".h")]
    if not names:
        sys.exit(f"{wheel}: no headers in {folder}")
    for name in names:
        path = target / pathlib.PurePosixPath(name).relative_to(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.read(name))
PYTHON
touch "$scratch/headers/.complete"
mkdir -p "$(dirname "$target")"
rm -rf "$target"
mv "$scratch/headers" "$target"
echo "fetch-hls-headers.sh: AMD's ap_int headers are in $target" >&2
