mkdir -p /tmp/a/d && cd /tmp/a
echo one >f; ln f hard; ln -s f soft; mkfifo pipe; chmod 741 f; touch -h -d '2001-02-03 04:05:06.5 UTC' f soft pipe d
tar --sort=name -cf /tmp/x.tar . && mkdir /tmp/b && tar -xpf /tmp/x.tar -C /tmp/b
cd /tmp/b && stat -c '%n %A %h %Y' f hard soft pipe d; [ f -ef hard ] && echo linked; tar -tvf /tmp/x.tar | awk '{ print $1, $6, $7, $8 }' | sort
