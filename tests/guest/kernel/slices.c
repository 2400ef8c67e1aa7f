// The end of a slice: told, deferred, overrun, charged, forfeited; robust critical sections.
#include "child.h"
#include "libxok/critical.h"

static volatile u64 ends, begins, work, told_late, rounds, taken;
static volatile u32 lock;
static u32 me;

extern u8 end_yields[], end_spins[], begin_stub[];
// At the end of a slice: count, unmask, yield; rbx is lost on purpose, and the next slice begins anew.
__asm__("end_yields:\n"
        "  lock incq ends\n"
        "  mov %fs:0, %rax\n  movq $0, 112(%rax)\n"
        "  mov $42, %eax\n  xor %edi, %edi\n  syscall\n"
        "  lock incq told_late\n"
        "  ud2\n"
        "end_spins:\n"
        "  lock incq ends\n"
        "1: jmp 1b\n"
        "begin_stub:\n"
        "  lock incq begins\n"
        "  mov %fs:0, %rax\n  movq $0, 112(%rax)\n"
        "2: lock incq work\n"
        "  jmp 2b\n");

static void works(u64 arg)
{
    (void)arg;
    for (;;)
        work++;
}

static struct child sliced(u32 n, void *end, void *begin, void (*fn)(u64), u32 flags)
{
    struct child c = child_new(n, me, fn, KIT + n * 5 * PAGE, ~0u);
    struct xok_env_setup s = child_setup(c.kit);
    s.flags = flags;
    s.entry[XOK_UP_SLICE_END] = (u64)end, s.entry[XOK_UP_SLICE_BEGIN] = (u64)begin;
    EQ(xok_env_setup(ROOT, c.env, &s), 0);
    CHECK(xok_slot_alloc(ROOT, c.env, 0, XOK_SLOT_ANY) >= 0);
    return c;
}

#define INFO(c) XOK_ENVS[XOK_ENV_INDEX((c).env)]

static void told(void)
{
    struct child c = sliced(1, end_yields, begin_stub, works, 0);
    while (begins < 3)
        ;
    CHECK(ends >= 3);
    EQ(told_late, 0);
    u64 w = work;
    while (work == w)
        ;
    EQ(INFO(c).overruns, 0);
    CHECK(INFO(c).debt_ns < XOK_SLOT_NS);
    child_free(&c);
    // with the kernel's saving nothing is told
    ends = 0;
    c = sliced(1, end_yields, begin_stub, works, XOK_ENV_KSAVE);
    u32 slices = INFO(c).slices;
    while (INFO(c).slices < slices + 3)
        ;
    EQ(ends, 0);
    child_free(&c);
}

static void overruns(void)
{
    ends = 0;
    struct child c = sliced(1, end_spins, begin_stub, works, 0);
    while (ends == 0)
        ;
    u64 deaths = 0;
    // told once, it spins in its epilogue with its upcalls masked: saved by the kernel from then on
    u32 slices = INFO(c).slices;
    while (INFO(c).slices < slices + 2)
        ;
    EQ(ends, 1);
    EQ(INFO(c).overruns, 1);
    CHECK(INFO(c).debt_ns >= XOK_GRACE_NS);
    while (INFO(c).state != XOK_ENV_DEAD && deaths++ < 100) { // each time it asks to be told, and overruns
        slices = INFO(c).slices;
        c.ctl->upcall_mask = 0;
        while (INFO(c).slices == slices && INFO(c).state != XOK_ENV_DEAD)
            ;
    }
    EQ(INFO(c).state, XOK_ENV_DEAD);
    EQ(INFO(c).death, XOK_DEATH_OVERRUN);
    CHECK(((struct xok_ctl *)KIT)->event); // its guardian is told
    ((struct xok_ctl *)KIT)->event = 0;
    child_free(&c);
}

// ---- critical sections ---------------------------------------------------------------------------------
static void critical_loop(u64 kit)
{
    volatile struct xok_ctl *ctl = (struct xok_ctl *)kit;
    for (;;) {
        critical_enter(ctl);
        u64 before = rounds;
        for (int i = 0; i < 1000; i++)
            if (rounds != before) // the tester counts whenever it runs: inside the section it never does
                told_late++;
        critical_leave(ctl);
        work++;
    }
}

static void critical_hog(u64 kit)
{
    ((volatile struct xok_ctl *)kit)->critical = 1;
    for (;;)
        work++;
}

static void dies_holding(u64 kit)
{
    robust_lock((volatile struct xok_ctl *)kit, &lock);
    xok_env_free(ROOT, 0);
}

