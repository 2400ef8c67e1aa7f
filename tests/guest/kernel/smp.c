// Several processors: they all start, run at once, drop translations when told, stop what is freed.
#include "child.h"

#define SHARED 0x40000000ul
enum { WORKERS = 3 };

static volatile u64 counter, seen[8], stop, wrong;

static void worker(u64 i) // each on its own processor
{
    while (!stop) {
        __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
        seen[i]++;
        if (XOK_ENVS[XOK_ENV_INDEX(XOK_INFO->cpu[i].env)].cpu != i)
            wrong++;
    }
    for (;;)
        xok_sleep(0, 0);
}

// Reads a page through its own mapping while others take it away: it must see one of the contents that the
// mapping had, never a page that has been given to somebody else (marked with another number).
static volatile u64 *volatile probe;
static volatile u64 leaks, reads;
static void reader(u64 arg)
{
    (void)arg;
    for (;;) {
        u64 v = *probe;
        reads++;
        if (v != 1 && v != 2)
            leaks++;
    }
}

static void lockers(u64 i)
{
    for (u64 n = 0; !stop; n++) {
        u64 va = SHARED + (i + 1) * 0x1000000;
        s64 p = xok_page_alloc(ROOT, XOK_PAGE_ANY, 1);
        if (p < 0 || map(va, p, 1, XOK_PTE_W) != 1) {
            wrong++;
            continue;
        }
        *(volatile u64 *)va = i;
        if (*(volatile u64 *)va != i)
            wrong++;
        if (unmap(va, 1) != 1 || xok_page_free(ROOT, p, 1))
            wrong++;
        seen[i]++;
    }
    for (;;)
        xok_sleep(0, 0);
}

static void wait_all(u64 n, u64 least)
{
    for (u64 i = 1; i <= n; i++)
        while (seen[i] < least)
            ;
}

static void sleep_all(struct child *c, int n)
{
    stop = 1;
    for (int i = 1; i <= n; i++)
        while (STATE(c[i].env) != XOK_ENV_ASLEEP)
            ;
}

static void pinger(u64 arg)
{
    struct xok_ctl *mine = (struct xok_ctl *)arg, *theirs = (struct xok_ctl *)KIT;
    for (;;) {
        while (!mine->event)
            xok_sleep(0, 0);
        mine->event = 0;
        seen[7]++;
        theirs->event = 1;
        xok_wake(theirs->id);
    }
}

// Takes a page away and gives it back, as fast as it can, while the kernel copies to and from it elsewhere.
static void flapper(u64 ppn)
{
    while (!stop) {
        unmap(SHARED + 64 * PAGE, 1);
        map(SHARED + 64 * PAGE, ppn, 1, XOK_PTE_W);
        seen[6]++;
    }
    for (;;)
        xok_sleep(0, 0);
}

static void copy_races(u32 me)
{
    u64 p = page_new(SHARED + 64 * PAGE), copied = 0, faulted = 0, odd = 0;
    struct xok_regs *regs = (struct xok_regs *)(SHARED + 64 * PAGE + 8);
    stop = 0, seen[6] = 0;
    struct child c = child_new(1, me, flapper, p, 1), other = child_new(2, me, worker, 2, ~0u);
    for (u64 n = 0; n < 300 || (n < 1000000 && (!copied || !faulted)); n++) {
        s64 r = n & 1 ? xok_entropy((void *)(SHARED + 64 * PAGE), 256) : xok_env_regs(ROOT, other.env, regs, n & 2);
        copied += r == 0, faulted += r == XOK_E_FAULT;
        odd += r != 0 && r != XOK_E_FAULT && r != XOK_E_ARG; // random registers may be refused
    }
    CHECK(copied && faulted);
    EQ(odd, 0);
    stop = 1;
    while (STATE(c.env) != XOK_ENV_ASLEEP)
        ;
    child_free(&c);
    child_free(&other);
    page_gone(SHARED + 64 * PAGE, p);
}

