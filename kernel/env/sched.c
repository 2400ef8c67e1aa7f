// Processor time: a vector of slots a processor, followed in order; sleeping and waking.
//
// The kernel chooses nothing: who gets which slots, and to whom a slice is donated, is the library's doing.
// Runnable slots are found through a three-level bitmap, so ten thousand sleepers cost nothing.
#include "kernel.h"

static u32 slot_next[XOK_CPU_MAX][XOK_SLOTS_PER_CPU]; // an environment's slots: cpu << 16 | pos, + 1; 0 ends
static u64 slot_free_bits[XOK_CPU_MAX][XOK_SLOTS_PER_CPU / 64 + XOK_SLOTS_PER_CPU / 4096 + 1];
enum { WORDS = XOK_SLOTS_PER_CPU / 64, WORDS2 = XOK_SLOTS_PER_CPU / 4096 };
enum { HEAP_MAX = XOK_ENV_MAX };

extern void idle_wait(void);
static u64 slot_tsc; // XOK_SLOT_NS in ticks of the time stamp counter

// ---- bitmaps -----------------------------------------------------------------------------------------------
static void bit_set(u64 *l1, u64 *l2, u64 *l3, u32 i)
{
    l1[i / 64] |= 1ul << i % 64;
    l2[i / 4096] |= 1ul << i / 64 % 64;
    *l3 |= 1ul << i / 4096;
}

static void bit_clear(u64 *l1, u64 *l2, u64 *l3, u32 i)
{
    l1[i / 64] &= ~(1ul << i % 64);
    if (l1[i / 64])
        return;
    l2[i / 4096] &= ~(1ul << i / 64 % 64);
    if (!l2[i / 4096])
        *l3 &= ~(1ul << i / 4096);
}

// First set bit at or after i, or -1.
static s64 bit_find(const u64 *l1, const u64 *l2, u64 l3, u32 i)
{
    if (i >= XOK_SLOTS_PER_CPU)
        return -1;
    u64 w = l1[i / 64] & ~0ul << i % 64;
    if (w)
        return (i & ~63u) + __builtin_ctzl(w);
    u32 word = i / 64 + 1;
    w = word % 64 ? l2[word / 64] & ~0ul << word % 64 : 0;
    if (!w) {
        u32 group = (word + 63) / 64;
        u64 g = group < 64 ? l3 & ~0ul << group : 0;
        if (!g)
            return -1;
        group = __builtin_ctzl(g);
        word = group * 64 + __builtin_ctzl(l2[group]);
    } else {
        word = (word & ~63u) + __builtin_ctzl(w);
    }
    return word * 64 + __builtin_ctzl(l1[word]);
}

static void slots_mark_own(struct env *e, bool runnable)
{
    if (e->marked == runnable)
        return;
    e->marked = runnable;
    for (u32 s = e->slots; s; s = slot_next[(s - 1) >> 16][(s - 1) & 0xffff]) {
        struct cpu *c = &cpus[(s - 1) >> 16];
        u32 pos = (s - 1) & 0xffff;
        if (runnable) {
            bit_set(c->runnable, c->runnable2, &c->runnable3, pos);
            c->info->runnable++;
        } else {
            bit_clear(c->runnable, c->runnable2, &c->runnable3, pos);
            c->info->runnable--;
        }
    }
}

// An environment runs in its own slots and in those of whoever waits for its reply.
static inline void slots_mark(struct env *e, bool runnable)
{
    for (; e; e = e->serving)
        slots_mark_own(e, runnable);
}

// ---- deadlines: a binary heap a processor, of environments asleep with one ------------------------------------
static bool earlier(u32 a, u32 b)
{
    return env_by_index(a)->deadline < env_by_index(b)->deadline;
}

static void heap_put(struct cpu *c, u32 at, u32 index)
{
    c->heap[at] = index;
    env_by_index(index)->heap_at = at;
}

static void heap_up(struct cpu *c, u32 at)
{
    u32 index = c->heap[at];
    for (; at > 1 && earlier(index, c->heap[at / 2]); at /= 2)
        heap_put(c, at, c->heap[at / 2]);
    heap_put(c, at, index);
}

