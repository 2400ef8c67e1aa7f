// Environments: made, bound to their control page and entry points, given upcalls, destroyed.
#include "kernel.h"

struct env *envs[XOK_ENV_MAX];
static u16 generation[XOK_ENV_MAX];
static u16 free_list[XOK_ENV_MAX]; // indices given back, newest last
static u32 free_count;
_Static_assert(sizeof(struct env) <= FPU_OFFSET, "struct env shares its page with the XSAVE area");

struct env *env_by_index(u32 index)
{
    return index < XOK_ENV_MAX ? envs[index] : NULL;
}

struct env *env_find(u64 id)
{
    if (!id)
        return this_cpu()->env;
    struct env *e = env_by_index(XOK_ENV_INDEX(id));
    return e && e->id == id ? e : NULL;
}

static u32 index_take(void)
{
    if (free_count)
        return free_list[--free_count];
    u32 i = info.env_high ? info.env_high : 1; // index 0 is nobody
    if (i >= XOK_ENV_MAX)
        return 0;
    static u64 mapped = XOK_ENVS_VA;
    for (; mapped < XOK_ENVS_VA + (i + 1) * sizeof(struct xok_env_info); mapped += XOK_PAGE_SIZE) {
        u64 pa = kpage_alloc();
        if (!pa)
            return 0;
        expose(mapped, pa);
    }
    info.env_high = i + 1;
    return i;
}

static void fpu_fresh(struct env *e)
{
    memset(e->fpu, 0, MIN(info.xsave_size, XOK_PAGE_SIZE - FPU_OFFSET));
    *(u16 *)(e->fpu) = 0x37f;      // FCW: all masked, as after FNINIT
    *(u32 *)(e->fpu + 24) = 0x1f80; // MXCSR
}

static struct env *env_new(u32 name, u64 space)
{
    u64 pa = kpage_alloc();
    u32 i = pa ? index_take() : 0;
    if (!i) {
        if (pa)
            kpage_free(pa);
        return NULL;
    }
    struct env *e = phys_to_virt(pa);
    if (!++generation[i])
        generation[i] = 1;
    e->id = (u32)generation[i] << 16 | i;
    e->name = name;
    e->space = space;
    e->text_hi = XOK_USER_END; // until env_setup every system call is the kernel's
    e->fpu = (u8 *)e + FPU_OFFSET;
    e->info = &KENVS[i];
    fpu_fresh(e);
    name_ref(name);
    envs[i] = e;
    KENVS[i] = (struct xok_env_info){.id = e->id, .state = XOK_ENV_NEW, .cpu = 0xffff, .name = name,
                                     .space = space / XOK_PAGE_SIZE};
    info.env_count++;
    return e;
}

// A frame goes below rsp when rsp is inside the half of the stack that this kind of upcall uses, else to
// that half's top. rip becomes 0 where there is no room: the environment cannot go on.
void upcall_push(struct env *e, u64 kind, u64 addr, u64 error, u64 *rip, u64 *rsp, u64 *rflags)
{
    u64 low = kind == XOK_UP_FAULT ? XOK_PAGE_SIZE / 2 : 0, top = low + XOK_PAGE_SIZE / 2;
    u64 at = *rsp - e->upcall_va;
    if (at <= low || at > top)
        at = top;
    at = (at - sizeof(struct xok_frame)) & ~15ul;
    if ((s64)at < (s64)low) {
        *rip = 0;
        return;
    }
    struct xok_frame *f = (struct xok_frame *)(e->upcall + at);
    *f = (struct xok_frame){kind, addr, error, *rip, XOK_USER_CS, *rflags, *rsp, XOK_USER_SS};
    *rsp = e->upcall_va + at;
    *rip = e->entry[kind];
    *rflags &= ~0x40500ul; // TF, DF, AC
}

static void unpin(void *kernel_va)
{
    if (kernel_va)
        pages[virt_to_phys(kernel_va) / XOK_PAGE_SIZE].pins--;
}

void env_kill(struct env *e, u8 death)
{
    struct xok_env_info *i = &KENVS[XOK_ENV_INDEX(e->id)];
    env_unready(e);
    pct_abandon(e);
    i->state = XOK_ENV_DEAD;
    i->death = death;
    struct env *g = e->guardian ? env_find(e->guardian) : NULL;
    if (g && g->ctl) {
        g->ctl->event = 1;
        env_wake_check(g);
    } else if (XOK_ENV_INDEX(e->id) == 1) {
        panic("the first environment died (reason %u)", death);
    }
}

