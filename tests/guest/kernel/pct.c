// Protected control transfer, gates, message rings: what they promise, and attempts to break it.
#include "child.h"
#define PCT_METHOD method
#include "libxok/pct.h"

enum { PLAIN, DIE, SLEEP, SPIN, NEST, BACK, FREE_CALLER };
static volatile u64 served, from_seen, nest_result, calling_state, released;
static u32 me, chain[XOK_PCT_DEPTH + 2];

__attribute__((used)) static void method(u64 caller, u64 m[6])
{
    u64 what = m[0];
    served++;
    from_seen = caller;
    m[1] += 1;
    if (what == DIE)
        xok_env_free(ROOT, 0);
    if (what == FREE_CALLER) {
        nest_result = xok_env_free(ROOT, caller);
        released = 1;
    }
    if (what == SLEEP) {
        calling_state = STATE(caller);
        u64 now = (u64)(((unsigned __int128)__builtin_ia32_rdtsc() * XOK_INFO->tsc_mult) >> 32);
        xok_sleep(now + 2000000, 0);
    }
    if (what == SPIN) {
        u64 t = __builtin_ia32_rdtsc();
        while (((unsigned __int128)(__builtin_ia32_rdtsc() - t) * XOK_INFO->tsc_mult) >> 32 < 35000000) // over three slices
            ;
    }
    if (what == BACK) {
        u64 n[6] = {PLAIN};
        nest_result = pct_call(caller, n);
    }
    if (what == NEST && chain[m[2]]) {
        u64 n[6] = {NEST, m[1], m[2] + 1};
        s64 r = pct_call(chain[m[2]], n);
        m[1] = r ? (u64)r : n[1];
    }
}

static void server(u64 closed)
{
    if (!closed)
        xok_pct_gate(ROOT, 1);
    for (;;)
        pct_serve();
}

static struct child server_new(u32 n, u32 share, u64 closed)
{
    struct child c = child_new(n, share, server, closed, ~0u);
    struct xok_env_setup s = child_setup(c.kit);
    s.entry[XOK_UP_PCT] = (u64)pct_entry;
    EQ(xok_env_setup(ROOT, c.env, &s), 0);
    RUN_UNTIL(c, STATE(c.env) == XOK_ENV_GATE);
    return c;
}

// All sixteen registers but rsp and those that are the kernel's: patterns there, and back as the callee left them.
extern u8 echo_entry[];
volatile u64 regs_there[13], regs_back[13], echo_rsp;
__asm__("echo_entry:\n"
        "  mov %rsp, echo_rsp\n"
        "  mov %rdi, regs_there\n  mov %rsi, regs_there+8\n  mov %rdx, regs_there+16\n  mov %r8, regs_there+24\n"
        "  mov %r9, regs_there+32\n  mov %rbx, regs_there+40\n  mov %rbp, regs_there+48\n  mov %r12, regs_there+56\n"
        "  mov %r13, regs_there+64\n  mov %r14, regs_there+72\n  mov %r15, regs_there+80\n  mov %r10, regs_there+88\n"
        "  mov %rax, regs_there+96\n"
        "  not %rdi\n  not %rsi\n  not %rdx\n  not %r8\n  not %r9\n  not %rbx\n  not %rbp\n  not %r12\n"
        "  not %r13\n  not %r14\n  not %r15\n"
        "  mov $129, %eax\n  syscall\n  ud2\n");

