seq 50000 | shuf --random-source=/bin/bash | sort -n | sha256sum
seq 1000 | split -l 100 - /tmp/s. && ls /tmp/s.* | wc -l && cat /tmp/s.* | md5sum
seq 10 | paste - - | cut -f2 | tac | nl | tr -s ' ' | head -n 3; join <(seq 1 5) <(seq 3 8); comm -12 <(seq 1 5) <(seq 3 8)
seq 100 | head -n 50 | tail -n 5 | fold -w 1 | uniq -c | head -n 3; base64 /etc/hostname; factor 1234567890; expr 7 \* 6
printf 'b 2\na 10\n' | sort -k2n; cksum /etc/passwd; b2sum /etc/group; numfmt --to=iec 1048576
