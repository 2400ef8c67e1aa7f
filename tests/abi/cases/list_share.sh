# A directory's own size and its blocks are the file system's business.
#: smp 1 2 4
ls -lR --time-style=full-iso /usr/share | grep -v '^total ' | awk '/^d/ { $5 = "-" } { $1 = $1; print }' | sort | sha256sum
