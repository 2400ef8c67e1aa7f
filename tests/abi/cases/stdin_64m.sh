#: stdin 67108864
#: smp 1 2 4
cat | sha256sum
