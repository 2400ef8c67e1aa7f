// Environments: made, run, given the processor, put to sleep, woken, told, killed and freed.
#include "child.h"

static volatile u64 ran, result;

static u64 now(void) { return (u64)(((unsigned __int128)__builtin_ia32_rdtsc() * XOK_INFO->tsc_mult) >> 32); }

static void leave(void) { xok_env_free(ROOT, 0); }

static void once(u64 arg)
{
    ran = arg;
    xok_sleep(0, 0);
    ran = arg + 1;
    leave();
}

static void life(void)
{
    u64 count = XOK_INFO->env_count, free = XOK_INFO->pages_free;
    u32 me = XOK_INFO->cpu[0].env;
    struct child c = child_new(1, me, once, 5, ~0u);
    EQ(STATE(c.env), XOK_ENV_READY);
    EQ(XOK_INFO->cpu[0].runnable, 0); // it has no slot, and we run
    EQ(XOK_ENVS[XOK_ENV_INDEX(c.env)].space, XOK_ENVS[XOK_ENV_INDEX(me)].space);
    EQ(XOK_PAGES[XOK_ENVS[1].space].refs, 2);
    EQ(XOK_INFO->env_count, count + 1);
    EQ(xok_env_run(ROOT, c.env), XOK_E_BUSY);
    xok_yield(0);
    xok_yield(c.env);
    EQ(ran, 0); // it has no slot
    EQ(xok_slot_alloc(ROOT, c.env, 0, XOK_SLOTS_PER_CPU), XOK_E_ARG);
    EQ(xok_slot_alloc(ROOT, c.env, 99, 5), XOK_E_ARG);
    EQ(xok_slot_alloc(ROOT, c.env, 0, 0), XOK_E_BUSY); // ours
    EQ(xok_slot_free(ROOT, 0, 5001), XOK_E_ENV);
    RUN(c);
    EQ(ran, 5);
    struct xok_regs r;
    EQ(xok_env_regs(ROOT, c.env, &r, 0), 0);
    CHECK(r.rip > (u64)text_begin && r.rip < (u64)text_end);
    EQ(r.fsbase, c.kit + 2048);
    EQ(xok_slot_alloc(ROOT, c.env, 0, 5000), 5000);
    EQ(((const volatile u32 *)XOK_SLOTS_VA)[5000], c.env);
    c.ctl->event = 1;
    xok_wake(c.env);
    while (ran == 5)
        xok_yield(0); // no name: the next slot is its
    while (STATE(c.env) != XOK_ENV_FREE)
        xok_yield(0);
    EQ(((const volatile u32 *)XOK_SLOTS_VA)[5000], 0);
    EQ(xok_env_run(ROOT, c.env), XOK_E_ENV);
    EQ(xok_yield(c.env), 0); // a stale id is nobody
    EQ(XOK_PAGES[XOK_PTE_PPN(*XOK_PTE(c.kit))].pins, 0);
    kit_free(&c);
    EQ(XOK_INFO->env_count, count);
    EQ(XOK_PAGES[XOK_ENVS[1].space].refs, 1);
    // the next one has another id
    struct child d = child_new(1, me, once, 7, ~0u);
    CHECK(d.env != c.env && XOK_ENV_INDEX(d.env) == XOK_ENV_INDEX(c.env));
    child_free(&d);
    CHECK(XOK_INFO->pages_free + 8 >= free);
}

static void sleeper(u64 arg)
{
    struct xok_ctl *ctl = (struct xok_ctl *)arg;
    for (;;) {
        result = xok_sleep(0, 0);
        ran++;
        ctl->event = 0;
    }
}

