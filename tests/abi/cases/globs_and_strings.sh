shopt -s extglob nullglob globstar
cd /usr/share; echo b*; echo !(a*|b*|c*) | wc -w; echo **/*.gz | wc -w
x=hello; echo ${x^^} ${x:1:3} ${x/l/L} ${#x} ${x%l*} ${y:-unset}
declare -A m=([a]=1 [b]=2); for k in "${!m[@]}"; do echo $k=${m[$k]}; done | sort
a=(1 2 3); a+=(4); echo "${a[@]:1:2}" ${#a[@]}
printf '%05d %x %s %q %b\n' 42 255 str 'a b' 'a\tb'
[[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo ${BASH_REMATCH[2]}
