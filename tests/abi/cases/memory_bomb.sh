#: program /abi/static/fork_bomb everything
#: smp 1 4
#: memory 192M
#: alone 0
#: out everything
#: out many: no more
#: out all reaped
#: out alive
