# The network stack on the host, under sanitizers.
NET_STACK := $(addprefix exos/net/,ref.c sum.c wheel.c route.c ether.c ip.c frag.c icmp.c nd.c udp.c dhcp.c tcp_conn.c \
	tcp_cc.c tcp_out.c tcp_ack.c tcp_timer.c tcp_in.c tcp_syn.c tcp_wait.c)
NET_OBJ := $(patsubst exos/net/%.c,$(B)/host/net/%.o,$(NET_STACK)) $(B)/host/net/net_sim.o
HOST_TESTS += $(B)/host/net_tcp_test

$(B)/host/net/%.o: exos/net/%.c $(wildcard exos/net/*.h include/xok/*.h)
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -c -o $@ $<

$(B)/host/net/%.o: tests/host/%.c tests/host/net_sim.h $(wildcard exos/net/*.h)
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -c -o $@ $<

$(B)/host/net_tcp_test: tests/host/net_tcp_test.c tests/host/net_sim.h $(NET_OBJ)
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(filter %.c %.o,$^) -lcmocka
