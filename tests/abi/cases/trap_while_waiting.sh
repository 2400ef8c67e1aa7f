trap 'echo interrupted' USR1
sleep 30 & child=$!
(sleep 0.1; kill -USR1 $$) &
wait $child; echo $?
kill $child; wait $child 2>/dev/null; echo $?
