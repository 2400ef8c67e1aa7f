#: program /abi/static/signal_storm
#: smp 4
