#!/usr/bin/env bash
# Builds the fuzz programs with clang and runs each for a while, from the hostile files of the tests
# and what earlier runs kept in build/fuzz/corpus. An input that crashes is left in build/fuzz.
#
#   tests/run_fuzz.sh [SECONDS]    # for each program; default 60
set -euo pipefail
seconds=${1:-60}
cd "$(dirname "$0")/.."

cmake --preset fuzz
programs=(packed_file_fuzz search_fuzz s3_answer_fuzz)
cmake --build --preset fuzz -j "$(nproc)" --target "${programs[@]}"
for program in "${programs[@]}"; do
  corpus=build/fuzz/corpus/$program
  seeds=()
  mkdir -p "$corpus"
  [[ $program != packed_file_fuzz ]] || seeds=(tests/hostile)
  [[ ! -d tests/fuzz/corpus/$program ]] || seeds=("tests/fuzz/corpus/$program")
  build/fuzz/tests/fuzz/$program -max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 \
    -artifact_prefix="build/fuzz/$program-" -print_final_stats=1 "$corpus" "${seeds[@]}"
done
