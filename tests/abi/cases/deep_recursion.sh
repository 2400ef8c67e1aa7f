f() { [ $1 -eq 0 ] && return 0; f $(($1 - 1)); }; f 1000; echo $?
d=/tmp; for i in $(seq 60); do d=$d/deep; done; mkdir -p $d && cd $d && pwd | wc -c && cd /tmp && rm -r deep && ls
/bin/busybox sh -c 'f() { f; }; f' 2>/dev/null; echo $?
