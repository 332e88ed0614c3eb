#!/usr/bin/env bash
# clang-tidy over kernels, server and client; warnings are errors.
#
#   tests/lint/tidy.sh BUILD_DIR     a configured build: its compile_commands.json tells how to compile
set -euo pipefail
build=$(realpath "${1:?usage: tests/lint/tidy.sh BUILD_DIR}")
cd "$(dirname "$0")/../.."
if grep -q '^CMAKE_UNITY_BUILD:[A-Z]*=ON' "$build/CMakeCache.txt"; then
  echo "tidy.sh: $build compiles several files as one and does not tell how to compile each: give build/dev" >&2
  exit 1
fi

# Tests are left out of clang-tidy: Catch's macros cost it minutes and it says little about them.
cmake --build "$build" -j "$(nproc)" --target seedlm_proto  # the headers that are generated
echo "clang-tidy: kernels, server, client"
log=$build/clang-tidy.log
if ! run-clang-tidy -quiet -p "$build" -j "$(nproc)" "^$PWD/(kernels|server|client)/.*\.cc$" \
  >"$log" 2>&1; then
  sed -i 's/\x1b\[[0-9;]*m//g' "$log"  # colours
  grep -E -A4 '(warning|error): ' "$log" || tail -n 40 "$log"
  echo "clang-tidy found faults; all of it: $log" >&2
  exit 1
fi
checked=$(grep -c '^clang-tidy' "$log") || { echo "clang-tidy was given no file" >&2; exit 1; }
echo "clang-tidy: $checked files without a warning"
