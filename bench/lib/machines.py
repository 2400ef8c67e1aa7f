"""The two machines: Debian's Linux and Xok, on the same QEMU with the same processor and clock."""
import json
import os
import re
import shutil
import struct
import subprocess
import time

from lib import cpio

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build", "bench")
XOK = os.path.join(TOP, "build", "xok")
QEMU = os.environ.get("XOK_QEMU") or "qemu-system-x86_64"

# As tools/xok/machine.c has them for `xok run --icount`.
CPU = "max,-erms,-fsrm,-la57"
FLAGS = ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
         "-M", "microvm,acpi=on,rtc=on,pit=on,pic=on,auto-kernel-cmdline=off", "-accel", "tcg", "-cpu", CPU,
         "-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01T00:00:00,clock=vm", "-seed", "1"]
# Everything that costs Linux instructions and that Xok has no counterpart of is off.
COMMAND_LINE = ("console=ttyS0 reboot=t panic=-1 mitigations=off nokaslr audit=0 lsm=capability psi=0 init_on_alloc=0 "
                "init_on_free=0 hardened_usercopy=off randomize_kstack_offset=off preempt=none nowatchdog quiet")


class Failed(Exception):
    pass


def say(text):
    print(text, flush=True)


def run(*command, **kw):
    subprocess.run([str(c) for c in command], check=True, **kw)


def capture(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def fetch_kernel():
    """Debian's cloud kernel out of its package; returns the path of vmlinuz."""
    where = os.path.join(BUILD, "linux")
    boot = os.path.join(where, "boot")
    found = [f for f in os.listdir(boot) if f.startswith("vmlinuz")] if os.path.isdir(boot) else []
    if not found:
        os.makedirs(where, exist_ok=True)
        package = re.search(r"Depends: (linux-image-\S+)", capture("apt-cache", "depends", "linux-image-cloud-amd64")).group(1)
        say(f"fetching {package}")
        run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, cwd=where, stdout=subprocess.DEVNULL)
        deb = next(f for f in os.listdir(where) if f.endswith(".deb"))
        run("dpkg-deb", "-x", deb, "x", cwd=where)
        os.rename(os.path.join(where, "x", "boot"), boot)
        shutil.rmtree(os.path.join(where, "x"))
        os.unlink(os.path.join(where, deb))
        found = [f for f in os.listdir(boot) if f.startswith("vmlinuz")]
    return os.path.join(boot, found[0])


class Guest:
    """One root for both. `stage` fills its directory."""

    def __init__(self, name, stage):
        self.root = os.path.join(BUILD, name)
        shutil.rmtree(self.root, ignore_errors=True)
        for d in ("b", "dev", "tmp", "proc", "sys", "root"):
            os.makedirs(os.path.join(self.root, d))
        stage(self.root)
        os.makedirs(os.path.join(BUILD, "bin"), exist_ok=True)
        init = os.path.join(BUILD, "bin", "init")
        run("musl-gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-no-pie", "-o", init,
            os.path.join(TOP, "bench", "guest", "init.c"))
        self.kernel = fetch_kernel()
        self.initrd = os.path.join(BUILD, name + ".cpio")
        self.image = os.path.join(BUILD, name + ".img")
        cpio.write(self.initrd, self.root, init)
        run(XOK, "image", "build", self.root, "-o", self.image, stdout=subprocess.DEVNULL)

    def linux(self, *argv, env={}, memory="1G", timeout=600, profile=None):
        """Runs a program; returns what it printed and what is known of the machine."""
        plugin = ["-plugin", f"{os.path.join(TOP, 'build', 'profile.so')},to={profile}"] if profile else []
        words = [COMMAND_LINE] + [f"{k}={v}" for k, v in env.items()] + ["--", "run", *argv]
        start = time.monotonic()
        done = subprocess.run([QEMU, *FLAGS, *plugin, "-m", memory, "-serial", "stdio", "-kernel", self.kernel, "-initrd", self.initrd,
                               "-append", " ".join(words)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
        text = done.stdout.decode(errors="replace").replace("\r", "")
        end = re.search(r"bench-end status=(\d+) init_tsc=(\d+)", text)
        if not end or end.group(1) != "0":
            raise Failed(f"Linux: {' '.join(argv)}: {text[-400:]}")
        return text, {"ready_tsc": int(end.group(2)), "host_s": time.monotonic() - start}

    def xok(self, *argv, env={}, memory="1G", timeout=600, profile=None):
        stats = os.path.join(BUILD, f"stats.{os.getpid()}.json")
        command = [XOK, "run", "--icount", "--rootfs", self.image, "--cwd", "/tmp", "--memory", memory, "--stats", stats,
                   "--timeout", str(timeout)]
        if profile:
            command += ["--profile", profile]
        for k, v in env.items():
            command += ["--env", f"{k}={v}"]
        start = time.monotonic()
        done = subprocess.run([*command, "--", *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=timeout + 30)
        text = done.stdout.decode(errors="replace")
        if done.returncode:
            raise Failed(f"Xok: {' '.join(argv)}: status {done.returncode}: {text[-400:]}")
        with open(stats) as f:
            counts = json.load(f)
        os.unlink(stats)
        counts["host_s"] = time.monotonic() - start
        return text, counts


def profile_split(path):
    """Instructions of a profile: those of the system (a kernel, or ExOS in its arena) and those of programs."""
    system = program = 0
    with open(path, "rb") as f:
        _, blocks, _, _ = struct.unpack("<4Q", f.read(32))
        data = f.read(blocks * 24)
    for address, instructions, runs in struct.iter_unpack("<3Q", data):
        if address >> 47 or 0x600000000000 <= address < 0x608000000000:
            system += instructions * runs
        else:
            program += instructions * runs
    return system, program


def versions(kernel):
    return {"qemu": capture(QEMU, "--version").split("\n")[0],
            "linux": os.path.basename(kernel).replace("vmlinuz-", ""),
            "linux_command_line": COMMAND_LINE,
            "qemu_flags": " ".join(FLAGS),
            "xok": capture("git", "-C", TOP, "describe", "--always", "--dirty").strip()}
