#!/usr/bin/env bash
# Builds the image `cpu` with an engine and runs compose.yaml, on a machine that reaches Debian's mirrors but no
# registry of images: podman from Debian 12, its base image from debootstrap, Prometheus from Debian's package, and
# for MinIO a stand-in, the tests' S3 server (tests/s3/fake_s3.py), which checks signatures. Then a model goes
# from this machine through the server to s3://models, and Prometheus is asked for what it scraped. In the middle of
# another job the server's process is killed, then its container, then all is stopped, taken down and up again.
#
#   docker/check-compose.sh SEEDLM     # the client to submit with, e.g. build/cpu/client/seedlm
#
# As root, with podman, runc, docker-compose (1.29), netavark, aardvark-dns, iptables, debootstrap. What it starts it stops;
# the images seedlm-check/* and the two of the compose file's services stay with podman.
set -euo pipefail
# shellcheck source=docker/checks.sh
. "$(dirname "$0")/checks.sh"
seedlm=$(realpath -e "${1:?usage: docker/check-compose.sh SEEDLM}")
for program in podman runc docker-compose debootstrap iptables python3; do
  command -v "$program" >/dev/null || fail "no $program: apt-get install it"
done
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/var/tmp}/seedlm-compose.XXXXXX")
export CONTAINERS_CONF=$work/containers.conf DOCKER_HOST=unix://$work/podman.sock
export S3_ACCESS_KEY=test-key S3_SECRET_KEY=test-secret
export S3_IMAGE=localhost/seedlm-check/s3 PROMETHEUS_IMAGE=localhost/seedlm-check/prometheus
# crun wants one kind of control groups, and a limit of files above the machine's own is refused.
cat >"$CONTAINERS_CONF" <<CONF
[engine]
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:$(ulimit -Hn)"]
CONF

pids=() imported=0
compose() { docker-compose --project-name seedlm-check --project-directory "$work/source/docker" \
  -f "$work/compose.yaml" -f "$work/limits.yaml" "$@"; }
