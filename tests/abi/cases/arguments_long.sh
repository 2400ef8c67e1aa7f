/bin/true $(seq 1 20000); echo $?
x=$(head -c 100000 /dev/zero | tr '\0' x); /bin/echo "$x" | wc -c
/bin/echo "$x$x" 2>/dev/null | wc -c
seq 1 100000 | xargs /bin/echo | wc
