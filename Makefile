# make test installs what the tests need, builds them and runs them.
CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Iinclude
B := build

.PHONY: test deps clean
test: deps $(B)/host/interface_test
	@tests/run.sh $(B)/host/interface_test

deps: $(B)/.deps
$(B)/.deps: tools/deps.sh
	@mkdir -p $(B)
	@tools/deps.sh && touch $@

$(B)/host/%: tests/host/%.c $(wildcard include/xok/*)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fsanitize=address,undefined -o $@ $< -lcmocka

clean:
	rm -rf $(B)
