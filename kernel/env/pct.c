// Protected control transfer, gates and message rings: include/xok/pct.h. The way that is taken when nothing
// is special is cpu/pct.S; this one decides everything and must agree with it.
#include "kernel.h"
#include "xok/pct.h"

extern void trap_resume(struct trap_frame *f) __attribute__((noreturn));

static u8 *state_of(const struct env *e) { return &e->info->state; }

static bool admits(const struct env *to, const struct env *from)
{
    struct cap gate = {.name = to->gate_name};
    return to->gate_name && to->entry[XOK_UP_PCT] && to->upcall && cap_over(&gate, from->name, 0);
}

void pct_gate_update(struct env *e)
{
    e->pct_entry = e->entry[XOK_UP_PCT];
    e->pct_stack = e->upcall_va + XOK_PAGE_SIZE / 2;
    e->gate_open = e->gate_name == XOK_NAME_ROOT && e->pct_entry && e->upcall &&
                   info.cpu_features & XOK_CPU_FSGSBASE;
    e->gate = e->gate_open && *state_of(e) == XOK_ENV_GATE;
}

void pct_abandon(struct env *e)
{
    struct env *caller = e->serving;
    if (caller) {
        caller->callee = e->serving = NULL;
        caller->regs.rax = XOK_E_ENV;
        caller->saved = SAVED_CALL;
        env_ready(caller);
    }
    if (e->callee) {
        e->callee->serving = NULL;
        e->callee = NULL;
    }
}

// The frame becomes the callee's first state.
static void arrive(struct trap_frame *f, const struct env *to, u32 from)
{
    f->rip = to->pct_entry, f->rsp = to->pct_stack, f->rflags = 0x202;
    f->rax = f->rcx = f->r11 = 0;
    f->r10 = from;
}

static s64 callee_find(struct env *e, u64 target, struct env **to)
{
    *to = target >> 32 ? NULL : env_find(target);
    if (!*to || *to == e || *state_of(*to) == XOK_ENV_DEAD || *state_of(*to) == XOK_ENV_NEW)
        return XOK_E_ENV;
    if (!admits(*to, e))
        return XOK_E_CAP;
    return *state_of(*to) == XOK_ENV_GATE ? 0 : XOK_E_AGAIN;
}

static s64 call(struct env *e, struct trap_frame *f)
{
    struct env *to;
    s64 r = callee_find(e, f->r10, &to);
    if (!r && e->depth + 1 >= XOK_PCT_DEPTH)
        r = XOK_E_FULL;
    if (r)
        return r;
    frame_save(e, f);
    e->saved = SAVED_CALL;
    *state_of(e) = XOK_ENV_CALLING;
    e->callee = to;
    to->serving = e;
    to->depth = e->depth + 1;
    to->gate = 0;
    *state_of(to) = XOK_ENV_READY;
    env_move(this_cpu(), to);
    arrive(f, to, e->id);
    return 0;
}

static s64 post(struct env *e, struct trap_frame *f)
{
    struct env *to;
    s64 r = callee_find(e, f->r10, &to);
    if (r)
        return r;
    f->rax = 0;
    frame_save(e, f);
    to->depth = to->gate = 0;
    *state_of(to) = XOK_ENV_READY;
    arrive(f, to, e->id);
    frame_save(to, f);
    wakes_drain(e);
    fpu_save(e);
    memcpy(to->fpu, e->fpu, MIN(info.xsave_size, XOK_PAGE_SIZE - FPU_OFFSET));
    env_switch(to);
}

static s64 reply(struct env *e, struct trap_frame *f)
{
    struct env *to = e->serving;
    *state_of(e) = XOK_ENV_GATE;
    e->depth = 0;
    pct_gate_update(e);
    if (!to && e->pending && !e->ctl->upcall_mask) {
        *state_of(e) = XOK_ENV_READY;
        e->gate = 0;
        f->rax = XOK_E_AGAIN;
        frame_save(e, f);
        return_to_env(e);
    }
    if (!to) {
        wakes_drain(e);
        schedule();
    }
    to->callee = e->serving = NULL;
    *state_of(to) = XOK_ENV_READY;
    env_move(this_cpu(), to);
    f->rip = to->regs.rip, f->rsp = to->regs.rsp, f->rflags = to->regs.rflags;
    f->rax = f->rcx = f->r11 = 0;
    if (to->pending) { // raised while it waited
        frame_save(to, f);
        return_to_env(to);
    }
    return 0;
}

