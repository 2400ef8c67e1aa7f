# The same programs on Linux and on Xok (tests/abi/run.py): the built-in root, and in /abi of it the C programs of
# tests/abi/c, static with musl and dynamic with glibc, and those of tests/abi/alone, for cases that only Xok runs.
ABI := build/abi
ABI_C := $(wildcard tests/abi/c/*.c)
ABI_PROGRAMS := $(patsubst tests/abi/c/%.c,$(ABI)/static/%,$(ABI_C)) $(patsubst tests/abi/c/%.c,$(ABI)/dynamic/%,$(ABI_C)) \
	$(patsubst tests/abi/alone/%.c,$(ABI)/alone/%,$(wildcard tests/abi/alone/*.c))
ABI_CFLAGS := -std=gnu17 -O1 -Wall -Wextra -Werror -Wno-missing-field-initializers \
	-Wno-nonnull -Wno-stringop-overflow -Wno-stringop-overread -Wno-format-truncation -pthread

$(ABI)/static/%: tests/abi/c/%.c tests/abi/c/abi.h
	@mkdir -p $(@D)
	musl-gcc $(ABI_CFLAGS) -static -o $@ $<

$(ABI)/dynamic/%: tests/abi/c/%.c tests/abi/c/abi.h
	@mkdir -p $(@D)
	$(CC) $(ABI_CFLAGS) -o $@ $<

$(ABI)/alone/%: tests/abi/alone/%.c
	@mkdir -p $(@D)
	musl-gcc $(ABI_CFLAGS) -static -o $@ $<

$(ABI)/root.img: $(ABI_PROGRAMS) build/root.stamp build/xok
	@rm -rf $(ABI)/root && mkdir -p $(ABI)
	cp -a build/root $(ABI)/root
	mkdir $(ABI)/root/abi
	cp -a $(ABI)/static $(ABI)/dynamic $(ABI)/alone $(ABI)/root/abi/
	build/xok image build $(ABI)/root -o $@ $(if $(filter 0,$(shell id -u)),,--owner 0:0)

SUITES += tests/abi/run.py
SUITE_DEPS += $(ABI)/root.img
