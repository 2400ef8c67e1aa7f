#!/usr/bin/env python3
"""`xok bpf` as a user meets it: objects of clang, raw programs, and files that are no programs."""
import os
import random
import struct
import subprocess
import sys
import tempfile

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
XOK = os.path.join(TOP, "build/xok")
passed = failed = 0


def check(name, ok, detail=""):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}: {detail}")


def xok(*args, stdin=b""):
    r = subprocess.run([XOK, "bpf", *args], input=stdin, capture_output=True, timeout=60)
    return r.returncode, r.stdout.decode(errors="replace"), r.stderr.decode(errors="replace")


def insn(op, dst=0, src=0, off=0, imm=0):
    return struct.pack("<BBhi", op, dst | src << 4, off, imm)


def compile_c(where, name, source, cpu="v3"):
    path = os.path.join(where, name)
    with open(path + ".c", "w") as f:
        f.write(f'#include "xok/bpf.h"\n{source}\n')
    r = subprocess.run(["clang", "-O2", f"-mcpu={cpu}", "-target", "bpf", f"-I{TOP}/include", "-c", path + ".c", "-o",
                        path + ".o"], capture_output=True)
    if r.returncode:
        check(f"compile {name}", False, r.stderr.decode()[:300])
    return path + ".o"


PRIMES = """
static const u8 small[] = {2, 3, 5, 7, 11, 13, 17, 19};
static __attribute__((noinline)) u64 square(u64 x) { return x * x; }
__attribute__((noinline)) u64 triple(u64 x) { return 3 * x; }
XOK_REGIONS(f, XOK_IN(8, 8));
XOK_DETERMINISTIC u64 f(const u64 *p, u64 len) { return square(small[*p & 7]) + triple(*p); }
"""


def objects(where):
    o = compile_c(where, "primes", PRIMES)
    st, out, err = xok("verify", o)
    check("verify all", st == 0 and "f: deterministic" in out and "triple: " in out, (st, out, err))
    st, out, err = xok("disasm", o, "f")
    check("disasm", st == 0 and "f:" in out and "square:" in out and "triple:" in out and "rodata" in out, out + err)
    for flag in ("--compile", "--interpret"):
        st, out, err = xok("run", flag, o, "f", "--region", "05 00 00 00 00 00 00 00")
        check(f"run {flag}", (st, out) == (0, "0xb8\n"), (st, out, err))  # 13 * 13 + 3 * 5
    st, out, err = xok("run", o, "f", "--region", "05 00")
    check("region of a wrong length", st == 1 and "8 to 8 bytes" in err, (st, err))
    st, out, err = xok("run", o, "nothing", "--region", "05")
    check("no such function", st == 1 and "no such function" in err, (st, err))
    image = os.path.join(where, "f.img")
    st, out, err = xok("link", o, "f", "-o", image)
    with open(image, "rb") as f:
        magic, kind, insns, rodata, regions = struct.unpack("<5I", f.read(20))
    check("link", st == 0 and (magic, kind, regions) == (0x65646F63, 0, 1) and rodata == 8 and
          os.path.getsize(image) == 120 + 8 * insns + rodata, (st, err, hex(magic), insns, rodata, os.path.getsize(image)))

    o = compile_c(where, "global", "u64 count;\nXOK_DETERMINISTIC u64 f(const u64 *p, u64 len) { return ++count; }")
    st, out, err = xok("verify", o)
    check("variable", st == 1 and "static storage" in err, err)
    o = compile_c(where, "extern", "u64 g(u64);\nXOK_DETERMINISTIC u64 f(const u64 *p, u64 len) { return g(len); }")
    st, out, err = xok("verify", o)
    check("undefined function", st == 1 and "does not have" in err, err)
    o = compile_c(where, "write", "XOK_REGIONS(f, XOK_IN(8, 8));\nXOK_DETERMINISTIC u64 f(u64 *p, u64 len) { return p[0]++; }")
    st, out, err = xok("verify", o)
    check("write to an input", st == 1 and "f, instruction" in err and "the region is read-only" in err, err)
    o = compile_c(where, "beyond", "XOK_REGIONS(f, XOK_IN(8, 8));\nXOK_PREDICATE u64 f(const u64 *p, u64 len) { return p[1]; }")
    st, out, err = xok("verify", o)
    check("read beyond", st == 1 and "outside of the region" in err, err)
    o = compile_c(where, "table", """
XOK_REGIONS(f, XOK_IN(4, 4), XOK_OUT(8, 8), XOK_IN(0, 64));
XOK_DETERMINISTIC u64 f(const u8 *a, u64 n, u8 *b, u64 m, const struct xok_table *t) {
    const u8 *p = t->region[2].address; u64 s = 0;
    for (u64 i = 0; i < t->region[2].len; i++) s += p[i];
    return s * 256 + n + m; }""")
    st, out, err = xok("run", o, "f", "--region", "01020304", "--region", "zero:8", "--region", "01 02 03")
    check("third region", (st, out) == (0, "0x60c\n"), (st, out, err))
    source = "XOK_DETERMINISTIC u64 f(const u8 *a, u64 n) { u64 s = 7; for (u64 i = 0; i < n; i++) s = s * 31 + (s8)a[i] + s / 7 % 5; return s; }"
    results = {xok("run", flag, compile_c(where, "hash" + cpu, source, cpu), "f", "--region", "ff8040ff0102", "--region", "00")[:2]
               for cpu in ("v1", "v2", "v3") for flag in ("--compile", "--interpret")}
    check("v1, v2 and v3 agree", len(results) == 1 and results.pop()[0] == 0, results)
    return [os.path.join(where, n) for n in ("primes.o", "table.o", "global.o")]


