// Faults, exceptions and bounced system calls reach the library with the state they promise.
#include "test.h"

#define CTL 0x20000000ul
#define STACK 0x20010000ul
#define EXC 0x20020000ul
#define HOLE 0x20030000ul

// What the last upcall or exception said; written by the stubs below.
volatile u64 seen_kind, seen_addr, seen_error, seen_rip, seen_rsp, seen_count, seen_vector, bounced, resume_at;
extern u8 fault_stub[], uidt_stubs[], bounce_stub[], foreign[], foreign_end[];

// Fault: records the frame; maps nothing, but goes on at resume_at if it is set.
// Exceptions (error code pushed or zero): the same, by vector. Linux calls: answer their number + 1.
__asm__(".section .text.zz, \"ax\"\n"
        "fault_stub:\n"
        "  push %rax\n"
        "  mov 8(%rsp), %rax\n  mov %rax, seen_kind\n"
        "  mov 16(%rsp), %rax\n  mov %rax, seen_addr\n"
        "  mov 24(%rsp), %rax\n  mov %rax, seen_error\n"
        "  mov 32(%rsp), %rax\n  mov %rax, seen_rip\n"
        "  mov 56(%rsp), %rax\n  mov %rax, seen_rsp\n"
        "  incq seen_count\n"
        "  mov resume_at, %rax\n  test %rax, %rax\n  jz 1f\n  mov %rax, 32(%rsp)\n"
        "1: pop %rax\n"
        "  lea 24(%rsp), %rsp\n"
        "  iretq\n"
        ".balign 4096\n"
        "uidt_stubs:\n"
        "  .set v, 0\n"
        "  .rept 128\n"
        "  .balign 32\n"
        "  .if !(v == 8 || (v >= 10 && v <= 14) || v == 17)\n  push $0\n  .endif\n"
        "  push $v\n"
        "  jmp exception_stub\n"
        "  .set v, v + 1\n"
        "  .endr\n"
        "  .balign 4096\n"
        "exception_stub:\n"
        "  push %rax\n"
        "  mov 8(%rsp), %rax\n  mov %rax, seen_vector\n"
        "  mov 16(%rsp), %rax\n  mov %rax, seen_error\n"
        "  mov 24(%rsp), %rax\n  mov %rax, seen_rip\n"
        "  mov 48(%rsp), %rax\n  mov %rax, seen_rsp\n"
        "  incq seen_count\n"
        "  mov resume_at, %rax\n  test %rax, %rax\n  jz 1f\n  mov %rax, 24(%rsp)\n"
        "1: andl $~0x100, 40(%rsp)\n" // TF off
        "  pop %rax\n"
        "  add $16, %rsp\n"
        "  iretq\n"
        "bounce_stub:\n"
        "  incq bounced\n"
        "  inc %rax\n"
        "  jmp *0x20000008\n" // ctl->bounce_rip
        ".balign 4096\n"
        "foreign:\n" // a page of another program's text
        "  syscall\n"
        "  ret\n"
        ".balign 4096\n"
        "foreign_end:\n .text\n");

#define STEP(insn, ...)                                                                     \
    do {                                                                                    \
        u64 t_;                                                                             \
        seen_kind = seen_vector = ~0ul;                                                                         \
        __asm__ volatile("lea 9f(%%rip), %0\n mov %0, resume_at\n" insn "\n9:" : "=&r"(t_) \
                         : __VA_ARGS__ : "memory", "cc", "rax", "rdx", "rcx");              \
        resume_at = 0;                                                                      \
    } while (0)

static struct xok_env_setup setup = {.ctl = CTL, .upcall_stack = STACK, .exc_stack = EXC};

