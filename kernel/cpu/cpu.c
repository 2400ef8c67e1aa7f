// A processor's descriptor tables, control registers, floating-point state and address translations.
#include "kernel.h"
#include "cpu/offsets.h"
#include "xok/pct.h"

_Static_assert(offsetof(struct cpu, stack_top) == CPU_STACK, "offsets.h");
_Static_assert(offsetof(struct cpu, user_rsp) == CPU_USER_RSP, "offsets.h");
_Static_assert(offsetof(struct cpu, env) == CPU_ENV, "offsets.h");
_Static_assert(offsetof(struct cpu, bounces) == CPU_BOUNCES, "offsets.h");
_Static_assert(offsetof(struct env, text_lo) == ENV_TEXT_LO, "offsets.h");
_Static_assert(offsetof(struct env, text_hi) == ENV_TEXT_HI, "offsets.h");
_Static_assert(offsetof(struct env, bounce) == ENV_BOUNCE, "offsets.h");
_Static_assert(offsetof(struct env, ctl) == ENV_CTL, "offsets.h");
_Static_assert(offsetof(struct env, regs) == ENV_REGS, "offsets.h");
_Static_assert(offsetof(struct env, regs.rbp) == ENV_RBP, "offsets.h");
_Static_assert(offsetof(struct env, regs.r15) == ENV_R15, "offsets.h");
_Static_assert(offsetof(struct env, regs.rip) == ENV_RIP, "offsets.h");
_Static_assert(offsetof(struct xok_ctl, bounce_rip) == CTL_BOUNCE_RIP, "offsets.h");

_Static_assert(offsetof(struct cpu, info) == CPU_INFO && offsetof(struct cpu, space) == CPU_SPACE &&
               offsetof(struct cpu, ist_user) == CPU_IST_USER && offsetof(struct xok_cpu_info, env) == 0, "offsets.h");
_Static_assert(offsetof(struct env, callee) == ENV_CALLEE && offsetof(struct env, serving) == ENV_SERVING &&
               offsetof(struct env, pct_entry) == ENV_PCT_ENTRY && offsetof(struct env, pct_stack) == ENV_PCT_STACK &&
               offsetof(struct env, gate) == ENV_GATE && offsetof(struct env, depth) == ENV_DEPTH &&
               offsetof(struct env, gate_open) == ENV_GATE_OPEN && offsetof(struct env, id) == ENV_ID &&
               offsetof(struct env, info) == ENV_INFO && offsetof(struct env, space) == ENV_SPACE &&
               offsetof(struct env, exc_top) == ENV_EXC_TOP && offsetof(struct env, running_on) == ENV_RUNNING_ON &&
               offsetof(struct env, pending) == ENV_PENDING && ENV_MAX == XOK_ENV_MAX &&
               offsetof(struct env, regs.gsbase) == ENV_GSBASE && offsetof(struct env, regs.fsbase) == ENV_FSBASE &&
               offsetof(struct xok_env_info, state) == INFO_STATE && XOK_ENV_READY == STATE_READY &&
               XOK_ENV_GATE == STATE_GATE && XOK_ENV_CALLING == STATE_CALLING && XOK_PCT_CALL == PCT_CALL &&
               XOK_PCT_REPLY == PCT_REPLY && XOK_PCT_DEPTH == PCT_DEPTH, "offsets.h");

struct cpu cpus[XOK_CPU_MAX];
extern void syscall_entry(void);
extern s64 user_copy(void *to, const void *from, u64 n);

enum { CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10, CR4_UMIP = 1 << 11, CR4_FSGSBASE = 1 << 16,
       CR4_OSXSAVE = 1 << 18, CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, CR4_PGE = 1 << 7 };

static u64 xcr0;

// QEMU's TCG takes ring 3's exception frames and iretq for the kernel's own accesses, which SMAP forbids:
// docs/decisions/0010.
static bool emulated(void)
{
    struct cpuid h = cpuid(0x40000000, 0);
    return cpuid(1, 0).c >> 31 && h.b == 0x54474354 && h.c == 0x43544743 && h.d == 0x47435447; // TCGTCGTCGTCG
}

