HOST_TESTS += $(B)/host/dpf_test
$(B)/host/dpf_test: HOST_CFLAGS += -Ikernel
$(B)/host/dpf_test: kernel/net/dpf.c kernel/net/classify.c kernel/net/dpf.h