static void sleeping(void)
{
    struct xok_ctl *me = (struct xok_ctl *)KIT;
    struct child c = child_new(1, 0, sleeper, KIT + 5 * PAGE, ~0u);
    ran = 0, result = 99;
    RUN(c);
    EQ(xok_wake(c.env), 0); // nothing for it to do
    EQ(STATE(c.env), XOK_ENV_ASLEEP);
    EQ(xok_wake(0xdead0001), XOK_E_ENV);
    c.ctl->event = 1;
    EQ(STATE(c.env), XOK_ENV_ASLEEP); // nobody told the kernel
    EQ(xok_wake(c.env), 0);
    EQ(STATE(c.env), XOK_ENV_READY);
    RUN(c);
    EQ(ran, 1);
    EQ(result, 0);
    // the doorbell, rung by yield
    c.ctl->event = 1;
    me->wake[1] = c.env, me->wake[0] = 0xdead0001, me->wakes = 1;
    xok_yield(0);
    EQ(STATE(c.env), XOK_ENV_READY);
    EQ(me->wakes | me->wake[1] | me->wake[0], 0);
    RUN(c);
    // donation wakes by itself
    c.ctl->event = 1;
    RUN_UNTIL(c, ran == 3);
    RUN(c);
    // an event that is there already: no sleep
    me->event = 1;
    EQ(xok_sleep(0, c.env), 0);
    me->event = 0;
    EQ(ran, 3);
    // deadlines
    u64 t = now();
    EQ(xok_sleep(t, 0), 1);
    EQ(xok_sleep(1, 0), 1);
    EQ(xok_sleep(t + 3000000, 0), 1);
    CHECK(now() >= t + 3000000);
    child_free(&c);
}

// Who wakes at its deadline finds nobody asleep whose deadline was earlier.
static struct child timers[6];
static u64 deadline[6];
static volatile u64 late, woken;

static void timed(u64 i)
{
    u64 r = xok_sleep(deadline[i], 0);
    late += r != 1 || now() < deadline[i];
    for (int j = 1; j < 6; j++)
        late += deadline[j] < deadline[i] && STATE(timers[j].env) == XOK_ENV_ASLEEP;
    woken++;
    leave();
}

static void deadlines_in_order(void)
{
    static const u64 after[] = {0, 9, 3, 7, 1, 5}; // ms
    u64 t = now() + 30000000;
    for (int i = 1; i < 6; i++)
        deadline[i] = t + after[i] * 1000000;
    for (int i = 1; i < 6; i++)
        timers[i] = child_new(i, 0, timed, i, ~0u);
    for (int i = 1; i < 6; i++)
        xok_slot_alloc(ROOT, timers[i].env, 0, XOK_SLOT_ANY);
    while (woken < 5)
        EQ(xok_sleep(now() + 20000000, 0), 1);
    EQ(late, 0);
    for (int i = 1; i < 6; i++)
        while (STATE(timers[i].env) != XOK_ENV_FREE)
            xok_yield(0);
    for (int i = 1; i < 6; i++)
        kit_free(&timers[i]);
}

static volatile u64 words[64] __attribute__((aligned(4096)));

static void predicated(u64 arg)
{
    struct xok_ctl *ctl = (struct xok_ctl *)arg;
    const struct xok_pred_term t[] = {
        {(u64)&words[0], 5, XOK_PRED_EQ, 0, 0, 0},  {(u64)&words[1], 0xf0, XOK_PRED_ANY, 1, 0, 11},
        {(u64)&words[2], 100, XOK_PRED_GE, 1, 0, 12}, {(u64)&words[3], 7, XOK_PRED_NE, 1, 0, 13},
        {(u64)&words[4], 50, XOK_PRED_LT, 1, 0, 14},
    };
    result = xok_pred_set(t, 5);
    for (;;) {
        xok_sleep(0, 0);
        ran = ctl->pred_tag;
        words[0] = words[1] = words[2] = 0, words[3] = 7, words[4] = 50;
    }
}

