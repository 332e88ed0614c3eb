#!/usr/bin/env python3
"""Goes through the steps of docker/Dockerfile where there is no engine, in bare Debian roots.

Usage: docker/check-image.py [--cache DIR] [--staged DIR] [--keep] TARGET DIR

For each stage that TARGET needs a root is made with debootstrap below DIR, and its COPY and RUN steps
are done there. Then the image's program is started the way a container would start it (its user, its
ENTRYPOINT and CMD), asked by its HEALTHCHECK until that succeeds, and sent its STOPSIGNAL; it must
end with exit code 0. What COPY takes is the committed HEAD.

Needs root, debootstrap, and a Debian 12 mirror: MIRROR=url, or what this machine's apt uses.
--cache DIR stands for `RUN --mount=type=cache`; ccache finds there what was compiled in any directory
of a Debian 12. --staged DIR is what docker/stage-image.sh laid out from a
build on this machine, also Debian 12: the stages that build are then not gone through. --keep leaves the roots there. Stages that come from
another distribution than Debian (the cuda target) cannot be checked here and are refused.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

SUITE = "bookworm"
DOCKERFILE = "docker/Dockerfile"
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
HEALTH_SECONDS = 60
STOP_SECONDS = 60
SUPPORTED = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL",
             "HEALTHCHECK", "ENTRYPOINT", "CMD"}


def fail(message):
    sys.exit(f"check-image.py: {message}")


def parse(text):
    """Dockerfile -> (ARGs before the first FROM, {stage: {"base": .., "steps": [(word, rest)]}})."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    logical = re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()
    arguments, stages, current = {}, {}, None
    for line in filter(str.strip, logical):
        word, rest = line.strip().split(None, 1)
        if word not in SUPPORTED:
            fail(f"{DOCKERFILE}: {word} is not a step that this script knows")
        if word == "ARG" and current is None:
            name, value = rest.split("=", 1)
            arguments[name] = value
        elif word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            base = re.sub(r"\$\{(\w+)\}", lambda m: arguments[m.group(1)], base)
            current = stages[name] = {"base": base, "steps": []}
        else:
            current["steps"].append((word, rest))
    return stages


def mirror():
    """[(uri, suite)], the main suite first, and the parts of apt's configuration to carry over."""
    if os.environ.get("MIRROR"):
        return [(os.environ["MIRROR"], SUITE)]
    out = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
         "Created-By: Packages"], check=True, capture_output=True, text=True).stdout
    found = sorted({tuple(line.split()[:2]) for line in out.splitlines()
                    if line.split()[2] == "main" and
                    re.fullmatch(SUITE + "(-updates|-security)?", line.split()[1])},
                   key=lambda entry: len(entry[1]))
    if not found or found[0][1] != SUITE:
        fail(f"this machine's apt has no source for {SUITE}: name one with MIRROR=url")
    return found


