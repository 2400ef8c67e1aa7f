#: program /abi/static/fork_memory
#: smp 4
