#!/usr/bin/env bash
# Boots a bare Debian 12 with systemd, installs the server in it the way seedlm-server.service says, and does to the
# unit what happens to one: jobs over the socket, to file:// and to S3; restart, kill -9 and a reboot in the middle of a job, whose bytes
# must be those of an undisturbed run; a wrong setting, an address in use, tokens and a reload, a full disk, a stop.
#
#   docker/check-systemd.sh [--keep] BUILD_DIR [DIR]      # e.g. build/cpu
#
# DIR (default: a new directory under ${TMPDIR:-/var/tmp}) takes the root, some 400 MB. --keep leaves it there.
# BUILD_DIR was built on Debian 12. As root, with debootstrap and systemd-container (systemd-nspawn); the machine
# itself need not run systemd. The root has a network of its own, loopback alone.
set -euo pipefail
# shellcheck source=docker/checks.sh
. "$(dirname "$0")/checks.sh"

keep=0
[[ ${1-} != --keep ]] || { keep=1; shift; }
build=$(realpath -e "${1:?usage: docker/check-systemd.sh [--keep] BUILD_DIR [DIR]}")
for program in systemd-nspawn nsenter python3; do
  command -v "$program" >/dev/null || fail "no $program: apt-get install systemd-container util-linux python3"
done
need_root_maker
directory=$(new_directory seedlm-systemd "${2-}")
cd "$(dirname "$0")/.."
root=$directory/root machine=seedlm-check-$$ nspawn="" leader=""

# ---- The machine

boot() {
  local state
  systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --private-network \
    --machine="$machine" --console=pipe >>"$directory/boot.log" 2>&1 </dev/null &
  nspawn=$!
  for _ in $(seq 300); do
    leader=""
    read -r leader _ <"/proc/$nspawn/task/$nspawn/children" || true
    # Until it has changed its root, it is in this machine.
    [[ -n $leader && "/proc/$leader/root/." -ef "$root/." ]] || leader=""
    state=$([[ -z $leader ]] || inside systemctl is-system-running 2>/dev/null || true)
    [[ $state != running && $state != degraded ]] || return 0
    kill -0 "$nspawn" 2>/dev/null || break
    sleep 0.2
  done
  tail -n 30 "$directory/boot.log" >&2
  fail "systemd did not come up"
}

power_off() {
  [[ -n $nspawn ]] || return 0
  kill -s TERM "$nspawn" 2>/dev/null || true # systemd-nspawn tells the init inside
  for _ in $(seq 450); do kill -0 "$nspawn" 2>/dev/null || break; sleep 0.2; done
  kill -s KILL "$nspawn" 2>/dev/null || true
  wait "$nspawn" 2>/dev/null || true
  nspawn=""
}

# inside COMMAND..: as root in the machine.
inside() {
  nsenter --target "$leader" --all --root --wd env -i "${login_environment[@]}" \
    SEEDLM_SERVER=unix:/var/lib/seedlm/server.sock SEEDLM_TOKEN="${token-}" "$@"
}

