sleep 50 & s=$!; sleep 0.3
ps -o comm,stat,nice -p $s; ps -e -o comm= | sort -u | grep -x sleep
pgrep -x sleep | wc -l; pkill -x sleep; wait $s 2>/dev/null; echo $?
free >/dev/null && uptime >/dev/null && nproc >/dev/null && uname -s && uname -m && hostname >/dev/null && echo fine
nice -n 5 nice; kill -l 9; (time -p true) 2>&1 | awk '{ print $1 }'