static void predicates(void)
{
    struct xok_pred_term bad = {(u64)&words[0] + 1, 0, 0, 1, 0, 0};
    EQ(xok_pred_set(&bad, 1), XOK_E_ARG);
    bad.addr = 0x7000000000;
    EQ(xok_pred_set(&bad, 1), XOK_E_FAULT);
    bad.addr = 0xffff800000000000;
    EQ(xok_pred_set(&bad, 1), XOK_E_ARG);
    bad.addr = (u64)&words[0], bad.op = 77;
    EQ(xok_pred_set(&bad, 1), XOK_E_ARG);
    EQ(xok_pred_set(&bad, XOK_PRED_MAX + 1), XOK_E_ARG);
    EQ(xok_pred_set((void *)8, 1), XOK_E_FAULT);
    EQ(xok_pred_touch((u64)&words[0] + 4), XOK_E_ARG);
    EQ(xok_pred_touch(0x7000000000), XOK_E_FAULT);

    struct child c = child_new(1, 0, predicated, KIT + 5 * PAGE, ~0u);
    u64 page = XOK_PTE_PPN(*XOK_PTE(&words[0])), pins = XOK_PAGES[page].pins;
    words[3] = 7, words[4] = 50;
    RUN(c);
    EQ(result, 0);
    EQ(XOK_PAGES[page].pins, pins + 5);
    words[0] = 5;
    EQ(xok_pred_touch((u64)&words[0]), 0);
    EQ(STATE(c.env), XOK_ENV_ASLEEP); // half a product
    words[1] = 0x10;
    xok_pred_touch((u64)&words[5]); // another word
    EQ(STATE(c.env), XOK_ENV_ASLEEP);
    xok_pred_touch((u64)&words[1]);
    EQ(STATE(c.env), XOK_ENV_READY);
    RUN(c);
    EQ(ran, 11);
    words[2] = 99;
    xok_wake(c.env);
    EQ(STATE(c.env), XOK_ENV_ASLEEP);
    words[2] = 100;
    xok_wake(c.env);
    RUN(c);
    EQ(ran, 12);
    words[3] = 8;
    xok_wake(c.env);
    RUN(c);
    EQ(ran, 13);
    words[4] = 49;
    xok_wake(c.env);
    RUN(c);
    EQ(ran, 14);
    child_free(&c);
    EQ(XOK_PAGES[page].pins, pins);
    // one's own, true at once; on exposed state; then none
    struct xok_pred_term info = {(u64)&XOK_INFO->con[0].rx_seq, 12345, XOK_PRED_NE, 1, 0, 3};
    EQ(xok_pred_set(&info, 1), 0);
    EQ(xok_sleep(0, 0), 0);
    EQ(((struct xok_ctl *)KIT)->pred_tag, 3);
    EQ(xok_pred_set(0, 0), 0);
    EQ(xok_sleep(now() + 1000, 0), 1);
}

static void spin(u64 arg)
{
    (void)arg;
    for (;;)
        ran++;
}

static void notices(void)
{
    struct child c = child_new(1, 0, sleeper, KIT + 5 * PAGE, ~0u);
    notified = ran = 0;
    RUN(c);
    EQ(xok_env_notify(ROOT, c.env, 4), 0); // asleep: wakes, upcall first, then sleep returns 0
    EQ(STATE(c.env), XOK_ENV_READY);
    EQ(notified, 0);
    EQ(xok_env_notify(ROOT, c.env, 1), 0); // merges
    EQ(c.ctl->notify, 5);
    RUN(c);
    EQ(notified, 1);
    EQ(notified_addr, 5);
    EQ(ran, 1);
    EQ(result, 0);
    // masked: waits, and comes when the mask is gone
    c.ctl->notify = 0, c.ctl->upcall_mask = 1;
    xok_env_notify(ROOT, c.env, 2);
    RUN(c);
    EQ(notified, 1);
    EQ(c.ctl->notify, 2);
    EQ(ran, 2);
    c.ctl->upcall_mask = 0;
    c.ctl->event = 1;
    xok_wake(c.env);
    RUN(c);
    EQ(notified, 2);
    // the library has taken the bits by itself: no upcall
    c.ctl->notify = 0, c.ctl->upcall_mask = 1;
    xok_env_notify(ROOT, c.env, 2);
    c.ctl->notify = 0, c.ctl->upcall_mask = 0, c.ctl->event = 1;
    RUN(c);
    EQ(notified, 2);
    child_free(&c);
    // oneself
    EQ(xok_env_notify(ROOT, 0, 8), 0);
    EQ(notified, 3);
    EQ(notified_addr, 8);
    EQ(xok_env_notify(ROOT, 0, 1ul << 32), XOK_E_ARG);
    // one that spins and loses the processor
    c = child_new(1, 0, spin, 0, ~0u);
    ran = 0;
    RUN_UNTIL(c, ran);
    EQ(xok_env_notify(ROOT, c.env, 1), 0);
    RUN_UNTIL(c, notified == 4);
    EQ(notified_addr, 1);
    child_free(&c);
}

