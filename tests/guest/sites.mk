SUITES += tests/guest/sites/test_sites.py
