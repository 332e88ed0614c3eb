#!/usr/bin/env bash
# All that `make lint` checks; warnings are errors.
#
#   tests/lint/run.sh BUILD_DIR     a configured build: its compile_commands.json tells clang-tidy how
set -euo pipefail
build=$(realpath "${1:?usage: tests/lint/run.sh BUILD_DIR}")
cd "$(dirname "$0")/../.."

own_files() { git ls-files -z --cached --others --exclude-standard -- "$@"; }

python3 tests/lint/import_law.py .
python3 tests/lint/sizes.py .
python3 tests/lint/paths.py .

echo "clang-format: $(own_files '*.h' '*.cc' '*.cu' | tr -cd '\0' | wc -c) files"
own_files '*.h' '*.cc' '*.cu' | xargs -0 clang-format --dry-run --Werror

mapfile -d '' scripts < <(own_files '*.sh' .ci/run)
echo "shellcheck: ${#scripts[@]} scripts"
shellcheck --severity=warning "${scripts[@]}"

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
