#: user 1000
id -u; id -g
cat /etc/shadow; ls /root; cd /root
echo mine >/tmp/mine && chmod 000 /tmp/mine && cat /tmp/mine; chown 0 /tmp/mine; echo x 2>/dev/null >/proc/version; echo $?
