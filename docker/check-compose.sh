#!/usr/bin/env bash
# Builds the image `cpu` with an engine and runs compose.yaml, on a machine that reaches Debian's mirrors but no
# registry of images: podman from Debian 12, its base image from debootstrap, Prometheus from Debian's package, and
# for MinIO a stand-in, the tests' S3 server (tests/s3/fake_s3.py), which checks signatures. Then a model goes
# from this machine through the server to s3://models, and Prometheus is asked for what it scraped.
#
#   docker/check-compose.sh SEEDLM     # the client to submit with, e.g. build/cpu/client/seedlm
#
# As root, with podman, runc, docker-compose (1.29), netavark, aardvark-dns, iptables, debootstrap. What it starts it stops;
# the images seedlm-check/* and the two of the compose file's services stay with podman.
set -euo pipefail
fail() {
  echo "check-compose.sh: $*" >&2
  exit 1
}
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

pids=()
compose() { docker-compose --project-name seedlm-check --project-directory "$work/source/docker" -f "$work/compose.yaml" "$@"; }
stop() {
  local status=$?
  if [[ -e $work/compose.yaml ]]; then
    [[ $status -eq 0 ]] || compose logs --tail 30 >&2 || true
    compose down --volumes --timeout 40 || true
  fi
  [[ ${#pids[@]} -eq 0 ]] || kill "${pids[@]}" 2>/dev/null || true
  rm -rf --one-file-system "$work"
  exit "$status"
}
trap stop EXIT

podman image exists debian:bookworm-slim || {
  debootstrap --variant=minbase --include=ca-certificates bookworm "$work/bare" >/dev/null
  tar -C "$work/bare" -c . | podman import --quiet - docker.io/library/debian:bookworm-slim
  rm -rf --one-file-system "$work/bare"
}

# What stands for the images of others takes the arguments and the commands that compose.yaml gives.
mkdir "$work/s3" "$work/prometheus" "$work/source"
cp tests/s3/*.py "$work/s3"
cat >"$work/s3/minio" <<'MINIO'
#!/usr/bin/env python3
import os, sys
sys.path.insert(0, "/s3")
import fake_s3
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
podman system service --time 0 "$DOCKER_HOST" &
pids+=($!)
# Without systemd nothing runs podman's health checks.
while sleep 2; do
  for container in $(podman ps --quiet --filter label=com.docker.compose.project=seedlm-check); do
    podman healthcheck run "$container" >/dev/null 2>&1 || true
  done
done &
pids+=($!)

started=$SECONDS
compose build server
echo "== image built after $((SECONDS - started)) s"
compose up --detach
for _ in $(seq 60); do
  health=$(podman inspect --format '{{.State.Health.Status}}' "$(compose ps --quiet server)" || true)
  [[ $health != healthy ]] || break
  sleep 1
done
[[ $health == healthy ]] || fail "the server is $health after a minute"
echo "== the server is healthy, as user $(podman exec "$(compose ps --quiet server)" id -un)"

python3 - "$work/model.safetensors" <<'PYTHON'
import json, random, struct, sys
random.seed(7)
weights = struct.pack("<65536f", *(random.gauss(0, 0.02) for _ in range(65536)))
header = json.dumps({"w": {"dtype": "F32", "shape": [256, 256], "data_offsets": [0, len(weights)]}}).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + weights)
PYTHON
export SEEDLM_SERVER=127.0.0.1:7433
job=$("$seedlm" submit "$work/model.safetensors" --to s3://models/checked)
"$seedlm" wait "$job"
objects=$(python3 -c 'import sys; sys.path.insert(0, "tests/s3"); import client
print(*client.S3("http://127.0.0.1:9000", "test-key", "test-secret").keys("models", "checked"))')
[[ -n $objects ]] || fail "the job succeeded and nothing is in s3://models/checked"
echo "== at s3://models: $objects"

asked=""
for _ in $(seq 60); do
  asked=$(python3 -c 'import json, urllib.parse, urllib.request
query = urllib.parse.quote("sum(seedlm_jobs_ended_total{state=\"SUCCEEDED\"})")
answer = json.load(urllib.request.urlopen("http://127.0.0.1:9090/api/v1/query?query=" + query))
print(*(series["value"][1] for series in answer["data"]["result"]))' 2>/dev/null || true)
  [[ $asked != 1 ]] || break
  sleep 1
done
[[ $asked == 1 ]] || fail "Prometheus has '$asked' for the jobs that succeeded, not 1"
echo "== Prometheus has scraped the server: 1 job succeeded"
server=$(compose ps --quiet server)
compose stop --timeout 40 server
code=$(podman inspect --format '{{.State.ExitCode}}' "$server")
[[ $code == 0 ]] || fail "the server ended with exit code $code"
echo "== compose: built, healthy, a job to S3, scraped, stopped with exit code 0"
