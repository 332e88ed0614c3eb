#!/usr/bin/env bash
# Everything that can be checked of the hardware without a vendor's tools: `make hardware`. Stops at the
# first failure; the last lines are the table of cycles and what passed.
#
#   hardware/check.sh [STAGE..]     of: build csim lockstep proof area table; all of them without
#
# Needs what docker/install-deps.sh --hardware installs, and AMD's headers
# (hardware/fetch-hls-headers.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
build=$root/build/hardware  # the RTL with all its 16 lanes; the other programs come from build/cpu
work=$build/work
seedlm=$root/build/cpu/client/seedlm
simulator=$root/build/cpu/hardware/sim/seedlm-fpga-sim
mkdir -p "$work"

# A matrix with Gaussian weights, compressed by the product itself: at 4 bits with each kind of levels,
# and at 3 bits. Made anew by a newer product.
kinds=(4-fitted 4-paper 4-pow2 3-fitted)
models() {
  [[ "$work/back-${kinds[-1]}.safetensors" -nt "$seedlm" ]] && return
  python3 - "$work/in.safetensors" <<'PYTHON'
import array, json, random, struct, sys
rows, columns = 192, 1536
source = random.Random(1)
data = array.array("f", (source.gauss(0, 0.02) for _ in range(rows * columns))).tobytes()
header = json.dumps({"layers.0.up.weight": {"dtype": "F32", "shape": [rows, columns],
                                            "data_offsets": [0, len(data)]}}).encode()
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + data)
PYTHON
  local kind
  for kind in "${kinds[@]}"; do
    "$seedlm" compress "$work/in.safetensors" "$work/out-$kind.safetensors" --bits "${kind%-*}" \
      --scale "${kind#*-}" --force
    "$seedlm" decompress "$work/out-$kind.safetensors" "$work/back-$kind.safetensors" \
      --dtype f16 --force
  done
}

stage_build() {
  cmake --preset cpu >"$work/cmake.log"
  cmake --build --preset cpu -j "$(nproc)" --target seedlm seedlm-fpga-sim hls_test_bench \
    fpga_sim_test
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSEEDLM_SERVICE=OFF \
    -DSEEDLM_RTL_LANES=16 >"$work/cmake.log"
  cmake --build "$build" -j "$(nproc)" --target decoder_lockstep gemv_lockstep lane_exhaustive
}

stage_csim() {
  local kind
  models
  "$root/build/cpu/tests/hardware/fpga_sim_test" --warn NoTests
  for kind in "${kinds[@]}"; do
    "$root/build/cpu/hardware/hls/hls_test_bench" tests/vectors "$work/out-$kind.safetensors" \
      "$work/back-$kind.safetensors"
    "$simulator" --model "$work/out-$kind.safetensors" --check
  done
}

stage_lockstep() {
  models
  "$build/tests/hardware/decoder_lockstep" --blocks 1400000
  "$build/tests/hardware/decoder_lockstep" --model "$work/out-4-fitted.safetensors"
  "$build/tests/hardware/decoder_lockstep" --model "$work/out-3-fitted.safetensors"
  "$build/tests/hardware/gemv_lockstep" --matrices 400
  local kind
  for kind in 4-fitted 4-paper 4-pow2; do
    "$build/tests/hardware/gemv_lockstep" --model "$work/out-$kind.safetensors"
  done
  "$build/tests/hardware/gemv_lockstep" --cycles 128 --cycles 512 --alone 2048
  "$build/tests/hardware/lane_exhaustive" 8192
}

stage_proof() { hardware/formal/prove.sh "$work/formal"; }
stage_area() { python3 hardware/rtl/area.py --json "$work/area.json"; }
stage_table() {
  cmake --preset cpu >"$work/cmake.log"
  cmake --build --preset cpu -j "$(nproc)" --target seedlm-fpga-sim
  python3 hardware/table.py --sim "$simulator"
}

stages=("$@")
[[ $# -gt 0 ]] || stages=(build csim lockstep proof area table)
for stage in "${stages[@]}"; do
  declare -F "stage_$stage" >/dev/null || {
    echo "check.sh: no stage '$stage'; there are build csim lockstep proof area table" >&2
    exit 2
  }
done
passed=()
report() {
  local status=$?
  [[ $status -eq 0 ]] || echo "== hardware: $stage FAILED"
  echo "== hardware: passed: ${passed[*]-nothing}"
  exit "$status"
}
trap report EXIT
# Without these a signal ends the script with the status of the command before it, which may be 0.
trap 'exit 143' TERM
trap 'exit 130' INT
for stage in "${stages[@]}"; do
  echo "== hardware: $stage"
  started=$SECONDS
  "stage_$stage"
  passed+=("$stage ($((SECONDS - started)) s)")
done
