#!/usr/bin/env python3
"""xok run against a guest that is played by fake_qemu.py: statuses, streams, ends of file, the terminal."""
import fcntl
import hashlib
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "../../.."))
WORK = tempfile.mkdtemp(prefix="xok-tool-test.")
XOK = os.path.join(WORK, "xok")
ROOT = os.path.join(WORK, "root")
LIMIT = 120  # seconds: only ends a test that hangs


def prepare():
    shutil.copy(os.path.join(TOP, "build/xok"), XOK)
    for name in ("kernel/xok.elf", "exos/exos.elf"):
        os.makedirs(os.path.dirname(os.path.join(WORK, name)))
        open(os.path.join(WORK, name), "wb").write(b"not used by the fake machine")
    for name in ("bin", "etc", "home/ann"):
        os.makedirs(os.path.join(ROOT, name))
    open(os.path.join(ROOT, "etc/passwd"), "w").write("root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
    open(os.path.join(ROOT, "etc/group"), "w").write("root:x:0:\nann:x:1000:\nwheel:x:10:bob,ann\naudio:x:29:ann\n")
    elf = bytearray(64)
    elf[:7] = b"\x7fELF\x02\x01\x01"
    struct.pack_into("<HHIQQQIHHH", elf, 16, 2, 62, 1, 0, 0, 0, 0, 64, 56, 0)
    program("prog", elf)
    struct.pack_into("<H", elf, 18, 183)
    program("arm", elf)
    program("text", b"hello\n")
    program("plain", b"hello\n", 0o644)
    program("script", b"#! /bin/prog -x\n")
    program("orphan", b"#!/bin/absent\n")
    os.symlink("../bin/prog", os.path.join(ROOT, "bin/link"))
    os.environ["XOK_QEMU"] = os.path.join(HERE, "fake_qemu.py")


def program(name, content, mode=0o755):
    path = os.path.join(ROOT, "bin", name)
    open(path, "wb").write(content)
    os.chmod(path, mode)


def command(*args, options=()):
    return [XOK, "run", "--rootfs", ROOT, *options, "--", *(args or ("prog",))]


def run(*args, options=(), stdin=b"", **more):
    r = subprocess.run(command(*args, options=options), input=stdin, capture_output=True, timeout=LIMIT, **more)
    return r.returncode, r.stdout, r.stderr


def one_line(result, status, *words):
    code, out, err = result
    assert code == status, result
    assert out == b"" and err.startswith(b"xok: ") and err.count(b"\n") == 1, result
    assert all(w.encode() in err for w in words), result


def test_exit_status():
    for status in (0, 3, 42, 255):
        assert run("prog", "status", str(status)) == (status, b"out\n", b"err\n")


def test_signal_status():
    assert run("prog", "killed", "11") == (139, b"", b"")
    assert run("prog", "killed", "9") == (137, b"", b"")


def test_64_mib_in_and_out():
    data = os.urandom(1 << 20) * 64
    assert run("prog", "sum", stdin=data) == (0, f"{len(data)} {hashlib.sha256(data).hexdigest()}\n".encode(), b"")
    code, out, _ = run("prog", "cat", stdin=data)
    assert code == 0 and hashlib.sha256(out).digest() == hashlib.sha256(data).digest()


def test_stdin_ends_exactly():
    for data in (b"", b"x", b"\0" * 65536, b"\x04\x03\x1a\r\n" * 13107):
        assert run("prog", "cat", stdin=data) == (0, data, b"")


def test_stdin_from_file_and_to_file():
    data = os.urandom(3 << 20)
    name = os.path.join(WORK, "file")
    open(name, "wb").write(data)
    with open(name, "rb") as source, open(name + ".out", "wb") as to:
        assert subprocess.run(command("prog", "cat"), stdin=source, stdout=to, timeout=LIMIT).returncode == 0
    assert open(name + ".out", "rb").read() == data


def test_closed_descriptors():
    r = subprocess.run(["sh", "-c", '"$@" <&- 2>&-', "sh", *command("prog", "cat")], capture_output=True, timeout=LIMIT)
    assert (r.returncode, r.stdout) == (0, b""), r


def test_exit_overtakes_output():
    assert run("prog", "late") == (0, b"x" * (1 << 20), b"")


def test_reader_gone():
    child = subprocess.Popen(command("prog", "flood"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert child.stdout.read(4) == b"y\ny\n"
    child.stdout.close()
    assert child.wait(LIMIT) == 128 + signal.SIGPIPE


def test_slow_reader_loses_nothing():
    child = subprocess.Popen(command("prog", "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    data = os.urandom(4 << 20)

    def feed():
        child.stdin.write(data)
        child.stdin.close()
    feeder = threading.Thread(target=feed)
    feeder.start()
    got = b""
    while piece := os.read(child.stdout.fileno(), 777):
        got += piece
    feeder.join()
    assert child.wait(LIMIT) == 0 and got == data


def test_config():
    code, out, err = run("link", "config_text", "a b", "", options=("--env", "A=1", "--env=A=2", "--cwd", "/home/ann",
                                                                    "--user", "ann", "--strace"))
    assert code == 0, err
    lines = out.decode().splitlines()
    assert code == 0 and lines[0] == "path /bin/link" and lines[1] == "cwd /home/ann", out
    assert lines[2] == "ids 1000 1000 2" and lines[3] == "flags 1" and lines[4] == "tty 0", out
    assert lines[5] == "argv [b'link', b'config_text', b'a b', b'']", out
    env = eval(lines[6][4:])
    assert b"HOME=/home/ann" in env and b"A=2" in env and any(e.startswith(b"PATH=") for e in env), out


def test_user_by_number_and_group():
    assert b"ids 1000 10 0\n" in run("prog", "config_text", options=("--user", "1000:wheel"))[1]
    assert b"ids 77 0 0\n" in run("prog", "config_text", options=("--user", "77"))[1]
    one_line(run("prog", options=("--user", "bob")), 125, "bob")


def test_relative_program():
    assert b"path ./prog\n" in run("./prog", "config_text", options=("--cwd", "/bin"))[1]


def test_own_failures():
    one_line(run("prog", options=("--rootfs", "/no/such/root")), 125, "/no/such/root")
    one_line(run("prog", options=("--rootfs", "/etc/passwd")), 125, "/etc/passwd", "not a tar archive")
    one_line(run("prog", options=("--bogus",)), 125, "--bogus")
    one_line(run("prog", options=("-x",)), 125, "-x")
    one_line(run("prog", options=("--strace=yes",)), 125, "--strace")
    one_line(run("prog", options=("--smp", "17")), 125, "--smp")
    one_line(run("prog", options=("--smp", "0")), 125, "--smp")
    one_line(run("prog", options=("--memory", "12Q")), 125, "--memory")
    one_line(run("prog", options=("--memory", "1M")), 125, "--memory")
    one_line(run("prog", options=("--env", "A")), 125, "--env")
    one_line(run("prog", options=("--cwd", "/nowhere")), 125, "/nowhere")
    one_line(run("prog", options=("--machine", "pc98")), 125, "pc98")
    r = subprocess.run([XOK, "run"], capture_output=True)
    one_line((r.returncode, r.stdout, r.stderr), 125, "no program")
    r = subprocess.run([XOK, "run", "--memory"], capture_output=True)
    one_line((r.returncode, r.stdout, r.stderr), 125, "--memory")


def test_programs_that_cannot_run():
    one_line(run("absent"), 127, "absent")
    one_line(run("/bin/absent"), 127, "/bin/absent")
    one_line(run("/bin/prog/x"), 127, "/bin/prog/x")
    one_line(run("/bin"), 126, "directory")
    one_line(run("/bin/plain"), 126, "not executable")
    one_line(run("/bin/text"), 125, "not an ELF")
    one_line(run("/bin/arm"), 125, "another architecture")
    one_line(run("/bin/orphan"), 127, "/bin/absent")
    assert run("/bin/script", "status", "0")[0] == 0


def test_memory_too_small_for_the_root():
    with open(os.path.join(ROOT, "big"), "wb") as f:
        f.truncate(50 << 20)
    try:
        one_line(run("prog", options=("--memory", "64M")), 125, "out of guest memory")
    finally:
        os.unlink(os.path.join(ROOT, "big"))


def test_machine_failures():
    one_line(run("prog", "panic"), 125, "panic: page 17 is not mine")
    one_line(run("prog", "fail"), 125, "cannot set up guest memory")
    one_line(run("prog", "vanish"), 125, "machine stopped")
    one_line(run("prog", "error", "125"), 125, "/x: out of memory")
    one_line(run("prog", "error", "126"), 126, "/x: out of memory")
    one_line(run("prog", "garbage"), 125, "protocol")
    one_line(run("prog", env={**os.environ, "XOK_QEMU": "/no/qemu"}), 125, "/no/qemu")


def test_kernel_or_exos_missing():
    os.rename(os.path.join(WORK, "kernel/xok.elf"), os.path.join(WORK, "moved"))
    try:
        one_line(run("prog"), 125, "run make")
    finally:
        os.rename(os.path.join(WORK, "moved"), os.path.join(WORK, "kernel/xok.elf"))


def test_timeout():
    one_line(run("prog", "hang", options=("--timeout", "1")), 124, "1 s")


def test_verbose_shows_the_log():
    _, _, err = run("prog", "panic", options=("--verbose",))
    assert b"xok: starting\n" in err, err


def test_stats_and_strace():
    name = os.path.join(WORK, "stats.json")
    code, out, err = run("prog", "stats", options=("--stats", name, "--strace"))
    assert (code, out, err) == (0, b"", b"getpid() = 1\n")
    stats = json.load(open(name))
    assert stats["pages_peak"] == 17 and stats["exit_status"] == 0 and stats["ready_ns"] == 2000, stats


def test_qemu_options():
    line = run("prog", "qemu_line", options=("--icount", "--smp", "2", "--memory", "2G", "--machine", "q35"))[1].decode()
    for part in ("-icount shift=0,sleep=off", "-smp 2", "-m 2097152K", "-M q35", "-accel tcg", "virtio-serial-pci"):
        assert part in line, (part, line)


def test_signals_are_forwarded():
    child = subprocess.Popen(command("prog", "signals"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"go\n"
    for s in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
        child.send_signal(s)
        assert child.stdout.readline() == b"signal %d\n" % s
    assert child.wait(LIMIT) == 0


def test_signal_before_the_program_runs():
    child = subprocess.Popen(command("prog", "early_hang"), stdin=subprocess.DEVNULL)
    pid = wait_for_child(child.pid)
    child.send_signal(signal.SIGTERM)
    assert child.wait(LIMIT) in (143, -signal.SIGTERM)
    assert not os.path.exists(f"/proc/{pid}/fd/0")


def wait_for_child(pid):
    while True:
        children = open(f"/proc/{pid}/task/{pid}/children").read().split()
        if children and b"qemu" in open(f"/proc/{children[0]}/cmdline", "rb").read():
            return int(children[0])
        time.sleep(0.01)


def test_killed_tool_takes_the_machine_along():
    child = subprocess.Popen(command("prog", "hang"), stdin=subprocess.DEVNULL)
    pid = wait_for_child(child.pid)
    child.kill()
    child.wait(LIMIT)
    while True:  # ends because the machine does; a hang is the failure
        try:
            if open(f"/proc/{pid}/stat").read().split()[2] == "Z":
                break
        except FileNotFoundError:
            break
        time.sleep(0.01)


class Terminal:
    """The command on a pseudo-terminal of its own."""

    def __init__(self, *args, rows=24, cols=80):
        self.master, slave = pty.openpty()
        self.resize(rows, cols)
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.child = subprocess.Popen(command(*args), stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.seen = b""

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def expect(self, text):
        while text not in self.seen:
            piece = os.read(self.master, 1000)
            assert piece, self.seen
            self.seen += piece
        self.seen = self.seen.split(text, 1)[1]

    def send(self, data):
        os.write(self.master, data)

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def end(self):
        status = self.child.wait(LIMIT)
        os.close(self.master)
        os.close(self.slave)
        return status


def test_terminal():
    t = Terminal("prog", "keys", rows=33, cols=101)
    t.expect(b"size 33 101 tty 7\r\n")
    t.send(b"\x03")
    t.expect(b"keys 3\r\n")
    t.send(b"\x1a\x1c\r")
    t.expect(b"keys 26 28 13\r\n")
    t.resize(40, 132)
    t.expect(b"size 40 132\r\n")
    assert not t.restored()
    t.send(b"\x04")
    t.expect(b"keys 4\r\n")
    assert t.child.wait(LIMIT) == 0
    assert t.restored()
    t.end()


def test_terminal_restored_when_things_go_wrong():
    for args, status in ((("prog", "panic"), 125), (("prog", "error", "125"), 125), (("prog", "garbage"), 125)):
        t = Terminal(*args)
        assert t.child.wait(LIMIT) == status
        assert t.restored(), args
        t.end()
    t = Terminal("prog", "keys")
    t.expect(b"tty 7\r\n")
    t.child.send_signal(signal.SIGSEGV)
    assert t.child.wait(LIMIT) == -signal.SIGSEGV
    assert t.restored()
    t.end()


def main():
    prepare()
    wanted = sys.argv[1:]
    passed, failed = 0, 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or (wanted and name not in wanted):
            continue
        try:
            test()
            passed += 1
        except Exception as e:
            failed += 1
            print(f"{name}: {type(e).__name__}: {e}", file=sys.stderr)
    shutil.rmtree(WORK)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


main()
