#!/usr/bin/env bash
# Runs every benchmark of the CPU and writes kernels/bench/results/DATE-{search,index,numpy,files}.json and
# ladder.svg. Leave the machine alone meanwhile: some eight minutes.
#
#   kernels/bench/run_all.sh [BUILD_DIR]    # default build/cpu, with seedlm, bench_search, bench_index
#
# The whole-file benchmark takes the model of `make demo` too, where that has run.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/cpu}
results=kernels/bench/results/$(date -u +%F)
commit=$(git describe --always --dirty)
python=build/bench-venv/bin/python
model=build/demo/model

# write NAME COMMAND..: whole or not at all.
write() {
  local file=$results-$1.json
  shift
  "$@" >"$file.part"
  mv "$file.part" "$file"
  echo "$file"
}

[[ -x $python ]] || python3 -m venv build/bench-venv
"$python" -m pip install --quiet --disable-pip-version-check -r kernels/bench/requirements.txt
mkdir -p "$(dirname "$results")"

write search "$build/kernels/bench/bench_search" --commit "$commit"
write index "$build/kernels/bench/bench_index" --commit "$commit"
# A BLAS that was told to take itself for another processor's is no baseline.
write numpy env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS=1 \
  "$python" kernels/bench/numpy_search.py --commit "$commit"
more=()
[[ ! -e $model/.complete ]] || more=(--model "$model")
write files "$python" kernels/bench/bench_files.py --commit "$commit" "${more[@]}" \
  "$build/client/seedlm"
python3 kernels/bench/draw_ladder.py "$results-index.json" "$results-numpy.json" \
  >kernels/bench/results/ladder.svg
echo kernels/bench/results/ladder.svg