static void registers_checked(u32 target)
{
    register u64 r10 __asm__("r10") = target;
    __asm__ volatile("push %%rbx\n push %%rbp\n"
                     "mov $0x1111, %%edi\n mov $0x2222, %%esi\n mov $0x3333, %%edx\n mov $0x4444, %%r8\n"
                     "mov $0x5555, %%r9\n mov $0x6666, %%rbx\n mov $0x7777, %%rbp\n mov $0x8888, %%r12\n"
                     "mov $0x9999, %%r13\n mov $0xaaaa, %%r14\n mov $0xbbbb, %%r15\n mov $128, %%eax\n"
                     "syscall\n"
                     "mov %%rdi, regs_back\n mov %%rsi, regs_back+8\n mov %%rdx, regs_back+16\n"
                     "mov %%r8, regs_back+24\n mov %%r9, regs_back+32\n mov %%rbx, regs_back+40\n"
                     "mov %%rbp, regs_back+48\n mov %%r12, regs_back+56\n mov %%r13, regs_back+64\n"
                     "mov %%r14, regs_back+72\n mov %%r15, regs_back+80\n mov %%rax, regs_back+96\n"
                     "pop %%rbp\n pop %%rbx"
                     : "+r"(r10)
                     : : "rax", "rcx", "rdi", "rsi", "rdx", "r8", "r9", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}

static void all_registers(void)
{
    struct child c = server_new(1, 0, 0);
    struct xok_env_setup s = child_setup(c.kit);
    s.entry[XOK_UP_PCT] = (u64)echo_entry;
    EQ(xok_env_setup(ROOT, c.env, &s), 0);
    for (int round = 0; round < 3; round++) {
        registers_checked(c.env);
        u64 wrong = 0;
        for (u64 i = 0; i < 11; i++)
            wrong += regs_there[i] != (i + 1) * 0x1111 || regs_back[i] != ~((i + 1) * 0x1111);
        EQ(wrong, 0);
        EQ(regs_there[11], me); // who calls
        EQ(regs_there[12], 0);
        EQ(regs_back[96 / 8], 0);
        EQ(echo_rsp, c.kit + PAGE + 2048);
    }
    child_free(&c);
}

static void refusals(void)
{
    u64 m[6] = {PLAIN, 41};
    struct child shut = server_new(1, me, 1), open = server_new(2, 0, 0);
    EQ(pct_call(shut.env, m), XOK_E_CAP);
    EQ(m[1], 41);
    EQ(pct_call(me, m), XOK_E_ENV);
    EQ(pct_call(0, m), XOK_E_ENV);
    EQ(pct_call(0xffffffff, m), XOK_E_ENV);
    EQ(pct_call(open.env ^ 0x10000, m), XOK_E_ENV);
    EQ(pct_call(open.env, m), 0);
    EQ(m[1], 42);
    EQ(from_seen, me);
    EQ(STATE(open.env), XOK_ENV_GATE);
    // a callee that calls its caller back finds it not at its gate
    m[0] = BACK;
    EQ(xok_pct_gate(ROOT, 1), 0);
    EQ(pct_call(open.env, m), 0);
    EQ(nest_result, XOK_E_CAP); // the tester has no entry point
    struct xok_regs r;
    EQ(xok_env_regs(ROOT, open.env, &r, 0), XOK_E_BUSY);
    EQ(xok_env_regs(ROOT, open.env, &r, 1), XOK_E_BUSY);
    EQ(xok_pct_gate(31, 1), XOK_E_CAP);
    EQ(xok_pct_gate(ROOT, 2), XOK_E_ARG);
    // numbers beside these are no calls, whatever their upper half is
    EQ(({ u64 n[6] = {0}; pct_transfer(131, open.env, n); }), XOK_E_CALL);
    EQ(({ u64 n[6] = {0}; pct_transfer(128 | 1ul << 32, open.env, n); }), XOK_E_CALL);
    EQ(({ u64 n[6] = {0}; pct_transfer(~0ul, open.env, n); }), XOK_E_CALL);
    child_free(&shut);
    child_free(&open);
    EQ(pct_call(open.env, m), XOK_E_ENV);
}

static void named_gates(void)
{
    u64 m[6] = {PLAIN, 1};
    struct child c = server_new(1, 0, 1);
    EQ(xok_cap_forge(ROOT, 77, XOK_ALL, 5), 0);
    EQ(xok_cap_copy(5, ROOT, c.env, XOK_ALL, 5), 0);
    EQ(pct_call(c.env, m), XOK_E_CAP);
    child_free(&c);
    xok_cap_drop(5);
}

static void deaths(void)
{
    u64 m[6] = {DIE, 0};
    struct child c = server_new(1, 0, 0);
    EQ(pct_call(c.env, m), XOK_E_ENV); // died while it served
    EQ(STATE(c.env), XOK_ENV_FREE);
    kit_free(&c);
    EQ(STATE(me), XOK_ENV_READY);
}

static void caller_for(u64 target)
{
    u64 m[6] = {released ? PLAIN : FREE_CALLER, 0};
    pct_call(target, m);
    for (;;)
        xok_sleep(0, 0);
}

static void caller_dies(void)
{
    struct child c = server_new(1, 0, 0), d = child_new(2, me, caller_for, 0, ~0u);
    struct xok_regs r;
    EQ(xok_env_regs(ROOT, d.env, &r, 0), 0);
    r.rdi = c.env;
    EQ(xok_env_regs(ROOT, d.env, &r, 1), 0);
    released = 0;
    s64 pos = xok_slot_alloc(ROOT, c.env, 0, XOK_SLOT_ANY); // its caller's slots go with the caller
    RUN_UNTIL(d, released || STATE(d.env) != XOK_ENV_READY);
    while (!released || STATE(c.env) != XOK_ENV_GATE)
        xok_yield(c.env);
    EQ(nest_result, 0);
    EQ(STATE(d.env), XOK_ENV_FREE);
    EQ(STATE(c.env), XOK_ENV_GATE);
    EQ(xok_slot_free(ROOT, 0, pos), 0);
    u64 m[6] = {PLAIN, 6};
    EQ(pct_call(c.env, m), 0);
    EQ(m[1], 7);
    child_free(&c);
    kit_free(&d);
}

static void spinner(u64 arg)
{
    (void)arg;
    for (;;)
        released++;
}

// A callee without slots runs in its caller's, now and later, and its time is the caller's.
static void donation(void)
{
    struct child c = server_new(1, 0, 0), rival = child_new(2, me, spinner, 0, 0);
    u64 m[6] = {SPIN, 9}, mine = XOK_ENVS[XOK_ENV_INDEX(me)].run_tsc, its = XOK_ENVS[XOK_ENV_INDEX(c.env)].run_tsc;
    u64 slices = XOK_ENVS[XOK_ENV_INDEX(rival.env)].slices;
    EQ(pct_call(c.env, m), 0);
    EQ(m[1], 10);
    CHECK(XOK_ENVS[XOK_ENV_INDEX(rival.env)].slices > slices); // it was taken off the processor in between
    CHECK(XOK_ENVS[XOK_ENV_INDEX(me)].run_tsc > mine);
    EQ(XOK_ENVS[XOK_ENV_INDEX(c.env)].run_tsc, its);
    child_free(&rival);
    m[0] = SLEEP;
    EQ(pct_call(c.env, m), 0);
    EQ(calling_state, XOK_ENV_CALLING);
    child_free(&c);
}

static void nesting(void)
{
    struct child c[XOK_PCT_DEPTH + 1];
    for (u64 i = 0; i < XOK_PCT_DEPTH; i++) {
        c[i] = server_new(i + 1, 0, 0);
        chain[i] = c[i].env;
    }
    u64 m[6] = {NEST, 100, 1};
    EQ(pct_call(chain[0], m), 0);
    EQ(m[1], XOK_E_FULL);
    chain[XOK_PCT_DEPTH - 1] = 0;
    m[1] = 100, m[2] = 1;
    EQ(pct_call(chain[0], m), 0);
    EQ(m[1], 100 + XOK_PCT_DEPTH - 1);
    // a loop of calls ends where it comes back to one that is busy
    chain[3] = chain[1];
    m[1] = 100, m[2] = 1;
    EQ(pct_call(chain[0], m), 0);
    EQ(m[1], XOK_E_AGAIN);
    for (u64 i = 0; i < XOK_PCT_DEPTH; i++)
        child_free(&c[i]);
}

static void posts(void)
{
    struct child c = server_new(1, 0, 0);
    u64 m[6] = {PLAIN, 5}, before = served;
    EQ(pct_post(c.env, m), 0);
    EQ(m[1], 5); // nothing comes back
    EQ(served, before + 1);
    EQ(from_seen, me);
    EQ(STATE(c.env), XOK_ENV_GATE);
    m[0] = SPIN;
    EQ(pct_post(c.env, m), 0); // it does not finish in this slice, and has no other
    child_free(&c);
}

static void rings(void)
{
    struct child c = server_new(1, 0, 1);
    u64 word[7] = {1, 2, 3, 4, 5, 6, 7}, ring = 0x44000000;
    u64 p = page_new(ring);
    EQ(xok_pct_gate(ROOT, 0), 0);
    EQ(xok_ring_send(0, word, 7), XOK_E_CAP);
    EQ(xok_pct_gate(ROOT, 1), 0);
    EQ(xok_ring_send(0, word, 7), XOK_E_AGAIN); // it has none
    EQ(xok_ring_set(ring + 8), XOK_E_ARG);
    EQ(xok_ring_set(ring + PAGE), XOK_E_FAULT);
    EQ(xok_ring_set((u64)text_begin), XOK_E_FAULT); // read-only
    EQ(xok_ring_set(XOK_INFO_VA), XOK_E_ARG);
    EQ(xok_ring_set(ring), 0);
    EQ(xok_ring_send(0, word, 8), XOK_E_ARG);
    EQ(xok_ring_send(0, (void *)XOK_INFO_VA, 7), XOK_E_FAULT);
    EQ(xok_ring_send(c.env, word, 7), XOK_E_CAP);
    struct xok_message *m = (struct xok_message *)ring;
    for (int i = 0; i < XOK_RING_SLOTS; i++) {
        word[0] = i;
        if (xok_ring_send(0, word, 7))
            CHECK(!"sent");
    }
    EQ(xok_ring_send(0, word, 7), XOK_E_FULL);
    EQ(m[5].word[0], 5);
    EQ(m[5].word[6], 7);
    EQ(m[5].from, me);
    EQ(m[5].name, XOK_NAME_ROOT);
    m[0].from = 0;
    EQ(xok_ring_send(0, word, 2), 0);
    EQ(m[0].word[2], 0);
    EQ(xok_page_free(ROOT, p, 1), XOK_E_BUSY);
    unmap(ring, 1);
    EQ(xok_page_free(ROOT, p, 1), XOK_E_BUSY); // pinned, though mapped nowhere
    EQ(xok_ring_set(0), 0);
    EQ(xok_page_free(ROOT, p, 1), 0);
    child_free(&c);
}

static void test(void)
{
    adult();
    me = XOK_INFO->cpu[0].env;
    all_registers();
    refusals();
    named_gates();
    deaths();
    caller_dies();
    donation();
    nesting();
    posts();
    rings();
    EQ(XOK_INFO->env_count, 1);
}
