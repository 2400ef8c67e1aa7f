for i in $(seq 200); do /bin/true || echo failed; done; echo done
