#: stdin 100000
wc -c; read -r x; echo "end $?"
