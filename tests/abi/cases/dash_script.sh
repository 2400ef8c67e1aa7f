#: shell /bin/dash -c
set -e
f() { for i in "$@"; do case $i in [0-9]*) echo number $i ;; *) echo word $i ;; esac; done; }
f 1 two 3three
i=0; until [ $i -ge 3 ]; do i=$((i + 1)); printf '%s ' $i; done; echo
x=$(echo sub; exit 0); echo $x | while read -r y; do echo got $y; done
cat /etc/hostname | tr a-z A-Z; (exit 4) || echo "or $?"; false; echo not reached
