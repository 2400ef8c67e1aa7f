"""Pages whose tables come from the JSON that `make bench` left in docs/performance/."""
import json
import os

from lib import machines, plot, tables

# What the README shows.
SUMMARY = {"micro": ["getpid", "read1_file", "read4k_file", "stat", "open_close", "sig_deliver", "mmap_touch_munmap_4k",
                     "pipe_rtt", "unix_rtt", "tcp_lo_rtt", "fork_exit_wait", "fork_exec_tiny_wait", "fork_sh_c_tiny"],
           "io": ["untar", "cp_r", "diff_r", "tar_pack", "rm_rf"]}


def load(part):
    with open(os.path.join(machines.TOP, "docs", "performance", part + ".json")) as f:
        return json.load(f)


def rows_table(part, what):
    return lambda: tables.versus(load(part)["rows"], what)


def summary():
    """Operations in guest instructions, then steps of the suite in millions of them."""
    lines = []
    for part, unit in (("micro", ""), ("io", ", million")):
        rows = {r["name"]: r for r in load(part)["rows"]}
        for name in SUMMARY[part]:
            row = rows[name]
            linux, xok = tables.median(row, "linux"), tables.median(row, "xok")
            lines.append([row["label"] + unit, tables.number(linux), tables.number(xok), tables.ratio(linux, xok)])
    return tables.markdown(["guest instructions", "Linux", "Xok", "times fewer"], lines)


def counts():
    lines = []
    for row in load("micro")["rows"]:
        if "counts" in row:
            c = row["counts"]
            lines.append([row["label"]] + [f"{c[k]:.2f}" for k in ("kernel_calls", "page_faults", "environment_switches", "space_switches")])
    return tables.markdown(["operation on Xok", "kernel calls", "page faults", "environment switches", "address-space switches"], lines)


def split():
    lines = []
    for row in load("io")["rows"]:
        s = row.get("split", {})
        if len(s) == 2:
            lines.append([row["label"], *(tables.number(v) for v in (*s["linux"], *s["xok"])),
                          tables.ratio(s["linux"][0], s["xok"][0])])
    return tables.markdown(["million instructions", "Linux: kernel", "programs", "Xok: kernel and ExOS", "programs",
                            "times fewer in the system"], lines)


def misses():
    lines = []
    for part, unit in (("micro", "instructions"), ("io", "million instructions"), ("boot", "as the row says")):
        for row in tables.misses(load(part)["rows"]):
            goal, _ = tables.goal_of(row)
            lines.append([row["label"], goal, tables.number(tables.median(row, "xok")), unit])
    return tables.markdown(["row", "goal", "Xok", "unit"], lines)


def about():
    a = load("micro")["about"]
    return (f"Measured with {a['qemu']}; Linux {a['linux']}; Xok {a['xok']}.\n\n"
            f"    qemu: {a['qemu_flags']}\n    Linux: {a['linux_command_line']}")


FULL = {"about": about, "micro": rows_table("micro", "guest instructions per operation"),
        "io": rows_table("io", "million guest instructions"), "boot": rows_table("boot", "boot and size"),
        "counts": counts, "split": split, "misses": misses}


def plots():
    for part, title in (("micro", "Operations: guest instructions on Linux over those on Xok"),
                        ("io", "Steps of the I/O suite: the same")):
        with open(os.path.join(machines.TOP, "docs", "performance", part + ".svg"), "w") as f:
            f.write(plot.bars(title, load(part)["rows"]))


README = {"bench": summary}


def rewrite(path, bodies):
    path = os.path.join(machines.TOP, path)
    with open(path) as f:
        text = f.read()
    for name, body in bodies.items():
        text = tables.replace(text, name, body())
    with open(path, "w") as f:
        f.write(text)