static void set_up(void)
{
    page_new(CTL);
    page_new(STACK);
    page_new(EXC);
    u64 stubs = XOK_PTE_PPN(*XOK_PTE(uidt_stubs));
    EQ(map(XOK_UIDT, stubs, 2, 0), 1); // and the page after, which they jump to
    setup.text_lo = (u64)text_begin, setup.text_hi = (u64)foreign;
    setup.bounce = (u64)bounce_stub;
    setup.entry[XOK_UP_FAULT] = (u64)fault_stub;
    EQ(xok_env_setup(ROOT, 0, &setup), 0);
    EQ(((struct xok_ctl *)CTL)->id, XOK_INFO->cpu[0].env);
    EQ(XOK_PAGES[XOK_PTE_PPN(*XOK_PTE(CTL))].pins, 1);
}

static void setup_refusals(void)
{
    struct xok_env_setup s = setup;
    s.ctl = CTL + 8;
    EQ(xok_env_setup(ROOT, 0, &s), XOK_E_ARG);
    s.ctl = HOLE;
    EQ(xok_env_setup(ROOT, 0, &s), XOK_E_FAULT);
    s.ctl = (u64)text_begin; // read-only
    EQ(xok_env_setup(ROOT, 0, &s), XOK_E_FAULT);
    s.ctl = XOK_INFO_VA;
    EQ(xok_env_setup(ROOT, 0, &s), XOK_E_FAULT);
    s = setup, s.upcall_stack = HOLE;
    EQ(xok_env_setup(ROOT, 0, &s), XOK_E_FAULT);
    s = setup, s.bounce = XOK_INFO_VA;
    EQ(xok_env_setup(ROOT, 0, &s), XOK_E_ARG);
    s = setup, s.entry[XOK_UP_PCT] = 1ul << 63;
    EQ(xok_env_setup(ROOT, 0, &s), XOK_E_ARG);
    s = setup, s.flags = 0x80;
    EQ(xok_env_setup(ROOT, 0, &s), XOK_E_ARG);
    EQ(xok_env_setup(ROOT, 0, (void *)HOLE), XOK_E_FAULT);
    EQ(XOK_PAGES[XOK_PTE_PPN(*XOK_PTE(CTL))].pins, 1);
    EQ(xok_page_free(ROOT, XOK_PTE_PPN(*XOK_PTE(CTL)), 1), XOK_E_BUSY);
}

static void faults(void)
{
    u64 faults = XOK_ENVS[1].faults;
    STEP("mov %%rsp, %%rcx\n movq $5, 0x20030010", "r"(0));
    EQ(seen_kind, XOK_UP_FAULT);
    EQ(seen_addr, HOLE + 0x10);
    EQ(seen_error, 6); // user, write
    EQ(seen_count, 1);
    EQ(XOK_ENVS[1].faults, faults + 1);
    STEP("mov text_begin, %%rax\n mov %%rax, text_begin", "r"(0));
    EQ(seen_error, 7); // protection
    STEP("mov %1, %%rcx\n jmp *%%rcx", "r"(CTL)); // no execute
    EQ(seen_addr, CTL);
    EQ(seen_error, 0x15);
    STEP("mov (%1), %%rcx", "r"(0xffffffff80200000)); // kernel memory
    EQ(seen_addr, 0xffffffff80200000);
    EQ(seen_error & 5, 5);
    STEP("mov %%rcx, (%1)", "r"(XOK_INFO_VA)); // exposed: may not be written
    EQ(seen_error, 7);
    STEP("mov %%rcx, (%1)", "r"(XOK_PTE(CTL))); // nor page tables
    EQ(seen_error, 7);
    STEP("mov (%1), %%rcx", "r"(0xffff800000000000)); // the direct map
    EQ(seen_error & 5, 5);
    STEP("mov (%1), %%rcx", "r"(XOK_INFO_VA + 0x200000000000)); // the kernel's view of exposed state
    EQ(seen_error & 5, 5);
}

