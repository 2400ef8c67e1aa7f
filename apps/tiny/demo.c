// The tiny library OS at work: a sieve in memory that appears when touched, and threads that never yield, one
// that always does, all in one environment.
#include "apps/tiny/tiny.h"

enum { LIMIT = 2000000 };
static volatile u64 sums[3], done;

static void sieve(u64 arg)
{
    u8 *composite = tiny_alloc(LIMIT);
    u64 primes = 0;
    for (u64 i = 2; i < LIMIT; i++) {
        if (composite[i])
            continue;
        primes++;
        for (u64 k = i * i; k < LIMIT; k += i)
            composite[k] = 1;
    }
    sums[arg] = primes;
    done++;
}

static void triangle(u64 arg)
{
    for (u64 i = 1; i <= 30000000; i++)
        sums[arg] += i;
    done++;
}

static void polite(u64 arg)
{
    for (u64 i = 0; i < 1000; i++) {
        sums[arg] += i;
        tiny_yield();
    }
    done++;
}

static void idle(u64 arg)
{
    (void)arg;
    for (;;)
        ;
}

void tiny_main(void)
{
    u32 rival = tiny_spawn(idle, 0); // somebody else to share the processor with, so that slices end
    if (!rival || xok_slot_alloc(TINY_CAP, rival, tiny_ctl.cpu, XOK_SLOT_ANY) < 0)
        tiny_exit(0);
    u64 calls = XOK_INFO->cpu[tiny_ctl.cpu].entries[XOK_ENTRY_CALL];
    tiny_thread_start(polite, 2);
    while (done < 1)
        tiny_yield();
    calls = XOK_INFO->cpu[tiny_ctl.cpu].entries[XOK_ENTRY_CALL] - calls;
    // the stacks' pages, and a slice's end or two: nothing for two thousand switches
    tiny_say(calls < 20 ? "ok thread switches enter the kernel not at all: calls" : "not ok thread switches: calls", calls, sums[2]);
    tiny_thread_start(sieve, 0);
    tiny_thread_start(triangle, 1);
    while (tiny_threads() > 1)
        tiny_yield();
    tiny_say(sums[0] == 148933 ? "ok primes" : "not ok primes", sums[0], 148933);
    tiny_say(sums[1] == 450000015000000 ? "ok sum" : "not ok sum", sums[1], tiny_threads());
    tiny_say(tiny_preemptions > 2 ? "ok threads were switched at the ends of slices" : "not ok preemptions", tiny_preemptions, 0);
}
