#!/usr/bin/env bash
# Makes a bare Debian 12 root, clones the committed HEAD into it and runs the two commands of the
# README there, `make demo` and `make test`, as a newcomer would: nothing but make is preinstalled.
#
#   docker/check-bare-root.sh [--keep] [--only-deps] [DIR]
#
# DIR (default: a new directory under ${TMPDIR:-/var/tmp}) takes the root, some 3 GB, and the logs.
# --keep leaves the root there. --only-deps stops after docker/install-deps.sh.
# Needs root (debootstrap, chroot) and debootstrap. Packages come from where this machine's apt gets
# bookworm, or from MIRROR=url. Proxies, pip's configuration and local certificates are carried over.
# Exit 0 only if both commands succeeded.
set -euo pipefail

# shellcheck source=docker/checks.sh
. "$(dirname "$0")/checks.sh"

keep=0 only_deps=0 directory=""
for argument in "$@"; do
  case "$argument" in
    --keep) keep=1 ;;
    --only-deps) only_deps=1 ;;
    -*) fail "unknown option $argument; it takes --keep, --only-deps and a directory" ;;
    *) directory=$argument ;;
  esac
done
repository=$(cd "$(dirname "$0")/.." && pwd)
need_root_maker
command -v git >/dev/null || fail "git is missing: apt-get install git"
directory=$(new_directory seedlm-bare "$directory")
root=$directory/root

# Nothing is mounted outside of in_root; --one-file-system is the second lock on that door.
clean_up() {
  [[ $keep -eq 1 ]] || rm -rf --one-file-system "$root"
  rmdir --ignore-fail-on-non-empty "$directory" 2>/dev/null || true
}
trap clean_up EXIT

make_root() {
  make_bare_root "$root" "$directory/root.log" make
  copy_into "$root" /etc/pip.conf
  if [[ -e "$HOME/.config/pip/pip.conf" ]]; then
    mkdir -p "$root/root/.config/pip"
    cp -L "$HOME/.config/pip/pip.conf" "$root/root/.config/pip/pip.conf"
  fi
  git clone --quiet --no-hardlinks "file://$repository" "$root/root/seedlm"
}

environment=("${login_environment[@]}")
for variable in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_CERT PIP_DEFAULT_TIMEOUT; do
  [[ -z "${!variable-}" ]] || environment+=("$variable=${!variable}")
done

# inside NAME COMMAND: runs it in the clone, logs to NAME.log, prints the end of the log and the time.
inside() {
  local name=$1 command=$2 status=0 started=$SECONDS
  in_root "$root" "cd /root/seedlm && $command" "${environment[@]}" >"$directory/$name.log" 2>&1 </dev/null || status=$?
  echo "== $command: exit $status after $((SECONDS - started)) s"
  tail -n "$([[ $status -eq 0 ]] && echo 25 || echo 80)" "$directory/$name.log"
  return "$status"
}

echo "root: $root"
started=$SECONDS
make_root
echo "bare $suite root with $(git -C "$repository" log -1 --format='%h "%s"') after $((SECONDS - started)) s"
if [[ -n "$(git -C "$repository" status --porcelain)" ]]; then
  echo "note: the working tree has changes that are not committed; they are not checked"
fi

if [[ $only_deps -eq 1 ]]; then
  inside deps 'docker/install-deps.sh && docker/install-deps.sh'
  exit 0
fi
status=0
inside demo 'make demo' || status=1
inside test 'make test' || status=1
if [[ $status -eq 0 ]]; then
  rm -f "$directory"/{root,demo,test}.log
  echo "both commands succeeded on a bare root"
else
  echo "FAILED; the logs are in $directory" >&2
fi
exit "$status"