def raw(where):
    ret = insn(0x95)
    program = insn(0xB7, 0, 0, 0, 42) + ret
    path = os.path.join(where, "raw")
    with open(path, "wb") as f:
        f.write(program)
    check("raw file", xok("run", "--raw", path)[:2] == (0, "0x2a\n"))
    check("raw stdin", xok("run", "--raw", "-", stdin=program)[:2] == (0, "0x2a\n"))
    check("raw hexadecimal", xok("run", "--raw", "-", stdin=program.hex(" ").encode() + b"\n")[:2] == (0, "0x2a\n"))
    total = insn(0x71, 0, 1, 2) + insn(0x0F, 0, 2) + ret  # r0 = byte 2 + length
    for flag in ("--compile", "--interpret"):
        check(f"memory {flag}", xok("run", flag, "--raw", "-", "--mem", "11 22 33 44", stdin=total)[:2] == (0, "0x37\n"))
        check(f"no memory {flag}", xok("run", flag, "--raw", "-", stdin=insn(0xBF, 0, 1) + insn(0x0F, 0, 2) + ret)[:2] == (0, "0x0\n"))
    st, out, err = xok("run", "--raw", "-", "--mem", "11", "--dump", stdin=insn(0x72, 1, 0, 0, 0x77) + insn(0xB7) + ret)
    check("dump", st == 0 and out == "0x0\nregion 0: 77\n", (st, out, err))
    st, out, err = xok("run", "--raw", "-", stdin=insn(0x71, 0, 1) + ret)
    check("refused", st == 1 and out == "" and "instruction 0: r0 = *(u8 *)(r1 +0)" in err, (st, out, err))
    st, out, err = xok("run", "--fuel", "1000", "--raw", "-", stdin=insn(0xB7) + insn(0x05, 0, 0, -1))
    check("out of fuel", st == 1 and "out of fuel" in err, (st, out, err))
    check("dead code runs", xok("run", "--raw", "-", stdin=insn(0xB7, 0, 0, 0, 3) + ret + insn(0xB7, 0, 0, 0, 4) + ret)[:2] == (0, "0x3\n"))
    check("ragged", xok("run", "--raw", "-", stdin=b"12345")[0] == 125)
    check("empty", xok("run", "--raw", "-", stdin=b"")[0] == 125)
    check("usage", xok("frobnicate")[0] == 125 and xok("run")[0] == 125 and xok("--help")[0] == 0)
    check("no file", xok("verify", os.path.join(where, "absent"))[0] == 125)


def damaged(where, objects):
    """Whatever the file holds, the tool says so: no crash, no hang."""
    rng = random.Random(4)
    bad = os.path.join(where, "bad.o")
    wrong = []
    for n in range(240):
        with open(objects[n % len(objects)], "rb") as f:
            content = bytearray(f.read())
        if n % 4 == 0:
            content = content[:rng.randrange(len(content))]
        for _ in range(rng.choice((1, 2, 8))):
            if content:
                content[rng.randrange(min(len(content), rng.choice((64, 100000))))] = rng.choice((0, 1, 0xFF, rng.randrange(256)))
        with open(bad, "wb") as f:
            f.write(content)
        for command in ("verify", "disasm"):
            st = xok(command, bad)[0]
            if st not in (0, 1, 125):
                wrong.append((n, command, st))
    check("damaged objects", not wrong, wrong)


with tempfile.TemporaryDirectory() as where:
    made = objects(where)
    raw(where)
    damaged(where, made)
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
