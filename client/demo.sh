#!/bin/sh
# The whole way on real weights: a server, submit, watch, fetch, verify, and a table.
# Usage: client/demo.sh [BUILD_DIR]    default build/cpu, what `make build` makes
#   MODEL=PATH    your own .safetensors file or Hugging Face directory, instead of all-MiniLM-L6-v2
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/cpu}
seedlm=$build/client/seedlm
server=$build/server/seedlm-server
work=$root/build/demo
run=
server_pid=

fail() {
  echo "demo: error: $*" >&2
  exit 1
}

stop_server() {
  [ -n "$server_pid" ] || return 0
  kill "$server_pid" 2>/dev/null || true
  tries=0
  while kill -0 "$server_pid" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -gt 50 ]; then kill -KILL "$server_pid" 2>/dev/null || true; fi
    sleep 0.2
  done
  wait "$server_pid" 2>/dev/null || true
  server_pid=
}
clean_up() {
  stop_server
  [ -z "$run" ] || rm -rf "$run"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Prints the directory of the model.
model() {
  if [ -n "${MODEL:-}" ]; then
    [ -e "$MODEL" ] || fail "MODEL=$MODEL: no such file or directory"
    echo "$MODEL"
    return
  fi
  "$root/client/fetch_model.sh" "$work" || fail "no model; see above"
}

start_server() {
  : >"$run/log"
  "$server" --listen 127.0.0.1:0 --data-dir "$run/data" 2>"$run/log" &
  server_pid=$!
  tries=0
  address=
  while [ -z "$address" ]; do
    address=$(sed -n 's/.*listening on \([^ ]*\).*/\1/p' "$run/log")
    kill -0 "$server_pid" 2>/dev/null || fail "the server ended: $(tail -n 1 "$run/log")"
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || fail "the server does not listen: $(tail -n 1 "$run/log")"
    sleep 0.1
  done
  SEEDLM_SERVER=$address
  export SEEDLM_SERVER
}

for program in "$seedlm" "$server"; do
  [ -x "$program" ] || fail "$program is missing; run make demo, which builds it"
done
command -v python3 >/dev/null || fail "python3 is missing; install it"
mkdir -p "$work"
# All of this run, the result too, until it is done: two demos at a time do not meet. Then the result
# gets a fixed name, in the place of an earlier one.
run=$(mktemp -d "$work/run.XXXXXX")

echo "== the model"
exec 9>"$work/lock"
flock 9  # one demo at a time downloads and unpacks, and names its result
source=$(model)
exec 9>&-
case $source in *.safetensors) name=compressed.safetensors ;; *) name=compressed ;; esac
result=$run/$name
echo "$source"

echo
echo "== the job"
start_server
job=$("$seedlm" submit "$source")
echo "$job on $address"
"$seedlm" watch "$job"
"$seedlm" fetch "$job" "$result"
"$seedlm" status "$job" --json >"$run/status.json"
stop_server

echo
echo "== verified against the original"
"$seedlm" verify "$result" "$source" --json >"$run/verify.json" || {
  "$seedlm" verify "$result" "$source" || true
  fail "verify found a difference"
}
"$seedlm" inspect "$result" --json >"$run/inspect.json"
exec 9>"$work/lock"
flock 9
rm -rf "${work:?}/$name"
mv -T "$result" "$work/$name"
exec 9>&-
python3 "$root/client/demo_table.py" "$run" "$source" "$work/$name"