class Roots:
    def __init__(self, directory, cache, staged):
        self.directory, self.cache, self.staged = directory, cache, staged
        self.sources = mirror()
        self.bare = directory / "bare"
        self.done = {}
        self.context = directory / "context"
        self.context.mkdir()
        archive = subprocess.run(["git", "-C", REPOSITORY, "archive", "HEAD"], check=True,
                                 capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", self.context], input=archive, check=True)

    def make_bare(self):
        subprocess.run(["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE,
                        self.bare, self.sources[0][0]], check=True, stdout=subprocess.DEVNULL)
        (self.bare / "etc/apt/sources.list").write_text(
            "".join(f"deb {uri} {suite} main\n" for uri, suite in self.sources))
        settings = subprocess.run(["grep", "-lsr", "Acquire::", "/etc/apt/apt.conf",
                                   "/etc/apt/apt.conf.d"], capture_output=True, text=True).stdout
        for file in [*settings.split(), "/etc/resolv.conf", "/etc/hosts",
                     *map(str, pathlib.Path("/usr/local/share/ca-certificates").glob("*.crt"))]:
            if os.path.exists(file):
                target = self.bare / file.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
        self.inside(self.bare, ["update-ca-certificates"], quiet=True)

    def inside(self, root, command, directory="/", user=None, mounts=(), quiet=False, popen=False):
        """Runs `command` in `root`, in namespaces of its own for mounts and processes."""
        script = ['mount -t proc proc "$1/proc"', 'mount --rbind /dev "$1/dev"']
        for source, target in mounts:
            script.append(f'mkdir -p "$1{target}"; mount --bind {shlex.quote(str(source))} "$1{target}"')
        spec = f"--userspec={user} " if user else ""
        home = "/root" if user is None else "/var/lib/" + user
        environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                       f"HOME={home}"]
        environment += [f"{k}={os.environ[k]}" for k in (
            "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
            if k in os.environ]
        if self.cache:  # finds what was compiled in other directories, on the same system
            environment += [f"CCACHE_BASEDIR={directory}", "CCACHE_NOHASHDIR=1"]
        script.append(f'exec chroot {spec}"$1" env -i "${{@:3}}" sh -c "$2"')
        text = f"cd {shlex.quote(directory)} && exec {shlex.join(command)}"
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
                "bash", "-euc", "\n".join(script), "bash", str(root), text, *environment]
        if popen:
            return subprocess.Popen(argv)
        result = subprocess.run(argv, stdout=subprocess.DEVNULL if quiet else None)
        return result.returncode

    def stage(self, stages, name):
        if name in self.done:
            return self.done[name]
        stage = stages[name]
        if not stage["base"].startswith("debian:" + SUITE):
            fail(f"stage {name} is built on {stage['base']}, which cannot be made here")
        for word, rest in stage["steps"]:
            source = re.match(r"--from=(\S+)", rest) if word == "COPY" else None
            if source and not self.staged:
                self.stage(stages, source.group(1))
        if not self.bare.exists():
            self.make_bare()
        print(f"== stage {name}, from {stage['base']}", flush=True)
        root = self.directory / name
        subprocess.run(["cp", "-a", self.bare, root], check=True)
        self.done[name] = {"root": root, "directory": "/", "user": None}
        for word, rest in stage["steps"]:
            print(f"-- {word} {' '.join(rest.split())}", flush=True)
            getattr(self, "do_" + word.lower(), self.do_note)(self.done[name], word, rest)
        return self.done[name]

    def do_note(self, state, word, rest):
        state[word] = rest

    def do_workdir(self, state, _, rest):
        state["directory"] = rest
        (state["root"] / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def do_copy(self, state, _, rest):
        *options, rest = re.fullmatch(r"(--from=\S+ )?(.*)", rest).groups()
        *sources, target = rest.split()
        built = options[0] and not self.staged
        origin = self.done[options[0].strip()[7:]]["root"] if built else self.context
        place = state["root"] / os.path.join(state["directory"], target).lstrip("/")
        for source in sources:
            path = self.staged if options[0] and self.staged else origin / source.lstrip("/")
            if path.is_dir():
                shutil.copytree(path, place, dirs_exist_ok=True, symlinks=True)
            else:
                file = place / path.name if target.endswith("/") else place
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, file)

    def do_run(self, state, _, rest):
        mounts = []
        while match := re.match(r"--mount=type=cache,target=(\S+)\s+", rest):
            if self.cache:
                mounts.append((self.cache, match.group(1)))
            rest = rest[match.end():]
        started = time.monotonic()
        code = self.inside(state["root"], ["sh", "-c", rest], state["directory"], state["user"],
                           mounts)
        if code != 0:
            fail(f"RUN ended with exit code {code}: {rest}")
        print(f"   {time.monotonic() - started:.0f} s", flush=True)

    def do_user(self, state, _, rest):
        state["user"] = rest


def check_container(roots, state):
    """Starts, asks, stops."""
    command = json.loads(state["ENTRYPOINT"]) + json.loads(state["CMD"])
    health = json.loads(re.search(r"CMD (\[.*\])", state["HEALTHCHECK"]).group(1))
    if state["user"] in (None, "root", "0"):
        fail("the image runs as root")
    print(f"== {shlex.join(command)}, as {state['user']}", flush=True)
    # One namespace of processes for all three, as in a container: a shell that waits.
    script = (f"{shlex.join(command)} & server=$!\n"
              f"for i in $(seq {HEALTH_SECONDS}); do sleep 1; {shlex.join(health)} && break; done\n"
              f"{shlex.join(health)} || exit 90\n"
              f"kill -s {state['STOPSIGNAL'].removeprefix('SIG')} $server; wait $server")
    code = subprocess.Popen.wait(
        roots.inside(state["root"], ["sh", "-c", script], user=state["user"], popen=True),
        timeout=HEALTH_SECONDS + STOP_SECONDS)
    if code == 90:
        fail(f"the health check did not succeed within {HEALTH_SECONDS} s")
    if code != 0:
        fail(f"the server ended with exit code {code}")
    print("== healthy, and ended with exit code 0", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path)
    parser.add_argument("--staged", type=pathlib.Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("target")
    parser.add_argument("directory", type=pathlib.Path)
    arguments = parser.parse_args()
    stages = parse((REPOSITORY / DOCKERFILE).read_text())
    if arguments.target not in stages:
        fail(f"no stage {arguments.target} in {DOCKERFILE}: it has {', '.join(stages)}")
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        fail("needs root and debootstrap")
    arguments.directory.mkdir(parents=True, exist_ok=True)
    if any(arguments.directory.iterdir()):
        fail(f"{arguments.directory} is not empty: name a new directory")
    cache = arguments.cache.resolve() if arguments.cache else None
    staged = arguments.staged.resolve() if arguments.staged else None
    roots = Roots(arguments.directory.resolve(), cache, staged)
    try:
        state = roots.stage(stages, arguments.target)
        size = subprocess.run(["du", "-sxm", state["root"]], capture_output=True, text=True).stdout
        print(f"== the root of {arguments.target}: {size.split()[0]} MB", flush=True)
        check_container(roots, state)
    finally:
        if not arguments.keep:
            subprocess.run(["rm", "-rf", "--one-file-system", arguments.directory.resolve()])


if __name__ == "__main__":
    main()
