# Native programs above the tiny library OS, each also a machine of its own for the tests.
APPS := demo:apps/tiny/demo.c stride:apps/stride/stride.c appel:apps/appel/appel.c
APP_NAMES := $(foreach a,$(APPS),$(firstword $(subst :, ,$(a))))
APP_DEPS := apps/tiny/tiny.c apps/tiny/start.S apps/tiny/tiny.h tests/guest/kernel/test.ld build/include/xok/calls.h \
	$(wildcard include/xok/*.h)
APP_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-tree-loop-distribute-patterns \
	-Iinclude -Ibuild/include -I.

define APP
build/apps/$(1): $(2) $(APP_DEPS)
	@mkdir -p $$(@D)
	$$(CC) $$(APP_CFLAGS) -nostdlib -static -Wl,-z,max-page-size=4096,-z,noexecstack,--build-id=none \
		-T tests/guest/kernel/test.ld -o $$@ apps/tiny/start.S apps/tiny/tiny.c $(2)
	printf '\130' | dd of=$$@ bs=1 seek=7 conv=notrunc status=none # EI_OSABI: native
build/apps/$(1).img: build/apps/$(1) build/tools/mkboot
	build/tools/mkboot $$< /dev/null $$@
endef
$(foreach a,$(APPS),$(eval $(call APP,$(firstword $(subst :, ,$(a))),$(lastword $(subst :, ,$(a))))))

# exotop is an ordinary Linux program that only reads.
build/apps/exotop: apps/exotop/exotop.c $(wildcard include/xok/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -g -Wall -Wextra -Werror -Iinclude -static -o $@ $<

APP_IMAGES := $(APP_NAMES:%=build/apps/%.img)
SUITES += COUNT=1 tests/guest/kernel/run.sh build/kernel/xok.elf $(APP_IMAGES)
SUITES += tests/guest/native_test.sh
SUITE_DEPS += $(APP_IMAGES) build/apps/exotop
.PHONY: apps apps-test
apps: $(APP_IMAGES) build/apps/exotop
apps-test: build/kernel/xok.elf $(APP_IMAGES)
	@COUNT=1 tests/guest/kernel/run.sh build/kernel/xok.elf $(APP_IMAGES)
