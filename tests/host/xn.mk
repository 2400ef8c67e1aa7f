# XN on the host: the kernel's files without the two that only the machine has.
XN_SRC := $(filter-out kernel/disk/calls.c,$(wildcard kernel/disk/*.c)) tests/host/xn/host.c tests/host/xn/code.c \
	$(wildcard kernel/code/*.c)
XN_TESTS := $(B)/host/xn_test $(B)/host/xn_crash_test $(B)/host/xn_fuzz_test
HOST_TESTS += $(XN_TESTS)
$(XN_TESTS): HOST_CFLAGS += -Ikernel -Itests/host/xn
$(XN_TESTS): $(XN_SRC) $(wildcard kernel/disk/*.h tests/host/xn/*.h)

.PHONY: crash
crash: $(B)/host/xn_crash_test $(B)/host/xn_fuzz_test
	XN_STATES=200000 XN_SEED=1000 $(B)/host/xn_crash_test
	XN_CALLS=20000000 $(B)/host/xn_fuzz_test
