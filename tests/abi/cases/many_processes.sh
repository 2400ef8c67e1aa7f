#: program /abi/static/many_processes
#: smp 1 2 4
