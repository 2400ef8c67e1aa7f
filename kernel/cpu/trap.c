// Exceptions and interrupts: the table of gates, and what each one means.
#include "kernel.h"

extern u8 vectors[];
extern u8 user_copy[], user_copy_end[], user_copy_fail[];
extern void trap_resume(struct trap_frame *f) __attribute__((noreturn));
extern void call_resume(struct env *e) __attribute__((noreturn));

static struct gate {
    u16 low, selector;
    u8 ist, type;
    u16 middle;
    u32 high, zero;
} idt[256] __attribute__((aligned(4096)));

static struct {
    void (*fn)(void *);
    void *arg;
} handlers[256];

enum { GATE_INTERRUPT = 0x8e, GATE_TRAP = 0x8f, DPL3 = 0x60 };
enum { RFLAGS_AC = 1 << 18 };
enum { DEATHS_TOLD = 16 };
enum { X_DB = 1, X_NMI = 2, X_DF = 8, X_PF = 14, X_MC = 18 };

static void gate_set(u32 vector, u64 target, u16 selector, u8 ist, u8 type)
{
    idt[vector] = (struct gate){target, selector, ist, type, target >> 16, target >> 32, 0};
}

// These go to the environment's own stub in ring 3, on its exception stack. The kernel never raises them.
static bool is_direct(u32 v)
{
    return v <= 1 || (v >= 3 && v <= 6) || (v >= 11 && v <= 13) || v == 16 || v == 17 || v == 19 ||
           (v >= XOK_INT_FIRST && v <= XOK_INT_LAST);
}

static void idt_build(void)
{
    for (u32 v = 0; v < 256; v++)
        gate_set(v, (u64)vectors + v * 16, KERNEL_CS, 0, GATE_INTERRUPT);
    for (u32 v = 0; v < 128; v++) {
        bool soft = v == 3 || v == 4 || v >= XOK_INT_FIRST;
        if (is_direct(v))
            gate_set(v, XOK_UIDT + v * XOK_UIDT_STUB, XOK_USER_CS, IST_USER, GATE_TRAP | (soft ? DPL3 : 0));
    }
    idt[X_NMI].ist = IST_NMI;
    idt[X_DF].ist = IST_DOUBLE;
    idt[X_MC].ist = IST_MACHINE;
}

void idt_load(void)
{
    static bool built;
    if (!built)
        idt_build();
    built = true;
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) idtr = {sizeof idt - 1, (u64)idt};
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

void irq_register(u32 vector, void (*fn)(void *), void *arg)
{
    handlers[vector].fn = fn;
    handlers[vector].arg = arg;
}

static void dump(struct trap_frame *f)
{
    klog("rip %lx rsp %lx rflags %lx cs %lx error %lx cr2 %lx cr3 %lx", f->rip, f->rsp, f->rflags, f->cs,
         f->error, read_cr2(), read_cr3());
    klog("rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx rbp %lx", f->rax, f->rbx, f->rcx, f->rdx, f->rsi,
         f->rdi, f->rbp);
}

void frame_save(struct env *e, const struct trap_frame *f)
{
    e->regs = (struct xok_regs){f->rax, f->rbx, f->rcx, f->rdx, f->rsi, f->rdi, f->rbp, f->rsp,
                                f->r8, f->r9, f->r10, f->r11, f->r12, f->r13, f->r14, f->r15,
                                f->rip, f->rflags, e->regs.fsbase, e->regs.gsbase};
    e->saved = SAVED_ALL;
}

// The environment did something that leaves it nowhere to go on.
static void die(struct trap_frame *f, u8 death) __attribute__((noreturn));
static void die(struct trap_frame *f, u8 death)
{
    static u32 told; // a program that makes environments die must not own the log
    struct env *e = this_cpu()->env;
    kernel_lock();
    if (told++ < DEATHS_TOLD || boot_option("verbose")) {
        klog("environment %x dies: reason %u, vector %lu", e->id, death, f->vector);
        dump(f);
    }
    frame_save(e, f);
    env_kill(e, death);
    schedule();
}

static void page_fault(struct trap_frame *f)
{
    struct env *e = this_cpu()->env;
    u64 addr = read_cr2();
    if (!e->entry[XOK_UP_FAULT] || !e->upcall)
        die(f, XOK_DEATH_UPCALL);
    if (!e->exc_top && addr > -XOK_PAGE_SIZE)
        die(f, XOK_DEATH_EXC); // an exception with no stack to go to: the processor pushed below address 0
    KENVS[XOK_ENV_INDEX(e->id)].faults++;
    this_cpu()->info->entries[XOK_ENTRY_FAULT]++;
    this_cpu()->info->upcalls[XOK_UP_FAULT]++;
    upcall_push(e, XOK_UP_FAULT, addr, f->error, &f->rip, &f->rsp, &f->rflags);
    if (!f->rip)
        die(f, XOK_DEATH_UPCALL);
}

