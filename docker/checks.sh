#!/usr/bin/env bash
# Sourced by the checks beside it, from which `client COMMAND..` runs seedlm.
#
# Bare roots: Debian 12 in a directory, as root, with debootstrap. Packages come from where this machine's apt gets
# bookworm, or from MIRROR=url. Proxies and local certificates are carried over.
suite=bookworm

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# "uri suite" for each suite of Debian 12 that apt knows, the main one first.
apt_suites() {
  if [[ -n "${MIRROR-}" ]]; then
    echo "$MIRROR $suite"
    return
  fi
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v suite="$suite" '$3 == "main" && ($2 == suite || $2 ~ "^" suite "-(updates|security)$") {
      print length($2), $1, $2
    }' | sort -n -u | cut -d' ' -f2-
}

# copy_into ROOT FILE..: those that are there, to the same paths.
copy_into() {
  local root=$1 file
  shift
  for file in "$@"; do
    [[ -e "$file" ]] || continue
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  done
}

# need_root_maker: fails, by name, where a root cannot be made.
need_root_maker() {
  [[ $(id -u) -eq 0 ]] || fail "needs root for debootstrap and chroot: run it with sudo"
  command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
  local mirror first
  read -r mirror first < <(apt_suites) || true
  [[ -n "${mirror-}" && "${first-}" == "$suite" ]] ||
    fail "this machine's apt has no source for $suite: name one with MIRROR=url"
}

# new_directory NAME [DIR]: prints DIR, made and empty, or a new directory of that NAME.
new_directory() {
  local name=$1 directory=${2-}
  if [[ -z "$directory" ]]; then
    directory=$(mktemp -d "${TMPDIR:-/var/tmp}/$name.XXXXXX")
  else
    mkdir -p "$directory"
    [[ -z "$(ls -A "$directory")" ]] || fail "$directory is not empty: name a new directory"
  fi
  realpath "$directory"
}

# make_bare_root ROOT LOG PACKAGES: PACKAGES, with commas between them, beside the least that Debian is.
make_bare_root() {
  local root=$1 log=$2 packages=$3 suites mirror uri name settings
  suites=$(apt_suites)
  mirror=${suites%% *}
  debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; fail "debootstrap failed"; }
  while read -r uri name; do
    echo "deb $uri $name main"
  done <<<"$suites" >"$root/etc/apt/sources.list"
  mapfile -t settings < <(grep -lsr 'Acquire::' /etc/apt/apt.conf /etc/apt/apt.conf.d || true)
  copy_into "$root" "${settings[@]}" /etc/resolv.conf /etc/hosts /usr/local/share/ca-certificates/*.crt
}

# The environment of a fresh login, and what the way to the network needs.
login_environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb)
for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
  [[ -z "${!variable-}" ]] || login_environment+=("$variable=${!variable}")
done

# in_root ROOT COMMAND VARIABLE=VALUE..: bash runs COMMAND there with that environment. Mounts live in the namespace of the
# process, so nothing is left mounted whatever happens.
in_root() {
  local root=$1 command=$2
  shift 2
  unshare --mount --pid --fork --kill-child --propagation private bash -euc '
    mount -t proc proc "$1/proc"
    mount --rbind /sys "$1/sys"
    mount --rbind /dev "$1/dev"
    exec chroot "$1" env -i "${@:3}" bash -c "$2"
  ' bash "$root" "$command" "$@"
}

# ---- Jobs

# until_true SECONDS COMMAND..
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [[ $SECONDS -lt $end ]] || fail "not in time: $*"
    sleep 0.2
  done
}

# write_model FILE COUNT ROWS COLUMNS: COUNT matrices of Gaussian weights.
write_model() {
  PYTHONPATH=tests/e2e python3 -c 'import sys, harness
path, count, rows, columns = sys.argv[1], *map(int, sys.argv[2:])
harness.write_safetensors(path, {f"layers.{i}.weight": harness.tensor("F32", (rows, columns), i) for i in range(count)})' "$@"
}

# job_field JOB KEY
job_field() { client status "$1" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"; }

# shards_reach JOB COUNT
shards_reach() { [[ $(job_field "$1" shards_done) -ge $2 ]]; }
