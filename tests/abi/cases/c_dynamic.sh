# Every program of tests/abi/c, dynamic.
#: smp 2
for p in /abi/dynamic/*; do echo "== $p"; $p; echo "status $?"; done 2>&1
