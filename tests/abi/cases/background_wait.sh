#: smp 1 2 4
for i in 1 2 3 4 5 6 7 8; do (sleep 0.0$i; exit $i) & pids="$pids $!"; done
for p in $pids; do wait $p; echo $?; done
wait; echo "all $?"
(sleep 0.1; echo late) & wait -n; echo "n $?"
