SUITES += tests/guest/terminal/test_terminal.py
