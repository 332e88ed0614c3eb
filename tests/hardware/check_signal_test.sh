#!/usr/bin/env bash
# hardware/check.sh that is killed within a stage names it as failed.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The stage `table` runs this instead of table.py: it signals the script, and ends well itself.
# shellcheck disable=SC2016
printf '#!/bin/sh\nkill -s "$SIGNAL" "$PPID"\n' >"$scratch/python3"
chmod +x "$scratch/python3"
for signal in TERM INT; do
  status=0
  SIGNAL=$signal PATH="$scratch:$PATH" "$root/hardware/check.sh" table >"$scratch/log" || status=$?
  if [[ $status -eq 0 ]] || ! grep -q '^== hardware: table FAILED$' "$scratch/log"; then
    echo "check_signal_test: FAILED: $signal: status $status, and:"
    cat "$scratch/log"
    exit 1
  fi
done
echo "check_signal_test: TERM and INT are told of"