static u64 features_probe(void)
{
    struct cpuid c1 = cpuid(1, 0), c7 = cpuid(0, 0).a >= 7 ? cpuid(7, 0) : (struct cpuid){0};
    struct cpuid e1 = cpuid(0x80000001, 0);
    u64 f = 0;
    f |= c7.b & 1 ? XOK_CPU_FSGSBASE : 0;
    f |= c7.b & 1 << 7 ? XOK_CPU_SMEP : 0;
    f |= c7.b & 1 << 20 && !emulated() ? XOK_CPU_SMAP : 0;
    f |= c7.b & 1 << 9 ? XOK_CPU_ERMS : 0;
    f |= c7.c & 1 << 3 ? XOK_CPU_PKU : 0;
    f |= c1.c & 1 << 26 ? XOK_CPU_XSAVE : 0;
    f |= c1.c & 1 << 30 ? XOK_CPU_RDRAND : 0;
    f |= e1.d & 1 << 26 ? XOK_CPU_GB_PAGES : 0;
    if (f & XOK_CPU_XSAVE && c1.c & 1 << 28) {
        f |= XOK_CPU_AVX;
        f |= c7.b & 1 << 5 ? XOK_CPU_AVX2 : 0;
    }
    return f;
}

static void control_registers(void)
{
    u64 f = features_probe(), cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;
    struct cpuid c7 = cpuid(0, 0).a >= 7 ? cpuid(7, 0) : (struct cpuid){0};
    if (f & XOK_CPU_FSGSBASE)
        cr4 |= CR4_FSGSBASE;
    if (f & XOK_CPU_SMEP)
        cr4 |= CR4_SMEP;
    if (f & XOK_CPU_SMAP)
        cr4 |= CR4_SMAP;
    if (c7.c & 1 << 2)
        cr4 |= CR4_UMIP;
    if (f & XOK_CPU_XSAVE)
        cr4 |= CR4_OSXSAVE;
    write_cr4(cr4);
    if (f & XOK_CPU_XSAVE) {
        // x87, SSE, AVX: what the library is told of. AVX-512 state would not fit a page's area twice.
        xcr0 = 3 | (f & XOK_CPU_AVX ? 4 : 0);
        __asm__ volatile("xsetbv" : : "c"(0), "a"((u32)xcr0), "d"(0));
        info.xsave_size = cpuid(0xd, 0).b;
    } else {
        info.xsave_size = 512;
    }
    info.cpu_features = f;
}

static void descriptors(struct cpu *c)
{
    c->gdt[1] = 0x00af9a000000ffff; // 0x08 kernel code
    c->gdt[2] = 0x00cf92000000ffff; // 0x10 kernel data
    c->gdt[3] = 0;                  // 0x18: base of SYSRET's selectors would be 32-bit user code
    c->gdt[4] = 0;
    c->gdt[5] = 0x00cff2000000ffff; // 0x2b user data
    c->gdt[6] = 0x00affa000000ffff; // 0x33 user code
    static u64 tables[XOK_CPU_MAX][10];
    u64 *gdt = tables[c->index], base = (u64)&c->tss;
    memcpy(gdt, c->gdt, sizeof c->gdt);
    gdt[7] = (sizeof c->tss - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
    gdt[8] = base >> 32;
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) gdtr = {sizeof tables[0] - 1, (u64)gdt};
    c->tss.iomap = sizeof c->tss; // no port is the user's
    __asm__ volatile("lgdt %0\n\t"
                     "pushq $0x08\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\tltr %w1\n\t"
                     "lldt %w2" // none: the one a processor starts with would read descriptors at address 0
                     : : "m"(gdtr), "r"(0x38), "r"(0) : "rax", "memory");
}

