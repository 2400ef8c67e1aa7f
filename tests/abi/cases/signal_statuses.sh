for s in HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM SYS; do
    (sh -c "kill -$s \$\$") 2>/dev/null
    echo "$s $?"
done
(kill -STOP $BASHPID) 2>/dev/null &
sleep 0.2
kill -CONT $!
wait $!
echo "stopped and continued: $?"
