#!/usr/bin/env bash
# Installs what building, testing and linting need on a bare Debian 12. Ubuntu 24.04 has the same
# package names, but see README.md beside this file.
#
#   docker/install-deps.sh [--build-only | --hardware | --s3]
#
# --build-only leaves out what only lint, fuzzing and the asan lane need; --hardware is that and the tools of
# `make hardware` (Yosys, a solver), --s3 that and the S3 server of `make test-s3`. Asks
# nothing; does nothing (no network) when all is there. Uses sudo when it is not run by root. The CUDA toolkit is optional and not installed
# here.
set -euo pipefail

build_packages=(
  build-essential ca-certificates ccache cmake g++ git make ninja-build pkg-config
  # gRPC; its CMake configuration also looks for the libraries of the second line.
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libabsl-dev libc-ares-dev libre2-dev libssl-dev zlib1g-dev
  # The other libraries of server, client and kernels.
  libcli11-dev libcurl4-openssl-dev libhwy-dev libisal-dev libpugixml-dev libspdlog-dev
  libsqlite3-dev libtomlplusplus-dev nlohmann-json3-dev prometheus-cpp-dev
  catch2 openssl tcl verilator
  # The demo fetches its model with pip in a virtual environment; the lint tests are Python.
  python3 python3-pip python3-venv
)
lint_packages=(clang clang-format clang-tidy g++-aarch64-linux-gnu libclang-rt-dev libfaketime shellcheck)
hardware_packages=(yosys z3)
s3_packages=(ceph-mon ceph-osd radosgw)

case "${1-}" in
  --build-only) packages=("${build_packages[@]}") ;;
  --hardware) packages=("${build_packages[@]}" "${hardware_packages[@]}") ;;
  --s3) packages=("${build_packages[@]}" "${s3_packages[@]}") ;;
  "") packages=("${build_packages[@]}" "${lint_packages[@]}") ;;
  *)
    echo "install-deps.sh: unknown argument '$1'; it takes --build-only, --hardware, --s3 or nothing" >&2
    exit 2
    ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "install-deps.sh: no apt-get on this system; install these yourself: ${packages[*]}" >&2
  exit 1
fi

installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "${packages[@]}" 2>/dev/null || true)"
missing=()
for package in "${packages[@]}"; do
  [[ "$installed" == *" installed:$package "* ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps.sh: missing packages (${missing[*]}): run as root, or install sudo" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "install-deps.sh: installing ${missing[*]}" >&2
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
    -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" >&2
}
apt update
apt install --no-install-recommends "${missing[@]}"