// A child with a pattern in every register, its own for each, which it checks for ever.
static volatile u64 wrong, turns[3];
__asm__(".text\n"
        "pattern:\n" // rdi: pattern, rsi: where to count
        "  movq %rdi, %xmm0\n  movq %rdi, %xmm15\n  fninit\n  push %rdi\n  fildll (%rsp)\n  pop %rax\n"
        "  mov %rdi, %rax\n  mov %rdi, %rbx\n  mov %rdi, %rdx\n  mov %rdi, %r8\n  mov %rdi, %r9\n"
        "  mov %rdi, %r10\n  mov %rdi, %r11\n  mov %rdi, %r12\n  mov %rdi, %r13\n  mov %rdi, %r14\n"
        "  mov %rdi, %r15\n  mov %rdi, %rbp\n"
        "1: mov $1000, %ecx\n"
        "2: cmp %rdi, %rax\n  jne 9f\n  cmp %rdi, %rbx\n  jne 9f\n  cmp %rdi, %rdx\n  jne 9f\n"
        "  cmp %rdi, %r8\n  jne 9f\n  cmp %rdi, %r9\n  jne 9f\n  cmp %rdi, %r10\n  jne 9f\n"
        "  cmp %rdi, %r11\n  jne 9f\n  cmp %rdi, %r12\n  jne 9f\n  cmp %rdi, %r13\n  jne 9f\n"
        "  cmp %rdi, %r14\n  jne 9f\n  cmp %rdi, %r15\n  jne 9f\n  cmp %rdi, %rbp\n  jne 9f\n"
        "  movq %xmm0, %rax\n  cmp %rdi, %rax\n  jne 9f\n  movq %xmm15, %rax\n  cmp %rdi, %rax\n  jne 9f\n"
        "  sub $8, %rsp\n  fistpll (%rsp)\n  fildll (%rsp)\n  pop %rax\n  cmp %rdi, %rax\n  jne 9f\n"
        "  dec %ecx\n  jnz 2b\n"
        "  incq (%rsi)\n"
        "  jmp 1b\n"
        "9: lock incq wrong\n"
        "  jmp 9b\n");
extern void pattern(u64);

static void preemption(void)
{
    struct child c[3];
    struct xok_regs r;
    for (int i = 0; i < 3; i++) {
        c[i] = child_new(i + 1, i == 2 ? c[1].env : 0, pattern, 0x0123456789abcdef + i, ~0u);
        xok_env_regs(ROOT, c[i].env, &r, 0);
        r.rsi = (u64)&turns[i];
        EQ(xok_env_regs(ROOT, c[i].env, &r, 1), 0);
        xok_slot_alloc(ROOT, c[i].env, 0, XOK_SLOT_ANY);
    }
    u64 timer = XOK_INFO->cpu[0].entries[XOK_ENTRY_TIMER];
    // Nobody yields: slices end because the timer says so.
    for (int i = 0; i < 3; i++)
        while (XOK_ENVS[XOK_ENV_INDEX(c[i].env)].slices < 5)
            ;
    CHECK(XOK_INFO->cpu[0].entries[XOK_ENTRY_TIMER] > timer + 5);
    EQ(wrong, 0);
    CHECK(turns[0] && turns[1] && turns[2]);
    CHECK(((struct xok_ctl *)KIT)->slice_end != 0);
    for (int i = 0; i < 3; i++)
        child_free(&c[i]);
}

static void faulty(u64 arg)
{
    *(volatile u64 *)arg = 1;
}

