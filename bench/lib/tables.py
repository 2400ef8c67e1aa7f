"""Tables in Markdown from the JSON that a run left, and the places in a page where they go."""
import re


def number(value):
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def ratio(linux, xok):
    return "" if not linux or not xok else f"{linux / xok:.1f}" if linux < 100 * xok else f"{linux / xok:.0f}"


def median(row, system):
    return row[system]["median"] if system in row else None


def goal_of(row):
    """The goal, and whether it is met; without one of its own a row is to be no slower than Linux."""
    linux, xok = median(row, "linux"), median(row, "xok")
    bound = row["goal"] if row.get("goal") else linux
    # Half a percent is what repeats.
    met = None if xok is None or bound is None else xok <= bound * 1.005
    return (number(row["goal"]) if row.get("goal") else "≤ Linux"), met


def markdown(header, rows):
    align = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(r) + " |" for r in [header, align, *rows])


def versus(rows, what):
    """Linux, Xok, how many times fewer, goal."""
    lines = []
    for row in rows:
        goal, met = goal_of(row)
        mark = "" if met is None else " ✓" if met else " ✗"
        linux, xok = median(row, "linux"), median(row, "xok")
        lines.append([row["label"], number(linux), number(xok), ratio(linux, xok), goal + mark])
    return markdown([what, "Linux", "Xok", "times fewer", "goal"], lines)


def misses(rows):
    return [r for r in rows if goal_of(r)[1] is False]


def replace(text, name, body):
    """What stands between `<!-- NAME -->` and `<!-- /NAME -->` becomes `body`; a page without them is an error."""
    found, count = re.subn(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)",
                           lambda m: m.group(1) + body + "\n" + m.group(2), text, flags=re.S)
    if count != 1:
        raise ValueError(f"markers of {name}: {count} times")
    return found
