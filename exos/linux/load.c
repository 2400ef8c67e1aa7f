// The load: how many threads run or could run. Nobody samples it when nobody looks: an average is brought
// up to date when it is read, from what the processors have worked since the last time.
#include "linux/load.h"
#include "proc/proc.h"

enum { SHIFT = 16, STEP_SHIFT = 11 };
#define STEP_NS 5000000000ul // Linux's sampling interval, and its factors exp(-5 s / 1, 5, 15 min) in 1/2048
static const u32 factor[3] = {1884, 2014, 2037};

static struct lock lock;
static u64 average[3], last_ns, last_busy;

static u64 tsc_ns(u64 tsc) { return (u64)(((unsigned __int128)tsc * XOK_INFO->tsc_mult) >> 32); }

u64 cpu_idle_ns(u32 cpu)
{
    const volatile struct xok_cpu_info *c = &XOK_INFO->cpu[cpu];
    u64 before, since, now;
    do {
        before = c->idle_tsc, since = c->idle_since;
        now = __builtin_ia32_rdtsc();
    } while (c->idle_tsc != before);
    return MIN(tsc_ns(before + (since && now > since ? now - since : 0)), clock_mono_ns());
}

u32 threads_running(u32 *all)
{
    u32 running = 0;
    *all = 0;
    lock_take(&proc_lock);
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        list_for(jt, &p->threads) {
            struct thread *t = container_of(jt, struct thread, proc_link);
            running += XOK_ENVS[XOK_ENV_INDEX(t->env)].state == XOK_ENV_READY;
            ++*all;
        }
    }
    lock_drop(&proc_lock);
    return running;
}

static u64 power(u64 f, u64 n) // f^n in 1/2048
{
    u64 r = 1ul << STEP_SHIFT;
    for (; n; n >>= 1, f = f * f >> STEP_SHIFT)
        if (n & 1)
            r = r * f >> STEP_SHIFT;
    return r;
}

void load_average(u64 load[3])
{
    u32 all, running = threads_running(&all);
    u64 now = clock_mono_ns(), busy = 0;
    for (u32 i = 0; i < XOK_INFO->cpu_count; i++)
        busy += now - cpu_idle_ns(i);
    lock_take(&lock);
    u64 steps = (now - last_ns) / STEP_NS;
    if (steps) {
        u64 active = busy > last_busy ? ((busy - last_busy) << SHIFT) / (now - last_ns) : 0;
        if (running > XOK_INFO->cpu_count) // the rest waits for a processor
            active += (u64)(running - XOK_INFO->cpu_count) << SHIFT;
        for (int n = 0; n < 3; n++) {
            u64 keep = power(factor[n], steps);
            average[n] = (average[n] * keep + active * ((1ul << STEP_SHIFT) - keep)) >> STEP_SHIFT;
        }
        last_ns = now, last_busy = busy;
    }
    memcpy(load, average, sizeof average);
    lock_drop(&lock);
}
