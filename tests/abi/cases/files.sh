cd /tmp
mkdir -p a/b/c && rmdir a/b/c && echo x >a/f && mv a/f a/g && ln a/g a/h && rm a/g && cat a/h
rmdir a; cat absent; mkdir a; cd a/h; : >a/h/x; ln -s loop loop; cat loop; mv a a/b/a
dd if=/dev/zero of=big bs=1M count=8 status=none && truncate -s 5000000 big && stat -c %s big && sha256sum big
printf abc | dd of=big bs=1 seek=10 conv=notrunc status=none && od -An -c -j 8 -N 8 big
truncate -s 1G sparse && stat -c %s sparse && tail -c 5 sparse | od -An -x
cp --reflink=never big copy && cmp big copy && echo same
touch -d @86400 old && [ old -ot big ] && stat -c %Y old
umask 077; : >private; stat -c %a private
chmod u=rw,g=r,o= private; chown 5:6 private; stat -c '%a %u %g' private
