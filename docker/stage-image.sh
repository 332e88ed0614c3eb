#!/usr/bin/env bash
# Lays out what an image holds: stripped programs, the CUDA plug-in if it was built, and
# docker-install-runtime, which installs the packages whose libraries they load. That list comes from
# the programs themselves, so it needs no upkeep, and is right on Debian and Ubuntu.
#
#   docker/stage-image.sh BUILD_DIR STAGE_DIR
set -euo pipefail
build=${1:?usage: docker/stage-image.sh BUILD_DIR STAGE_DIR}
stage=${2:?usage: docker/stage-image.sh BUILD_DIR STAGE_DIR}

bin=$stage/usr/local/bin
mkdir -p "$bin"
install -s -m 0755 "$build/client/seedlm" "$build/server/seedlm-server" "$bin"
files=("$bin/seedlm" "$bin/seedlm-server")
plugin=$(find "$build/kernels" -name seedlm_cuda.so -print -quit)
if [[ -n "$plugin" ]]; then
  mkdir -p "$stage/usr/local/lib/seedlm"
  install -s -m 0644 "$plugin" "$stage/usr/local/lib/seedlm"
  files+=("$stage/usr/local/lib/seedlm/seedlm_cuda.so")
fi

# The package that owns a library, which may be known by its path before or after the merge of /usr.
owner() {
  local path
  for path in "$1" "/usr$1" "${1#/usr}"; do
    dpkg-query -S "$path" 2>/dev/null | grep -v '^diversion' | cut -d: -f1 | head -n 1 | grep . && return
  done
  echo "stage-image.sh: no package owns $1" >&2
  return 1
}

# The driver of a GPU is the host's.
mapfile -t libraries < <(ldd "${files[@]}" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' |
  grep -v 'libcuda\.so' | sort -u)
[[ ${#libraries[@]} -gt 0 ]] || { echo "stage-image.sh: the programs load no library" >&2; exit 1; }
packages=$(for library in "${libraries[@]}"; do owner "$(realpath -e "$library")"; done | sort -u)
packages="ca-certificates ${packages//$'\n'/ }"

cat >"$bin/docker-install-runtime" <<SCRIPT
#!/bin/sh
# Made by docker/stage-image.sh: what the programs need to run, and a proof that they start.
set -eu
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $packages
seedlm-server --version
seedlm --version
SCRIPT
chmod 0755 "$bin/docker-install-runtime"
echo "stage-image.sh: needs $packages"