static void heap_down(struct cpu *c, u32 at)
{
    u32 index = c->heap[at];
    for (;;) {
        u32 child = at * 2;
        if (child > c->heap_len)
            break;
        if (child < c->heap_len && earlier(c->heap[child + 1], c->heap[child]))
            child++;
        if (!earlier(c->heap[child], index))
            break;
        heap_put(c, at, c->heap[child]);
        at = child;
    }
    heap_put(c, at, index);
}

static void heap_add(struct cpu *c, struct env *e)
{
    e->heap_cpu = c->index;
    c->heap[++c->heap_len] = XOK_ENV_INDEX(e->id);
    heap_up(c, c->heap_len);
}

static void heap_take(struct env *e)
{
    struct cpu *c = &cpus[e->heap_cpu];
    u32 at = e->heap_at, last = c->heap[c->heap_len--];
    e->heap_at = 0;
    if (at > c->heap_len)
        return;
    heap_put(c, at, last);
    heap_up(c, at);
    heap_down(c, env_by_index(last)->heap_at);
}

static inline void heap_remove(struct env *e)
{
    if (e->heap_at)
        heap_take(e);
}

void timer_set(struct cpu *c)
{
    u64 want = c->grace_end ? c->grace_end : c->env && c->runnable3 ? c->slice_end : ~0ul;
    if (c->heap_len)
        want = MIN(want, env_by_index(c->heap[1])->deadline);
    want = MIN(want, net_quiet_until);
    // It may ring its doorbell and never leave: look every slot's length.
    if (c->env && (!c->timer_at || c->timer_at > c->slice_end + XOK_SLOT_NS)) {
        u64 look = clock_ns() + XOK_SLOT_NS;
        if (!c->timer_at || c->timer_at > look)
            want = MIN(want, look);
    }
    if (want == ~0ul || (c->timer_at && c->timer_at <= want))
        return;
    u64 now = clock_ns();
    c->timer_at = want;
    apic_timer_arm(want > now ? want - now : 1);
}

// ---- ready and asleep -------------------------------------------------------------------------------------------
// e has become runnable. An idle processor that holds one of its slots starts at once; one that runs
// another without a timer must arm it, for now its slice has an end.
static void processors_tell(struct env *e)
{
    struct cpu *me = this_cpu(), *busy = NULL;
    while (!e->slots && e->serving)
        e = e->serving;
    for (u32 s = e->slots; s; s = slot_next[(s - 1) >> 16][(s - 1) & 0xffff]) {
        struct cpu *c = &cpus[(s - 1) >> 16];
        if (c == me && (!c->env || c->leaving) && !c->untold) {
            c->untold = e;
            return;
        }
        if (c != me && !c->env) {
            apic_ipi(c->apic_id, VECTOR_KICK);
            return;
        }
        if (!busy || c == me)
            busy = c;
    }
    if (busy == me)
        timer_set(me);
    else if (busy && !busy->timer_at)
        apic_ipi(busy->apic_id, VECTOR_KICK);
}

void env_ready(struct env *e)
{
    heap_remove(e);
    KENVS[XOK_ENV_INDEX(e->id)].state = XOK_ENV_READY;
    if (e->running_on)
        return;
    slots_mark(e, true);
    processors_tell(e);
}

void env_unready(struct env *e)
{
    heap_remove(e);
    slots_mark_own(e, false);
}

bool env_wake_check(struct env *e)
{
    if (KENVS[XOK_ENV_INDEX(e->id)].state != XOK_ENV_ASLEEP)
        return true;
    if (!e->ctl->event && !pred_true(e))
        return false;
    e->regs.rax = 0;
    env_ready(e);
    return true;
}