static void deaths(void)
{
    struct xok_ctl *me = (struct xok_ctl *)KIT;
    me->event = 0;
    struct child c = child_new(1, 0, faulty, 0x7000000000, 0); // no fault entry
    EQ(xok_sleep(0, c.env), 0); // its death wakes its guardian
    EQ(me->event, 1);
    me->event = 0;
    EQ(STATE(c.env), XOK_ENV_DEAD);
    EQ(XOK_ENVS[XOK_ENV_INDEX(c.env)].death, XOK_DEATH_UPCALL);
    EQ(xok_env_run(ROOT, c.env), XOK_E_BUSY);
    EQ(xok_env_notify(ROOT, c.env, 1), XOK_E_ENV);
    struct xok_regs r;
    EQ(xok_env_regs(ROOT, c.env, &r, 0), 0);
    EQ(r.rip - (u64)faulty < 64, 1);
    child_free(&c);
    // nowhere for an exception to go
    c = child_new(1, 0, faulty, 0, ~0u);
    struct xok_env_setup s = child_setup(c.kit);
    s.exc_stack = 0, s.entry[XOK_UP_FAULT] = (u64)faulty;
    EQ(xok_env_setup(ROOT, c.env, &s), 0);
    xok_env_regs(ROOT, c.env, &r, 0);
    static const u8 ud2[] = {0x0f, 0x0b};
    r.rip = (u64)memcpy((void *)&words[8], ud2, 2);
    struct xok_pt_op x = {(u64)words & ~0xffful, 0, XOK_PTE_NX, 1, XOK_PT_MOD, 1, 0, 0};
    xok_pt_batch(ROOT, 0, &x, 1);
    EQ(xok_env_regs(ROOT, c.env, &r, 1), 0);
    xok_slot_alloc(ROOT, c.env, 0, XOK_SLOT_ANY);
    EQ(xok_sleep(0, c.env), 0);
    me->event = 0;
    EQ(STATE(c.env), XOK_ENV_DEAD);
    EQ(XOK_ENVS[XOK_ENV_INDEX(c.env)].death, XOK_DEATH_EXC);
    child_free(&c);
    // registers that no return could hold
    c = child_new(1, 0, faulty, 0, ~0u);
    xok_env_regs(ROOT, c.env, &r, 0);
    r.rip = 1ul << 63;
    EQ(xok_env_regs(ROOT, c.env, &r, 1), XOK_E_ARG);
    r.rip = 0x1000, r.gsbase = 1ul << 47;
    EQ(xok_env_regs(ROOT, c.env, &r, 1), XOK_E_ARG);
    child_free(&c);
}

static void slots(void)
{
    struct child c = child_new(1, 0, spin, 0, ~0u);
    u32 name = XOK_NAME_ROOT, used = XOK_NAMES[name].used[XOK_RES_SLOTS];
    s64 r = 0;
    u32 n = 0;
    while ((r = xok_slot_alloc(ROOT, c.env, 0, XOK_SLOT_ANY)) >= 0)
        n++;
    EQ(r, XOK_E_FULL);
    EQ(n, 256);
    EQ(XOK_NAMES[name].used[XOK_RES_SLOTS], used + n);
    EQ(xok_slot_free(ROOT, 0, 1), 0);
    EQ(XOK_NAMES[name].used[XOK_RES_SLOTS], used + n - 1);
    EQ(XOK_INFO->cpu[0].env, XOK_ENVS[1].id);
    child_free(&c);
    EQ(XOK_NAMES[name].used[XOK_RES_SLOTS], used);
    EQ(xok_slot_alloc(5, 0, 0, 1), XOK_E_CAP);
}

static void many(void)
{
    static u32 ids[3000];
    u64 count = XOK_INFO->env_count, free = XOK_INFO->pages_free;
    u32 n = 0;
    for (; n < 3000; n++) {
        s64 id = xok_env_alloc(ROOT, 0);
        if (id < 0)
            break;
        ids[n] = id;
    }
    EQ(n, 3000);
    EQ(XOK_INFO->env_count, count + n);
    u32 bad = 0;
    for (u32 i = 0; i < n; i++)
        bad += xok_env_free(ROOT, ids[i]) != 0;
    EQ(bad, 0);
    EQ(XOK_INFO->env_count, count);
    CHECK(XOK_INFO->pages_free + 64 + 120 > free); // spare tables, exposed records
    EQ(xok_env_alloc(4, 0), XOK_E_CAP);
    EQ(xok_env_alloc(ROOT, 0xdead0001), XOK_E_ENV);
    EQ(xok_cap_forge(ROOT, 7, XOK_ALL, 1), 0);
    EQ(xok_cap_quota(ROOT, 7, XOK_RES_ENVS, 1), 0);
    s64 a = xok_env_alloc(1, 0);
    CHECK(a > 0);
    EQ(xok_env_alloc(1, 0), XOK_E_QUOTA);
    EQ(xok_env_alloc(1, XOK_ENVS[1].id), XOK_E_CAP); // no right over that space
    EQ(xok_env_free(1, a), 0);
    EQ(xok_env_app(ROOT, 3, 77), 0);
    EQ(XOK_ENVS[1].app[3], 77);
    EQ(xok_env_app(ROOT, 8, 77), XOK_E_ARG);
}

static void test(void)
{
    EQ(xok_sleep(1, 0), XOK_E_ARG); // no control page yet
    adult();
    life();
    sleeping();
    deadlines_in_order();
    predicates();
    notices();
    preemption();
    deaths();
    slots();
    many();
}
