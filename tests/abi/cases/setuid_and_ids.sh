cp /usr/bin/id /tmp/id && chown 1000:1000 /tmp/id && chmod 6755 /tmp/id
setpriv --reuid 33 --regid 33 --clear-groups /tmp/id
setpriv --reuid 33 --regid 33 --init-groups id; id daemon
setpriv --reuid 33 --regid 33 --clear-groups sh -c 'id;  cat /etc/shadow'
