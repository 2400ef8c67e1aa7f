// Threads are environments. A thread's kit (control page, upcall, exception and ExOS stacks) is kept and
// used again: making one is the expensive half of fork.
#include "core/exos.h"
#include "core/calls.h"
#include "core/offsets.h"
#include "core/pages.h"
#include "core/thread.h"

_Static_assert(offsetof(struct thread, stack_top) == T_STACK, "offsets.h");
_Static_assert(offsetof(struct thread, fast_pid) == T_PID, "offsets.h");
_Static_assert(offsetof(struct thread, ctl) == T_CTL, "offsets.h");
_Static_assert(offsetof(struct thread, exc_frame) == T_EXC, "offsets.h");
_Static_assert(offsetof(struct thread, regs) == T_REGS, "offsets.h");
_Static_assert(offsetof(struct thread, tid) == T_TID, "offsets.h");
_Static_assert(offsetof(struct thread, pending) == T_PENDING, "offsets.h");
_Static_assert(offsetof(struct xok_ctl, bounce_rip) == CTL_BOUNCE_RIP, "offsets.h");
_Static_assert(offsetof(struct xok_ctl, bounce_rflags) == CTL_BOUNCE_RFLAGS, "offsets.h");
_Static_assert(offsetof(struct xok_ctl, upcall_mask) == CTL_MASK, "offsets.h");
_Static_assert(sizeof(struct uregs) == REGS_SIZE, "offsets.h");
_Static_assert(offsetof(struct uregs, rbx) == REGS_RBX && offsetof(struct uregs, r14) == REGS_R14, "offsets.h");
_Static_assert(offsetof(struct uregs, r11) == REGS_R11 && offsetof(struct uregs, r8) == REGS_R8, "offsets.h");
_Static_assert(offsetof(struct uregs, rax) == REGS_RAX, "offsets.h");
_Static_assert(offsetof(struct uregs, rcx) == REGS_RCX && offsetof(struct uregs, rdi) == REGS_RDI, "offsets.h");
_Static_assert(offsetof(struct uregs, orig_rax) == REGS_ORIG_RAX, "offsets.h");
_Static_assert(offsetof(struct uregs, rip) == REGS_RIP, "offsets.h");
_Static_assert(offsetof(struct uregs, rsp) == REGS_RSP, "offsets.h");
_Static_assert(offsetof(struct xok_frame, rip) == FRAME_RIP, "offsets.h");
_Static_assert(offsetof(struct xok_frame, rsp) == FRAME_RSP, "offsets.h");

// A kit is eight pages in one block: control page, upcall stack, exception stack, one left unused so that
// the stack above it, if it ever overflows, does not reach them; then 16 KiB of stack.
enum { KIT_ORDER = 3, KIT_STACK_PAGE = 3 };

static struct lock lock;
static struct thread *kits; // of threads that have left; reused once the kernel has let go of them
static struct thread **kits_end = &kits;

static struct thread *kit_new(void)
{
    struct thread *t = heap_alloc(sizeof *t);
    u64 ppn = t ? block_get(KIT_ORDER) : 0;
    if (!ppn) {
        heap_free(t);
        return NULL;
    }
    t->stack_base = (u64)page_va(ppn);
    memset(page_va(ppn), 0, PAGE);
    return t;
}

// The oldest kit, if its environment is gone. A fresh thread is all zero but for its kit.
static struct thread *kit_get(void)
{
    lock_take(&lock);
    struct thread *t = kits;
    if (t && XOK_ENVS[XOK_ENV_INDEX(t->env)].id != t->env) {
        kits = t->free_next;
        if (!kits)
            kits_end = &kits;
        lock_drop(&lock);
        u64 base = t->stack_base;
        memset(t, 0, sizeof *t);
        t->stack_base = base;
        memset((void *)base, 0, offsetof(struct xok_ctl, reserved));
    } else {
        lock_drop(&lock);
        t = kit_new();
    }
    if (!t)
        return NULL;
    t->self = t;
    t->ctl = (struct xok_ctl *)t->stack_base;
    t->upcall_stack = t->stack_base + PAGE;
    t->exc_stack = t->stack_base + 2 * PAGE;
    t->stack_top = t->stack_base + (PAGE << KIT_ORDER) - 8; // a call frame is 21 words: keeps calls aligned
    t->regs = (struct uregs *)(t->stack_top - sizeof *t->regs);
    t->regs->cs = XOK_USER_CS, t->regs->ss = XOK_USER_SS; // the entry code leaves these alone
    t->exc_frame = t->exc_stack + PAGE - 40;
    t->proc_link.next = t->proc_link.prev = &t->proc_link;
    return t;
}

static void kit_put(struct thread *t)
{
    t->free_next = NULL;
    lock_take(&lock);
    *kits_end = t;
    kits_end = &t->free_next;
    lock_drop(&lock);
}

