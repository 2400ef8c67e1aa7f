cd /usr
find . -xdev -type f -size +100k -name '*.so*' | sort
find . -xdev -type l -printf '%p %l\n' | sort | sha256sum
find . -xdev -perm -4000 -printf '%m %u %p\n' | sort
find share -maxdepth 1 -newermt 2020-01-01 | wc -l
find bin -name 'b*' -exec echo {} + | tr ' ' '\n' | sort
