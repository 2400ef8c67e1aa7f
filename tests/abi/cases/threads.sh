#: program /abi/static/threads
#: smp 1 2 4
