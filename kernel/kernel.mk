# The kernel: build/kernel/xok.elf, its generated interface files, and its tests in the machine.
# Usable alone (make -f kernel/kernel.mk kernel-test) or included from the Makefile at the root.
KERNEL_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-missing-field-initializers -ffreestanding -mcmodel=kernel -mno-red-zone \
	-mgeneral-regs-only -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -fcf-protection=none -fno-tree-loop-distribute-patterns -MMD -MP -Iinclude -Ikernel
KERNEL_SRC := $(filter-out kernel/code/%,$(wildcard kernel/*/*.c kernel/*/*.S)) $(wildcard kernel/code/*.c)
KERNEL_OBJ := $(patsubst %,build/%.o,$(KERNEL_SRC)) $(KERNEL_EXTRA)

.PHONY: kernel kernel-test fuzz stats
kernel: build/kernel/xok.elf

build/kernel/xok.elf: $(KERNEL_OBJ) kernel/boot/kernel.ld
	$(LD) -static -nostdlib -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
		-T kernel/boot/kernel.ld -o $@ $(KERNEL_OBJ)

build/kernel/%.c.o: kernel/%.c
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -c -o $@ $<

build/kernel/%.S.o: kernel/%.S
	@mkdir -p $(@D)
	$(CC) -Iinclude -Ikernel -MMD -MP -c -o $@ $<

-include $(KERNEL_OBJ:.o=.d)

# ---- the same with undefined behaviour checked, and freed kernel memory poisoned: build/kernel/checked.elf
CHECK_CFLAGS := $(KERNEL_CFLAGS) -w -fsanitize=undefined,bounds -fno-sanitize=alignment,null -DXOK_CHECKED
CHECK_OBJ := $(patsubst build/kernel/%,build/checked/%,$(KERNEL_OBJ)) build/checked/ubsan.o

build/kernel/checked.elf: $(CHECK_OBJ) kernel/boot/kernel.ld
	@mkdir -p $(@D)
	$(LD) -static -nostdlib -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
		-T kernel/boot/kernel.ld -o $@ $(CHECK_OBJ)

build/checked/ubsan.o: tests/guest/kernel/ubsan.c
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -c -o $@ $<

build/checked/%.c.o: kernel/%.c
	@mkdir -p $(@D)
	$(CC) $(CHECK_CFLAGS) -c -o $@ $<

build/checked/%.S.o: kernel/%.S
	@mkdir -p $(@D)
	$(CC) -Iinclude -Ikernel -MMD -MP -c -o $@ $<

-include $(CHECK_OBJ:.o=.d)

# ---- generated from include/xok/syscalls.def
build/tools/gen: tools/gen/gen.c include/xok/syscalls.def
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -Wall -Wextra -Werror -Iinclude -o $@ $<

build/include/xok/calls.h: build/tools/gen
	@mkdir -p $(@D)
	build/tools/gen stubs > $@.tmp && mv $@.tmp $@

docs/kernel-interface.md: build/tools/gen
	build/tools/gen page > $@.tmp && mv $@.tmp $@

# ---- tests in the machine: each tests/guest/kernel/NAME.c is a first environment of its own
KTEST_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic -mno-red-zone \
	-mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-Iinclude -Ibuild/include -I.
KTEST_SRC := $(filter-out %/hello.c %/ubsan.c,$(wildcard tests/guest/kernel/*.c))
KTESTS := $(patsubst tests/guest/kernel/%.c,build/ktest/%.img,$(KTEST_SRC))

build/tools/mkboot: tests/guest/mkboot.c include/xok/info.h
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -Wall -Wextra -Werror -Iinclude -o $@ $<

build/ktest/%.elf: tests/guest/kernel/%.c tests/guest/kernel/test.h tests/guest/kernel/child.h tests/guest/kernel/netkit.h tests/guest/kernel/start.S \
		tests/guest/kernel/test.ld build/include/xok/calls.h $(wildcard include/xok/*.h libxok/*.h)
	@mkdir -p $(@D)
	$(CC) $(KTEST_CFLAGS) -nostdlib -static -Wl,-z,max-page-size=4096,-z,noexecstack,--build-id=none \
		-T tests/guest/kernel/test.ld -o $@ tests/guest/kernel/start.S $<

# The toy file system's functions, as arrays.
build/ktest/toy.o: tests/host/xn/toy_functions.c include/xok/bpf.h include/xok/udf.h
	@mkdir -p $(@D)
	clang -O2 -mcpu=v3 -target bpf -Iinclude -c -o $@ $<

build/ktest/toy.h: build/ktest/toy.o build/xok
	for f in toy_owns toy_edges toy_acl; do build/xok bpf link $< $$f -o build/ktest/$$f >/dev/null && \
		echo "static const u8 image_$$f[] = {" && od -An -v -tu1 -w32 build/ktest/$$f | sed 's/ *\([0-9]\+\)/\1,/g' && \
		echo '};' || exit 1; done >$@.tmp && mv $@.tmp $@

build/ktest/disk.elf build/ktest/costdisk.elf: build/ktest/toy.h tests/guest/kernel/diskkit.h

# The handlers of the network's tests, likewise.
build/ktest/handlers.o: tests/guest/net/handlers.c include/xok/bpf.h
	@mkdir -p $(@D)
	clang -O2 -mcpu=v3 -target bpf -Iinclude -c -o $@ $<

build/ktest/handlers.h: build/ktest/handlers.o build/xok
	for f in echo vector forge wild; do build/xok bpf link $< $$f -o build/ktest/handler_$$f >/dev/null && \
		echo "static const u8 handler_$$f[] __attribute__((unused)) = {" && \
		od -An -v -tu1 -w32 build/ktest/handler_$$f | sed 's/ *\([0-9]\+\)/\1,/g' && echo '};' || exit 1; done >$@.tmp && mv $@.tmp $@

build/ktest/handler.elf build/ktest/costnet.elf: build/ktest/handlers.h

build/ktest/%.img: build/ktest/%.elf build/tools/mkboot
	build/tools/mkboot $< /dev/null $@

SUITES += tests/guest/kernel/run.sh
SUITE_DEPS += build/kernel/xok.elf build/kernel/checked.elf $(KTESTS)

kernel-test: build/kernel/xok.elf build/kernel/checked.elf $(KTESTS)
	@tests/guest/kernel/run.sh

# ---- make fuzz: ten million calls
build/ktest/fuzz-long.elf: tests/guest/kernel/fuzz.c $(wildcard tests/guest/kernel/*.h include/xok/* libxok/*.h) build/include/xok/calls.h
	$(CC) $(KTEST_CFLAGS) -DFUZZ_CALLS=10000000 -nostdlib -static -Wl,-z,max-page-size=4096,-z,noexecstack,--build-id=none \
		-T tests/guest/kernel/test.ld -o $@ tests/guest/kernel/start.S $<

fuzz:: build/kernel/checked.elf build/ktest/fuzz-long.img
	@LIMIT=7200 tests/guest/kernel/run.sh build/kernel/checked.elf build/ktest/fuzz-long.img

# ---- make stats: lines of the kernel, drivers apart
stats:
	@echo "kernel without drivers: $$(cat $$(git ls-files 'kernel/*.[chS]' | grep -v kernel/dev/) | wc -l) lines; target at most 10000"
	@for d in kernel/*/; do echo "  $$d $$(cat $$(git ls-files "$$d*.[chS]") | wc -l)"; done
	@echo "  interface include/xok $$(cat include/xok/*.h | wc -l)"
