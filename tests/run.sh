#!/usr/bin/env bash
# Runs every test program given, adds up cmocka's counts and ends with `N passed, N failed`.
set -u
passed=0 failed=0
for program in "$@"; do
    log=$(mktemp)
    "$program" >"$log" 2>&1
    status=$?
    p=$(grep -c '\[       OK \]' "$log")
    f=$(grep -Eo '^ [0-9]+ FAILED TEST' "$log" | grep -Eo '[0-9]+' || echo 0)
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ "$f" -ne 0 ]; then cat "$log"; fi
    echo "$(basename "$program"): $p passed, $f failed"
    passed=$((passed + p)) failed=$((failed + f))
    rm -f "$log"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
