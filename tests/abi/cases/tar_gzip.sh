#: smp 1 2 4
mkdir /tmp/out
cd /usr/share
tar -cf - common-licenses bash-completion | gzip -1 | gunzip | tar -xf - -C /tmp/out
for d in common-licenses bash-completion; do diff -r --no-dereference $d /tmp/out/$d && echo same $d; done
cd /tmp/out && find . -printf '%p %y %m %s %l\n' | grep -v ' d ' | sort | sha256sum
