DPF := kernel/net/dpf.c kernel/net/classify.c kernel/net/compile.c
HOST_TESTS += $(B)/host/dpf_test $(B)/host/dpf_cost
$(B)/host/dpf_test $(B)/host/dpf_cost: HOST_CFLAGS += -Ikernel
$(B)/host/dpf_cost: SANITIZE := -fcf-protection=none
$(B)/host/dpf_test $(B)/host/dpf_cost: $(DPF) kernel/net/dpf.h
