# Two hundred programs at once, each a stage.
#: smp 1 2 4
command=cat
for i in $(seq 199); do command="$command | cat"; done
seq 1 5000 | eval "$command" | sha256sum
