#!/usr/bin/env bash
# The searches compile for NEON, which no machine of ours runs: kernels/cpu with the compiler for
# 64-bit ARM, warnings as errors. Headers of Highway and Abseil are the same for every machine.
#
#   tests/lint/neon.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
export SCRATCH=$scratch
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/include"
ln -s /usr/include/hwy /usr/include/absl "$scratch/include"
flags=(-std=c++20 -O0 -ffp-contract=off -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror
       -DHWY_SHARED_DEFINE -I. -isystem "$scratch/include")
sources=(kernels/cpu/*.cc)
# Compiled and not only parsed: what the target cannot inline shows in the code.
printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -I{} sh -c \
  'source=$1; shift; aarch64-linux-gnu-g++ "$@" -c "$source" -o "$SCRATCH/$(basename "$source").o"' \
  sh {} "${flags[@]}"
aarch64-linux-gnu-nm -C "$scratch/search_kernels.cc.o" | grep -c N_NEON >/dev/null ||
  { echo "neon.sh: nothing was compiled for NEON" >&2; exit 1; }
echo "NEON: ${#sources[@]} files of kernels/cpu compile for 64-bit ARM"