static void critical(void)
{
    told_late = 0, rounds = 0;
    struct child c = sliced(1, 0, 0, critical_loop, XOK_ENV_KSAVE);
    u32 slices = INFO(c).slices;
    while (INFO(c).slices < slices + 12)
        rounds++;
    EQ(told_late, 0);
    EQ(INFO(c).overruns, 0);
    child_free(&c);
    // one that never leaves its section gains nothing
    c = sliced(1, 0, 0, critical_hog, XOK_ENV_KSAVE);
    while (INFO(c).state != XOK_ENV_DEAD)
        ;
    EQ(INFO(c).death, XOK_DEATH_OVERRUN);
    CHECK(INFO(c).debt_ns >= (XOK_OVERRUN_MAX - 1) * XOK_GRACE_NS);
    ((struct xok_ctl *)KIT)->event = 0;
    child_free(&c);
    // the holder of a lock dies
    volatile struct xok_ctl *mine = (struct xok_ctl *)KIT;
    c = sliced(1, 0, 0, dies_holding, XOK_ENV_KSAVE);
    while (STATE(c.env) != XOK_ENV_FREE)
        xok_yield(c.env);
    EQ(lock, c.env);
    EQ(robust_lock(mine, &lock), 1);
    EQ(lock, me);
    robust_unlock(mine, &lock);
    EQ(robust_lock(mine, &lock), 0);
    robust_unlock(mine, &lock);
    EQ(mine->critical, 0);
    kit_free(&c);
}

// ---- two tenants: one takes all the grace it can get, and asks for slots it may not have ------------------
static volatile u64 honest_work, more_slots;

static void honest(u64 arg)
{
    (void)arg;
    for (;;)
        honest_work++;
}

static void greedy(u64 kit)
{
    volatile struct xok_ctl *ctl = (struct xok_ctl *)kit;
    for (;;) {
        critical_enter(ctl);
        more_slots += xok_slot_alloc(5, 0, 0, XOK_SLOT_ANY) >= 0;
        while (!ctl->slice_over)
            ;
        u64 from = __builtin_ia32_rdtsc(), grace = (XOK_GRACE_NS * 9 / 10 << 32) / XOK_INFO->tsc_mult;
        while (__builtin_ia32_rdtsc() - from < grace)
            ;
        critical_leave(ctl);
    }
}

static void tenants(void)
{
    EQ(xok_cap_forge(ROOT, 50, XOK_ALL, 5), 0);
    struct child a = child_new(1, me, honest, 0, ~0u), b = {.kit = KIT + 10 * PAGE};
    kit_make(b.kit);
    b.ctl = (struct xok_ctl *)b.kit;
    b.env = xok_env_alloc(5, 0);
    struct xok_pt_op link = {0, XOK_PTE_W, 0, 1, XOK_PT_LINK, 4, 0, 0};
    EQ(xok_pt_batch(ROOT, b.env, &link, 1), 1);
    struct xok_env_setup s = child_setup(b.kit);
    struct xok_regs r = {.rip = (u64)greedy, .rdi = b.kit, .rsp = b.kit + 4 * PAGE - 8, .rflags = 2};
    EQ(xok_env_setup(ROOT, b.env, &s), 0);
    EQ(xok_cap_copy(5, ROOT, b.env, XOK_ALL, 5), 0);
    EQ(xok_env_regs(ROOT, b.env, &r, 1), 0);
    EQ(xok_cap_quota(ROOT, 50, XOK_RES_SLOTS, 2), 0);
    s64 slot[3] = {xok_slot_alloc(ROOT, a.env, 0, XOK_SLOT_ANY), xok_slot_alloc(ROOT, b.env, 0, XOK_SLOT_ANY),
                   xok_slot_alloc(ROOT, b.env, 0, XOK_SLOT_ANY)};
    CHECK(slot[0] > 0 && slot[1] > 0 && slot[2] > 0);
    EQ(xok_env_run(ROOT, b.env), 0);
    u64 start = INFO(a).run_tsc, started = INFO(b).run_tsc;
    while (INFO(b).slices < 230)
        xok_yield(0);
    u64 its = INFO(a).run_tsc - start, others = INFO(b).run_tsc - started;
    u64 share = its * 3000 / (its + others); // 1000: the third that was given
    CHECK(share >= 980 && share <= 1030);
    CHECK(INFO(b).forfeits >= 1);
    EQ(INFO(b).state, XOK_ENV_READY);
    EQ(more_slots, 0);
    child_free(&a);
    EQ(xok_env_free(ROOT, b.env), 0);
    kit_free(&b);
}

static void test(void)
{
    adult();
    me = XOK_INFO->cpu[0].env;
    told();
    overruns();
    critical();
    tenants();
}