stop() {
  local status=$?
  if [[ $status -ne 0 && -n $nspawn ]]; then
    inside systemctl status --no-pager --full seedlm-server >&2 || true
    inside journalctl --no-pager --unit seedlm-server --lines 30 >&2 || true
  fi
  power_off
  [[ $keep -eq 1 ]] || rm -rf --one-file-system "$root" "$directory/stage" || true
  [[ $status -ne 0 || $keep -eq 1 ]] || rm -f "$directory"/*.log "$directory/right.toml"
  rmdir --ignore-fail-on-non-empty "$directory" 2>/dev/null || true
  exit "$status"
}
trap stop EXIT

# ---- What is asked of the unit

property() { inside systemctl show --property "$1" --value seedlm-server; }
say() { echo "== $*"; }
expect() { # WHAT IS WANTED
  [[ $2 == "$3" ]] || fail "$1 is '$2', not '$3'"
}

client() { inside seedlm "$@"; }
here() { inside env -u SEEDLM_SERVER seedlm "$@"; } # not through the server
serving() { inside seedlm-server --check-health unix:/var/lib/seedlm/server.sock; }
failed() { [[ $(inside systemctl is-active seedlm-server) == failed ]]; }
restarted() { [[ $(property NRestarts) -ge 1 ]]; }
logged() { inside journalctl --no-pager --output cat --unit seedlm-server | grep -F "$1"; }

# same_bytes JOB MODEL [OPTION..]: what the job made, against what `seedlm compress` makes of the model.
same_bytes() {
  local job=$1 model=$2
  shift 2
  inside rm -rf /tmp/fetched /tmp/local
  client fetch "$job" /tmp/fetched 2>/dev/null
  here compress "$@" "$model" /tmp/local >/dev/null 2>&1
  inside cmp /tmp/fetched /tmp/local || fail "$job: not the bytes of an undisturbed run"
}

# ---- Installation, as the head of the unit has it

make_bare_root "$root" "$directory/root.log" systemd,systemd-sysv,ca-certificates
docker/stage-image.sh "$build" "$directory/stage"
install -m 0755 "$directory"/stage/usr/local/bin/* "$root/usr/local/bin/"
in_root "$root" docker-install-runtime "${login_environment[@]}" >"$directory/packages.log" 2>&1 ||
  { tail -n 20 "$directory/packages.log" >&2; fail "the packages do not install"; }
install -m 0644 docker/seedlm-server.service "$root/etc/systemd/system/"
boot
say "booted: $(inside systemctl --version | head -n 1), $(inside systemctl is-system-running || true)"
inside groupadd --system seedlm
inside install -d -m 0750 -g seedlm /etc/seedlm
inside sh -c 'seedlm-server --data-dir /var/lib/seedlm --metrics 127.0.0.1:9464 --threads 2 --search index \
  --storage-root /srv/models --print-config >/tmp/my-seedlm.toml
  install -m 0640 -g seedlm /tmp/my-seedlm.toml /etc/seedlm/seedlm.toml'
inside mkdir -p /srv/models
inside systemctl daemon-reload
inside systemd-analyze verify /etc/systemd/system/seedlm-server.service
inside systemctl enable --now seedlm-server
until_true 20 serving
expect "the unit" "$(inside systemctl is-active seedlm-server)" active
pid=$(property MainPID)
say "serves as $(inside stat -c 'uid %u, gid %g' "/proc/$pid"): $(inside grep -hE '^(CapEff|NoNewPrivs|Seccomp):' "/proc/$pid/status" | tr -s '\t\n' ' ')"
[[ $(inside stat -c %u "/proc/$pid") -ge 61184 ]] || fail "the server's user is not a dynamic one"
say "systemd-analyze security: $(inside systemd-analyze security --no-pager seedlm-server | tail -n 1)"

# ---- Jobs: over the socket, to a storage-root, to S3

mkdir "$root/srv/check"
write_model "$root/srv/check/model.safetensors" 2 256 256
write_model "$root/srv/check/slow.safetensors" 32 8 64
write_model "$root/srv/check/large.safetensors" 1 2048 1024
model=/srv/check/model.safetensors slow=/srv/check/slow.safetensors
job=$(client submit "$model")
client wait "$job"
same_bytes "$job" "$model"
say "a job over the socket: the bytes of seedlm compress"

# Another group, and a directory that the unit may write to.
inside groupadd models
inside sh -c "cp $model /srv/models/in.safetensors && chgrp -R models /srv/models && chmod 2770 /srv/models"
mkdir "$root/etc/systemd/system/seedlm-server.service.d"
printf '[Service]\nReadWritePaths=/srv/models\nGroup=models\nSupplementaryGroups=seedlm\n' \
  >"$root/etc/systemd/system/seedlm-server.service.d/models.conf"
# An S3 server in the machine's network, and keys that root alone may read.
coproc s3 { exec nsenter --target "$leader" --net python3 tests/s3/fake_s3.py --bucket models; }
read -r s3_port <&"${s3[0]}"
printf 'AWS_ACCESS_KEY_ID=test-key\nAWS_SECRET_ACCESS_KEY=test-secret\nAWS_ENDPOINT_URL=http://127.0.0.1:%s\n' \
  "$s3_port" >"$root/etc/seedlm/s3.env"
chmod 0600 "$root/etc/seedlm/s3.env"
inside systemctl daemon-reload
inside systemctl restart seedlm-server
until_true 20 serving
job=$(client submit file:///srv/models/in.safetensors --to file:///srv/models/out.safetensors)
client wait "$job"
here compress "$model" /tmp/local.safetensors >/dev/null 2>&1
inside cmp /srv/models/out.safetensors /tmp/local.safetensors
say "a job to file://: the same bytes, $(inside stat -c 'mode %a, group %G' /srv/models/out.safetensors)"
job=$(client submit "$model" --to s3://models/checked)
client wait "$job"
nsenter --target "$leader" --net env PYTHONPATH=tests/s3 python3 -c 'import sys, client
objects = client.S3(sys.argv[1], "test-key", "test-secret").tree("models", "checked")
[(name, data)] = objects.items()
assert data == open(sys.argv[2], "rb").read(), "other bytes"
print("== a job to S3, with keys from s3.env: the same bytes in", name)' "http://127.0.0.1:$s3_port" "$root/srv/models/out.safetensors"
eval "exec ${s3[1]}>&-" # its end

# ---- In the middle of a job: restart, kill -9, the machine's own stop

job=$(client submit --backend reference --include "*" "$slow")
until_true 300 shards_reach "$job" 4
begun=$SECONDS
inside systemctl restart seedlm-server
say "restarted in the middle of a job, $((SECONDS - begun)) s"
until_true 20 serving
shards_reach "$job" 4 || fail "$job has forgotten shards that were done"
until_true 300 shards_reach "$job" 10
inside systemctl kill --kill-whom=main --signal=KILL seedlm-server
until_true 30 serving
expect "restarts after kill -9" "$(property NRestarts)" 1
say "kill -9: started again by systemd"
until_true 300 shards_reach "$job" 16
power_off
boot
until_true 30 serving
say "the machine went down and came up: $(job_field "$job" state), $(job_field "$job" shards_done) of $(job_field "$job" shards_total) shards done"
client wait "$job"
expect "attempts" "$(job_field "$job" attempt)" 4
same_bytes "$job" "$slow" --backend reference --include "*"
say "the job ended in attempt 4, with the bytes of an undisturbed run"

# ---- What is wrong

cp -p "$root/etc/seedlm/seedlm.toml" "$directory/right.toml"
sed -i 's/^max-jobs = .*/max-jobs = "many"/' "$root/etc/seedlm/seedlm.toml"
inside systemctl restart seedlm-server || true
until_true 20 failed
sleep 7 # longer than RestartSec
expect "the unit with a wrong setting" "$(inside systemctl is-active seedlm-server || true)" failed
expect "its exit code" "$(property ExecMainStatus)" 2
expect "its restarts" "$(property NRestarts)" 0
say "a wrong setting: not started again; the journal: $(logged max-jobs | tail -n 1)"
cat "$directory/right.toml" >"$root/etc/seedlm/seedlm.toml"

inside seedlm-server --data-dir /tmp/other --listen 127.0.0.1:7433 2>/dev/null &
until_true 20 inside seedlm-server --check-health 127.0.0.1:7433
inside systemctl restart seedlm-server || true
until_true 30 restarted
inside sh -c 'kill "$(cat /tmp/other/lock)"'
until_true 30 serving
say "an address in use: tried again until it was free; the journal: $(logged 127.0.0.1:7433 | grep -v listening | tail -n 1)"

# Tokens that the server reads by its group; a second one comes with a reload.
token=0123456789abcdef0123456789abcdef
digest() { echo "$1" | inside seedlm-server --hash-token; }
echo "$(digest $token) alice user" >"$root/etc/seedlm/tokens"
inside chgrp seedlm /etc/seedlm/tokens
inside chmod 0640 /etc/seedlm/tokens
sed -i 's/^# tokens = .*/tokens = "\/etc\/seedlm\/tokens"/' "$root/etc/seedlm/seedlm.toml"
inside systemctl restart seedlm-server
until_true 20 serving
client list >/dev/null
token=fedcba9876543210fedcba9876543210 status=0
client list >/dev/null 2>&1 || status=$?
expect "the exit code without a token that is known" "$status" 9
echo "$(digest $token) bob user" >>"$root/etc/seedlm/tokens"
pid=$(property MainPID)
inside systemctl reload seedlm-server
until_true 5 logged "2 tokens"
client list >/dev/null
expect "the process after a reload" "$(property MainPID)" "$pid"
say "tokens, and a second one after a reload"
cat "$directory/right.toml" >"$root/etc/seedlm/seedlm.toml"

inside systemctl stop seedlm-server
inside mount -t tmpfs -o size=8m tmpfs /var/lib/private/seedlm
inside systemctl start seedlm-server
until_true 20 serving
pid=$(property MainPID) status=0
(job=$(client submit /srv/check/large.safetensors) && client wait "$job") 2>"$directory/full.log" || status=$?
expect "the exit code with a full disk" "$status" 7
expect "the process after that" "$(property MainPID)" "$pid"
serving >/dev/null || fail "the server does not serve after a full disk"
say "a full disk: $(tail -n 1 "$directory/full.log")"

# ---- The end

begun=$SECONDS
inside systemctl stop seedlm-server
expect "how it ended" "$(property Result) $(property ExecMainStatus)" "success 0"
cached=$(inside sh -c 'ls /var/cache/seedlm/')
[[ -n $cached ]] || fail "nothing is in the cache of the search's index"
say "stopped after $((SECONDS - begun)) s, exit code 0; in the cache: $cached"
inside umount /var/lib/private/seedlm
say "systemd: all of it"
