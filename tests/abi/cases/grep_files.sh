grep -rl GPL /usr/share/common-licenses | sort; grep -c . /etc/passwd; grep -P '^\w+:x:0' /etc/passwd
echo aXbXc | grep -o '[a-z]'; grep nothing /etc/passwd; echo $?; grep x /absent; echo $?
grep -rc the /usr/share/doc | awk -F: '{ n += $2 } END { print n }'
