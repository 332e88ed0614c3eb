#!/usr/bin/env bash
# All that `make lint` checks; warnings are errors.
#
#   tests/lint/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

own_files() { git ls-files -z --cached --others --exclude-standard -- "$@"; }

python3 tests/lint/import_law.py .
python3 tests/lint/sizes.py .
python3 tests/lint/paths.py .
python3 tests/lint/refusals.py .
python3 tests/lint/dockerfile.py .

echo "clang-format: $(own_files '*.h' '*.cc' '*.cpp' '*.cu' | tr -cd '\0' | wc -c) files"
own_files '*.h' '*.cc' '*.cpp' '*.cu' | xargs -0 clang-format --dry-run --Werror

mapfile -d '' scripts < <(own_files '*.sh' .ci/run)
echo "shellcheck: ${#scripts[@]} scripts"
shellcheck --severity=warning "${scripts[@]}"

tests/lint/neon.sh
