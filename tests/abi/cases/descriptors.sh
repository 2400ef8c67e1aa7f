exec 3>/tmp/f 4</etc/hostname; echo three >&3; read -r x <&4; exec 3>&-; cat /tmp/f; echo $x
ls -l /proc/self/fd | awk 'NF > 5 { print $9, ($11 ~ /^pipe|^socket/ ? "stream" : $11) }' | grep -v /proc
echo x >&9
{ echo both; echo err >&2; } >/tmp/both 2>&1; cat /tmp/both
exec >/dev/full; echo no room; echo "status $?" >&2