// Everything an environment holds goes back. It must not be running.
static void env_destroy(struct env *e)
{
    u32 i = XOK_ENV_INDEX(e->id);
    env_unready(e);
    slot_release_all(e);
    pred_drop(e);
    pct_abandon(e);
    ring_drop(e);
    keep_drop(e);
    if (e->gate_name)
        name_drop(e->gate_name);
    for (int s = 0; s < XOK_CAP_SLOTS; s++)
        if (e->caps[s].name)
            name_drop(e->caps[s].name);
    unpin(e->ctl);
    unpin(e->upcall);
    space_drop(e->space);
    quota_refund(e->name, XOK_RES_ENVS, 1);
    name_drop(e->name);
    envs[i] = NULL;
    KENVS[i].id = 0;
    KENVS[i].state = XOK_ENV_FREE;
    free_list[free_count++] = i;
    info.env_count--;
    kpage_free(virt_to_phys(e));
}

s64 sys_env_alloc(u64 slot, u64 share)
{
    struct cap c;
    struct env *s = share ? env_find(share) : NULL;
    if (!cap_slot(this_cpu()->env, slot, &c) || !(c.rights & XOK_A))
        return XOK_E_CAP;
    if (share && !s)
        return XOK_E_ENV;
    if (s && !cap_over(&c, s->name, XOK_W))
        return XOK_E_CAP;
    s64 r = quota_charge(c.name, XOK_RES_ENVS, 1);
    if (r)
        return r;
    u64 space = s ? s->space : space_new(&c);
    struct env *e = space ? env_new(c.name, space) : NULL;
    if (!e) {
        if (space && !s)
            space_drop(space);
        quota_refund(c.name, XOK_RES_ENVS, 1);
        return XOK_E_NOMEM;
    }
    if (s)
        space_ref(space);
    return e->id;
}

static bool setup_ok(const struct xok_env_setup *s)
{
    bool ok = user_range(s->text_lo, 0) && user_range(s->text_hi, 0) && user_range(s->bounce, 1) &&
              !(s->flags & ~XOK_ENV_KSAVE) && !((s->ctl | s->upcall_stack | s->exc_stack) & (XOK_PAGE_SIZE - 1)) &&
              user_range(s->exc_stack, XOK_PAGE_SIZE);
    for (int i = 0; i < XOK_UP_COUNT; i++)
        ok = ok && user_range(s->entry[i], 1);
    return ok;
}

s64 sys_env_setup(u64 slot, u64 target, u64 setup)
{
    struct env *me = this_cpu()->env, *e = env_find(target);
    struct xok_env_setup s;
    struct cap c;
    u64 ctl, upcall;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(me, slot, &c) || !cap_over(&c, e->name, XOK_W))
        return XOK_E_CAP;
    if (copy_in(&s, setup, sizeof s))
        return XOK_E_FAULT;
    if (!setup_ok(&s))
        return XOK_E_ARG;
    if (e != me && e->running_on)
        return XOK_E_BUSY;
    if (!user_page(e->space, s.ctl, true, &ctl) || !user_page(e->space, s.upcall_stack, true, &upcall) ||
        pages[ctl].pins == 0xffff || pages[upcall].pins == 0xffff)
        return XOK_E_FAULT;
    if (pages[ctl].type != XOK_PAGE_USER || pages[upcall].type != XOK_PAGE_USER)
        return XOK_E_ARG;
    pages[ctl].pins++;
    pages[upcall].pins++;
    unpin(e->ctl);
    unpin(e->upcall);
    e->ctl = phys_to_virt(ctl * XOK_PAGE_SIZE);
    e->upcall = phys_to_virt(upcall * XOK_PAGE_SIZE);
    e->upcall_va = s.upcall_stack;
    e->exc_top = s.exc_stack ? s.exc_stack + XOK_PAGE_SIZE : 0;
    e->text_lo = s.text_lo, e->text_hi = s.text_hi;
    e->bounce = s.bounce;
    memcpy(e->entry, s.entry, sizeof e->entry);
    e->flags = s.flags;
    e->pending = 0;
    e->guardian = s.guardian;
    e->ctl->id = e->id;
    pct_gate_update(e);
    if (e == me)
        *this_cpu()->ist_user = e->exc_top;
    return 0;
}

