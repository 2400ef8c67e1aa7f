# make run    installs what is needed, builds, boots, gives a shell
# make test   installs what is needed, builds, runs every test
# make        builds; make check looks at the sources; make image only the built-in root
B := build
HOST_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Iinclude -Iexos
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
.DELETE_ON_ERROR:
.PHONY: all run test check image clean deps tool

all: tool $(B)/kernel/xok.elf $(B)/exos/exos.elf image

# Rooms with makefile fragments of their own. A fragment may add to TOOL_SRC (sources of the host tool),
# HOST_TESTS (programs for the host that `make test` builds and runs) and SUITES (commands that `make
# test` runs, with what they need in SUITE_DEPS).
TOOL_SRC := $(wildcard tools/xok/*.c) exos/fs/rootimg.c
HOST_TESTS := $(B)/host/interface_test $(B)/host/rootimg_test
SUITES := tests/host/tool/test_tool.py
SUITE_DEPS :=
-include kernel/code/code.mk
-include kernel/kernel.mk
-include exos/exos.mk
-include tests/abi/abi.mk
-include $(wildcard apps/*.mk tools/*/*.mk tests/host/*.mk tests/guest/*.mk bench/*.mk)

# ---- the host tool
TOOL_OBJ := $(patsubst %.c,$(B)/tool/%.o,$(TOOL_SRC))
tool: $(B)/xok
$(B)/xok: $(TOOL_OBJ)
	$(CC) -o $@ $(TOOL_OBJ)

$(B)/tool/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -MMD -MP -c -o $@ $<

-include $(TOOL_OBJ:.o=.d)

# ---- the built-in root, and what the machine boots with it
image: $(B)/boot.img
$(B)/root.stamp: tools/mkroot.sh | $(B)/.deps
	nice tools/mkroot.sh $(B)/root
	@touch $@

$(B)/root.img: $(B)/root.stamp $(B)/xok
	$(B)/xok image build $(B)/root -o $@ $(if $(filter 0,$(shell id -u)),,--owner 0:0)

$(B)/boot.img: $(B)/root.img $(B)/exos/exos.elf $(B)/xok
	$(B)/xok image boot $(B)/root.img -o $@

# ---- tests
HOST_TEST_DEPS := $(wildcard include/xok/* exos/fs/rootimg.h tools/xok/*.h)
$(B)/host/%: tests/host/%.c $(HOST_TEST_DEPS)
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(SANITIZE) -o $@ $(filter %.c,$^) -lcmocka

$(B)/host/rootimg_test: exos/fs/rootimg.c $(addprefix tools/xok/,tree.c tree_write.c walk.c check.c util.c)

test: deps
	@$(MAKE) --no-print-directory test-built

.PHONY: test-built
test-built: all $(HOST_TESTS) $(SUITE_DEPS)
	@tests/run.sh $(HOST_TESTS) $(foreach s,$(SUITES),"$(s)")

run: deps
	@$(MAKE) --no-print-directory all
	@$(B)/xok run --network -- /bin/bash -l

# ---- sources
FORMATTED := $(wildcard tools/xok/*.[ch] exos/fs/rootimg.[ch] exos/core/control.h tests/host/rootimg_test.c)
check: deps
	clang-format --dry-run -Werror $(FORMATTED)
	cppcheck -q --error-exitcode=1 --std=c11 --enable=warning,portability -Iinclude -Iexos \
		--suppress=missingIncludeSystem $(wildcard tools/xok/*.c exos/fs/rootimg.c)

deps: $(B)/.deps
$(B)/.deps: tools/deps.sh
	@mkdir -p $(B)
	@tools/deps.sh && touch $@

clean:
	rm -rf $(B)
