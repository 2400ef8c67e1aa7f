#!/usr/bin/env python3
"""Terminals: `xok run` on a terminal of the host, driven as a person would, and what a program can see of
terminals compared with Linux. test_terminal.py [NAME...]: only those. Every wait is for output."""
import hashlib
import os
import random
import subprocess
import sys
import time

from host import TOP, XOK, Terminal

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 120
SHELL = ["/bin/bash", "--norc", "-i"]
PROMPT = r"bash-5[^#\n]*# "


class Shell(Terminal):
    """bash on Xok, at its prompt."""

    def __init__(self, **options):
        super().__init__(XOK + SHELL, **options)
        self.expect(PROMPT)
        self.send("bind 'set enable-bracketed-paste off'\r") # fewer escapes to look past
        self.expect(r"\n[^\n]*" + PROMPT)

    def line(self, text, then):
        """Types a line; waits for what it prints and for the prompt."""
        self.send(text + "\r")
        self.expect(r"\r\n")
        m = self.expect(then)
        self.expect(PROMPT)
        return m


def test_line_editing():
    with Shell() as t:
        t.line("echo abd\x1b[Dc\x1b[C\x7fX", r"^abcX\r\n")
        t.line("\x1b[A", r"^abcX\r\n")
        t.line("two\x01echo \x05 end", r"^two end\r\n")
        t.line("echo nothing\x15echo kept", r"^kept\r\n")
        t.line("echo one three\x17two", r"^one two\r\n")
        t.send("echo /usr/sh\t")
        t.expect(r"/usr/share/")
        t.line("x", r"^/usr/share/x\r\n")
        t.send("\x12abc")
        t.expect(r"i-search.*c': echo ")
        t.line("\x05", r"^abcX\r\n")


def test_interrupt():
    with Shell() as t:
        t.send("sh -c 'echo up; exec sleep 1000'\r")
        t.expect(r"\nup\r\n")
        t.send("\x03")
        t.expect(r"^\^C")
        t.expect(PROMPT)
        t.line("echo status=$?", r"^status=130\r\n")
        t.send("sh -c 'echo up; exec sleep 1000'\r")
        t.expect(r"\nup\r\n")
        t.send("\x1c")
        t.expect(r"\^\\")
        t.expect(PROMPT)
        t.line("echo status=$?", r"^status=131\r\n")
        t.send("half a line\x03")
        t.expect(PROMPT)


def test_jobs():
    with Shell() as t:
        t.send("echo up; cat\r") # what is typed before that is not in canonical mode yet
        t.expect(r"\nup\r\n")
        t.send("hello\r")
        t.expect(r"hello\r\nhello\r\n")
        t.send("\x1a")
        t.expect(r"\[1\]\+  Stopped +cat")
        t.expect(PROMPT)
        t.line("bg", r"^\[1\]\+ cat &\r\n")  # reads in the background: stopped again
        t.line("until jobs | grep -q Stopped; do :; done; jobs", r"\[1\]\+  Stopped +cat\r\n")
        t.send("fg\r")
        t.expect(r"\r\ncat\r\n")
        t.send("more\r")
        t.expect(r"more\r\nmore\r\n")
        t.send("\x04")
        t.expect(PROMPT)
        t.line("jobs; echo none", r"^none\r\n")
        t.line("sleep 1000 &", r"^\[1\] \d+\r\n")
        t.line("kill %1; wait %1; echo status=$?", r"status=143\r\n")
        t.line("stty tostop; (echo from behind) & wait; stty -tostop; jobs", r"\[1\]\+  Stopped.*echo from behind")
        t.send("fg\r")
        t.expect(r"\nfrom behind\r\n")
        t.expect(PROMPT)
        t.send("sh -c 'echo up; exec sleep 1000' | cat\r")
        t.expect(r"\nup\r\n")
        t.send("echo typed ahead\r")
        t.expect(r"echo typed ahead\r\n")
        t.send("\x1a")
        t.expect(r"Stopped +sh -c .* \| cat\r\n")
        t.expect(PROMPT)
        t.line("kill -9 %1; wait; echo done", r"done\r\n")


