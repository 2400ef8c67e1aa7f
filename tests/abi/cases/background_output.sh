for i in $(seq 50); do echo $i >/tmp/$i & done
wait
cat /tmp/* | sort -n | tr '\n' ' '