static void test(void)
{
    u32 me = XOK_INFO->cpu[0].env;
    adult();
    EQ(XOK_INFO->cpu_count, 4);
    struct child c[WORKERS + 1];

    // all at once
    for (u64 i = 1; i <= WORKERS; i++)
        c[i] = child_new(i, i == 2 ? me : 0, worker, i, i);
    wait_all(WORKERS, 10000);
    for (u64 i = 1; i <= WORKERS; i++) {
        EQ(XOK_INFO->cpu[i].env, c[i].env);
        EQ(XOK_ENVS[XOK_ENV_INDEX(c[i].env)].cpu, i);
    }
    EQ(XOK_INFO->cpu[0].env, me);
    struct xok_regs r;
    EQ(xok_env_regs(ROOT, c[1].env, &r, 0), XOK_E_BUSY);
    // told while it runs
    notified = 0;
    EQ(xok_env_notify(ROOT, c[1].env, 1), 0);
    while (notified == 0)
        ;
    EQ(xok_env_notify(ROOT, c[2].env, 2), 0);
    while (notified == 1)
        ;
    // freed while it runs
    child_free(&c[1]);
    EQ(STATE(c[1].env), XOK_ENV_FREE);
    stop = 1;
    for (int i = 2; i <= WORKERS; i++) {
        while (STATE(c[i].env) != XOK_ENV_ASLEEP)
            ;
        child_free(&c[i]);
    }
    EQ(wrong, 0);

    // the kernel from everywhere at once, threads of one space and others
    stop = 0;
    memset((void *)seen, 0, sizeof seen);
    u64 tables = XOK_NAMES[XOK_NAME_ROOT].used[XOK_RES_PTPAGES];
    for (u64 i = 1; i <= WORKERS; i++)
        c[i] = child_new(i, i == 3 ? 0 : me, lockers, i, i);
    wait_all(WORKERS, 60);
    sleep_all(c, WORKERS);
    EQ(wrong, 0);
    for (int i = 1; i <= WORKERS; i++)
        child_free(&c[i]);
    EQ(XOK_NAMES[XOK_NAME_ROOT].used[XOK_RES_PTPAGES], tables);

    // a mapping that goes is gone on the other processors before the call returns
    u64 p[2];
    probe = (volatile u64 *)SHARED;
    for (int k = 0; k < 2; k++) {
        p[k] = page_new(SHARED);
        *probe = k + 1;
    }
    struct child t = child_new(1, me, reader, 0, 1), s = child_new(2, 0, reader, 0, 2);
    while (reads < 1000)
        ;
    u64 sent = XOK_INFO->cpu[0].shootdowns;
    for (int k = 0; k < 60; k++) {
        map(SHARED, p[k & 1], 1, XOK_PTE_W); // the other page now has no mapping, and is marked
        map(SHARED + PAGE, p[~k & 1], 1, XOK_PTE_W);
        ((volatile u64 *)(SHARED + PAGE))[0] = 0xbad;
        ((volatile u64 *)(SHARED + PAGE))[0] = (~k & 1) + 1;
    }
    CHECK(XOK_INFO->cpu[0].shootdowns > sent + 60);
    EQ(leaks, 0);
    CHECK(reads > 1000);
    child_free(&t);
    child_free(&s);
    EQ(STATE(t.env), XOK_ENV_FREE);
    unmap(SHARED, 2);

    copy_races(me);

    // event and wake across processors: no wake-up is lost
    struct xok_ctl *mine = (struct xok_ctl *)KIT;
    seen[7] = 0, mine->event = 0;
    struct child g = child_new(1, 0, pinger, KIT + 5 * PAGE, 1);
    for (u64 k = 0; k < 100; k++) {
        g.ctl->event = 1;
        xok_wake(g.env);
        while (!mine->event)
            xok_sleep(0, 0);
        mine->event = 0;
    }
    EQ(seen[7], 100);
    CHECK(XOK_INFO->cpu[1].idle_tsc > 0);
    child_free(&g);
    EQ(XOK_INFO->env_count, 1);
}
