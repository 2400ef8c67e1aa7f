#: shell /bin/busybox sh -c
cd /tmp; for a in ls cat echo true; do busybox ln -s /bin/busybox $a; done
echo hello >f; ./cat f; ./ls -1; busybox md5sum f; busybox seq 3 | busybox sort -r; busybox vi --help 2>&1 | busybox head -n 1
busybox tar cf - f | busybox tar tf -; busybox awk 'BEGIN { print 2 ^ 10 }'; busybox find / -xdev ! -path "/tmp/*" | busybox wc -l
busybox dd if=/dev/zero bs=64k count=64 2>/dev/null | busybox sha1sum
