#: env A=first
#: env B=two words
#: cwd /usr/share
pwd; echo "$A|$B"; env | sort | grep -v -e ^_ -e ^SHLVL
