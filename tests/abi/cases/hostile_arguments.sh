# Random calls with random arguments by processes that may harm only themselves.
#: program /abi/alone/hostile 300 1
#: smp 2
#: alone 0
#: out unharmed
