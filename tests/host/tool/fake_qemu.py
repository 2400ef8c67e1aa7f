#!/usr/bin/env python3
"""Plays QEMU's side of xok run's sockets. What it does as a guest is named by the program's first argument."""
import hashlib
import os
import re
import select
import signal
import socket
import struct
import sys

CONFIG, STDIN_EOF, WINCH, SIGNAL, HUP = 1, 2, 3, 4, 5
READY, EXIT, ERROR, STATS, STRACE = 16, 17, 18, 19, 20


class Guest:
    def __init__(self):
        self.port = {}
        for word in sys.argv:
            match = re.fullmatch(r"socket,id=(\w+),fd=(\d+)", word)
            if match:
                self.port[match[1]] = socket.socket(fileno=int(match[2]))
        self.sent = [0, 0]
        head, strings = self.message(CONFIG)[:116], None
        (self.version, self.flags, self.tty, self.rows, self.cols, self.uid, self.gid, self.ngroups) = \
            struct.unpack_from("<IIIHHIII", head)
        self.argc, self.envc = struct.unpack_from("<II", head, 28 + 64)
        strings = self.config[struct.calcsize("<IIIHHIII16IIII"):].split(b"\0")
        self.path, self.cwd = strings[0], strings[1]
        self.argv = strings[2:2 + self.argc]
        self.env = strings[2 + self.argc:2 + self.argc + self.envc]
        assert strings[2 + self.argc + self.envc:] == [b""]

    def message(self, wanted=None):
        kind, length = struct.unpack("<II", self.exactly("control", 8))
        payload = self.exactly("control", length)
        if kind == CONFIG:
            self.config = payload
        assert wanted in (None, kind), kind
        return payload if wanted else (kind, payload)

    def exactly(self, port, length):
        data = b""
        while len(data) < length:
            piece = self.port[port].recv(length - len(data))
            if not piece:
                sys.exit(0)
            data += piece
        return data

    def post(self, kind, payload=b""):
        self.port["control"].sendall(struct.pack("<II", kind, len(payload)) + payload)

    def ready(self):
        self.post(READY, struct.pack("<QQ", 1000, 2000))

    def write(self, data, err=False):
        self.port["stderr" if err else "stdout"].sendall(data)
        self.sent[err] += len(data)

    def exit(self, status):
        self.post(EXIT, struct.pack("<IIQQ", status, 0, *self.sent))
        signal.pause()

    def stdin(self):
        """Pieces of standard input up to its exact end."""
        total, got = None, 0
        while total is None or got < total:
            for s in select.select([self.port["stdin"], self.port["control"]], [], [])[0]:
                if s is self.port["control"]:
                    total, = struct.unpack("<Q", self.message(STDIN_EOF))
                else:
                    piece = s.recv(1 << 16)
                    got += len(piece)
                    yield piece

    # What the guest may do.
    def status(self, n):
        self.write(b"out\n")
        self.write(b"err\n", err=True)
        self.exit(int(n) << 8)

    def killed(self, n):
        self.exit(int(n) | 128)  # with a core dump

    def sum(self):
        h, n = hashlib.sha256(), 0
        for piece in self.stdin():
            h.update(piece)
            n += len(piece)
        self.write(f"{n} {h.hexdigest()}\n".encode())
        self.exit(0)

    def cat(self):
        for piece in self.stdin():
            self.write(piece)
        self.exit(0)

    def late(self):
        """EXIT overtakes the output that it announces."""
        data = b"x" * (1 << 20)
        self.post(EXIT, struct.pack("<IIQQ", 0, 0, len(data), 0))
        self.write(data)
        signal.pause()

    def flood(self):
        """Writes until the host says that nobody reads."""
        self.port["stdout"].setblocking(False)
        while True:
            readable, writable, _ = select.select([self.port["control"]], [self.port["stdout"]], [])
            if readable:
                kind, payload = self.message()
                if kind == STDIN_EOF:
                    continue
                assert (kind, payload) == (HUP, struct.pack("<I", 1))
                self.exit(signal.SIGPIPE)
            self.port["stdout"].send(b"y\n" * 1024)

    def config_text(self, *_):
        text = [f"path {self.path.decode()}", f"cwd {self.cwd.decode()}", f"ids {self.uid} {self.gid} {self.ngroups}",
                f"flags {self.flags}", f"tty {self.tty}", f"argv {self.argv}", f"env {sorted(self.env)}"]
        self.write("\n".join(text).encode() + b"\n")
        self.exit(0)

    def qemu_line(self):
        self.write(" ".join(sys.argv[1:]).encode())
        self.exit(0)

    def panic(self):
        self.port["log"].sendall(b"xok: starting\npanic: page 17 is not mine\nrax 0\n")
        sys.exit(3)

    def fail(self):
        print("qemu-system-x86_64: cannot set up guest memory", file=sys.stderr)
        sys.exit(1)

    def vanish(self):
        sys.exit(0)

    def error(self, status):
        self.post(ERROR, struct.pack("<I", int(status)) + b"/x: out of memory")
        signal.pause()

    def garbage(self):
        self.port["control"].sendall(b"\xff" * 64)
        signal.pause()

    def hang(self):
        signal.pause()

    def stats(self):
        self.post(STRACE, b"getpid() = 1\n")
        self.post(STATS, b'"pages_peak": 17')
        self.post(99, b"unknown")
        self.exit(0)

    def signals(self):
        """Says which signals arrive; ends with SIGTERM."""
        self.write(b"go\n")
        while True:
            kind, payload = self.message()
            if kind == SIGNAL:
                self.write(b"signal %d\n" % struct.unpack("<I", payload))
                if payload == struct.pack("<I", signal.SIGTERM):
                    self.exit(0)

    def keys(self):
        """Echoes bytes as numbers, says the window's size when it changes; ends with byte 4."""
        self.write(b"size %d %d tty %d\r\n" % (self.rows, self.cols, self.tty))
        while True:
            for s in select.select([self.port["stdin"], self.port["control"]], [], [])[0]:
                if s is self.port["control"]:
                    kind, payload = self.message()
                    if kind == WINCH:
                        self.write(b"size %d %d\r\n" % struct.unpack("<HH", payload))
                    continue
                data = s.recv(100)
                self.write(b"keys %s\r\n" % " ".join(str(b) for b in data).encode())
                if 4 in data:
                    self.exit(0)


guest = Guest()
if guest.argv[1] not in (b"early_hang", b"panic", b"fail", b"vanish"):
    guest.ready()
getattr(guest, guest.argv[1].decode().replace("early_", ""))(*[a.decode() for a in guest.argv[2:]])