s64 sys_env_regs(u64 slot, u64 target, u64 regs, u64 write)
{
    struct env *me = this_cpu()->env, *e = env_find(target);
    struct xok_regs r;
    struct cap c;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(me, slot, &c) || !cap_over(&c, e->name, XOK_W))
        return XOK_E_CAP;
    u8 state = e->info->state;
    if (e->running_on || state == XOK_ENV_CALLING || state == XOK_ENV_GATE)
        return XOK_E_BUSY;
    if (!write)
        return copy_out(regs, &e->regs, sizeof r);
    if (copy_in(&r, regs, sizeof r))
        return XOK_E_FAULT;
    if (!user_range(r.rip, 1) || !user_range(r.fsbase, 0) || !user_range(r.gsbase, 0))
        return XOK_E_ARG;
    r.rflags = (r.rflags & 0x40dd5) | 0x202;
    e->regs = r;
    e->begin = false;
    e->saved = SAVED_ALL;
    return 0;
}

s64 sys_env_run(u64 slot, u64 target)
{
    struct env *me = this_cpu()->env, *e = env_find(target);
    struct cap c;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(me, slot, &c) || !cap_over(&c, e->name, XOK_W))
        return XOK_E_CAP;
    if (KENVS[XOK_ENV_INDEX(e->id)].state != XOK_ENV_NEW)
        return XOK_E_BUSY;
    env_ready(e);
    return 0;
}

// Has e's processor let go of it: that takes its interrupt, and the lock for a moment. NULL: somebody else
// freed it meanwhile. Two that stop each other do not wait for ever: the loser is dead, and leaves.
static struct env *env_stop(struct env *e, u64 id)
{
    struct env *me = this_cpu()->env;
    KENVS[XOK_ENV_INDEX(e->id)].state = XOK_ENV_DEAD;
    apic_ipi(cpus[e->running_on - 1].apic_id, VECTOR_KICK);
    while ((e = env_find(id)) && e->running_on) {
        kernel_unlock();
        __builtin_ia32_pause();
        kernel_lock();
        if (KENVS[XOK_ENV_INDEX(me->id)].state == XOK_ENV_DEAD)
            schedule();
    }
    return e;
}

s64 sys_env_free(u64 slot, u64 target)
{
    struct cpu *cpu = this_cpu();
    struct env *me = cpu->env, *e = env_find(target);
    struct cap c;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(me, slot, &c) || !cap_over(&c, e->name, XOK_W))
        return XOK_E_CAP;
    if (e == me) {
        cpu->leaving = true;
        wakes_drain(e);
        env_run_ends(cpu);
        env_destroy(e);
        schedule();
    }
    if (e->running_on)
        e = env_stop(e, target);
    if (e)
        env_destroy(e);
    return 0;
}

s64 sys_env_notify(u64 slot, u64 target, u64 bits)
{
    struct env *me = this_cpu()->env, *e = env_find(target);
    struct cap c;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(me, slot, &c) || !cap_over(&c, e->name, XOK_W))
        return XOK_E_CAP;
    u8 state = KENVS[XOK_ENV_INDEX(e->id)].state;
    if (state == XOK_ENV_DEAD || !e->ctl)
        return XOK_E_ENV;
    if (bits > ~0u)
        return XOK_E_ARG;
    __atomic_fetch_or(&e->ctl->notify, (u32)bits, __ATOMIC_SEQ_CST);
    if (e->entry[XOK_UP_NOTIFY])
        e->pending |= bits;
    if (state == XOK_ENV_ASLEEP) {
        e->regs.rax = 0;
        env_ready(e);
    } else if (e == me && e->pending && !e->ctl->upcall_mask) {
        e->regs.rax = 0;
        e->saved = SAVED_CALL;
        return_to_env(e);
    } else if (e->running_on && e != me) {
        apic_ipi(cpus[e->running_on - 1].apic_id, VECTOR_KICK);
    }
    return 0;
}

s64 sys_env_app(u64 slot, u64 word, u64 value)
{
    (void)slot;
    if (word >= XOK_ENV_APP_WORDS)
        return XOK_E_ARG;
    KENVS[XOK_ENV_INDEX(this_cpu()->env->id)].app[word] = value;
    return 0;
}

s64 sys_env_base(u64 which, u64 base)
{
    struct env *e = this_cpu()->env;
    if (which > 1 || !user_range(base, 0))
        return XOK_E_ARG;
    if (which)
        e->regs.gsbase = base, wrmsr(MSR_KERNEL_GSBASE, base);
    else
        e->regs.fsbase = base, wrmsr(MSR_FSBASE, base);
    return 0;
}

