# ExOS: one image, build/exos/exos.elf.
EXOS_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -ffreestanding -fPIE -fvisibility=hidden \
	-mgeneral-regs-only -mno-red-zone -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -fcf-protection=none -Iinclude -Ibuild/include -Iexos
EXOS_SRC := $(wildcard exos/*/*.c exos/*/*.S)
EXOS_OBJ := $(patsubst %,build/%.o,$(basename $(EXOS_SRC)))
EXOS_HDR := $(wildcard include/xok/* exos/*/*.h exos/linux/*.def)

build/exos/exos.elf: $(EXOS_OBJ) exos/exos.ld
	$(LD) -static -z noexecstack -z max-page-size=4096 -T exos/exos.ld -o $@ $(EXOS_OBJ)

build/exos/%.o: exos/%.c $(EXOS_HDR) build/include/xok/calls.h
	@mkdir -p $(@D)
	$(CC) $(EXOS_CFLAGS) -c -o $@ $<

build/exos/%.o: exos/%.S $(EXOS_HDR)
	@mkdir -p $(@D)
	$(CC) -Iinclude -Iexos -c -o $@ $<