static void interrupt(struct trap_frame *f)
{
    struct cpu *c = this_cpu();
    if (f->vector == VECTOR_SHOOTDOWN) { // no lock: its holder waits for this
        c->info->entries[XOK_ENTRY_IPI]++;
        tlb_serve();
        apic_eoi();
        return;
    }
    kernel_lock();
    c->info->entries[XOK_ENTRY_BOUNCE] = c->bounces;
    if (f->vector == VECTOR_TIMER) {
        c->info->entries[XOK_ENTRY_TIMER]++;
        if (f->cs & 3) {
            c->env->info->ticks++;
            c->env->info->ticks_text += f->rip - c->env->text_lo < c->env->text_hi - c->env->text_lo;
        }
        timer_tick();
    } else if (f->vector == VECTOR_KICK) {
        c->info->entries[XOK_ENTRY_IPI]++;
    } else {
        c->info->entries[XOK_ENTRY_DEVICE]++;
        if (handlers[f->vector].fn)
            handlers[f->vector].fn(handlers[f->vector].arg);
    }
    if (f->vector != VECTOR_SPURIOUS)
        apic_eoi();
    if (f->cs & 3) {
        struct env *e = c->env;
        bool dead = KENVS[XOK_ENV_INDEX(e->id)].state != XOK_ENV_READY;
        if (!dead && c->need_resched && slice_over(c, e, f)) {
            kernel_unlock();
            return;
        }
        if (c->need_resched || dead) {
            frame_save(e, f);
            wakes_drain(e);
            schedule();
        }
        if (e->pending && e->ctl && !e->ctl->upcall_mask) {
            frame_save(e, f);
            return_to_env(e);
        }
        timer_set(c);
    }
    kernel_unlock();
}

void trap(struct trap_frame *f)
{
    bool user = f->cs & 3;
    if (user && f->rflags & RFLAGS_AC && info.cpu_features & XOK_CPU_SMAP)
        __asm__ volatile("clac"); // interrupts and faults keep the program's AC
    if (f->vector == X_PF && user) {
        page_fault(f);
    } else if (f->vector == X_PF && f->rip - (u64)user_copy < (u64)(user_copy_end - user_copy)) {
        f->rip = (u64)user_copy_fail;
    } else if (f->vector >= 0x20) {
        interrupt(f);
    } else if (user) {
        die(f, XOK_DEATH_EXC);
    } else {
        dump(f);
        panic("vector %lu in the kernel", f->vector);
    }
}

// Pushes an upcall that waits on e's saved state: NOTIFY not, if the library has seen the bits by itself.
static void pending_push(struct env *e)
{
    struct xok_regs *r = &e->regs;
    if (e->pending >> (32 + XOK_UP_REVOKE)) {
        e->pending &= ~(1ul << (32 + XOK_UP_REVOKE));
        e->ctl->upcall_mask = 1;
        this_cpu()->info->upcalls[XOK_UP_REVOKE]++;
        upcall_push(e, XOK_UP_REVOKE, e->asked, e->asked_resource, &r->rip, &r->rsp, &r->rflags);
        e->asked = 0;
        return;
    }
    u32 bits = e->pending & __atomic_load_n(&e->ctl->notify, __ATOMIC_RELAXED);
    e->pending &= ~0xfffffffful;
    if (!bits)
        return;
    e->ctl->upcall_mask = 1;
    this_cpu()->info->upcalls[XOK_UP_NOTIFY]++;
    upcall_push(e, XOK_UP_NOTIFY, bits, 0, &r->rip, &r->rsp, &r->rflags);
}

// Leaves for ring 3 with e's saved state, a pending NOTIFY upcall pushed on top of it.
void return_to_env(struct env *e)
{
    struct xok_regs *r = &e->regs;
    if (e->begin) { // it has saved what it wants to keep, and finds nothing restored
        e->begin = false;
        *r = (struct xok_regs){.rflags = 0x202, .fsbase = r->fsbase, .gsbase = r->gsbase};
        e->saved = SAVED_ALL;
        if (e->ctl)
            e->ctl->upcall_mask = 1;
        this_cpu()->info->upcalls[XOK_UP_SLICE_BEGIN]++;
        upcall_push(e, XOK_UP_SLICE_BEGIN, 0, 0, &r->rip, &r->rsp, &r->rflags);
    }
    if (e->pending && e->ctl && !e->ctl->upcall_mask)
        pending_push(e);
    // iretq to a non-canonical address would fault here, in ring 0. 0 is a full upcall stack.
    if (!r->rip || (u64)((s64)(r->rip << 16) >> 16) != r->rip) {
        env_kill(e, r->rip ? XOK_DEATH_EXC : XOK_DEATH_UPCALL);
        schedule();
    }
    bool call = e->saved == SAVED_CALL;
    e->saved = SAVED_NOTHING;
    if (call) {
        kernel_unlock();
        call_resume(e);
    }
    struct trap_frame f = {
        .r15 = r->r15, .r14 = r->r14, .r13 = r->r13, .r12 = r->r12, .rbp = r->rbp, .rbx = r->rbx, .rax = r->rax,
        .r11 = r->r11, .r10 = r->r10, .r9 = r->r9, .r8 = r->r8, .rcx = r->rcx, .rdx = r->rdx, .rsi = r->rsi,
        .rdi = r->rdi, .rip = r->rip, .cs = XOK_USER_CS, .rflags = (r->rflags & 0x40dd5) | 0x202, .rsp = r->rsp,
        .ss = XOK_USER_SS,
    };
    kernel_unlock();
    trap_resume(&f);
}

// A call returned to a non-canonical address: only a program that jumped there itself gets here.
void bad_return(void)
{
    struct env *e = this_cpu()->env;
    klog("environment %x dies: system call at the end of user memory", e->id);
    kernel_lock();
    env_kill(e, XOK_DEATH_EXC);
    schedule();
}

void bad_bounce(void)
{
    struct env *e = this_cpu()->env;
    klog("environment %x dies: foreign system call and no library", e->id);
    kernel_lock();
    env_kill(e, XOK_DEATH_UPCALL);
    schedule();
}
