#!/usr/bin/env bash
# Native programs beside a Unix process: what they write comes out, their status is the process's, and what
# they had is given back.
set -u
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root"/{dev,proc,tmp}
cp build/root/bin/busybox "$root"/busybox
cp build/apps/demo build/apps/appel build/apps/stride build/apps/exotop "$root"/
passed=0 failed=0
check() {
    if [ "$2" = "$3" ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "$1: $2, not $3"; fi
}
out=$(timeout 100 build/xok run --icount --rootfs "$root" -- /busybox sh -c '
    /demo > /tmp/a & /stride > /tmp/b; wait
    free() { awk "/MemFree/ { print \$2 }" /proc/meminfo; }
    before=$(free); for i in 1 2 3; do /demo > /tmp/c; done; after=$(free)
    [ $((before - after)) -lt 1000 ] || echo "leak: $before $after" # each has used 2 MiB and more
    grep -c "^ok" /tmp/a; grep -c "^ok share" /tmp/b; grep "^not ok" /tmp/a /tmp/c; /demo | tail -n 1; exec /appel' 2>/dev/null </dev/null)
check status $? 0
check demo "$(echo "$out" | sed -n 1p)" 4
check stride "$(echo "$out" | sed -n 2p)" 3
check pipe "$(echo "$out" | sed -n 3p)" done
check appel "$(echo "$out" | grep -c '^ok')" 10
json=$(timeout 60 build/xok run --rootfs "$root" -- /exotop --json 2>/dev/null </dev/null |
    python3 -c 'import json, sys
s = json.load(sys.stdin)
print(len(s["cpus"]), sum(e["state"] == "ready" for e in s["envs"]) > 0, s["names"][0]["pages"] == s["pages"]["user"])')
check exotop "$json" "1 True True"
lines=$(timeout 60 build/xok run --smp 2 --rootfs "$root" -- /exotop -n 1 2>/dev/null </dev/null | grep -cE '^up |^  1 |^pages:|^   10001 ')
check exotop-live "$lines" 4
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
