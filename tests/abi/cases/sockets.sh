#: program /abi/static/sockets
#: smp 2 4