// From pct.S, with all registers.
void pct_trap(struct trap_frame *f)
{
    struct env *e = this_cpu()->env;
    kernel_lock();
    this_cpu()->info->entries[XOK_ENTRY_CALL]++;
    switch (f->rax) {
    case XOK_PCT_CALL: f->rax = call(e, f); break;
    case XOK_PCT_REPLY: f->rax = e->ctl ? reply(e, f) : XOK_E_ARG; break;
    case XOK_PCT_POST: f->rax = post(e, f); break;
    default: f->rax = XOK_E_CALL;
    }
    kernel_unlock();
    trap_resume(f);
}

s64 sys_pct_gate(u64 slot, u64 open)
{
    struct env *e = this_cpu()->env;
    struct cap c;
    if (!cap_slot(e, slot, &c))
        return XOK_E_CAP;
    if (open > 1)
        return XOK_E_ARG;
    u32 old = e->gate_name;
    e->gate_name = open ? c.name : 0;
    if (open)
        name_ref(c.name);
    if (old)
        name_drop(old);
    pct_gate_update(e);
    return 0;
}

// ---- message rings ----------------------------------------------------------------------------------------------
void ring_drop(struct env *e)
{
    if (e->ring) {
        pages[virt_to_phys(e->ring) / XOK_PAGE_SIZE].pins--;
        quota_refund(e->name, XOK_RES_RINGS, 1);
    }
    e->ring = NULL;
}

s64 sys_ring_set(u64 page)
{
    struct env *e = this_cpu()->env;
    u64 ppn;
    if (!page) {
        ring_drop(e);
        return 0;
    }
    if (page & (XOK_PAGE_SIZE - 1) || !user_range(page, XOK_PAGE_SIZE))
        return XOK_E_ARG;
    if (!user_page(e->space, page, true, &ppn) || pages[ppn].type != XOK_PAGE_USER || pages[ppn].pins == 0xffff)
        return XOK_E_FAULT;
    if (!e->ring) {
        s64 r = quota_charge(e->name, XOK_RES_RINGS, 1);
        if (r)
            return r;
    } else {
        pages[virt_to_phys(e->ring) / XOK_PAGE_SIZE].pins--;
    }
    pages[ppn].pins++;
    e->ring = phys_to_virt(ppn * XOK_PAGE_SIZE);
    e->ring_tail = 0;
    return 0;
}

s64 sys_ring_send(u64 target, u64 words, u64 count)
{
    struct env *e = this_cpu()->env, *to = env_find(target);
    u64 word[XOK_RING_WORDS] = {0};
    if (!to || *state_of(to) == XOK_ENV_DEAD)
        return XOK_E_ENV;
    struct cap gate = {.name = to->gate_name};
    if (!to->gate_name || !cap_over(&gate, e->name, 0))
        return XOK_E_CAP;
    if (count > XOK_RING_WORDS)
        return XOK_E_ARG;
    if (copy_in(word, words, count * sizeof word[0]))
        return XOK_E_FAULT;
    if (!to->ring)
        return XOK_E_AGAIN;
    struct xok_message *m = &to->ring[to->ring_tail % XOK_RING_SLOTS];
    if (__atomic_load_n(&m->from, __ATOMIC_ACQUIRE))
        return XOK_E_FULL;
    to->ring_tail++;
    memcpy(m->word, word, sizeof word);
    m->name = e->name;
    __atomic_store_n(&m->from, e->id, __ATOMIC_RELEASE);
    if (to->ctl) {
        to->ctl->event = 1;
        env_wake_check(to);
    }
    return 0;
}
