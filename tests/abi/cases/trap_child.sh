#: shell /bin/dash -c
trap 'echo caught' INT
sh -c 'kill -INT $PPID'
echo after
sh -c 'kill -KILL $$'; echo $?