def test_end_of_file():
    with Shell() as t:
        t.send("echo up; cat > /tmp/f\r")
        t.expect(r"\nup\r\n")
        t.send("one\rtwo\x04\x04")
        t.expect(r"one\r\ntwo")
        t.expect(PROMPT)
        t.line("od -c /tmp/f | head -1", r"o   n   e  \\n   t   w   o\r\n")
        t.send("\x04")
        t.expect("exit")
        assert t.end() == 0


def test_exit_status_and_host_terminal():
    with Terminal(XOK + ["/bin/bash", "--norc", "-ic", "stty -a; exit 42"]) as t:
        before = t.settings()
        t.expect(r"extproc\r\n")
        assert t.end() == 42
        assert t.settings() == before


def test_settings_as_linux():
    def of(argv):
        with Terminal(argv, rows=33, cols=101) as t:
            t.end()
            return t.log
    linux, xok = of(["/bin/stty", "-a"]), of(XOK + ["/bin/stty", "-a"])
    assert b"rows 33; columns 101" in xok, xok
    assert linux == xok, (linux, xok)


def test_window_size():
    with Shell(rows=20, cols=70) as t:
        t.line("stty size", r"^20 70\r\n")
        t.send("trap 'echo changed; stty size' WINCH; sleep 1000 & echo up; wait; kill %1\r")
        t.expect(r"\nup\r\n")
        t.resize(31, 99)
        t.expect(r"changed\r\n31 99\r\n")
        t.expect(PROMPT)


def test_raw_mode():
    with Shell() as t:
        t.send("stty raw -echo; echo up; dd bs=1 count=6 2>/dev/null | od -An -tx1; stty sane\r")
        t.expect(r"\nup\n")
        t.send(b"\x03\x1a\x04\r\x13\xff")
        t.expect(r"03 1a 04 0d 13 ff")
        t.expect(PROMPT)
        t.send("read -rsn1 -p key: k; echo got $k\r")
        t.expect(r"\nkey:")
        t.send("x")
        t.expect(r"got x\r\n")
        t.expect(PROMPT)
        t.send("read -t 0.2 -n 3 x; echo status $? x=$x\r")
        t.expect(r"status 142 x=\r\n")
        t.expect(PROMPT)


def test_full_screen():
    with Shell(rows=10, cols=40) as t:
        t.send("busybox vi /tmp/text\r")
        t.expect(r"/tmp/text 1/1 100%")
        t.send("ihello\rworld")
        t.expect(r"world")
        t.send("\x1b")
        t.expect(r"- /tmp/text \[Modified\]")
        t.send("1Gx:wq\r")
        t.expect(PROMPT)
        t.line("cat /tmp/text", r"^ello\r\nworld\r\n")
        t.send("seq 1 100 | busybox less\r")
        t.expect(r"1\r\n.*9")
        t.send("G")
        t.expect(r"100")
        t.send("q")
        t.expect(PROMPT)
        t.send("seq 1 100 | more\r")
        t.expect(r"--More--")
        t.send("q")
        t.expect(PROMPT)


def test_flow_control():
    with Shell() as t:
        t.send("stty ixon; echo up; cat\r")
        t.expect(r"\nup\r\n")
        t.send("\x13unseen\r\x11seen\r")
        t.expect(r"unseen\r\n.*seen\r\n.*seen\r\n")
        t.send("\x04")
        t.expect(PROMPT)


def test_much_output():
    with Shell() as t:
        t.line("seq 1 20000; echo end", r"\n20000\r\nend\r\n")
        t.send("yes\r")
        t.expect(r"y\r\ny\r\n")
        t.send("\x03")
        t.expect(PROMPT)
        t.line("echo alive", r"^alive\r\n")


def test_much_input():
    words = "".join("line %d\r" % n for n in range(3000))
    with Shell() as t:
        t.send("stty -echo; echo up; cat > /tmp/f; stty echo; md5sum /tmp/f\r")
        t.expect(r"\nup\r\n")
        t.send(words)
        t.send("\x04")
        t.expect(hashlib.md5(words.replace("\r", "\n").encode()).hexdigest())


