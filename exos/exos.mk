# ExOS: one image, build/exos/exos.elf.
EXOS_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -ffreestanding -fPIE -fvisibility=hidden \
	-mgeneral-regs-only -mno-red-zone -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -fcf-protection=none -Iinclude -Ibuild/include -Iexos
EXOS_SRC := $(wildcard exos/*/*.c exos/*/*.S)
EXOS_OBJ := $(patsubst %,build/%.o,$(basename $(EXOS_SRC)))
EXOS_HDR := $(wildcard include/xok/* exos/*/*.h exos/linux/*.def)

build/exos/exos.elf: $(EXOS_OBJ) exos/exos.ld
	$(LD) -static -z noexecstack -z max-page-size=4096 -T exos/exos.ld -o $@ $(EXOS_OBJ)

# What programs find at AT_SYSINFO_EHDR.
build/exos/vdso.so: exos/linux/vdso/vdso.c exos/linux/vdso/vdso.ld exos/linux/vdso.h
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -Wall -Wextra -Werror -ffreestanding -fPIC -mgeneral-regs-only -fno-stack-protector \
		-fno-asynchronous-unwind-tables -fcf-protection=none -Iinclude -Iexos -shared -nostdlib -s \
		-Wl,-T,exos/linux/vdso/vdso.ld,-soname,linux-vdso.so.1,--hash-style=both,--build-id=none,-z,max-page-size=4096 \
		-Wl,--no-undefined,-z,noexecstack,--no-warn-rwx-segments -o $@ $<

build/exos/linux/vdso_image.o: build/exos/vdso.so

build/exos/%.o: exos/%.c $(EXOS_HDR) build/include/xok/calls.h
	@mkdir -p $(@D)
	$(CC) $(EXOS_CFLAGS) -c -o $@ $<

build/exos/%.o: exos/%.S $(EXOS_HDR)
	@mkdir -p $(@D)
	$(CC) -Iinclude -Iexos -c -o $@ $<
