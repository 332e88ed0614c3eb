#!/usr/bin/env bash
# Builds and runs the tests of a sanitizer lane, and nothing else: the preset says how to build,
# and which labels belong to the lane.
#
#   tests/run_lane.sh asan|tsan [REGEX]    # REGEX: of the tests' names, for a part of the lane
set -euo pipefail
lane=${1:?usage: tests/run_lane.sh asan|tsan [REGEX]}
some=${2:-.}
cd "$(dirname "$0")/.."

configure() {
  cmake --preset "$lane" &&
    grep -q '^SEEDLM_SANITIZE:[A-Z]*=.' build/"$lane"/CMakeCache.txt
}
configure || configure  # CMake forgets the preset where the compiler of an older cache was another
# A test of a lane is a program of the same name as its target (seedlm_test in CMakeLists.txt).
mapfile -t targets < <(ctest --preset "$lane" -N -R "$some" | sed -n 's/^ *Test *#[0-9]*: //p')
if [[ ${#targets[@]} -eq 0 ]]; then
  echo "run_lane.sh: no test of the lane $lane matches $some" >&2
  exit 1
fi
cmake --build --preset "$lane" -j "$(nproc)" --target "${targets[@]}"
ctest --preset "$lane" -R "$some" -j "$(nproc)"
