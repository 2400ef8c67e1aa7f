#!/usr/bin/env python3
"""The tables that `make bench` writes: goals, ratios, rows that were not measured, markers in pages."""
import os
import sys
import unittest
from xml.etree import ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "bench"))
from lib import cpio, micro, plot, tables  # noqa: E402


def row(linux, xok, goal=None):
    r = {"label": "row", "goal": goal}
    if linux is not None:
        r["linux"] = {"median": linux}
    if xok is not None:
        r["xok"] = {"median": xok}
    return r


class Tables(unittest.TestCase):
    def test_goal_of_its_own(self):
        self.assertEqual(tables.goal_of(row(1000, 90, 100)), ("100", True))
        self.assertEqual(tables.goal_of(row(1000, 101, 100)), ("100", False))

    def test_goal_is_linux_where_none_is_set(self):
        self.assertEqual(tables.goal_of(row(1000, 1001)), ("≤ Linux", True))
        self.assertEqual(tables.goal_of(row(1000, 1100)), ("≤ Linux", False))

    def test_what_was_not_measured_is_said(self):
        self.assertEqual(tables.goal_of(row(1000, None, 100))[1], None)
        self.assertEqual(tables.goal_of(row(None, 5))[1], None)
        self.assertIn("| row | 1,000 | not measured |  | 100 |", tables.versus([row(1000, None, 100)], "x"))

    def test_line(self):
        self.assertIn("| row | 1,000 | 90 | 11.1 | 100 ✓ |", tables.versus([row(1000, 90, 100)], "x"))

    def test_misses(self):
        self.assertEqual(len(tables.misses([row(10, 5), row(10, 20), row(10, None)])), 1)

    def test_markers(self):
        page = "a\n<!-- t -->\nold\n<!-- /t -->\nb\n"
        self.assertEqual(tables.replace(page, "t", r"n\1ew"), "a\n<!-- t -->\nn\\1ew\n<!-- /t -->\nb\n")
        self.assertRaises(ValueError, tables.replace, "nothing", "t", "")

    def test_programs_output(self):
        text = "noise\nfstat   457.0  min 456.0 max 458.5 n=2187\nFAIL x errno=2\n"
        self.assertEqual(micro.parse(text), {"fstat": {"median": 457.0, "min": 456.0, "max": 458.5, "n": 2187}})

    def test_rows_are_named_once(self):
        self.assertEqual(len({r[1] for r in micro.ROWS}), len(micro.ROWS))

    def test_plot_is_xml_with_a_bar_a_measured_row(self):
        svg = ElementTree.fromstring(plot.bars("a < b", [row(10, 5), row(10, None), row(4, 8)]))
        self.assertEqual(len(svg.findall("{http://www.w3.org/2000/svg}rect")), 3)

    def test_cpio(self):
        path = "/tmp/bench_cpio_test.%d" % os.getpid()
        archive = cpio.Archive(path)
        archive.add("f", 0o100644, b"12345")
        archive.close()
        with open(path, "rb") as f:
            data = f.read()
        os.unlink(path)
        self.assertEqual(len(data) % 4, 0)
        self.assertEqual(data[112:117], b"12345")


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stderr).run(unittest.defaultTestLoader.loadTestsFromTestCase(Tables))
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(bad != 0)
