// What classification costs, in instructions counted one by one (the trap flag), with 10 to 10 000 filters.
#define _GNU_SOURCE
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "net/dpf.h"

static struct dpf dpf;
static struct xok_filter_info infos[XOK_FILTER_MAX];
static volatile u64 steps;

static bool grow(u32 i) { return i < XOK_FILTER_MAX; }
static bool anybody(void *arg, u32 name) { return !arg || name; }
static void on_trap(int sig)
{
    (void)sig;
    steps++;
}

static void put(u8 *p, u32 n, u64 v)
{
    while (n--)
        p[n] = v, v >>= 8;
}

static void atom(struct xok_filter *f, u32 base, u32 offset, u32 width, u64 value)
{
    f->atom[f->count++] = (struct xok_atom){.base = base, .width = width, .offset = offset,
                                            .mask = (1ul << 8 * width) - 1, .value = value};
}

static s64 add(const struct xok_filter *f) { return dpf_add(&dpf, 0, f, 0, 1, anybody, NULL); }

static void nothing(void) {}
static u32 result;
static __attribute__((noinline)) u64 count(const u8 *frame)
{
    steps = 0;
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" : : : "memory", "cc");
    result = dpf_classify(&dpf, 0, frame, 60, false);
    __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" : : : "memory", "cc");
    u64 with = steps;
    steps = 0;
    void (*volatile f)(void) = nothing;
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" : : : "memory", "cc");
    f();
    __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" : : : "memory", "cc");
    return with - steps + 1; // the return instruction belongs to it
}

// An interface's default, listeners on ports, and connections: TCP over IPv4, or UDP over IPv6.
static double average(u32 n, bool v6, u64 *most)
{
    memset(&dpf, 0, sizeof dpf);
    memset(infos, 0, sizeof infos);
    static u8 *text;
    if (!text)
        text = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    dpf_init(&dpf, infos, grow, 4711, text, text, 65536);
    u32 half = n / 2, source = v6 ? 34 : 26, target = v6 ? 50 : 30;
    struct xok_filter all = {0}, base = {0};
    assert_true(add(&all) > 0);
    atom(&base, 0, 12, 2, v6 ? 0x86dd : 0x800);
    atom(&base, 0, v6 ? 20 : 23, 1, v6 ? 17 : 6);
    atom(&base, 0, target, 4, 0x0a000001);
    for (u32 i = 0; i < n; i++) {
        struct xok_filter f = base;
        atom(&f, 1, 2, 2, i < half ? 1 + i : 80);
        if (i >= half) {
            atom(&f, 0, source, 4, 0x0b000000 + i - half);
            atom(&f, 1, 0, 2, 1024 + (i - half) % 60000);
        }
        assert_true(add(&f) > 0);
    }
    u64 sum = 0;
    u32 rounds = 120;
    *most = 0;
    for (u32 r = 0; r < rounds; r++) {
        u8 frame[DPF_READ] = {0};
        u32 k = (u64)r * 7919 % n, t = v6 ? 54 : 34;
        put(frame + 12, 2, v6 ? 0x86dd : 0x800), frame[14] = v6 ? 0x60 : 0x45, frame[v6 ? 20 : 23] = v6 ? 17 : 6;
        put(frame + target, 4, 0x0a000001);
        put(frame + source, 4, k < half ? 5 : 0x0b000000 + k - half);
        put(frame + t, 2, k < half ? 5 : 1024 + (k - half) % 60000);
        put(frame + t + 2, 2, k < half ? 1 + k : 80);
        u64 c = count(frame);
        assert_int_equal(result, 2 + k);
        sum += c;
        *most = c > *most ? c : *most;
    }
    return (double)sum / rounds;
}

static void flat_and_small(void **state)
{
    (void)state;
    signal(SIGTRAP, on_trap);
    for (int v6 = 0; v6 < 2; v6++) {
        double few = 0;
        for (u32 n = 10; n <= 10000; n *= 10) {
            u64 most;
            double a = average(n, v6, &most);
            print_message("%s, %5u filters: %.1f instructions a frame, at most %lu\n", v6 ? "IPv6" : "IPv4", n, a, most);
            few = n == 10 ? a : few;
            assert_true(a <= few * 1.15);
            assert_true(a <= (v6 ? 64 : 60));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(flat_and_small)};
    return cmocka_run_group_tests_name("cost of packet filters", tests, NULL, NULL);
}
