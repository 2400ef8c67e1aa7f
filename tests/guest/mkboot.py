#!/usr/bin/env python3
"""mkboot.py PROGRAM.elf OUT [DATA]: a boot module whose first environment is PROGRAM."""
import struct
import sys

prog = open(sys.argv[1], "rb").read()
data = open(sys.argv[3], "rb").read() if len(sys.argv) > 3 else b""
pad = lambda b: b + b"\0" * (-len(b) % 4096)
head = struct.pack("<5Q", 0x31544F4F424B4F58, 4096, len(prog), 4096 + len(pad(prog)), len(data))
open(sys.argv[2], "wb").write(pad(head) + pad(prog) + pad(data))
