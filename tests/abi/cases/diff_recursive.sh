cp -a /usr/share/base-files /tmp/a && cp -a /tmp/a /tmp/b
diff -r /tmp/a /tmp/b; echo $?
echo more >>/tmp/b/profile; rm /tmp/b/motd; echo new >/tmp/b/new
diff -r /tmp/a /tmp/b; echo $?
diff -u /tmp/a/profile /tmp/b/profile | tail -n +3
cmp /tmp/a/profile /tmp/b/profile; echo $?
