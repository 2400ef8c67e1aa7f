ulimit -n 20; ulimit -n
exec 2>/dev/null; for i in $(seq 3 40); do eval "exec $i</dev/null" || { echo stopped; break; }; done
(ulimit -f 1; head -c 5000 /dev/zero >/tmp/f; echo $?; stat -c %s /tmp/f)
(ulimit -v 100000; /bin/busybox sh -c 'head -c 200M /dev/zero | tail -c 200M | wc -c'; echo $?)
