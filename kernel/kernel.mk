# The kernel: build/kernel/xok.elf; and what is generated from its table of calls.
KERNEL_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -ffreestanding -mcmodel=kernel -mno-red-zone \
	-mgeneral-regs-only -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -fcf-protection=none -Iinclude -Ikernel
KERNEL_SRC := $(wildcard kernel/boot/*.[cS] kernel/cpu/*.[cS] kernel/cap/*.c kernel/mem/*.c kernel/env/*.c kernel/dev/*.c)
KERNEL_OBJ := $(patsubst %,build/%.o,$(basename $(KERNEL_SRC)))
KERNEL_HDR := $(wildcard include/xok/* kernel/*.h kernel/*/*.h)

build/kernel/xok.elf: $(KERNEL_OBJ) kernel/boot/kernel.ld
	$(LD) -static -z noexecstack -z max-page-size=4096 --no-warn-rwx-segments -T kernel/boot/kernel.ld -o $@ $(KERNEL_OBJ)

build/kernel/%.o: kernel/%.c $(KERNEL_HDR)
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -c -o $@ $<

build/kernel/%.o: kernel/%.S $(KERNEL_HDR)
	@mkdir -p $(@D)
	$(CC) -Iinclude -Ikernel -c -o $@ $<

build/include/xok/calls.h: tools/gen/stubs.py include/xok/syscalls.def
	@mkdir -p $(@D)
	python3 tools/gen/stubs.py include/xok/syscalls.def > $@
