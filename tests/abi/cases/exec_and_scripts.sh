cd /tmp
printf '#!/bin/sh\necho script "$0" "$@"\n' >s && chmod +x s && ./s a "b c"
printf '#!/usr/bin/awk -f\nBEGIN { print "awk script", ARGC }\n' >a && chmod +x a && ./a x y
printf '#!/bin/absent\n' >n && chmod +x n && ./n; echo $?
printf 'echo no interpreter line\n' >p && chmod +x p && ./p
printf '\177ELF' >e && chmod +x e && ./e 2>/dev/null; echo $?
: >zero && chmod +x zero && ./zero; echo $?
./absent; echo $?; /tmp; echo $?; echo x >plain; ./plain; echo $?
(exec -a othername /bin/busybox sh -c 'echo $0')
env -i A=1 /usr/bin/env; exec /bin/echo last
