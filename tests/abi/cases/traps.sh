#: smp 1 2 4
trap 'echo usr1' USR1
trap 'echo term; exit 7' TERM
trap 'echo exit $?' EXIT
kill -USR1 $$
kill -USR1 $$
trap '' HUP
kill -HUP $$; echo survived
(trap 'echo child' USR2; kill -USR2 $BASHPID)
trap 'echo debug >&2' DEBUG; true; trap - DEBUG
trap 'echo err' ERR; false; trap - ERR
kill -TERM $$
echo not reached