static void nested(void)
{
    u64 rsp;
    __asm__ volatile("mov %%rsp, %%rbx\n"
                     "lea 9f(%%rip), %%rax\n mov %%rax, resume_at\n"
                     "mov $0x20010f00, %%rsp\n"
                     "movq $1, 0x20030000\n"
                     "9: mov %%rsp, %0\n"
                     "mov %%rbx, %%rsp" : "=&r"(rsp) : : "rax", "rbx", "memory");
    resume_at = 0;
    EQ(rsp, 0x20010f00);
    EQ(seen_rsp, 0x20010f00);
    EQ(((u64 *)(0x20010f00 - sizeof(struct xok_frame)))[6], 0x20010f00); // pushed just below
}

static void exceptions(void)
{
    STEP("ud2", "r"(0));
    EQ(seen_vector, 6);
    STEP("int3", "r"(0));
    EQ(seen_vector, 3);
    STEP("xor %%ecx, %%ecx\n div %%ecx", "r"(0));
    EQ(seen_vector, 0);
    STEP("mov $0x1000000000000000, %%rax\n mov (%%rax), %%rax", "r"(0));
    EQ(seen_vector, 13);
    STEP("hlt", "r"(0));
    EQ(seen_vector, 13);
    STEP("mov $0xffff, %%eax\n mov %%ax, %%ds", "r"(0));
    EQ(seen_vector, 13);
    EQ(seen_error, 0xfffc);
    STEP("int $0x20", "r"(0)); // not for ring 3
    EQ(seen_vector, 13);
    STEP("int $0x80", "r"(0));
    EQ(seen_vector, 13);
    STEP("mov %%cr3, %%rax", "r"(0));
    EQ(seen_vector, 13);
    STEP("in $0x64, %%al", "r"(0));
    EQ(seen_vector, 13);
    u64 count = seen_count;
    __asm__ volatile("int $0x7e" ::: "memory");
    EQ(seen_vector, 0x7e);
    EQ(seen_count, count + 1);
    __asm__ volatile("int $0x70" ::: "memory");
    EQ(seen_vector, 0x70);
    __asm__ volatile("pushf\n orl $0x100, (%%rsp)\n popf\n nop\n nop" ::: "memory", "cc"); // single step
    EQ(seen_vector, 1);
    // the flag that arms alignment checks stays with the program across kernel entries
    u64 flags;
    __asm__ volatile("pushf\n orl $0x40000, (%rsp)\n popf");
    xok_cap_drop(31);
    __asm__ volatile("pushf\n pop %0\n pushf\n andl $~0x40000, (%%rsp)\n popf" : "=r"(flags) : : "memory", "cc");
    EQ(flags & 0x40000, 0x40000);
}

// An exception whose stack is not mapped becomes a fault there; mapped, the exception is delivered.
static void exception_stack_absent(void)
{
    u64 p = XOK_PTE_PPN(*XOK_PTE(EXC)), before = seen_count;
    EQ(unmap(EXC, 1), 1);
    STEP("int3", "r"(0));
    EQ(seen_count, before + 1);
    EQ(seen_kind, XOK_UP_FAULT);
    EQ(seen_addr & ~0xffful, EXC);
    map(EXC, p, 1, XOK_PTE_W);
    seen_vector = 0;
    STEP("int3", "r"(0));
    EQ(seen_vector, 3);
}

