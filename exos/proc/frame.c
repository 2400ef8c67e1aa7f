// The frame a handler finds, and rt_sigreturn: Linux's x86-64 layout (struct rt_sigframe, sigcontext(7)
// of the kernel headers), the vector state as XSAVE leaves it with Linux's magic words.
#include "proc/signal.h"

enum { SA_ONSTACK = 0x08000000, SA_RESTORER = 0x04000000, RED_ZONE = 128, AREA_MAX = 2816 };
enum { UC_FP_XSTATE = 1, UC_SIGCONTEXT_SS = 2, UC_STRICT_RESTORE_SS = 4, MAGIC1 = 0x46505853, MAGIC2 = 0x46505845 };
#define FLAGS_USER 0x40dd5ul // CF PF AF ZF SF TF DF OF AC

struct sigcontext {
    u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    u16 cs, gs, fs, ss;
    u64 err, trapno, oldmask, cr2, fpstate, reserved[8];
};
struct frame {
    u64 restorer;
    u64 uc_flags, uc_link;
    u64 ss_sp;
    s32 ss_flags, pad;
    u64 ss_size;
    struct sigcontext mc;
    u64 sigmask;
    struct siginfo_native info;
};
_Static_assert(sizeof(struct sigcontext) == 256, "struct sigcontext");

static u64 area_size(void) { return XOK_INFO->cpu_features & XOK_CPU_XSAVE ? XOK_INFO->xsave_size : 512; }
static u64 area_mask(void) { return XOK_INFO->cpu_features & XOK_CPU_AVX ? 7 : 3; }

static void vectors_save(u8 *area)
{
    if (XOK_INFO->cpu_features & XOK_CPU_XSAVE) {
        memset(area + 512, 0, 64);
        __asm__ volatile("xsave64 %0" : "+m"(*(u8(*)[AREA_MAX])area) : "a"(~0u), "d"(~0u) : "memory");
    } else {
        __asm__ volatile("fxsave64 %0" : "+m"(*(u8(*)[512])area) : : "memory");
    }
}

static void vectors_load(u8 *area)
{
    if (XOK_INFO->cpu_features & XOK_CPU_XSAVE)
        __asm__ volatile("xrstor64 %0" : : "m"(*(u8(*)[AREA_MAX])area), "a"((u32)area_mask()), "d"(0) : "memory");
    else
        __asm__ volatile("fxrstor64 %0" : : "m"(*(u8(*)[512])area) : "memory");
}

// Page 3 of a thread's kit holds the vector state it starts with.
static u8 *first_area(struct thread *t) { return (u8 *)t->stack_base + 3 * PAGE; }

void thread_fpu_give(struct thread *t)
{
    vectors_save(first_area(t));
    t->fpu_given = 1;
}

void thread_fpu_first(struct thread *t)
{
    if (t->fpu_given)
        vectors_load(first_area(t));
    t->fpu_given = 0;
}

void thread_fpu_reset(void)
{
    u8 area[AREA_MAX] __attribute__((aligned(64)));
    memset(area, 0, area_size());
    *(u16 *)area = 0x37f;
    *(u32 *)(area + 24) = 0x1f80;
    vectors_load(area);
}

s64 frame_push(struct uregs *r, int sig, const struct siginfo_native *info, const struct sigaction_native *sa, u64 mask)
{
    struct thread *t = thread_self();
    u8 area[AREA_MAX + 64] __attribute__((aligned(64)));
    u64 size = area_size();
    bool on = r->rsp - t->sigalt_sp - 1 < t->sigalt_size;
    u64 sp = r->rsp - RED_ZONE;
    if (sa->flags & SA_ONSTACK && t->sigalt_size && !on)
        sp = t->sigalt_sp + t->sigalt_size;
    u64 fp = (sp - size - 4) & ~63ul;
    u64 at = ((fp - sizeof(struct frame)) & ~15ul) - 8;
    vectors_save(area);
    memset(area + 464, 0, 48);
    if (XOK_INFO->cpu_features & XOK_CPU_XSAVE) {
        *(u32 *)(area + 464) = MAGIC1;
        *(u32 *)(area + 468) = size + 4;
        *(u64 *)(area + 472) = area_mask();
        *(u32 *)(area + 480) = size;
        *(u32 *)(area + size) = MAGIC2;
    }
    struct frame f = {
        .restorer = sa->restorer,
        .uc_flags = (XOK_INFO->cpu_features & XOK_CPU_XSAVE ? UC_FP_XSTATE : 0) | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
        .ss_sp = t->sigalt_sp, .ss_flags = !t->sigalt_size ? 2 : on ? 1 : 0, .ss_size = t->sigalt_size,
        .mc = {r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rdi, r->rsi, r->rbp, r->rbx,
               r->rdx, r->rax, r->rcx, r->rsp, r->rip, r->rflags, .cs = XOK_USER_CS, .ss = XOK_USER_SS,
               .err = t->trap_error, .trapno = t->trap, .oldmask = mask, .cr2 = t->trap_addr, .fpstate = fp},
        .sigmask = mask,
        .info = *info,
    };
    if (!(sa->flags & SA_RESTORER) || copy_out(fp, area, size + 4) || copy_out(at, &f, sizeof f))
        return -EFAULT;
    r->rip = sa->handler;
    r->rsp = at;
    r->rdi = sig;
    r->rsi = at + offsetof(struct frame, info);
    r->rdx = at + offsetof(struct frame, uc_flags);
    r->rax = 0;
    r->rflags &= ~0x500ul; // TF, DF
    return 0;
}

s64 frame_pop(struct uregs *r)
{
    struct thread *t = thread_self();
    struct frame f;
    u8 area[AREA_MAX] __attribute__((aligned(64)));
    u64 size = area_size();
    if (copy_in((u8 *)&f + 8, r->rsp, sizeof f - 8))
        return -EFAULT;
    struct sigcontext *m = &f.mc;
    if (m->fpstate) {
        if (m->fpstate & 63 || copy_in(area, m->fpstate, size))
            return -EFAULT;
        // What XRSTOR would refuse is refused here, by leaving it out.
        *(u32 *)(area + 24) &= 0xffff;
        if (XOK_INFO->cpu_features & XOK_CPU_XSAVE) {
            *(u64 *)(area + 512) &= area_mask();
            memset(area + 520, 0, 56);
            if (*(u32 *)(area + 464) != MAGIC1)
                *(u64 *)(area + 512) |= 3;
        }
        vectors_load(area);
    }
    *r = (struct uregs){m->r15, m->r14, m->r13, m->r12, m->rbp, m->rbx, m->r11, m->r10, m->r9, m->r8, m->rax, m->rcx,
                        m->rdx, m->rsi, m->rdi, -1ul, m->rip, XOK_USER_CS, (m->eflags & FLAGS_USER) | 0x202, m->rsp,
                        XOK_USER_SS};
    if (r->rip >= USER_HIGH_END)
        return -EFAULT;
    t->sigmask = f.sigmask & ~(1ul << 8 | 1ul << 18);
    if (signal_pending(t))
        t->pending |= THREAD_SIGNAL;
    return 0;
}
