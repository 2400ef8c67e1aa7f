#: smp 1 2 4
kill -SEGV $$
