#: program /abi/static/many_processes leak
#: smp 1 4
#: alone 0
#: out 1000 alive at once: 0 bad
#: out 10000 in sequence: 0 bad
#: out leak: memory as before
