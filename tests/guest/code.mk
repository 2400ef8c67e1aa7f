# Downloaded code in the machine: a kernel of its own with a self-test linked in, which runs before anything else.
build/ktest/selftest.o: tests/guest/code/selftest.c kernel/kernel.h kernel/code/code.h kernel/code/insn.h
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -c -o $@ $<

build/ktest/code.elf: $(KERNEL_OBJ) build/ktest/selftest.o kernel/boot/kernel.ld
	$(LD) -static -nostdlib -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
		-T kernel/boot/kernel.ld -o $@ $(KERNEL_OBJ) build/ktest/selftest.o

build/ktest/code.img:
	@mkdir -p $(@D)
	head -c 4096 /dev/zero >$@

SUITES += tests/guest/code.sh
SUITE_DEPS += build/ktest/code.elf build/ktest/code.img
