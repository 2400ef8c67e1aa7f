#!/bin/sh
# Downloaded code in the machine: the kernel with its self-test.
exec tests/guest/kernel/run.sh build/ktest/code.elf build/ktest/code.img
