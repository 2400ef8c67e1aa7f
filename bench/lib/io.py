"""The I/O-intensive application suite: unmodified Debian programs over a source tree, million instructions a step."""
import os
import re
import shutil

from lib import machines
from lib.machines import BUILD, TOP, say

# Steps whose work is nine tenths the kernel's on Linux are to take a fifth.
STEPS = [("cp_archive", "cp archive", True), ("gunzip", "gunzip", False), ("cp_tar", "cp tar", True),
         ("untar", "untar", True), ("cp_r", "cp -r tree", True), ("diff_r", "diff -r", False),
         ("tar_pack", "tar pack", True), ("gzip", "gzip", False), ("sync", "sync", False),
         ("rm_files", "rm files", True), ("rm_rf", "rm -rf", True)]
SOURCE = "redis"


def fetch_tree():
    """The upstream archive of a Debian source package, from a source list of our own."""
    where = os.path.join(BUILD, "source")
    os.makedirs(where, exist_ok=True)
    def found():
        return [f for f in os.listdir(where) if f.endswith(".orig.tar.gz")]
    if not found():
        say(f"fetching Debian's source of {SOURCE}")
        for d in ("state/lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(where, d), exist_ok=True)
        with open(os.path.join(where, "list"), "w") as f:
            f.write("deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n")
        options = ["-qq", "-o", f"Dir::Etc::sourcelist={where}/list", "-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State={where}/state",
                   "-o", f"Dir::Cache={where}/cache", "-o", "APT::Sandbox::User=root"]
        machines.run("apt-get", *options, "update")
        machines.run("apt-get", *options, "--download-only", "source", SOURCE, cwd=where)
    return os.path.join(where, found()[0])


def stage(root):
    # Debian's programs, as in the built-in root; the links in it stay links.
    shutil.copytree(os.path.join(TOP, "build", "root"), root, symlinks=True, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("doc", "locale", "man", "info", "dpkg", "zoneinfo"))
    shutil.copy(os.path.join(TOP, "bench", "iosuite", "suite.sh"), os.path.join(root, "b", "suite.sh"))
    shutil.copy(fetch_tree(), os.path.join(root, "b", "tree.tar.gz"))


def parse(text):
    steps = {}
    for name, us, status in re.findall(r"^STEP (\w+) (\d+) (\d+)", text, re.M):
        if status == "0":
            steps[name] = int(us) / 1000
        else:
            say(f"io: {name} ended with {status}")
    return steps


# Steps whose instructions are divided between system and programs: with the one before, which is their base.
DIVIDED = [("gunzip", "cp_tar"), ("cp_tar", "untar"), ("untar", "cp_r"), ("cp_r", "diff_r"), ("diff_r", "tar_pack"),
           ("sync", "rm_files"), ("rm_files", "rm_rf")]


def split(name, system):
    """Million instructions of system and programs in each of those steps: runs that end a step later."""
    sums = {}
    for stop in sorted({s for pair in DIVIDED for s in pair}, key=[s[0] for s in STEPS].index):
        say(f"io: {name} up to {stop}")
        path = os.path.join(BUILD, f"profile.{os.getpid()}")
        system("/bin/bash", "/b/suite.sh", env={"STOP": stop}, memory="2G", timeout=560, profile=path)
        sums[stop] = machines.profile_split(path)
        os.unlink(path)
    return {step: [(b - a) / 1e6 for a, b in zip(sums[base], sums[step])] for base, step in DIVIDED}


def measure(quick):
    guest = machines.Guest("io", stage)
    found = {"linux": [], "xok": []}
    for round in range(1 if quick else 2):
        for name, system in (("linux", guest.linux), ("xok", guest.xok)):
            say(f"io: {name}")
            try:
                text, about = system("/bin/bash", "/b/suite.sh", memory="2G", timeout=560)
                found[name].append(parse(text))
                if len(found[name][-1]) != len(STEPS):
                    say(text[-600:])
            except machines.Failed as e:
                say(str(e))
    parts = {}
    for name, system in (("linux", guest.linux), ("xok", guest.xok)) if not quick else ():
        try:
            parts[name] = split(name, system)
        except machines.Failed as e:
            say(str(e))
    rows = []
    for name, label, kernel_bound in STEPS:
        row = {"name": name, "label": label, "goal": None}
        for system, runs in found.items():
            values = sorted(r[name] for r in runs if name in r)
            if values:
                row[system] = {"median": values[len(values) // 2], "min": values[0], "max": values[-1]}
        if kernel_bound and "linux" in row:
            row["goal"] = row["linux"]["median"] / 5
        row["split"] = {s: p[name] for s, p in parts.items() if name in p}
        rows.append(row)
    return {"unit": "million guest instructions per step, tmpfs on both", "about": machines.versions(guest.kernel), "rows": rows}
