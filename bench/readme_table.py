#!/usr/bin/env python3
"""Writes the table between the `bench` markers of README.md from the JSON in docs/performance/."""
from lib import page

page.rewrite("README.md", page.README)
