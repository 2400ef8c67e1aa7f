#: smp 1 2 4
seq 1 20000 | grep -v 7 | sed 's/^/x/' | sort -r | awk '{ n += length($0) } END { print NR, n }'
echo "${PIPESTATUS[@]}"
