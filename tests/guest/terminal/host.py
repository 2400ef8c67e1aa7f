"""A program on a terminal of the host: bytes typed, and output waited for."""
import fcntl, os, pty, re, select, signal, struct, sys, termios, time

TIMEOUT = float(os.environ.get("TERMINAL_TIMEOUT", 60))  # seconds until a wait is given up
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
XOK = [os.path.join(TOP, "build/xok"), "run", *os.environ.get("TERMINAL_XOK", "").split(), "--"]


def size_set(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


class Terminal:
    """argv on a new terminal; expect() eats its output."""

    def __init__(self, argv, rows=24, cols=80, env=None):
        self.text = b""
        self.log = b""
        self.status = None
        self.pid, self.fd = pty.fork()
        if not self.pid:
            try:
                size_set(0, rows, cols)
                os.execvpe(argv[0], argv, env or dict(os.environ, TERM="xterm", PS1="$ "))
            finally:
                os._exit(99)

    def _more(self, deadline):
        ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError("nothing more came; had %r" % self.log[-600:])
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.text += data
        self.log += data
        return bool(data)

    def expect(self, pattern):
        """Waits until the regular expression is there; what was before and it are eaten."""
        deadline = time.monotonic() + TIMEOUT
        pattern = pattern.encode() if isinstance(pattern, str) else pattern
        while True:
            m = re.search(pattern, self.text, re.S)
            if m:
                self.text = self.text[m.end():]
                return m
            if not self._more(deadline):
                raise AssertionError("ended before %r; had %r" % (pattern, self.log[-600:]))

    def send(self, data):
        data = data.encode() if isinstance(data, str) else data
        while data:
            data = data[os.write(self.fd, data):]

    def settings(self):
        return termios.tcgetattr(self.fd)

    def resize(self, rows, cols):
        size_set(self.fd, rows, cols)

    def end(self):
        """Waits for the end of the output and of the program; its exit status, or -signal."""
        deadline = time.monotonic() + TIMEOUT
        while self._more(deadline):
            pass
        return self.wait()

    def wait(self):
        if self.status is None:
            _, st = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(st)
        return self.status

    def close(self):
        """Hangs up; what does not end then is killed."""
        os.close(self.fd)
        deadline = time.monotonic() + 10
        while self.status is None and time.monotonic() < deadline:
            pid, st = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(st)
            else:
                time.sleep(0.01)
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