s64 thread_bind(struct thread *t, u32 env)
{
    struct xok_env_setup setup = {
        .ctl = (u64)t->ctl,
        .upcall_stack = t->upcall_stack,
        .exc_stack = t->exc_stack,
        .text_lo = (u64)uidt,
        .text_hi = (u64)exos_text_end,
        .bounce = (u64)bounce_entry,
        .entry = {[XOK_UP_FAULT] = (u64)fault_entry, [XOK_UP_NOTIFY] = (u64)notify_entry},
        .flags = XOK_ENV_KSAVE,
        .guardian = keeper ? keeper->env : 0,
    };
    return xok_env_setup(FAMILY, env, &setup);
}

// Link the arena into a fresh space: the whole family's memory in one entry.
static s64 arena_link(u32 env)
{
    struct xok_pt_op op = {.va = ARENA, .pte = XOK_PTE_W, .count = 1, .kind = XOK_PT_LINK, .level = 4};
    return xok_pt_batch(FAMILY, env, &op, 1) == 1 ? 0 : -ENOMEM;
}

static bool slot_take(struct thread *t, u32 cpu)
{
    s64 at = xok_slot_alloc(FAMILY, t->env, cpu, XOK_SLOT_ANY);
    if (at >= 0)
        t->slot[cpu] = at;
    return at >= 0;
}

s64 thread_affinity(struct thread *t, u64 allowed)
{
    for (u32 cpu = 0; cpu < XOK_INFO->cpu_count; cpu++) // new ones first: it never has none
        if (allowed >> cpu & 1 && t->slot[cpu] == XOK_SLOT_ANY && !slot_take(t, cpu))
            return -ENOMEM;
    for (u32 cpu = 0; cpu < XOK_INFO->cpu_count; cpu++)
        if (!(allowed >> cpu & 1) && t->slot[cpu] != XOK_SLOT_ANY) {
            xok_slot_free(FAMILY, cpu, t->slot[cpu]);
            t->slot[cpu] = XOK_SLOT_ANY;
        }
    t->affinity = allowed;
    return 0;
}

struct thread *thread_new(struct thread *share, s64 *err)
{
    struct thread *t = kit_get();
    s64 env = t ? xok_env_alloc(FAMILY, share ? share->env : 0) : 0;
    *err = !t ? -ENOMEM : env <= 0 ? -EAGAIN : 0;
    if (*err) {
        if (t)
            kit_put(t);
        return NULL;
    }
    t->env = env;
    bool ok = xok_cap_copy(FAMILY, FAMILY, t->env, XOK_ALL, FAMILY) == 0;
    ok = ok && (share || arena_link(t->env) == 0) && thread_bind(t, t->env) == 0;
    u64 allowed = thread_self()->affinity;
    for (u32 cpu = 0; ok && cpu < XOK_INFO->cpu_count; cpu++) {
        t->slot[cpu] = XOK_SLOT_ANY;
        if (!allowed || allowed >> cpu & 1)
            ok = slot_take(t, cpu);
    }
    t->affinity = allowed;
    if (!ok) {
        xok_env_free(FAMILY, t->env);
        kit_put(t);
        *err = -EAGAIN;
        return NULL;
    }
    return t;
}

void thread_start(struct thread *t, const struct uregs *r)
{
    *t->regs = *r;
    struct xok_regs regs = {.rip = (u64)thread_first, .rsp = (u64)t->regs, .rflags = 2,
                            .fsbase = t->fsbase, .gsbase = (u64)t};
    if (xok_env_regs(FAMILY, t->env, &regs, 1) < 0 || xok_env_run(FAMILY, t->env) < 0)
        panic("thread %u does not start", t->tid);
}

void thread_abandon(struct thread *t)
{
    xok_env_free(FAMILY, t->env);
    kit_put(t);
}

void thread_exit_self(void)
{
    kit_put(thread_self());
    xok_env_free(FAMILY, 0);
    __builtin_unreachable();
}

void thread_kick(struct thread *t, u32 pending)
{
    __atomic_or_fetch(&t->pending, pending, __ATOMIC_SEQ_CST);
    if (t == thread_self())
        return;
    thread_wake(t);
    if (XOK_ENVS[XOK_ENV_INDEX(t->env)].state == XOK_ENV_READY)
        xok_env_notify(FAMILY, t->env, 1);
}

struct thread *thread_boot(void)
{
    struct thread *t = kit_get();
    if (!t)
        panic("no memory for the first thread");
    t->env = XOK_INFO->cpu[0].env;
    if (thread_bind(t, 0) < 0 || xok_env_base(1, (u64)t) < 0)
        panic("the first environment cannot be set up");
    return t;
}

void thread_fsbase_set(u64 base)
{
    thread_self()->fsbase = base;
    if (XOK_INFO->cpu_features & XOK_CPU_FSGSBASE)
        __asm__ volatile("wrfsbase %0" : : "r"(base));
    else
        xok_env_base(0, base);
}

// The program may have changed it by itself where the processor lets it.
u64 thread_fsbase_get(void)
{
    u64 base = thread_self()->fsbase;
    if (XOK_INFO->cpu_features & XOK_CPU_FSGSBASE)
        __asm__ volatile("rdfsbase %0" : "=r"(base));
    return base;
}
