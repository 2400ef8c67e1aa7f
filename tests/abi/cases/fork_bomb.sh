#: program /abi/static/fork_bomb
#: smp 1 2 4
