# Every program of tests/abi/c, static.
#: smp 1
for p in /abi/static/*; do echo "== $p"; $p; echo "status $?"; done 2>&1
