# The network stack on the host, under sanitizers.
NET_STACK := $(addprefix exos/net/,ref.c sum.c wheel.c route.c ether.c ip.c frag.c icmp.c nd.c udp.c dhcp.c tcp_conn.c \
	tcp_cc.c tcp_out.c tcp_ack.c tcp_timer.c tcp_in.c tcp_syn.c tcp_wait.c)
NET_OBJ := $(patsubst exos/net/%.c,$(B)/host/net/%.o,$(NET_STACK)) $(B)/host/net/net_sim.o
HOST_TESTS += $(B)/host/net_tcp_test $(B)/host/net_unit_test

$(B)/host/net/%.o: exos/net/%.c $(wildcard exos/net/*.h include/xok/*.h)
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -c -o $@ $<

$(B)/host/net/%.o: tests/host/%.c tests/host/net_sim.h $(wildcard exos/net/*.h)
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -c -o $@ $<

$(B)/host/net_tcp_test: tests/host/net_tcp_test.c
$(B)/host/net_unit_test: tests/host/net_unit_test.c
$(B)/host/net_tcp_test $(B)/host/net_unit_test: tests/host/net_sim.h $(NET_OBJ)
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(filter %.c %.o,$^) -lcmocka

# Anything arrives: with random inputs in make test, searched for by libFuzzer in make fuzz.
HOST_TESTS += $(B)/host/net_fuzz_test
$(B)/host/net_fuzz_test: tests/host/net_fuzz.c tests/host/net_sim.h $(NET_OBJ)
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(filter %.c %.o,$^)

$(B)/host/net_fuzz: tests/host/net_fuzz.c tests/host/net_sim.c $(NET_STACK) $(wildcard exos/net/*.h)
	clang $(filter-out -Werror,$(HOST_CFLAGS)) -O1 -DLIBFUZZER -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-o $@ $(filter %.c,$^)

FUZZ_SECONDS ?= 60
.PHONY: fuzz-net
fuzz-net: $(B)/host/net_fuzz
	@mkdir -p $(B)/fuzz/net
	$(B)/host/net_fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -rss_limit_mb=4096 $(B)/fuzz/net
fuzz:: fuzz-net