// `but`, an id, is looked at by the caller itself.
static void wakes_drain_but(struct env *e, u64 but)
{
    struct xok_ctl *ctl = e->ctl;
    if (!ctl || !ctl->wakes)
        return;
    __atomic_exchange_n(&ctl->wakes, 0, __ATOMIC_ACQ_REL);
    for (u32 *at = ctl->wake; at < ctl->wake + XOK_WAKES; at += 2) {
        if (!__atomic_load_n((u64 *)at, __ATOMIC_RELAXED)) // filled from the first on
            break;
        for (int i = 0; i < 2; i++) {
            u32 id = __atomic_exchange_n(&at[i], 0, __ATOMIC_ACQ_REL);
            struct env *w = id && id != but ? env_find(id) : NULL;
            if (w && w->ctl)
                env_wake_check(w);
        }
    }
}
_Static_assert(offsetof(struct xok_ctl, wake) % 8 == 0 && XOK_WAKES % 2 == 0, "looked at by pairs");

void wakes_drain(struct env *e) { wakes_drain_but(e, 0); }

// ---- dispatch -------------------------------------------------------------------------------------------------------
// The FS and GS bases belong to the environment. Between swapgs and swapgs nothing can interrupt.
static void bases_save(struct env *e)
{
    if (info.cpu_features & XOK_CPU_FSGSBASE) // without it a program changes them by env_base only
        __asm__ volatile("rdfsbase %0; swapgs; rdgsbase %1; swapgs" : "=r"(e->regs.fsbase), "=r"(e->regs.gsbase));
}

static void bases_load(const struct env *e)
{
    if (info.cpu_features & XOK_CPU_FSGSBASE) {
        __asm__ volatile("wrfsbase %0; swapgs; wrgsbase %1; swapgs" : : "r"(e->regs.fsbase), "r"(e->regs.gsbase));
    } else {
        wrmsr(MSR_FSBASE, e->regs.fsbase);
        wrmsr(MSR_KERNEL_GSBASE, e->regs.gsbase);
    }
}

static inline void run_ends(struct cpu *c, struct env *e, u64 now)
{
    struct xok_env_info *i = &KENVS[XOK_ENV_INDEX(c->payer)];
    if (i->id == c->payer) {
        i->run_tsc += now - c->since;
        i->cpu = 0xffff;
    }
    e->running_on = 0;
    c->env = NULL;
    c->info->env = 0;
}

void env_run_ends(struct cpu *c) { run_ends(c, c->env, rdtsc()); }

// It leaves in its grace time, or at the end of it: what it had of that is charged.
static void grace_over(struct cpu *c, struct env *e)
{
    u64 now = clock_ns(), over = now - c->slice_end;
    bool late = now >= c->grace_end;
    c->grace_end = 0;
    e->epilogue = false;
    e->info->debt_ns += MIN(over, XOK_SLOT_NS);
    e->info->overruns = late ? e->info->overruns + 1 : 0;
}

bool slice_over(struct cpu *c, struct env *e, struct trap_frame *f)
{
    struct xok_ctl *ctl = e->ctl;
    if (c->grace_end) {
        if (clock_ns() < c->grace_end) {
            c->need_resched = false;
            timer_set(c);
            return true;
        }
        if (e->info->overruns + 1 >= XOK_OVERRUN_MAX)
            env_kill(e, XOK_DEATH_OVERRUN);
        return false;
    }
    bool critical = ctl && ctl->critical;
    if (!ctl || (!critical && (!e->entry[XOK_UP_SLICE_END] || e->flags & XOK_ENV_KSAVE || ctl->upcall_mask)))
        return false;
    c->need_resched = false;
    if (critical) {
        ctl->slice_over = 1;
    } else {
        u64 rip = f->rip, rsp = f->rsp, rflags = f->rflags;
        upcall_push(e, XOK_UP_SLICE_END, 0, 0, &rip, &rsp, &rflags);
        if (!rip) // no room on the stack: the kernel saves it
            return c->need_resched = true, false;
        f->rip = rip, f->rsp = rsp, f->rflags = rflags;
        ctl->upcall_mask = 1;
        e->epilogue = true;
        c->info->upcalls[XOK_UP_SLICE_END]++;
    }
    c->grace_end = clock_ns() + XOK_GRACE_NS;
    timer_set(c);
    return true;
}

