#: program /abi/static/fork_bomb
#: smp 4
