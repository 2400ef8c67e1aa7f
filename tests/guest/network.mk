SUITES += tests/guest/network/test_network.py
