#!/usr/bin/env bash
# Builds the fuzz programs with what the asan lane is built of and runs each for a while, from the
# first inputs that tests/fuzz/CMakeLists.txt names and what earlier runs kept in build/fuzz/corpus.
# An input that crashes is left in build/fuzz.
#
#   tests/run_fuzz.sh [SECONDS [REGEX]]    # for each program (default 60) whose name matches
set -euo pipefail
seconds=${1:-60}
some=${2:-.}
cd "$(dirname "$0")/.."

configure() {
  cmake --preset asan &&
    grep -q '^SEEDLM_SANITIZE:[A-Z]*=.' build/asan/CMakeCache.txt
}
configure || configure  # CMake forgets the preset where the compiler of an older cache was another
mapfile -t programs < <(grep -E "$some" build/asan/tests/fuzz/fuzz_programs.txt)
if [[ ${#programs[@]} -eq 0 ]]; then
  echo "run_fuzz.sh: no fuzz program matches $some" >&2
  exit 1
fi
cmake --build --preset asan -j "$(nproc)" --target "${programs[@]%% *}"
for line in "${programs[@]}"; do
  read -r program rest <<<"$line"
  read -r -a seeds <<<"$rest"
  corpus=build/fuzz/corpus/$program
  mkdir -p "$corpus"
  echo "== $program, $seconds s"
  build/asan/tests/fuzz/"$program" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 \
    -artifact_prefix="build/fuzz/$program-" -print_final_stats=1 "$corpus" "${seeds[@]}"
done
