#!/usr/bin/env bash
# Runs a command beside a real S3 server of its own: a Ceph RADOS gateway on loopback, with one
# monitor and one object store in memory, below a directory that is removed at the end.
#
#   tests/s3/ceph.sh COMMAND..     # with AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
#                                  # and SEEDLM_TEST_BUCKET, a bucket that is there and empty
#
# Needs the Debian packages ceph-mon, ceph-osd and radosgw (docker/install-deps.sh --s3).
set -euo pipefail
[[ $# -gt 0 ]] || { echo "usage: tests/s3/ceph.sh COMMAND.." >&2; exit 2; }
for program in ceph-mon ceph-osd radosgw radosgw-admin ceph monmaptool; do
  command -v "$program" >/dev/null || {
    echo "ceph.sh: no $program: docker/install-deps.sh --s3 installs it" >&2
    exit 1
  }
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/seedlm-ceph-XXXXXX")
pids=()
stop() {
  local status=$?
  [[ ${#pids[@]} -eq 0 ]] || kill -9 "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  if [[ $status -ne 0 ]]; then
    for log in "$dir"/*.log; do
      echo "== the end of $(basename "$log")" >&2
      tail -n 15 "$log" >&2 || true
    done
  fi
  rm -rf "$dir"
  exit "$status"
}
trap stop EXIT

# Ports that are free now.
read -r mon_port rgw_port < <(python3 - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PYTHON
)
fsid=$(cat /proc/sys/kernel/random/uuid)
mkdir "$dir/mon" "$dir/osd" "$dir/rgw"
cat > "$dir/ceph.conf" <<CONF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$mon_port
public addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
run dir = $dir
admin socket = $dir/\$name.asok
pid file =
log file = $dir/\$name.log
crash dir = $dir
keyring = $dir/keyring
log to stderr = false
[mon.a]
mon data = $dir/mon
[osd.0]
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 4294967296
[client.rgw]
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$rgw_port
rgw thread pool size = 16
rgw dns name = 127.0.0.1
rgw run sync thread = false
rgw enable usage log = false
CONF
export CEPH_CONF=$dir/ceph.conf
touch "$dir/keyring"

monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$dir/monmap" >/dev/null
ceph-mon --mkfs -i a --monmap "$dir/monmap"
ceph-mon -f -i a &
pids+=($!)
timeout 30 ceph -s >/dev/null
osd_uuid=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$osd_uuid" 0 >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$osd_uuid" >/dev/null 2>&1
ceph-osd -f -i 0 >/dev/null 2>&1 &
pids+=($!)
radosgw -f -n client.rgw >/dev/null 2>&1 &
pids+=($!)

export AWS_ACCESS_KEY_ID=ceph-test-key AWS_SECRET_ACCESS_KEY=ceph-test-secret
export AWS_ENDPOINT_URL=http://127.0.0.1:$rgw_port AWS_REGION=us-east-1
export SEEDLM_TEST_BUCKET=seedlm-test
timeout 60 radosgw-admin user create --uid tester --display-name tester \
  --access-key "$AWS_ACCESS_KEY_ID" --secret-key "$AWS_SECRET_ACCESS_KEY" >/dev/null
timeout 60 python3 -B "$(dirname "$0")/client.py" make-bucket "$SEEDLM_TEST_BUCKET"
echo "ceph.sh: $(radosgw --version) at $AWS_ENDPOINT_URL after $SECONDS s" >&2
"$@"
