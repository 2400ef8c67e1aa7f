#: stdin 20000000
cat
echo to stderr >&2
