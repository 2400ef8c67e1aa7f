#: user 1000
id -u; id -g
cat /etc/shadow; echo x >/etc/x; ls /root; cd /root
echo mine >/tmp/mine && chmod 000 /tmp/mine && cat /tmp/mine; chown 0 /tmp/mine; kill -0 1; echo $?