static inline void leave(struct cpu *c, u64 now)
{
    struct env *e = c->env;
    if (!e)
        return;
    if (c->grace_end)
        grace_over(c, e);
    fpu_save(e);
    bases_save(e);
    run_ends(c, e, now);
    if (KENVS[XOK_ENV_INDEX(e->id)].state == XOK_ENV_READY) {
        slots_mark(e, true);
        if (info.cpu_count > 1)
            processors_tell(e);
    }
}

static inline void context_load(struct cpu *c, const struct env *e)
{
    if (c->space != e->space) {
        write_cr3(e->space);
        c->space = e->space;
        c->info->space_switches++;
    }
    *c->ist_user = e->exc_top;
    bases_load(e);
}

static inline void enter(struct cpu *c, struct env *e, const struct env *payer, u64 now)
{
    struct xok_env_info *i = payer->info;
    c->env = e;
    c->info->env = e->id;
    c->info->switches++;
    e->running_on = c->index + 1;
    slots_mark(e, false);
    context_load(c, e);
    fpu_load(e);
    c->payer = payer->id;
    i->cpu = c->index;
    i->slices++;
    i->run_since = c->since = now;
}

void env_move(struct cpu *c, struct env *to)
{
    struct env *from = c->env;
    bases_save(from);
    from->running_on = 0;
    to->running_on = c->index + 1;
    c->env = to;
    c->info->env = to->id;
    context_load(c, to);
}

static void switch_for(struct env *e, const struct env *payer) __attribute__((noreturn));
static void switch_for(struct env *e, const struct env *payer)
{
    struct cpu *c = this_cpu();
    if (c->env != e) {
        u64 now = rdtsc();
        leave(c, now);
        enter(c, e, payer, now);
    }
    if (e->ctl) {
        e->ctl->cpu = c->index;
        e->ctl->slice_end = c->slice_end_tsc;
    }
    c->leaving = c->need_resched = false;
    if (c->untold && c->untold != e)
        processors_tell(c->untold);
    c->untold = NULL;
    timer_set(c);
    return_to_env(e);
}

// Runs e for what is left of the slice.
void env_switch(struct env *e) { switch_for(e, e); }

static struct env *next_runnable(struct cpu *c)
{
    s64 pos = bit_find(c->runnable, c->runnable2, c->runnable3, c->position + 1);
    if (pos < 0)
        pos = bit_find(c->runnable, c->runnable2, c->runnable3, 0);
    if (pos < 0)
        return NULL;
    c->position = pos;
    c->info->slot = pos;
    return env_find(KSLOTS[c->index][pos]);
}

static void idle(struct cpu *c)
{
    u64 from = rdtsc();
    if (info.cpu_count > 1 && c->space != kernel_space) { // its tables may go while nobody runs on them here
        write_cr3(kernel_space);
        c->space = kernel_space;
    }
    c->untold = NULL;
    timer_set(c);
    c->info->idle_since = from;
    kernel_unlock();
    idle_wait();
    kernel_lock();
    c->info->idle_since = 0;
    c->info->idle_tsc += rdtsc() - from;
}

// A whole slice's time of debt is a slice forfeited.
static bool forfeits(struct env *e)
{
    if (e->info->debt_ns < XOK_SLOT_NS)
        return false;
    e->info->debt_ns -= XOK_SLOT_NS;
    e->info->forfeits++;
    return true;
}

// On an empty stack; see entry.S.
void schedule_next(void)
{
    struct cpu *c = this_cpu();
    struct env *e;
    leave(c, rdtsc());
    while (!(e = next_runnable(c)) || forfeits(e)) {
        if (e)
            continue;
        if (!c->index && net_quiet_until != ~0ul) { // it takes the interrupts, and nobody polls now
            net_quiet_end(~0ul);
            continue;
        }
        idle(c);
    }
    u64 now = rdtsc();
    c->grace_end = 0;
    c->slice_end_tsc = now + slot_tsc;
    c->slice_end = clock_at(now) + XOK_SLOT_NS;
    struct env *owner = e;
    while (e->callee)
        e = e->callee;
    switch_for(e, owner);
}

