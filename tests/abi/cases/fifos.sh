cd /tmp && mkfifo f g
(seq 1 100000 >f) & sort -rn f | head -n 2; wait
(cat f >g) & (echo through two >f) & cat g; wait
echo $(stat -c %F f)
