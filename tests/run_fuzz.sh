#!/usr/bin/env bash
# Builds the fuzz programs with clang and runs each for a while, from the hostile files of the tests
# and what earlier runs kept in build/fuzz/corpus. An input that crashes is left in build/fuzz.
#
#   tests/run_fuzz.sh [SECONDS]    # for each program; default 60
set -euo pipefail
seconds=${1:-60}
cd "$(dirname "$0")/.."

cmake --preset fuzz
cmake --build --preset fuzz -j "$(nproc)" --target packed_file_fuzz search_fuzz
for program in packed_file_fuzz search_fuzz; do
  corpus=build/fuzz/corpus/$program
  seeds=()
  mkdir -p "$corpus"
  [[ $program == search_fuzz ]] || seeds=(tests/hostile)
  build/fuzz/tests/fuzz/$program -max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 \
    -artifact_prefix="build/fuzz/$program-" -print_final_stats=1 "$corpus" "${seeds[@]}"
done
