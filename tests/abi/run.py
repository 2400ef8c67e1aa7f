#!/usr/bin/env python3
"""Runs the same command on Xok and in a chroot on the host, and compares output and exit status.

run.py [--smp 1,2,4] [-v] [NAME...]: NAME chooses cases. A case is a file cases/NAME.sh,
handed to /bin/bash -c unless its head says otherwise:

    #: shell PROGRAM ARG...   who gets the text as its last argument
    #: program PATH ARG...    runs this instead; the text is not used
    #: smp 1 2 4              processors to run it with (default 1)
    #: stdin BYTES            that many pseudo-random bytes (default none)
    #: user UID, env K=V, cwd DIR, memory SIZE
    #: alone STATUS           not run on the host: must end with STATUS and print what `#: out LINE`s say
"""
import argparse
import hashlib
import os
import random
import re
import resource
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "../.."))
XOK = os.path.join(TOP, "build/xok")
ROOT = os.path.join(TOP, "build/abi/root")
IMAGE = os.path.join(TOP, "build/abi/root.img")
LIMIT = 300  # seconds: only ends a case that hangs
SHOWN = 20   # lines of a difference


class Case:
    def __init__(self, name):
        self.name = name
        self.text = open(os.path.join(HERE, "cases", name + ".sh")).read()
        self.shell, self.smp, self.stdin = ["/bin/bash", "-c"], [1], 0
        self.user = self.cwd = self.memory = self.program = self.status = None
        self.env, self.out = [], []
        for key, value in re.findall(r"^#: (\w+) ?(.*)$", self.text, re.M):
            if key in ("shell", "program"):
                setattr(self, key, value.split())
            elif key == "smp":
                self.smp = [int(n) for n in value.split()]
            elif key == "stdin":
                self.stdin = int(value)
            elif key in ("env", "out"):
                getattr(self, key).append(value)
            elif key == "alone":
                self.status = int(value)
            elif key in ("user", "cwd", "memory"):
                setattr(self, key, value)
            else:
                sys.exit(f"{name}: unknown line {key}")
        body = re.sub(r"\A(#.*\n)*", "", self.text)
        self.argv = self.program or [*self.shell, body]

    def input(self):
        return random.Random(self.name).randbytes(self.stdin)

    def options(self, smp):
        options = ["--rootfs", IMAGE, "--smp", str(smp), "--timeout", str(LIMIT - 20)]
        for key in ("user", "cwd", "memory"):
            if getattr(self, key):
                options += ["--" + key, getattr(self, key)]
        for e in self.env:
            options += ["--env", e]
        return options

    def on_xok(self, smp):
        return run([XOK, "run", *self.options(smp), "--", *self.argv], self.input())

    def on_host(self):
        if self.status is not None:
            return self.status, "".join(line + "\n" for line in self.out).encode(), b""
        argv = self.argv
        if self.user:
            argv = ["/usr/bin/setpriv", "--reuid", self.user, "--regid", "0", "--clear-groups", *argv]
        if self.env:
            argv = ["/usr/bin/env", *self.env, *argv]
        if self.cwd:
            argv = ["/usr/bin/env", "-C", self.cwd, *argv]
        return run([os.path.join(HERE, "host.sh"), ROOT, *argv], self.input())


def limits():
    """What every Debian gives a login, whatever the caller's are."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))


def run(command, data):
    env = {k: v for k, v in os.environ.items() if k != "TERM"}
    try:
        r = subprocess.run(command, input=data, capture_output=True, timeout=LIMIT, env=env, start_new_session=True,
                           preexec_fn=limits)
    except subprocess.TimeoutExpired as e:
        return "hung", e.stdout or b"", e.stderr or b""
    return r.returncode, r.stdout, r.stderr


def normal(stderr):
    """Messages of shells name process ids."""
    text = stderr.decode(errors="replace")
    text = re.sub(r"\bline \d+: +\d+ (?=[A-Z])", "line N: PID ", text)
    return re.sub(r"\[\d+\] \d+", "[N] PID", text)


def shown(data):
    text = data if isinstance(data, str) else data.decode(errors="backslashreplace")
    if len(text) > 200000:
        return [f"{len(text)} bytes, sha256 {hashlib.sha256(text.encode()).hexdigest()}"]
    return text.splitlines()


def difference(what, host, xok):
    lines = [f"  {what}:"]
    host, xok = shown(host), shown(xok)
    for i in range(max(len(host), len(xok))):
        a = host[i] if i < len(host) else "(nothing)"
        b = xok[i] if i < len(xok) else "(nothing)"
        if a != b:
            lines += [f"    Linux  {a[:300]}", f"    Xok    {b[:300]}"]
    return lines[:SHOWN]


def compare(host, xok):
    lines = []
    if host[0] != xok[0]:
        lines += [f"  status: Linux {host[0]}, Xok {xok[0]}"]
    if host[1] != xok[1]:
        lines += difference("standard output", host[1], xok[1])
    if normal(host[2]) != normal(xok[2]):
        lines += difference("standard error", normal(host[2]), normal(xok[2]))
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smp", default="", help="only these of the case's processor counts")
    parser.add_argument("-v", action="store_true", help="names of what passes too")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    only = {int(n) for n in options.smp.split(",") if n}
    names = options.names or sorted(f[:-3] for f in os.listdir(os.path.join(HERE, "cases")) if f.endswith(".sh"))
    passed = failed = 0
    for name in names:
        case = Case(name)
        host = case.on_host()
        for smp in case.smp:
            if only and smp not in only:
                continue
            lines = compare(host, case.on_xok(smp))
            passed, failed = passed + (not lines), failed + bool(lines)
            if lines or options.v:
                print(f"{name} (smp {smp}): {'differs' if lines else 'same'}", *lines, sep="\n", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
