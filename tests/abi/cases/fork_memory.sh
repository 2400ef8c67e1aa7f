#: program /abi/static/fork_memory
#: smp 1 2 4
