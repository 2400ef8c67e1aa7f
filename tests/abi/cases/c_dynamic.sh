# Every program of tests/abi/c, dynamic.
#: smp 1 2
for p in /abi/dynamic/*; do echo "== $p"; $p; echo "status $?"; done 2>&1
