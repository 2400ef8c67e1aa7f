#: program /abi/static/threads
#: smp 4
