# make bench: Linux beside Xok; results in docs/performance/. bench-micro, bench-io, bench-boot: a part.
# BENCH_FLAGS=--quick: fewer repetitions, results only in build/bench/quick/. Needs musl-gcc and apt-get.
SUITES += tests/host/bench/test_tables.py

.PHONY: bench bench-micro bench-io bench-boot
bench: deps
	@$(MAKE) --no-print-directory all
	bench/bench.py $(BENCH_FLAGS)

bench-micro bench-io bench-boot: bench-%: deps
	@$(MAKE) --no-print-directory all
	bench/bench.py $(BENCH_FLAGS) $*