def test_hang_up():
    t = Terminal(XOK + SHELL)
    t.expect(PROMPT)
    t.send("trap 'exit 9' HUP\r")
    t.expect(PROMPT)
    os.close(t.fd)
    t.fd = os.open("/dev/null", os.O_RDONLY)
    assert t.wait() in (9, 129, 0), t.status
    t.close()


def test_signals_to_xok():
    with Terminal(XOK + ["/bin/bash", "-c", "trap 'echo term; exit 3' TERM; echo up; while :; do sleep 0.05; done"]) as t:
        before = t.settings()
        t.expect("up\r\n")
        os.kill(t.pid, 15)
        t.expect("term\r\n")
        assert t.end() == 3
        assert t.settings() == before


def test_only_input_is_a_terminal():
    with Terminal(["/bin/sh", "-c", "exec %s run -- /bin/sh -c 'test -t 0 && ! test -t 1; echo $?; cat; echo end' 2>&1 | cat"
                   % XOK[0]]) as t:
        t.expect(r"^0\r\n")
        t.send("typed\r")
        t.expect(r"typed\r\ntyped\r\n")
        t.send("\x04")
        t.expect("end\r\n")
        t.end()


def test_only_output_is_a_terminal():
    with Terminal(["/bin/sh", "-c", "echo piped | %s run -- /bin/sh -c 'test -t 1 && ! test -t 0; echo $?; cat'"
                   % XOK[0]]) as t:
        t.expect(r"^0\r+\npiped\r+\n")
        assert t.end() == 0


# ---- without a terminal: three streams
def run(argv, data=b"", **options):
    p = subprocess.run(XOK + argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT, **options)
    return p.returncode, p.stdout, p.stderr


def test_streams_are_apart():
    data = random.Random(1).randbytes(3_000_000)
    status, out, err = run(["/bin/bash", "-c", "tee /tmp/f; sha256sum </tmp/f >&2; test -t 0 || exit 7"], data)
    assert status == 7 and out == data and err == hashlib.sha256(data).hexdigest().encode() + b"  -\n", (status, err)


def test_many_writers():
    status, out, _ = run(["/bin/bash", "-c", "for n in 1 2 3 4 5 6; do (for k in {1..300}; do echo line $n $k; done) & done; wait"])
    lines = out.decode().splitlines()
    assert status == 0 and sorted(lines) == sorted(f"line {n} {k}" for n in range(1, 7) for k in range(1, 301))


def test_reader_goes():
    p = subprocess.Popen(XOK + ["/bin/bash", "-c", "yes; echo $? >&2"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    assert p.stdout.read(10) == b"y\ny\ny\ny\ny\n"
    p.stdout.close()
    assert p.stderr.read() == b"141\n"
    assert p.wait(LIMIT) == 0


def test_no_input():
    status, out, _ = run(["/bin/sh", "-c", "cat; head -c 1; echo end"])
    assert status == 0 and out == b"end\n"


# ---- pseudo-terminals
def compiled():
    path = os.path.join(TOP, "build/guest/ntty")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    subprocess.run(["cc", "-static", "-O1", "-Wall", "-Wno-unused-result", "-o", path, os.path.join(HERE, "ntty.c")],
                   check=True)
    return path


def test_pty_program_as_linux():
    path = compiled()
    linux = subprocess.run([path], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=LIMIT, start_new_session=True)
    status, xok, _ = run(["/bin/sh", "-c", "cat >/tmp/ntty && chmod +x /tmp/ntty && exec /tmp/ntty"], open(path, "rb").read())
    assert status == linux.returncode == 0
    different = [pair for pair in zip(linux.stdout.splitlines(), xok.splitlines()) if pair[0] != pair[1]]
    assert linux.stdout == xok, different[:5]


def main():
    wanted = sys.argv[1:]
    passed, failed = 0, 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or (wanted and name not in wanted):
            continue
        start = time.monotonic()
        try:
            test()
            passed += 1
            if os.environ.get("TERMINAL_VERBOSE"):
                print(f"{name} {time.monotonic() - start:.1f} s")
        except Exception as e:
            failed += 1
            print(f"{name}: {type(e).__name__}: {e}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


main()
