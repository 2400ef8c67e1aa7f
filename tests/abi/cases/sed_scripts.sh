sed -n '/root/,/bin/p' /etc/passwd
seq 20 | sed -e '1!G;h;$!d'
seq 5 | sed 'N;s/\n/+/;P;D'
cp /etc/group /tmp/g && sed -i.bak 's/^\([^:]*\):.*/\1/' /tmp/g && head -n 3 /tmp/g && cmp /etc/group /tmp/g.bak && echo kept
printf 'a,b,c\n' | sed -E 's/(.),(.),(.)/\3\2\1/;y/abc/ABC/;s/$/!/'
