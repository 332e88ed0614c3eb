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

suite=bookworm
fail() {
  echo "check-bare-root.sh: $*" >&2
  exit 1
}

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
[[ $(id -u) -eq 0 ]] || fail "needs root for debootstrap and chroot: run it with sudo"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
command -v git >/dev/null || fail "git is missing: apt-get install git"

# "uri suite" for each suite of Debian 12 that apt knows, the main one first.
apt_suites() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v suite="$suite" '$3 == "main" && ($2 == suite || $2 ~ "^" suite "-(updates|security)$") {
      print length($2), $1, $2
    }' | sort -n -u | cut -d' ' -f2-
}

if [[ -n "${MIRROR-}" ]]; then
  suites="$MIRROR $suite"
else
  suites=$(apt_suites)
fi
read -r mirror first <<<"$suites" || true
[[ "${first-}" == "$suite" ]] ||
  fail "this machine's apt has no source for $suite: name one with MIRROR=url"

if [[ -z "$directory" ]]; then
  directory=$(mktemp -d "${TMPDIR:-/var/tmp}/seedlm-bare.XXXXXX")
else
  mkdir -p "$directory"
  [[ -z "$(ls -A "$directory")" ]] || fail "$directory is not empty: name a new directory"
fi
directory=$(realpath "$directory")
root=$directory/root

# Mounts live in the namespace of the process that runs inside (see `inside`), so nothing is left
# mounted whatever happens; --one-file-system is the second lock on that door.
clean_up() {
  [[ $keep -eq 1 ]] || rm -rf --one-file-system "$root"
  rmdir --ignore-fail-on-non-empty "$directory" 2>/dev/null || true
}
trap clean_up EXIT

copy_if_there() {
  local file
  for file in "$@"; do
    [[ -e "$file" ]] || continue
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  done
}

make_root() {
  debootstrap --variant=minbase --include=make "$suite" "$root" "$mirror" >"$directory/root.log" 2>&1 ||
    { tail -n 20 "$directory/root.log" >&2; fail "debootstrap failed"; }
  while read -r uri name; do
    echo "deb $uri $name main"
  done <<<"$suites" >"$root/etc/apt/sources.list"
  local settings
  mapfile -t settings < <(grep -lsr 'Acquire::' /etc/apt/apt.conf /etc/apt/apt.conf.d || true)
  copy_if_there "${settings[@]}" /etc/resolv.conf /etc/hosts /etc/pip.conf \
    /usr/local/share/ca-certificates/*.crt
  if [[ -e "$HOME/.config/pip/pip.conf" ]]; then
    mkdir -p "$root/root/.config/pip"
    cp -L "$HOME/.config/pip/pip.conf" "$root/root/.config/pip/pip.conf"
  fi
  git clone --quiet --no-hardlinks "file://$repository" "$root/root/seedlm"
}

# The environment of a fresh login, and what the way to the network needs.
environment=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb)
for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY \
  PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_CERT PIP_DEFAULT_TIMEOUT; do
  [[ -z "${!variable-}" ]] || environment+=("$variable=${!variable}")
done

# inside NAME COMMAND: runs it in the clone, logs to NAME.log, prints the end of the log and the time.
inside() {
  local name=$1 command=$2 status=0 started=$SECONDS
  unshare --mount --pid --fork --kill-child --propagation private bash -euc '
    mount -t proc proc "$1/proc"
    mount --rbind /sys "$1/sys"
    mount --rbind /dev "$1/dev"
    exec chroot "$1" env -i "${@:3}" bash -c "cd /root/seedlm && $2"
  ' bash "$root" "$command" "${environment[@]}" >"$directory/$name.log" 2>&1 </dev/null || status=$?
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
