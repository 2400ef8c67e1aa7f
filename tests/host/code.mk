# Downloaded code: tests on the host, the examples compiled by clang, and the fuzzer.
CODE_TEST := $(CODE_SRC) $(wildcard kernel/code/*.h kernel/code/host/*.h tests/host/code/*.h)
CODE_RULE = @mkdir -p $(@D) && $(CC) $(HOST_CFLAGS) -O1 $(SANITIZE) -o $@ $(filter %.c,$^)

HOST_TESTS += $(addprefix $(B)/host/,code_vectors_test code_zoo_test code_cost_test)
$(B)/host/code_vectors_test: tests/host/code_vectors_test.c tests/host/code/arena.c $(CODE_TEST)
	$(CODE_RULE) -lcmocka
$(B)/host/code_zoo_test: tests/host/code_zoo_test.c tests/host/code/arena.c $(CODE_TEST)
	$(CODE_RULE) -lcmocka

EXAMPLES := $(patsubst apps/code/%.c,$(B)/host/code/%.o,$(wildcard apps/code/*.c))
$(B)/host/code/%.o: apps/code/%.c include/xok/bpf.h
	@mkdir -p $(@D)
	clang -O2 -mcpu=v3 -target bpf -Wall -Wextra -Wno-unused-parameter -Werror -Iinclude -c -o $@ $<
EXAMPLES += $(B)/host/code/xn_owns.o
$(B)/host/code/xn_owns.o: tests/host/code/xn_owns.c include/xok/bpf.h include/xok/udf.h
	@mkdir -p $(@D)
	clang -O2 -mcpu=v3 -target bpf -Wall -Wextra -Werror -Iinclude -c -o $@ $<
$(B)/host/code_cost_test: tests/host/code_cost_test.c tests/host/code/count.c $(CODE_TEST) | $(EXAMPLES)
	$(CODE_RULE) -lcmocka

# Generated programs, compiled against interpreted; the same ones every time. Without sanitizers: it is the guarded
# arena that looks for stray accesses, and the fuzzer below runs the same code with them.
$(B)/host/code_fuzz: tests/host/code/fuzz.c tests/host/code/generate.c tests/host/code/arena.c $(CODE_TEST)
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -o $@ $(filter %.c,$^)

# What libFuzzer found, again, with sanitizers.
CORPUS := tests/host/code/corpus
$(B)/host/code_corpus: tests/host/code/fuzz.c tests/host/code/generate.c tests/host/code/arena.c $(CODE_TEST)
	$(CODE_RULE) -fno-sanitize=alignment
SUITES += $(B)/host/code_corpus --corpus ./$(CORPUS)
SUITE_DEPS += $(B)/host/code_corpus
SUITES += $(B)/host/code_fuzz tests/host/code/test_bpf.py
SUITE_DEPS += $(B)/host/code_fuzz $(EXAMPLES)

# make fuzz: FUZZ_PROGRAMS generated ones from a seed of its own, then libFuzzer with sanitizers
# (FUZZ_RUNS), from the corpus that make test replays. make fuzz-corpus minimises that and what was found to an input for
# each place in the code.
FUZZ_PROGRAMS ?= 10000000
FUZZ_RUNS ?= 1000000
FUZZ_SEED ?= $(shell date +%s)
.PHONY: fuzz fuzz-code fuzz-corpus
fuzz:: fuzz-code
$(B)/fuzz/code: tests/host/code/fuzz.c tests/host/code/generate.c tests/host/code/arena.c $(CODE_TEST)
	@mkdir -p $(@D)
	clang $(HOST_CFLAGS) -DLIBFUZZER -fsanitize=fuzzer,address,undefined -fno-sanitize=alignment \
		-fno-sanitize-recover=undefined -o $@ $(filter %.c,$^)
fuzz-code: $(B)/fuzz/code $(B)/host/code_fuzz
	@mkdir -p $(B)/fuzz/code-corpus
	$(B)/host/code_fuzz $(FUZZ_PROGRAMS) $(FUZZ_SEED)
	$(B)/fuzz/code -runs=$(FUZZ_RUNS) -max_len=1024 -len_control=0 -print_final_stats=1 \
		-artifact_prefix=$(B)/fuzz/ $(B)/fuzz/code-corpus $(CORPUS)
fuzz-corpus: $(B)/fuzz/code
	rm -rf $(B)/fuzz/merged && mkdir -p $(B)/fuzz/merged $(B)/fuzz/code-corpus
	$(B)/fuzz/code -merge=1 -use_counters=0 -max_len=1024 $(B)/fuzz/merged $(CORPUS) $(B)/fuzz/code-corpus
