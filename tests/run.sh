#!/usr/bin/env bash
# run.sh COMMAND...: runs every suite, adds up what they count and ends with `N passed, N failed`.
#
# A suite says how many passed and failed in cmocka's way or by a last line `N passed, N failed`. One that
# fails does not stop the others. TIME_LIMIT (seconds, for all together) only ends what hangs.
set -u
deadline=$((SECONDS + ${TIME_LIMIT:-1500}))
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# make hands over words: a suite begins with a program under tests/ or build/host/, or with NAME=VALUE before it.
suites=() open=
for word in $*; do
    if [[ $word =~ ^[A-Z_]+= ]] || [[ $word == tests/* || $word == build/host/* ]] && [ -z "$open" ]; then
        suites+=("$word")
    else
        suites[-1]+=" $word"
    fi
    [[ $word =~ ^[A-Z_]+= ]] && open=1 || open=
done
for suite in "${suites[@]}"; do
    name=$(basename "$(sed -E 's/^([A-Z_]+=[^ ]* )*([^ ]*).*/\2/' <<<"$suite")")
    left=$((deadline - SECONDS))
    if [ "$left" -le 0 ]; then
        echo "$name: no time left"
        failed=$((failed + 1))
        continue
    fi
    timeout -k 10 "$left" bash -c "$suite" >"$log" 2>&1 </dev/null
    status=$?
    p=$(grep -ac '^\[       OK \]' "$log")
    f=$(grep -ac '^\[  FAILED  \] [A-Za-z_]' "$log")
    if [ "$p" -eq 0 ] && [ "$f" -eq 0 ]; then
        counts=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
        p=${counts%% *}
        f=$(echo "$counts" | sed -nE 's/.*, ([0-9]+) failed.*/\1/p')
    fi
    p=${p:-0} f=${f:-0}
    [ "$status" -eq 124 ] && echo "$name: stopped: out of time"
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ] || [ "$p" -eq 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ "$f" -ne 0 ]; then tail -n 100 "$log"; fi
    echo "$name: $p passed, $f failed"
    passed=$((passed + p)) failed=$((failed + f))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
