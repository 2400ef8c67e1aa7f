#!/usr/bin/env python3
"""The network of a running machine, from inside and from outside: QEMU's user network, no Internet needed.
test_network.py [NAME...]: only those. Waits are for answers, and only bounded by LIMIT."""
import contextlib
import hashlib
import http.server
import os
import random
import socket
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
XOK = [os.path.join(TOP, "build/xok"), "run"]
LIMIT = 120


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(script, *options, status=0, shell=("/bin/busybox", "sh", "-c")):
    """The script under a shell on Xok: its output."""
    p = subprocess.run([*XOK, *options, "--", *shell, script], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    assert p.returncode == status, (p.returncode, p.stdout[-500:], p.stderr[-500:])
    return p.stdout.decode()


@contextlib.contextmanager
def machine(script, *options):
    p = subprocess.Popen([*XOK, *options, "--", "/bin/busybox", "sh", "-c", script], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield p
    finally:
        p.kill()
        p.communicate()


def patient(action):
    """Until the machine answers: the port is open from the start, and who asks too early is cut off."""
    end = time.monotonic() + LIMIT
    while True:
        try:
            answer = action()
            if answer:
                return answer
        except OSError:
            pass
        assert time.monotonic() < end, "no answer"
        time.sleep(0.2)


def fetch(port, path):
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as s:
        s.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
        data = b""
        while more := s.recv(65536):
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        return body if b" 200 " in head else b""


class Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


@contextlib.contextmanager
def host_server(data, kind=http.server.ThreadingHTTPServer, address="127.0.0.1"):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = kind((address, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def test_dhcp():
    assert "nameserver 10.0.2.3\n" in run("cat /etc/resolv.conf", "--network")
    assert run("cat /etc/resolv.conf") == "" # no card, no network


def test_download():
    data = random.Random(1).randbytes(8 << 20)
    with host_server(data) as port:
        for options in (["--network"], ["--network", "--smp", "2"], ["--network", "--machine", "q35"]):
            out = run("busybox wget -q -O - http://10.0.2.2:%d/ | sha256sum" % port, *options)
            assert out.split()[0] == hashlib.sha256(data).hexdigest(), out


def test_ipv6():
    data = random.Random(3).randbytes(1 << 20)
    try:
        host = host_server(data, Server6, "::1")
        port = host.__enter__()
    except OSError:
        print("ipv6: this host has none: skipped")
        return
    try: # an address by router advertisement, and a moment until nobody objects to it
        out = run("until busybox wget -q -O /tmp/d http://[fec0::2]:%d/; do sleep 0.1; done; sha256sum </tmp/d" % port, "--network")
    finally:
        host.__exit__(None, None, None)
    assert out.split()[0] == hashlib.sha256(data).hexdigest(), out


def test_refused():
    out = run("busybox nc 10.0.2.2 %d </dev/null 2>&1 || echo failed; busybox nc 10.0.2.77 80 </dev/null 2>&1 || echo failed"
              % free_port(), "--network")
    assert "refused" in out and out.count("failed") == 2, out
    assert "unreachable" in run("busybox nc 10.0.2.2 80 </dev/null 2>&1; true")


def test_serve():
    port = free_port()
    script = ("mkdir /tmp/w; cd /tmp/w; echo small >a; dd if=/dev/urandom of=b bs=64k count=64 2>/dev/null; sha256sum b >c;"
              "exec busybox httpd -f -p 80")
    for options in ([], ["--smp", "4"]):
        with machine(script, "--publish", "%d:80" % port, *options):
            assert patient(lambda: fetch(port, "/a")) == b"small\n"
            digest = fetch(port, "/c").split()[0].decode()
            results = []
            def get(n): # few at once: QEMU listens with a queue of one
                for k in range(6):
                    results.append(hashlib.sha256(fetch(port, "/b")).hexdigest() == digest if k == n
                                   else fetch(port, "/a") == b"small\n")
            threads = [threading.Thread(target=get, args=(n,)) for n in range(3)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            assert results == [True] * 18, results


def test_upload():
    port = free_port()
    data = random.Random(2).randbytes(4 << 20)
    want = hashlib.sha256(data).hexdigest()
    script = "while :; do busybox nc -l -p 7 | sha256sum; done"
    with machine(script, "--publish", "127.0.0.1:%d:7" % port) as p:
        lines = []
        threading.Thread(target=lambda: lines.extend(iter(p.stdout.readline, b"")), daemon=True).start()
        def send():
            with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as s:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                s.recv(1)
            time.sleep(0.3)
            return any(want.encode() in line for line in lines)
        patient(send)


def test_datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        def echo():
            while True:
                try:
                    data, peer = s.recvfrom(65536)
                    s.sendto(data, peer)
                except OSError:
                    return
        threading.Thread(target=echo, daemon=True).start()
        script = (r'BEGIN { s = "/inet/udp/0/10.0.2.2/%d"; for (n = 1; n <= 4097; n *= 16) {'
                  r'w = sprintf("%%*s", n, "x"); print w |& s; fflush(s); s |& getline l; if (l == w) print n } }'
                  % s.getsockname()[1])
        assert run(script, "--network", shell=["/usr/bin/gawk"]) == "1\n16\n256\n4096\n"


def test_loopback():
    for address in ("127.0.0.1", "[::1]"):
        out = run("cd /tmp; dd if=/dev/urandom of=d bs=64k count=32 2>/dev/null; sha256sum <d; busybox httpd -p %s:8080;"
                  "for n in 1 2 3; do busybox wget -q -O - http://%s:8080/d | sha256sum; done" % (address, address))
        assert len(out.splitlines()) == 4 and len(set(out.splitlines())) == 1, out


def test_options():
    for bad in ("80", "0:80", "1:65536", "x:80", "1.2.3:80:80", "80:80/sctp", "127.0.0.1:80"):
        p = subprocess.run([*XOK, "--publish", bad, "--", "/bin/true"], capture_output=True, timeout=LIMIT)
        assert p.returncode == 125 and b"--publish" in p.stderr, (bad, p)


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_") and (not sys.argv[1:] or n[5:] in sys.argv[1:])]
    failed = 0
    for name, test in tests:
        start = time.monotonic()
        try:
            test()
            print("%s: ok, %.1f s" % (name, time.monotonic() - start))
        except Exception as e: # one that fails does not stop the others
            failed += 1
            print("%s: FAILED: %s %s" % (name, type(e).__name__, e))
        sys.stdout.flush()
    print("%d passed, %d failed" % (len(tests) - failed, failed))
    return failed != 0


sys.exit(main())
