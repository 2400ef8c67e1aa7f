x=1; (x=2; echo $x); echo $x
echo $(echo $(echo $(echo deep)))
f() { local x=5; echo $x; return 3; }; f; echo $?
cat <(echo one) <(echo two); echo copy | tee >(cat >/tmp/t) >/dev/null; sleep 0.1; cat /tmp/t
coproc tr a-z A-Z; echo abc >&${COPROC[1]}; exec {COPROC[1]}>&-; cat <&${COPROC[0]}
exec 5<>/tmp/rw; echo rw >&5; cat /tmp/rw
