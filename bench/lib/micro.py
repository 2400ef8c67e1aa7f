"""The micro-operations: the same static binaries on both systems, a row at a time, in guest instructions."""
import os
import re
import shutil

from lib import machines
from lib.machines import say

# (program, name in the program, what readers see, goal in guest instructions or None: not slower than Linux)
ROWS = [
    ("m_sys", "getpid", "getpid", 15),
    ("m_sys", "clock_gettime", "clock_gettime (vDSO)", None),
    ("m_sys", "read1_devzero", "read 1 B of /dev/zero", None),
    ("m_sys", "read1_file", "read 1 B of a cached file", 100),
    ("m_sys", "read4k_file", "read 4 KiB of a cached file", 500),
    ("m_sys", "read64k_file", "read 64 KiB of a cached file", None),
    ("m_sys", "write1_file", "write 1 B", None),
    ("m_sys", "write4k_file", "write 4 KiB", 700),
    ("m_sys", "stat", "stat", 200),
    ("m_sys", "fstat", "fstat", None),
    ("m_sys", "open_close", "open + close", 400),
    ("m_sys", "creat_unlink", "create + unlink", 9000),
    ("m_sys", "sig_install", "sigaction", None),
    ("m_sys", "sig_deliver", "signal delivery", 300),
    ("m_sys", "sched_yield_self", "sched_yield alone", None),
    ("m_ipc", "sched_yield_2proc", "sched_yield, two processes", None),
    ("m_ipc", "ctxsw_pipe_ring2", "context switch, pipe ring of 2", None),
    ("m_ipc", "ctxsw_pipe_ring16", "context switch, pipe ring of 16", None),
    ("m_sys", "memcpy_4k", "memcpy 4 KiB (user)", None),
    ("m_vm", "segv_trap", "segv handler and return", 120),
    ("m_vm", "appel1_prot1_trap_unprot", "appel1: prot1, trap, unprot", 700),
    ("m_vm", "appel2_protN_trap_unprot", "appel2: protN, trap, unprot (each)", 350),
    ("m_vm", "prot1_pair", "mprotect pair, 1 page", None),
    ("m_vm", "prot100_pair", "mprotect pair, 100 pages", None),
    ("m_sys", "mmap_munmap_4k", "mmap + munmap 4 KiB", None),
    ("m_sys", "mmap_touch_munmap_4k", "mmap + touch + munmap", 1500),
    ("m_sys", "anon_fault_4k", "anonymous page fault", 800),
    ("m_sys", "mmap_file64k_touch", "mmap 64 KiB of a file and touch", None),
    ("m_ipc", "pipe_rtt", "pipe round trip, two processes", 900),
    ("m_ipc", "pipe_bw_per64k", "pipe, per 64 KiB", None),
    ("m_ipc", "unix_rtt", "Unix socket round trip", 1100),
    ("m_ipc", "unix_bw_per64k", "Unix socket, per 64 KiB", None),
    ("m_ipc", "tcp_lo_rtt", "TCP loopback round trip", 2500),
    ("m_ipc", "tcp_lo_bw_per64k", "TCP loopback, per 64 KiB", None),
    ("m_proc", "fork_exit_wait", "fork + exit + wait", 15000),
    ("m_proc", "fork_exit_wait_8MB", "fork + exit + wait, 8 MiB dirty", None),
    ("m_proc", "fork_exec_tiny_wait", "fork + exec tiny static + wait", 30000),
    ("m_proc", "vfork_exec_tiny_wait", "vfork + exec tiny + wait", None),
    ("m_proc", "fork_sh_c_tiny", "sh -c tiny", 120000),
]
LINE = re.compile(r"^(\w+) +([\d.]+)  min ([\d.]+) max ([\d.]+) n=(\d+)", re.M)
# What an instruction count does not see, from `xok run --stats`.
COUNTS = ["kernel_calls", "page_faults", "environment_switches", "space_switches", "timer_interrupts"]


def stage(root):
    """The programs, and Debian's dash with its libraries."""
    source = os.path.join(machines.TOP, "bench", "micro")
    machines.run("make", "-s", "-C", source)
    for name in ("m_sys", "m_vm", "m_ipc", "m_proc", "tiny"):
        shutil.copy(os.path.join(source, name), os.path.join(root, "b", name))
    debian = os.path.join(machines.TOP, "build", "root")
    for path in ("usr/bin/dash", "usr/lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"):
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        shutil.copy(os.path.join(debian, path), os.path.join(root, path))
    for name in ("bin", "lib"):
        os.symlink("usr/" + name, os.path.join(root, name))
    os.symlink("dash", os.path.join(root, "usr/bin/sh"))
    os.makedirs(os.path.join(root, "lib64"))
    os.symlink("../usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", os.path.join(root, "lib64/ld-linux-x86-64.so.2"))


def parse(text):
    return {m.group(1): {"median": float(m.group(2)), "min": float(m.group(3)), "max": float(m.group(4)), "n": int(m.group(5))}
            for m in LINE.finditer(text)}


def per_operation(guest, program, name, env):
    """Counts of one operation: two runs that differ in the number of repetitions only."""
    few, many = 1, 5
    found = []
    for reps in (few, many):
        text, counts = guest.xok("/b/" + program, "=" + name, env={**env, "REPS": reps})
        found.append((parse(text)[name]["n"], counts))
    operations = found[0][0] * (many - few)
    return {c: (found[1][1][c] - found[0][1][c]) / operations for c in COUNTS}


def measure(quick):
    guest = machines.Guest("micro", stage)
    env = {"TARGET_MS": 2 if quick else 10, "REPS": 3 if quick else 5, "TINY": "/b/tiny"}
    linux, xok, failed, boots = {}, {}, {}, []
    for round in range(1 if quick else 2):
        for program in ("m_sys", "m_vm", "m_ipc", "m_proc"):
            say(f"micro: {program}")
            for system, into in ((guest.linux, linux), (guest.xok, xok)):
                try:
                    text, about = system("/b/" + program, env=env)
                except machines.Failed as e:
                    say(str(e))
                    failed[program] = str(e)
                    continue
                for name, row in parse(text).items():
                    into.setdefault(name, []).append(row)
    rows = []
    for program, name, label, goal in ROWS:
        row = {"name": name, "label": label, "goal": goal}
        for key, found in (("linux", linux.get(name)), ("xok", xok.get(name))):
            if found:
                row[key] = {"median": sorted(r["median"] for r in found)[len(found) // 2],
                            "min": min(r["min"] for r in found), "max": max(r["max"] for r in found)}
        if "xok" in row and not quick:
            say(f"counts: {name}")
            try:
                row["counts"] = per_operation(guest, program, name, {**env, "TARGET_MS": 2})
            except (machines.Failed, KeyError) as e:
                say(f"counts of {name}: {e}")
        rows.append(row)
    return {"unit": "guest instructions per operation", "about": machines.versions(guest.kernel), "settings": env, "rows": rows}