stop() {
  local status=$?
  if [[ -e $work/limits.yaml ]]; then
    [[ $status -eq 0 ]] || compose logs --tail 30 >&2 || true
    compose down --volumes --timeout 40 || true
  fi
  [[ ${#pids[@]} -eq 0 ]] || kill "${pids[@]}" 2>/dev/null || true
  # What it was made for is made; another build would take it for Debian's own.
  [[ $imported -eq 0 ]] || podman untag docker.io/library/debian:bookworm-slim || true
  rm -rf --one-file-system "$work"
  exit "$status"
}
trap stop EXIT

podman image exists debian:bookworm-slim || {
  need_root_maker
  make_bare_root "$work/bare" "$work/bare.log" ca-certificates
  tar -C "$work/bare" -c . | podman import --quiet - docker.io/library/debian:bookworm-slim
  imported=1
  rm -rf --one-file-system "$work/bare"
}

# What stands for the images of others takes the arguments and the commands that compose.yaml gives.
mkdir "$work/s3" "$work/prometheus" "$work/source"
cp tests/s3/*.py "$work/s3"
cat >"$work/s3/minio" <<'MINIO'
#!/usr/bin/env python3
import os, signal, sys
sys.path.insert(0, "/s3")
import fake_s3
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the first process of a container ignores it otherwise
assert sys.argv[1:] == ["server", "/data"], sys.argv
assert (os.environ["MINIO_ROOT_USER"], os.environ["MINIO_ROOT_PASSWORD"]) == (fake_s3.ACCESS_KEY, fake_s3.SECRET_KEY)
fake_s3.Server(("0.0.0.0", 9000), fake_s3.Store(["models"])).serve_forever()
MINIO
cat >"$work/s3/mc" <<'MC'
#!/usr/bin/env python3
# `mc ready local`, `mc alias set NAME URL USER PASSWORD`, `mc mb --ignore-existing NAME/BUCKET`
import json, pathlib, sys, urllib.request
sys.path.insert(0, "/s3")
import client
state = pathlib.Path("/tmp/mc.json")
command = sys.argv[1:]
if command[:1] == ["ready"]:
    urllib.request.urlopen("http://127.0.0.1:9000/-/state", timeout=3).read()
elif command[:2] == ["alias", "set"]:
    state.write_text(json.dumps(command[3:]))
elif command[:2] == ["mb", "--ignore-existing"]:
    client.S3(*json.loads(state.read_text())).keys(command[2].partition("/")[2])
else:
    sys.exit(f"mc: {command} is not among the commands that the stand-in knows")
MC
chmod 0755 "$work/s3/minio" "$work/s3/mc"
cat >"$work/s3/Dockerfile" <<'DOCKERFILE'
FROM debian:bookworm-slim
RUN apt-get -q update && apt-get -q -y install --no-install-recommends python3
COPY *.py /s3/
COPY minio mc /usr/local/bin/
ENTRYPOINT ["minio"]
DOCKERFILE
cat >"$work/prometheus/Dockerfile" <<'DOCKERFILE'
FROM debian:bookworm-slim
RUN apt-get -q update && apt-get -q -y install --no-install-recommends prometheus
ENTRYPOINT ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
DOCKERFILE
podman build --quiet --tag "$S3_IMAGE" "$work/s3"
podman build --quiet --tag "$PROMETHEUS_IMAGE" "$work/prometheus"

# The committed HEAD; compose 1.29 knows no name of a project in the file.
git archive HEAD | tar -x -C "$work/source"
sed '/^name:/d' "$work/source/docker/compose.yaml" >"$work/compose.yaml"
# What comes to podman by its socket does not get the limits of CONTAINERS_CONF, and podman's own service has fewer
# processes than the machine.
{
  echo "services:"
  for service in server s3 s3-bucket prometheus; do
    echo "  $service: {ulimits: {nofile: {soft: 1024, hard: $(ulimit -Hn)}, nproc: 16384}}"
  done
} >"$work/limits.yaml"
podman system service --time 0 "$DOCKER_HOST" &
pids+=($!)
until_true 10 test -S "$work/podman.sock"
# Without systemd nothing runs podman's health checks.
while sleep 2; do
  for container in $(podman ps --quiet --filter label=com.docker.compose.project=seedlm-check); do
    podman healthcheck run "$container" >/dev/null 2>&1 || true
  done
done &
pids+=($!)

server() { compose ps --quiet server; }
client() { "$seedlm" "$@"; }
here() { env -u SEEDLM_SERVER "$seedlm" "$@"; } # not through the server
healthy() { [[ $(podman inspect --format '{{.State.Health.Status}}' "$(server)") == healthy ]]; }
listening() { client list; }
# prometheus PATH EXPRESSION: of `data`, what the API answers.
prometheus() {
  python3 -c 'import json, sys, urllib.request
data = json.load(urllib.request.urlopen("http://127.0.0.1:9090/api/v1/" + sys.argv[1]))["data"]
print(*sorted(eval(sys.argv[2])))' "$@"
}
started=$SECONDS
compose build server
echo "== image built after $((SECONDS - started)) s"
compose up --detach
until_true 60 healthy
image=$(podman inspect --format '{{.Image}}' "$(server)")
echo "== the image has $(($(podman image inspect --format '{{.Size}}' "$image") / 1000000)) MB"
user=$(podman exec "$(server)" id -un)
[[ $user == seedlm ]] || fail "the server runs as $user"
echo "== the server is healthy, as user $user"

# ---- A job to S3

export SEEDLM_SERVER=127.0.0.1:7433
write_model "$work/model.safetensors" 1 256 256
here compress "$work/model.safetensors" "$work/expected.safetensors" 2>/dev/null
job=$("$seedlm" submit "$work/model.safetensors" --to s3://models/checked)
"$seedlm" wait "$job"
PYTHONPATH=tests/s3 python3 -c 'import sys, client
objects = client.S3("http://127.0.0.1:9000", "test-key", "test-secret").tree("models", "checked")
[(name, data)] = objects.items()
assert data == open(sys.argv[1], "rb").read(), "other bytes"
print(f"== at s3://models/checked: {name}, the bytes of seedlm compress")' "$work/expected.safetensors"

# ---- Prometheus

succeeded() { [[ $(prometheus 'query?query=sum(seedlm_jobs_ended_total%7Bstate=%22SUCCEEDED%22%7D)' \
  '(series["value"][1] for series in data["result"])') == 1 ]]; }
until_true 60 succeeded
echo "== Prometheus has scraped the server: 1 job succeeded"
targets=$(prometheus targets '(t["labels"]["instance"] + " " + t["health"] for t in data["activeTargets"])')
[[ $targets == "server:9464 up" ]] || fail "Prometheus's targets: $targets"
wanted=$(sed -n 's/^ *- alert: \(.*\)/\1 ok/p' docker/alerts.yml | sort | tr '\n' ' ')
evaluated() { # a minute after the start
  rules=$(prometheus rules '(r["name"] + " " + r["health"] for g in data["groups"] for r in g["rules"])')
  [[ "$rules " == "$wanted" ]]
}
until_true 90 evaluated
echo "== its target: $targets; its rules: $rules"

# ---- In the middle of a job: the process killed, the container killed, stopped and taken down

write_model "$work/slow.safetensors" 40 8 64
job=$("$seedlm" submit --backend reference --include "*" "$work/slow.safetensors")
until_true 300 shards_reach "$job" 4
process=$(podman inspect --format '{{.State.Pid}}' "$(server)")
[[ $process -gt 1 ]] || fail "the server's container does not run"
kill -s KILL "$process"
until_true 60 listening
until_true 60 healthy
shards_reach "$job" 4 || fail "$job has forgotten shards that were done"
echo "== kill -9: the engine started the server again"
until_true 300 shards_reach "$job" 10
compose kill server
compose up --detach
until_true 60 listening
shards_reach "$job" 10 || fail "$job has forgotten shards that were done"
echo "== the container killed, and up again"
until_true 300 shards_reach "$job" 16
container=$(server)
started=$SECONDS
compose stop --timeout 40 server
code=$(podman inspect --format '{{.State.ExitCode}}' "$container")
[[ $code == 0 ]] || fail "the server ended with exit code $code"
echo "== stopped in the middle of a job after $((SECONDS - started)) s, exit code 0"
compose down --timeout 40
compose up --detach
until_true 60 listening
state=$(job_field "$job" state)
[[ $state == RUNNING ]] || fail "after down and up the job is $state: nothing was left to go on with"
"$seedlm" wait "$job"
attempt=$(job_field "$job" attempt)
[[ $attempt == 4 ]] || fail "the job ended in attempt $attempt, not 4"
"$seedlm" fetch "$job" "$work/fetched.safetensors"
here compress --backend reference --include "*" "$work/slow.safetensors" "$work/undisturbed.safetensors" 2>/dev/null
cmp "$work/fetched.safetensors" "$work/undisturbed.safetensors"
until_true 60 healthy
echo "== down and up: the job SUCCEEDED in attempt 4, with the bytes of an undisturbed run"

container=$(server)
compose stop --timeout 40 server
code=$(podman inspect --format '{{.State.ExitCode}}' "$container")
[[ $code == 0 ]] || fail "the server ended with exit code $code"
echo "== compose: all of it"
