cd /tmp && mkdir m && cd m && for i in $(seq 3000); do : >$i; done; ls | wc -l; find . -name '*7' -delete; ls | wc -l
ls -U | sort -n | sha256sum; rm -rf /tmp/m; ls /tmp