void timer_tick(void)
{
    struct cpu *c = this_cpu();
    u64 now = clock_ns();
    c->timer_at = 0;
    if (net_quiet_until <= now)
        net_quiet_end(now);
    while (c->heap_len) {
        struct env *e = env_by_index(c->heap[1]);
        if (e->deadline > now)
            break;
        e->regs.rax = 1;
        env_ready(e);
    }
    if (c->env)
        wakes_drain(c->env);
    if (c->env && now >= c->slice_end && (c->runnable3 || c->grace_end))
        c->need_resched = true;
    timer_set(c);
}

void sched_init(struct cpu *c)
{
    for (u32 at = 0; at < XOK_SLOTS_PER_CPU * sizeof(u32); at += XOK_PAGE_SIZE)
        expose((u64)((u32(*)[XOK_SLOTS_PER_CPU])XOK_SLOTS_VA)[c->index] + at, kpage_alloc());
    slot_tsc = (XOK_SLOT_NS << 32) / info.tsc_mult;
    static u32 heaps[XOK_CPU_MAX][HEAP_MAX + 1];
    c->heap = heaps[c->index];
    u64 *bits = slot_free_bits[c->index];
    memset(bits, 0xff, WORDS * 8);
    memset(bits + WORDS, 0xff, WORDS2 * 8);
    bits[WORDS + WORDS2] = (1ul << WORDS2) - 1;
}

// ---- slots ------------------------------------------------------------------------------------------------------------------
void slot_give(struct env *e, u32 cpu, u32 pos)
{
    u64 *bits = slot_free_bits[cpu];
    bit_clear(bits, bits + WORDS, bits + WORDS + WORDS2, pos);
    KSLOTS[cpu][pos] = e->id;
    slot_next[cpu][pos] = e->slots;
    e->slots = (cpu << 16 | pos) + 1;
    e->slot_count++;
    struct cpu *c = &cpus[cpu];
    if (e->marked) {
        bit_set(c->runnable, c->runnable2, &c->runnable3, pos);
        c->info->runnable++;
    }
}

static void slot_take(struct env *e, u32 cpu, u32 pos)
{
    u32 *at = &e->slots, want = (cpu << 16 | pos) + 1;
    while (*at != want)
        at = &slot_next[(*at - 1) >> 16][(*at - 1) & 0xffff];
    *at = slot_next[cpu][pos];
    e->slot_count--;
    struct cpu *c = &cpus[cpu];
    u64 *bits = slot_free_bits[cpu];
    bit_clear(c->runnable, c->runnable2, &c->runnable3, pos);
    c->info->runnable -= e->marked;
    bit_set(bits, bits + WORDS, bits + WORDS + WORDS2, pos);
    KSLOTS[cpu][pos] = 0;
    quota_refund(e->name, XOK_RES_SLOTS, 1);
}

void slot_release_all(struct env *e)
{
    while (e->slots)
        slot_take(e, (e->slots - 1) >> 16, (e->slots - 1) & 0xffff);
}

s64 sys_slot_alloc(u64 slot, u64 target, u64 cpu, u64 pos)
{
    struct env *me = this_cpu()->env, *e = env_find(target);
    struct cap c;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(me, slot, &c) || !(c.rights & XOK_A) || !cap_over(&c, e->name, XOK_W))
        return XOK_E_CAP;
    if (cpu >= info.cpu_count || (pos >= XOK_SLOTS_PER_CPU && pos != XOK_SLOT_ANY))
        return XOK_E_ARG;
    u64 *bits = slot_free_bits[cpu];
    if (pos == XOK_SLOT_ANY) {
        s64 any = bit_find(bits, bits + WORDS, bits[WORDS + WORDS2], 0);
        if (any < 0)
            return XOK_E_FULL;
        pos = any;
    } else if (KSLOTS[cpu][pos]) {
        return XOK_E_BUSY;
    }
    if (e->slot_count >= ENV_SLOTS_MAX)
        return XOK_E_FULL;
    s64 r = quota_charge(e->name, XOK_RES_SLOTS, 1);
    if (r)
        return r;
    slot_give(e, cpu, pos);
    if (KENVS[XOK_ENV_INDEX(e->id)].state == XOK_ENV_READY && !e->running_on)
        processors_tell(e);
    return pos;
}

