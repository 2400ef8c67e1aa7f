#: program /abi/dynamic/threads
#: smp 4
