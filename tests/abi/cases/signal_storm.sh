#: program /abi/static/signal_storm
#: smp 1 2 4