void cpu_init(u32 index, u32 apic, u64 stack_top)
{
    struct cpu *c = &cpus[index];
    c->self = c;
    c->index = index;
    c->apic_id = apic;
    c->stack_top = stack_top;
    c->info = &info.cpu[index];
    c->ist_user = (u64 *)((u8 *)&c->tss + offsetof(struct tss, ist) + (IST_USER - 1) * 8);
    c->tss.rsp[0] = stack_top;
    static u8 ist_stacks[XOK_CPU_MAX][3][4096] __attribute__((aligned(16)));
    for (int i = 0; i < 3; i++) // NMI, double fault, machine check
        c->tss.ist[IST_NMI - 1 + i] = (u64)ist_stacks[index][i] + sizeof ist_stacks[0][0];
    descriptors(c);
    wrmsr(MSR_GSBASE, (u64)c);
    wrmsr(MSR_KERNEL_GSBASE, 0);
    wrmsr(MSR_FSBASE, 0);
    wrmsr(MSR_STAR, (u64)((XOK_USER_SS - 8) | 3) << 48 | (u64)KERNEL_CS << 32);
    wrmsr(MSR_LSTAR, (u64)syscall_entry);
    wrmsr(MSR_FMASK, 0x47700 | 1 << 18); // IF TF DF IOPL NT AC
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
    control_registers();
    idt_load();
    c->space = read_cr3();
}

// ---- floating point -----------------------------------------------------------------------------------
void fpu_save(struct env *e)
{
    if (info.cpu_features & XOK_CPU_XSAVE)
        __asm__ volatile("xsave64 %0" : "+m"(*(u8(*)[4096])e->fpu) : "a"(~0u), "d"(~0u));
    else
        __asm__ volatile("fxsave64 %0" : "+m"(*(u8(*)[512])e->fpu));
}

void fpu_load(struct env *e)
{
    if (info.cpu_features & XOK_CPU_XSAVE)
        __asm__ volatile("xrstor64 %0" : : "m"(*(u8(*)[4096])e->fpu), "a"(~0u), "d"(~0u));
    else
        __asm__ volatile("fxrstor64 %0" : : "m"(*(u8(*)[512])e->fpu));
}

// ---- translations -----------------------------------------------------------------------------------------
void tlb_flush_page(u64 va)
{
    this_cpu()->info->tlb_flushes++;
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

void tlb_flush_all(void)
{
    this_cpu()->info->tlb_flushes++;
    write_cr3(read_cr3());
}

void tlb_serve(void)
{
    struct cpu *c = this_cpu();
    if (__atomic_load_n(&c->shootdown, __ATOMIC_ACQUIRE)) {
        tlb_flush_all();
        __atomic_store_n(&c->shootdown, 0, __ATOMIC_RELEASE);
    }
}

void tlb_shootdown(u64 a, u64 b, bool all)
{
    struct cpu *me = this_cpu();
    u32 asked = 0;
    for (u32 i = 0; info.cpu_count > 1 && i < info.cpu_count; i++) {
        struct cpu *c = &cpus[i];
        if (c == me || c->space == kernel_space || !(all || c->space == a || c->space == b))
            continue;
        __atomic_store_n(&c->shootdown, 1, __ATOMIC_SEQ_CST);
        apic_ipi(c->apic_id, VECTOR_SHOOTDOWN);
        me->info->shootdowns++;
        asked |= 1u << i;
    }
    for (u32 i = 0; asked >> i; i++)
        while (asked >> i & 1 && __atomic_load_n(&cpus[i].shootdown, __ATOMIC_ACQUIRE))
            __builtin_ia32_pause();
}

// ---- user memory ----------------------------------------------------------------------------------------------
bool user_range(u64 va, u64 len)
{
    return va < XOK_USER_END && len <= XOK_USER_END - va;
}

static s64 copy_checked(void *to, const void *from, u64 n)
{
    bool smap = info.cpu_features & XOK_CPU_SMAP;
    if (smap)
        __asm__ volatile("stac" : : : "memory");
    s64 r = user_copy(to, from, n);
    if (smap)
        __asm__ volatile("clac" : : : "memory");
    return r ? XOK_E_FAULT : 0;
}

s64 copy_in(void *to, u64 from, u64 n)
{
    return user_range(from, n) ? copy_checked(to, (void *)from, n) : XOK_E_FAULT;
}

s64 copy_out(u64 to, const void *from, u64 n)
{
    return user_range(to, n) ? copy_checked((void *)to, from, n) : XOK_E_FAULT;
}
