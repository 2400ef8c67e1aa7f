// Children for tests: environments that run a function of this program, as threads of its address space or
// in spaces of their own that share its lowest 512 GiB.
#ifndef CHILD_H
#define CHILD_H
#include "test.h"

#define KIT 0x30000000ul // control page, upcall stack, exception stack, stack: 4 pages a child, and a hole

struct child {
    u32 env;
    u64 kit;
    struct xok_ctl *ctl;
};

extern u8 notify_stub[];
volatile u64 notified, notified_addr;
__asm__("notify_stub:\n" // counts, unmasks, goes on
        "  push %rax\n"
        "  mov 16(%rsp), %rax\n"
        "  mov %rax, notified_addr\n"
        "  lock incq notified\n"
        "  pop %rax\n"
        "  lea 24(%rsp), %rsp\n"
        "  push %rax\n"
        "  mov %fs:0, %rax\n" // FS base: the control page
        "  movq $0, 112(%rax)\n"
        "  pop %rax\n"
        "  iretq\n");
_Static_assert(__builtin_offsetof(struct xok_ctl, upcall_mask) == 112, "notify_stub");

static struct xok_env_setup child_setup(u64 kit)
{
    return (struct xok_env_setup){
        .ctl = kit, .upcall_stack = kit + PAGE, .exc_stack = kit + 2 * PAGE, .text_lo = (u64)text_begin,
        .text_hi = (u64)text_end, .entry = {[XOK_UP_NOTIFY] = (u64)notify_stub}, .flags = XOK_ENV_KSAVE,
        .guardian = XOK_INFO->cpu[0].env};
}

static void kit_make(u64 kit)
{
    for (int i = 0; i < 4; i++)
        page_new(kit + i * PAGE);
    *(u64 *)(kit + 2048) = kit; // %fs:0 of the notify stub, in the library's part
}

// Makes the caller one that can be notified and woken.
__attribute__((used)) static struct xok_ctl *adult(void)
{
    kit_make(KIT);
    struct xok_env_setup s = child_setup(KIT);
    s.guardian = 0;
    EQ(xok_env_setup(ROOT, 0, &s), 0);
    EQ(xok_env_base(0, KIT + 2048), 0);
    return (struct xok_ctl *)KIT;
}

__attribute__((used)) static struct child child_new(u32 n, u32 share, void (*fn)(u64), u64 arg, u32 cpu)
{
    struct child c = {.kit = KIT + n * 5 * PAGE};
    c.ctl = (struct xok_ctl *)c.kit;
    kit_make(c.kit);
    c.env = xok_env_alloc(ROOT, share);
    if (!share) {
        struct xok_pt_op link = {0, XOK_PTE_W, 0, 1, XOK_PT_LINK, 4, 0, 0};
        CHECK(xok_pt_batch(ROOT, c.env, &link, 1) == 1);
    }
    struct xok_env_setup s = child_setup(c.kit);
    struct xok_regs r = {.rip = (u64)fn, .rdi = arg, .rsp = c.kit + 4 * PAGE - 8, .rflags = 2,
                         .fsbase = c.kit + 2048, .gsbase = c.kit};
    CHECK(xok_env_setup(ROOT, c.env, &s) == 0);
    CHECK(xok_cap_copy(ROOT, ROOT, c.env, XOK_ALL, ROOT) == 0);
    CHECK(xok_env_regs(ROOT, c.env, &r, 1) == 0);
    if (cpu != ~0u)
        CHECK(xok_slot_alloc(ROOT, c.env, cpu, XOK_SLOT_ANY) >= 0);
    CHECK(xok_env_run(ROOT, c.env) == 0);
    return c;
}

__attribute__((used)) static void kit_free(const struct child *c)
{
    for (int i = 0; i < 4; i++)
        page_gone(c->kit + i * PAGE, XOK_PTE_PPN(*XOK_PTE(c->kit + i * PAGE)));
}

__attribute__((used)) static void child_free(const struct child *c)
{
    EQ(xok_env_free(ROOT, c->env), 0);
    kit_free(c);
}

// Lets a child that has no slot run until cond holds. It runs at no other time, however long its tester is
// off the processor, so what the tester sees does not hang on the clock.
#define RUN_UNTIL(c, cond)                                     \
    do {                                                       \
        s64 pos_ = xok_slot_alloc(ROOT, (c).env, 0, XOK_SLOT_ANY); \
        while (!(cond))                                        \
            xok_yield((c).env);                                \
        xok_slot_free(ROOT, 0, pos_);                          \
    } while (0)
#define RUN(c) RUN_UNTIL(c, STATE((c).env) == XOK_ENV_ASLEEP)
#define STATE(id) XOK_ENVS[XOK_ENV_INDEX(id)].state
#endif
