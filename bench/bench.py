#!/usr/bin/env python3
"""bench.py [--quick] [micro|io|boot]...: Linux beside Xok.

JSON goes to docs/performance/, tables to docs/performance.md and README.md; with --quick, which repeats less and
leaves out what takes long, only to build/bench/quick/.
"""
import json
import os
import sys
import time

from lib import boot, io, machines, micro, page, tables

OUT = os.path.join(machines.TOP, "docs", "performance")
PARTS = {"micro": micro.measure, "io": io.measure, "boot": boot.measure}


def main(arguments):
    quick = "--quick" in arguments
    parts = [a for a in arguments if not a.startswith("-")] or list(PARTS)
    out = os.path.join(machines.BUILD, "quick") if quick else OUT
    os.makedirs(out, exist_ok=True)
    for part in parts:
        start = time.monotonic()
        result = PARTS[part](quick)
        with open(os.path.join(out, part + ".json"), "w") as f:
            json.dump(result, f, indent=1)
            f.write("\n")
        print(f"\n{part}: {result['unit']}; {time.monotonic() - start:.0f} s\n")
        print(tables.versus(result["rows"], "operation"), flush=True)
    if not quick:
        page.rewrite(os.path.join("docs", "performance.md"), page.FULL)
        page.rewrite("README.md", page.README)
        page.plots()


if __name__ == "__main__":
    main(sys.argv[1:])