// Every register survives a bounce but rcx and r11; rax is what the library makes of it.
static void bounces(void)
{
    u64 in[14], out[14], rsp_in, rsp_out;
    for (int i = 0; i < 14; i++)
        in[i] = 0x1111111111111111ul * (i + 1);
    __asm__ volatile("push %%rbp\n push %%rbx\n"
                     "mov %%rsp, %[rsp]\n"
                     "push %[out]\n"
                     "mov 0(%[in]), %%rax\n mov 8(%[in]), %%rbx\n mov 16(%[in]), %%rdx\n mov 24(%[in]), %%rsi\n"
                     "mov 40(%[in]), %%r8\n mov 48(%[in]), %%r9\n mov 56(%[in]), %%r10\n mov 64(%[in]), %%r12\n"
                     "mov 72(%[in]), %%r13\n mov 80(%[in]), %%r14\n mov 88(%[in]), %%r15\n mov 96(%[in]), %%rbp\n"
                     "mov 32(%[in]), %%rdi\n"
                     "call foreign\n"
                     "xchg (%%rsp), %%rdi\n"
                     "mov %%rax, 0(%%rdi)\n mov %%rbx, 8(%%rdi)\n mov %%rdx, 16(%%rdi)\n mov %%rsi, 24(%%rdi)\n"
                     "mov %%r8, 40(%%rdi)\n mov %%r9, 48(%%rdi)\n mov %%r10, 56(%%rdi)\n mov %%r12, 64(%%rdi)\n"
                     "mov %%r13, 72(%%rdi)\n mov %%r14, 80(%%rdi)\n mov %%r15, 88(%%rdi)\n mov %%rbp, 96(%%rdi)\n"
                     "mov %%rdi, %%rax\n pop %%rdi\n mov %%rdi, 32(%%rax)\n"
                     "mov %%rsp, %%rcx\n"
                     "pop %%rbx\n pop %%rbp\n"
                     : [rsp] "=&a"(rsp_in), "=&c"(rsp_out)
                     : [in] "D"(in), [out] "S"(out)
                     : "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    (void)rsp_in;
    EQ(out[0], in[0] + 1);
    u64 same = 1;
    for (int i = 1; i <= 12; i++)
        same &= in[i] == out[i];
    CHECK(same);
    EQ(bounced, 1);
    EQ(((struct xok_ctl *)CTL)->bounce_rip, (u64)foreign + 2);
}

// Arguments that the kernel must not touch on anyone's behalf.
static void addresses(void)
{
    static const u64 bad[] = {HOLE, XOK_INFO_VA, 0xffffffff80200000, 0xffff800000100000, 1ul << 47, -8ul,
                              XOK_USER_END - 4, 0x8000000000000000};
    u64 before = seen_count;
    for (u32 i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EQ(xok_entropy((void *)bad[i], 8), XOK_E_FAULT);
        EQ(xok_log((void *)bad[i], 8), XOK_E_FAULT);
        EQ(xok_env_regs(ROOT, 0, (void *)bad[i], 0), XOK_E_BUSY);
    }
    EQ(xok_entropy(text_begin, 8), XOK_E_FAULT); // read-only
    EQ(xok_entropy((void *)XOK_PTE(CTL), 8), XOK_E_FAULT);
    EQ(xok_entropy((void *)(CTL + 0x800), 257), XOK_E_ARG);
    EQ(xok_entropy((void *)(CTL + PAGE - 8), 16), XOK_E_FAULT); // half of it
    EQ(seen_count, before); // none of these was an upcall
    EQ(xok_env_base(0, 1ul << 47), XOK_E_ARG);
    EQ(xok_env_base(2, 0), XOK_E_ARG);
    EQ(xok_env_base(0, 0x123450), 0);
    s64 r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(63) : "rcx", "r11", "rdi", "rsi", "rdx", "r8", "r9", "r10", "memory");
    EQ(r, XOK_E_CALL);
    __asm__ volatile("syscall" : "=a"(r) : "a"(-1) : "rcx", "r11", "rdi", "rsi", "rdx", "r8", "r9", "r10", "memory");
    EQ(r, XOK_E_CALL);
    __asm__ volatile("syscall" : "=a"(r) : "a"(0x100000008) : "rcx", "r11", "rdi", "rsi", "rdx", "r8", "r9", "r10", "memory");
    EQ(r, XOK_E_CALL);
}

static void test(void)
{
    set_up();
    setup_refusals();
    seen_count = 0;
    faults();
    nested();
    exceptions();
    exception_stack_absent();
    bounces();
    addresses();
}
