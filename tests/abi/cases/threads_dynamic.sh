#: program /abi/dynamic/threads
#: smp 1 4
