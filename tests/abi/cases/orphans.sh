# The program's end is the command's end, whoever is still running.
sleep 100 >/dev/null 2>&1 &
exit 5
