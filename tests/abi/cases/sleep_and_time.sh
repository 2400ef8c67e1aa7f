a=$(date +%s%N); sleep 0.25; b=$(date +%s%N); [ $((b - a)) -ge 250000000 ] && echo slept
timeout 0.2 sleep 20; echo $?; timeout -s KILL 0.2 sleep 20; echo $?; timeout 20 true; echo $?
[ $(date +%Y) -ge 2023 ] && echo year; date -u -d @1000000000; TZ=UTC date -d '2024-02-29 12:00' +%j
read -t 0.1 x </dev/tty; [ $? -ne 0 ] && echo no input
