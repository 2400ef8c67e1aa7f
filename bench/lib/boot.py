"""Boot: instructions from the machine's start to the program's first instruction, the smallest memory, sizes."""
import os
import subprocess

from lib import machines, micro
from lib.machines import say

PROGRAM = ("/b/tiny",)


def smallest_memory(system, low, high):
    """MiB with which a small static program still runs, by bisection between one that fails and one that does."""
    def runs(mib):
        try:
            system(*PROGRAM, memory=f"{mib}M", timeout=60)
            return True
        except (machines.Failed, subprocess.TimeoutExpired):
            return False
    if not runs(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        say(f"boot: {middle} MiB")
        low, high = (low, middle) if runs(middle) else (middle, high)
    return high


def kernel_lines():
    files = [f for f in machines.capture("git", "-C", machines.TOP, "ls-files", "kernel").split()
             if f.endswith((".c", ".h", ".S"))]
    return sum(sum(1 for _ in open(os.path.join(machines.TOP, f), errors="replace")) for f in files)


def row(name, label, linux, xok, goal=None):
    r = {"name": name, "label": label, "goal": goal}
    for key, value in (("linux", linux), ("xok", xok)):
        if value is not None:
            r[key] = {"median": value, "min": value, "max": value}
    return r


def measure(quick):
    guest = machines.Guest("boot", micro.stage)
    say("boot: instructions")
    linux, xok = guest.linux(*PROGRAM)[1], guest.xok(*PROGRAM)[1]
    size = os.path.getsize
    rows = [row("instructions", "machine start to the program's first instruction, million instructions",
                linux["ready_tsc"] / 1e6, xok["ready_tsc"] / 1e6)]
    rows.append(row("memory", "smallest memory for a small static program, MiB",
                    smallest_memory(guest.linux, 4, 256), smallest_memory(guest.xok, 1, 64), 8))
    rows.append(row("kernel_bytes", "kernel image, MiB (Linux: compressed, without modules)", size(guest.kernel) / 2**20,
                    size(os.path.join(machines.TOP, "build", "kernel", "xok.elf")) / 2**20))
    rows.append(row("kernel_lines", "kernel, lines of source", None, kernel_lines()))
    return {"unit": "as each row says", "about": machines.versions(guest.kernel), "rows": rows}
