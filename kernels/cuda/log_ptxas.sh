#!/usr/bin/env bash
# Runs a compiler that was told -Xptxas=-v and keeps what ptxas says beside the object, in
# OBJECT.ptxas; the rest of its messages pass.
set -uo pipefail

object=
for ((i = 1; i < $#; ++i)); do
  if [[ ${!i} == -o ]]; then
    next=$((i + 1))
    object=${!next}
  fi
done
[[ -n $object ]] || exec "$@"

"$@" 2> "$object.ptxas"
status=$?
grep -vE '^(ptxas info| +[0-9]+ bytes stack frame)' "$object.ptxas" >&2
exit "$status"