static bool holds_slot(const struct env *e, u32 cpu)
{
    for (u32 s = e->slots; s; s = slot_next[(s - 1) >> 16][(s - 1) & 0xffff])
        if ((s - 1) >> 16 == cpu)
            return true;
    return false;
}

s64 sys_slot_free(u64 slot, u64 cpu, u64 pos)
{
    struct cap c;
    if (cpu >= info.cpu_count || pos >= XOK_SLOTS_PER_CPU)
        return XOK_E_ARG;
    struct env *e = KSLOTS[cpu][pos] ? env_find(KSLOTS[cpu][pos]) : NULL;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(this_cpu()->env, slot, &c) || !cap_over(&c, e->name, XOK_W))
        return XOK_E_CAP;
    slot_take(e, cpu, pos);
    if (e->running_on == cpu + 1 && !holds_slot(e, cpu)) { // it goes on where it still has one
        cpus[cpu].need_resched = true;
        apic_ipi(cpus[cpu].apic_id, VECTOR_KICK);
    }
    return 0;
}

// ---- giving up the processor ----------------------------------------------------------------------------------------------------
// May `to` run here at once? It must be ready, not on another processor, and hold a slot of this one. The
// caller then switches to it, so one that wakes for this need not be marked runnable in between.
static bool may_donate(struct cpu *c, struct env *to)
{
    if (!to || to->running_on)
        return false;
    u8 *state = &KENVS[XOK_ENV_INDEX(to->id)].state;
    if (!holds_slot(to, c->index)) {
        if (*state == XOK_ENV_ASLEEP)
            env_wake_check(to);
        return false;
    }
    if (*state == XOK_ENV_ASLEEP && (to->ctl->event || pred_true(to))) {
        heap_remove(to);
        to->regs.rax = 0;
        *state = XOK_ENV_READY;
    }
    return *state == XOK_ENV_READY;
}

s64 sys_yield(u64 to)
{
    struct cpu *c = this_cpu();
    struct env *e = c->env;
    c->leaving = true;
    wakes_drain_but(e, to);
    struct env *t = to ? env_find(to) : NULL;
    e->regs.rax = 0;
    e->saved = SAVED_CALL;
    e->begin = e->epilogue && e->entry[XOK_UP_SLICE_BEGIN];
    if (may_donate(c, t))
        env_switch(t);
    if (c->runnable3 || c->grace_end)
        schedule();
    c->leaving = false;
    return 0;
}

// Nothing to wait for? Then *result is the answer of sleep.
static bool sleep_over(struct env *e, u64 deadline, s64 *result)
{
    *result = 0;
    if (e->ctl->event || pred_true(e))
        return true;
    *result = 1;
    return deadline && deadline <= clock_ns();
}

s64 sys_sleep(u64 deadline, u64 to)
{
    struct cpu *c = this_cpu();
    struct env *e = c->env;
    s64 result;
    if (!e->ctl)
        return XOK_E_ARG;
    e->ctl->pred_tag = 0;
    // Exposed first: a waker elsewhere stores the event word and wakes only whom it then sees asleep.
    u8 *state = &KENVS[XOK_ENV_INDEX(e->id)].state;
    __atomic_store_n(state, XOK_ENV_ASLEEP, __ATOMIC_SEQ_CST);
    if (sleep_over(e, deadline, &result)) {
        *state = XOK_ENV_READY;
        wakes_drain(e);
        return result;
    }
    e->regs.rax = 0;
    e->saved = SAVED_CALL;
    if (e->pending && !e->ctl->upcall_mask) {
        *state = XOK_ENV_READY;
        wakes_drain(e);
        return_to_env(e);
    }
    if (deadline) {
        e->deadline = deadline;
        heap_add(c, e);
    }
    c->leaving = true;
    wakes_drain_but(e, to);
    struct env *t = to ? env_find(to) : NULL;
    if (may_donate(c, t))
        env_switch(t);
    schedule();
}

s64 sys_wake(u64 target)
{
    struct env *e = env_find(target);
    if (!e || !e->ctl)
        return XOK_E_ENV;
    env_wake_check(e);
    return 0;
}
