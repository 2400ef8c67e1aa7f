head -c 100000 /dev/urandom | gzip | wc -c | awk '{ print ($1 > 99000) }'
head -c 16 /dev/random | wc -c; cat /dev/null | wc -c; head -c 3 /dev/zero | od -An -x
a=$(head -c 16 /dev/urandom | od -An -x); b=$(head -c 16 /dev/urandom | od -An -x); [ "$a" != "$b" ] && echo differ
echo x >/dev/full; echo $?; [ -c /dev/null ] && stat -c '%t %T' /dev/null /dev/zero
