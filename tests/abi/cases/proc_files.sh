readlink /proc/self/exe; cat /proc/self/comm; tr '\0' ' ' </proc/self/cmdline; echo
readlink /proc/$$/cwd /proc/self/root; head -n 1 /proc/mounts | awk '{ print $2 }'
awk '{ print NF }' /proc/self/stat; grep -c . /proc/self/status >/dev/null && grep -E '^(Name|State|Uid|Gid|Threads)' /proc/self/status
grep -cE 'r-xp .*/grep$' /proc/self/maps; grep -c '\[stack\]' /proc/self/maps
test -r /proc/meminfo && test -r /proc/cpuinfo && test -r /proc/stat && test -r /proc/uptime && test -r /proc/loadavg && echo there
cat /proc/sys/kernel/ostype; ls -d /proc/[0-9]* | wc -l | awk '{ print ($1 > 1) }'
