#: smp 1 2 4
i=0
while [ $i -lt 200 ]; do
    i=$((i + 1))
    /bin/busybox expr $i + 0 >/dev/null || exit 1
done
echo $i
