#: shell /bin/busybox sh -c
#: smp 1 2 4
echo $((6*7)); exit 3
