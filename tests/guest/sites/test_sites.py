#!/usr/bin/env python3
"""Both ways in for a system call: the kernel sends back the first from a site, the patched site goes straight to
ExOS. Counted by --stats; what the programs print is compared with Linux in tests/abi."""
import json
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
XOK = [os.path.join(TOP, "build/xok"), "run", "--rootfs", os.path.join(TOP, "build/abi/root.img"), "--timeout", "200"]
passed = failed = 0


def run(*command):
    with tempfile.NamedTemporaryFile() as f:
        p = subprocess.run([*XOK, "--stats", f.name, *command], stdin=subprocess.DEVNULL, capture_output=True)
        return p, json.load(open(f.name))


def check(what, good, *seen):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED", what, *seen)


for smp in "1", "4":
    p, s = run("--smp", smp, "--", "/abi/static/thread_crowd")
    check("threads: status", p.returncode == 3, p)
    # 32 threads meet sites that nobody has run before, several at once; each bounces at most once a processor and
    # moment, and is a call from then on.
    check("threads: some bounced", 0 < s["linux_calls_bounced"] < 500, s)
    check("threads: nearly all were calls", s["linux_calls_direct"] > 2 * s["linux_calls_bounced"], s)

loop = "i=0; while [ $i -lt 30 ]; do /bin/true; i=$((i+1)); done"
p, s = run("--", "/bin/bash", "-c", loop)
p2, s2 = run("--", "/bin/bash", "-c", loop.replace("30", "60"))
# A child of bash begins with bash's own, older version of a page: once where only children call.
check("30 more processes of the same text bounce once each at most", s2["linux_calls_bounced"] - s["linux_calls_bounced"] <= 30, s, s2)
check("but make their calls", s2["linux_calls_direct"] - s["linux_calls_direct"] > 300, s, s2)

# Under --strace no site is patched: everything bounces, and programs see no difference.
p, s = run("--strace", "--", "/bin/busybox", "sh", "-c", "echo $((6*7)); exit 3")
check("strace: output and status", (p.stdout, p.returncode) == (b"42\n", 3), p)
check("strace: no call came the short way", s["linux_calls_direct"] == 0 and s["linux_calls_bounced"] > 10, s)
check("strace: a line a call", b'write(1, "42\\n", 3) = 3' in p.stderr and b"exit_group(3) = ?" in p.stderr, p.stderr[-300:])

print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0 or not passed)