// ---- the first environment ------------------------------------------------------------------------------------
struct elf_header {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, phoff, shoff;
    u32 flags;
    u16 ehsize, phentsize, phnum;
};
struct elf_segment {
    u32 type, flags;
    u64 offset, vaddr, paddr, filesz, memsz, align;
};

static void boot_map(struct env *e, u64 va, u64 ppn, u64 bits)
{
    struct xok_pt_op op = {.va = va, .pte = ppn * XOK_PAGE_SIZE | XOK_PTE_P | bits, .count = 1, .kind = XOK_PT_SET,
                           .level = 1, .flags = XOK_PT_CREATE};
    struct cap root = {.name = XOK_NAME_ROOT, .rights = XOK_ALL};
    if (pt_boot_set(&root, e->space, &op))
        panic("cannot map the first environment at %lx", va);
}

// Writable pages are copies; the rest is mapped where the module lies.
static void boot_segment(struct env *e, const struct elf_segment *s, u64 exec_pa)
{
    for (u64 at = 0; at < s->memsz; at += XOK_PAGE_SIZE) {
        u64 file = at < s->filesz ? MIN(XOK_PAGE_SIZE, s->filesz - at) : 0;
        u64 ppn = (exec_pa + s->offset + at) / XOK_PAGE_SIZE;
        if (s->flags & 2 || !file) {
            u64 from = ppn;
            ppn = page_take(XOK_PAGE_USER, XOK_NAME_ROOT);
            if (!ppn)
                panic("not enough memory for the first environment");
            quota_charge(XOK_NAME_ROOT, XOK_RES_PAGES, 1);
            u8 *to = phys_to_virt(ppn * XOK_PAGE_SIZE);
            memcpy(to, phys_to_virt(from * XOK_PAGE_SIZE), file);
            memset(to + file, 0, XOK_PAGE_SIZE - file);
        }
        boot_map(e, s->vaddr + at, ppn, (s->flags & 2 ? XOK_PTE_W : 0) | (s->flags & 1 ? 0 : XOK_PTE_NX));
    }
}

void env_boot(u64 module_pa, u64 module_len)
{
    struct xok_boot_header *h = phys_to_virt(module_pa);
    if (!module_pa || module_len < XOK_PAGE_SIZE || module_pa % XOK_PAGE_SIZE || h->magic != XOK_BOOT_MAGIC ||
        h->exec_off % XOK_PAGE_SIZE || h->exec_off > module_len || h->exec_size > module_len - h->exec_off ||
        h->exec_size < sizeof(struct elf_header))
        panic("no boot module, or not one made by xok");
    u64 exec_pa = module_pa + h->exec_off;
    struct elf_header *elf = phys_to_virt(exec_pa);
    struct cap root = {.name = XOK_NAME_ROOT, .rights = XOK_ALL};
    u64 space = space_new(&root);
    struct env *e = space ? env_new(XOK_NAME_ROOT, space) : NULL;
    if (!e)
        panic("not enough memory for the first environment");
    quota_charge(XOK_NAME_ROOT, XOK_RES_ENVS, 1);
    if (elf->phoff > h->exec_size || elf->phnum > (h->exec_size - elf->phoff) / sizeof(struct elf_segment))
        panic("the boot module's program is damaged");
    struct elf_segment *s = (void *)((u8 *)elf + elf->phoff);
    for (int i = 0; i < elf->phnum; i++)
        if (s[i].type == 1 && s[i].filesz <= h->exec_size && s[i].offset <= h->exec_size - s[i].filesz)
            boot_segment(e, &s[i], exec_pa);
    e->caps[0] = root;
    name_ref(XOK_NAME_ROOT);
    e->regs.rip = elf->entry;
    e->regs.rflags = 2;
    e->regs.rdi = info.module_ppn = module_pa / XOK_PAGE_SIZE;
    e->regs.rsi = info.module_pages = (module_len + XOK_PAGE_SIZE - 1) / XOK_PAGE_SIZE;
    KNAMES[XOK_NAME_ROOT].used[XOK_RES_PAGES] += info.module_pages; // given to the root by page_init
    KNAMES[XOK_NAME_ROOT].refs += info.module_pages;
    e->saved = SAVED_ALL;
    slot_give(e, 0, 0);
    env_ready(e);
}
