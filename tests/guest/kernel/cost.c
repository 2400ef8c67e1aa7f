// What the kernel's paths cost, in instructions: run under -icount, where the time stamp counter counts them.
#include "child.h"
#include "libxok/pct.h"

#define DATA 0x50000000ul
enum { ROUNDS = 16 };

extern u8 skip_stub[];
__asm__("skip_stub:\n" // a fault is mended by going on where r15 says
        "  mov %r15, 24(%rsp)\n"
        "  lea 24(%rsp), %rsp\n"
        "  iretq\n");

static void cost(const char *what, u64 each, u64 limit)
{
    say(each <= limit ? "ok cost " : "not ok cost ", what, each, limit);
}

// The least of some rounds, for an interrupt may come in between; less what the time stamps cost.
static u64 stamps;
#define COST(what, limit, step)                            \
    do {                                                   \
        u64 least_ = ~0ul;                                 \
        for (int i_ = 0; i_ < ROUNDS; i_++) {              \
            u64 from_ = __builtin_ia32_rdtsc();            \
            step;                                          \
            u64 took_ = __builtin_ia32_rdtsc() - from_;    \
            least_ = took_ < least_ ? took_ : least_;      \
        }                                                  \
        cost(what, least_ - stamps, limit);                \
        if (!stamps)                                       \
            stamps = least_;                               \
    } while (0)

static void partner(u64 parent)
{
    for (;;)
        xok_yield(parent);
}

static void sleeper(u64 parent)
{
    struct xok_ctl *me = (struct xok_ctl *)(KIT + 10 * PAGE), *it = (struct xok_ctl *)KIT;
    for (;;) {
        me->event = 0;
        it->event = 1;
        xok_sleep(0, parent);
    }
}

extern u8 reply_entry[];
__asm__("reply_entry: mov $129, %eax\n syscall\n jmp reply_entry\n");

static void server(u64 arg)
{
    (void)arg;
    xok_pct_gate(ROOT, 1);
    pct_serve();
}

static void transfers(u32 me)
{
    struct child c[2] = {child_new(1, 0, server, 0, ~0u), child_new(2, me, server, 0, ~0u)};
    for (int i = 0; i < 2; i++) {
        struct xok_env_setup s = child_setup(c[i].kit);
        s.entry[XOK_UP_PCT] = (u64)reply_entry;
        EQ(xok_env_setup(ROOT, c[i].env, &s), 0);
        RUN_UNTIL(c[i], STATE(c[i].env) == XOK_ENV_GATE);
        register u64 r10 __asm__("r10") = c[i].env;
        COST(i ? "protected call and reply, one space" : "protected call and reply, two spaces",
             XOK_INFO->cpu_features & XOK_CPU_FSGSBASE ? 150 : 400,
             __asm__ volatile("mov $128, %%eax\n syscall"
                              : : "r"(r10) : "rax", "rcx", "r11", "rdi", "rsi", "rdx", "memory"));
    }
    child_free(&c[0]);
    child_free(&c[1]);
}

static void dies(u64 arg)
{
    (void)arg;
    xok_env_free(ROOT, 0);
}

static void fault(void)
{
    __asm__ volatile("lea 9f(%%rip), %%r15\n movq $1, 0x7000\n 9:" : : : "r15", "memory");
}

static void switches(u32 me)
{
    struct xok_ctl *ctl = (struct xok_ctl *)KIT;
    struct child a = child_new(1, 0, partner, me, 0), c = child_new(3, me, partner, me, 0);
    COST("yield there and back, two spaces", 990, xok_yield(a.env));
    COST("yield there and back, one space", 980, xok_yield(c.env));
    child_free(&a);
    child_free(&c);
    struct child b = child_new(2, 0, sleeper, me, 0);
    RUN(b);
    COST("sleep and wake there and back", 850, ({
             ctl->event = 0;
             b.ctl->event = 1;
             xok_sleep(0, b.env);
         }));
    child_free(&b);
}

// ---- ten thousand that sleep, each on a predicate
enum { SLEEPERS = 10000 };
#define WORDS 0x58000000ul
#define BED 0x59000000ul // one control page, upcall stack and stack for all: none ever goes on
static u32 sleeping[SLEEPERS];

static void sleeps(u64 n)
{
    struct xok_pred_term t = {.addr = WORDS + n % 512 * 8, .value = 1, .op = XOK_PRED_EQ, .last = 1};
    xok_pred_set(&t, 1);
    for (;;)
        xok_sleep(0, 0);
}

static void sleepers(u32 me)
{
    struct xok_ctl *ctl = (struct xok_ctl *)KIT;
    struct child b = child_new(2, 0, sleeper, me, 0);
    u64 without, with;
    RUN(b);
#define PAIR(result)                                                       \
    do {                                                                   \
        result = ~0ul;                                                     \
        for (int i_ = 0; i_ < ROUNDS; i_++) {                              \
            u64 from_ = __builtin_ia32_rdtsc();                            \
            ctl->event = 0, b.ctl->event = 1;                              \
            xok_sleep(0, b.env);                                           \
            u64 took_ = __builtin_ia32_rdtsc() - from_;                    \
            result = took_ < result ? took_ : result;                      \
        }                                                                  \
    } while (0)
    PAIR(without);
    kit_make(BED);
    page_new(WORDS);
    struct xok_env_setup s = child_setup(BED);
    u64 bad = 0;
    for (u64 i = 0; i < SLEEPERS; i++) {
        struct xok_regs r = {.rip = (u64)sleeps, .rdi = i, .rsp = BED + 4 * PAGE - 8, .rflags = 2};
        u32 e = sleeping[i] = xok_env_alloc(ROOT, me);
        bad += xok_env_setup(ROOT, e, &s) || xok_env_regs(ROOT, e, &r, 1) || xok_slot_alloc(ROOT, e, 0, XOK_SLOT_ANY) < 0 ||
               xok_env_run(ROOT, e);
        for (int k = 0; k < 10 && STATE(e) != XOK_ENV_ASLEEP; k++)
            xok_yield(e);
        bad += STATE(e) != XOK_ENV_ASLEEP;
    }
    EQ(bad, 0);
    EQ(XOK_NAMES[XOK_NAME_ROOT].used[XOK_RES_PREDS], SLEEPERS);
    PAIR(with);
    say("ok cost ", "sleep and wake beside none, and ten thousand sleepers", without, with);
    CHECK(with * 100 <= without * 101);
    *(volatile u64 *)(WORDS + 5 * 8) = 1;
    EQ(xok_pred_touch(WORDS + 5 * 8), 0); // wakes the twenty that wait for it
    u64 awake = 0;
    for (u64 i = 0; i < SLEEPERS; i++)
        awake += STATE(sleeping[i]) == XOK_ENV_READY;
    EQ(awake, 20);
    for (u64 i = 0; i < SLEEPERS; i++)
        bad += xok_env_free(ROOT, sleeping[i]) != 0;
    EQ(bad, 0);
    EQ(XOK_PAGES[XOK_PTE_PPN(*XOK_PTE(WORDS))].pins, 0);
    child_free(&b);
}

static void life(void)
{
    struct xok_env_setup s = child_setup(KIT + 5 * PAGE);
    s.guardian = 0;
    struct xok_regs r = {.rip = (u64)dies, .rsp = KIT + 9 * PAGE - 8, .rflags = 2};
    kit_make(KIT + 5 * PAGE);
    u32 id;
    COST("env: alloc, link, setup, cap, regs, slot, run, free itself", 5200, ({
             id = xok_env_alloc(ROOT, 0);
             struct xok_pt_op link = {0, XOK_PTE_W, 0, 1, XOK_PT_LINK, 4, 0, 0};
             xok_pt_batch(ROOT, id, &link, 1);
             xok_env_setup(ROOT, id, &s);
             xok_cap_copy(ROOT, ROOT, id, XOK_ALL, ROOT);
             xok_env_regs(ROOT, id, &r, 1);
             xok_slot_alloc(ROOT, id, 0, XOK_SLOT_ANY);
             xok_env_run(ROOT, id);
             xok_yield(id);
         }));
    EQ(STATE(id), XOK_ENV_FREE);
}

static void copies(void)
{
    s64 base = xok_page_alloc(ROOT, XOK_PAGE_ANY, 1);
    map(DATA, base, 1, XOK_PTE_W | XOK_PTE_NX);
    for (int i = 1; i < 64; i++)
        map(DATA + i * PAGE, base, 1, XOK_PTE_W | XOK_PTE_NX);
    struct xok_pt_op copy = {DATA, 0x200, XOK_PTE_W, 64, XOK_PT_COPY, 1, XOK_PT_CREATE, 0};
    u32 id = xok_env_alloc(ROOT, 0);
    COST("copy 64 entries to another space", 6200, xok_pt_batch(ROOT, id, &copy, 1));
    COST("space of 64 copied entries, made and freed", 9600, ({
             u32 e = xok_env_alloc(ROOT, 0);
             xok_pt_batch(ROOT, e, &copy, 1);
             xok_env_free(ROOT, e);
         }));
    struct xok_pt_op three[3] = {copy, copy, copy};
    three[0].count = three[1].count = three[2].count = 20;
    COST("three copies of 20 entries", 7000, xok_pt_batch(ROOT, id, three, 3));
    xok_env_free(ROOT, id);
    struct xok_pt_op prot = {DATA, 0, XOK_PTE_W, 1, XOK_PT_MOD, 1, 0, 0};
    COST("protect and unprotect a page", 790, ({
             prot.pte = 0, prot.clear = XOK_PTE_W;
             xok_pt_batch(ROOT, 0, &prot, 1);
             prot.pte = XOK_PTE_W, prot.clear = 0;
             xok_pt_batch(ROOT, 0, &prot, 1);
         }));
    prot.count = 64;
    COST("protect and unprotect 64 pages", 6400, ({
             prot.pte = 0, prot.clear = XOK_PTE_W;
             xok_pt_batch(ROOT, 0, &prot, 1);
             prot.pte = XOK_PTE_W, prot.clear = 0;
             xok_pt_batch(ROOT, 0, &prot, 1);
         }));
}

static void test(void)
{
    struct xok_env_setup s;
    u32 me = XOK_INFO->cpu[0].env;
    adult();
    s = child_setup(KIT);
    s.guardian = 0;
    s.entry[XOK_UP_FAULT] = (u64)skip_stub;
    EQ(xok_env_setup(ROOT, 0, &s), 0);
    page_new(DATA + 0x100000);
    COST("two time stamps", 10, (void)0);
    COST("null call", 96, xok_env_app(0, 0, 0));
    COST("wake of nobody", 100, xok_wake(0xffff0001));
    COST("fault upcall and return", 160, fault());
    COST("page: alloc, free", 570, ({
             s64 p = xok_page_alloc(ROOT, XOK_PAGE_ANY, 1);
             xok_page_free(ROOT, p, 1);
         }));
    COST("page: alloc, map, unmap, free", 1620, ({
             s64 p = xok_page_alloc(ROOT, XOK_PAGE_ANY, 1);
             map(DATA + 0x101000, p, 1, XOK_PTE_W | XOK_PTE_NX);
             unmap(DATA + 0x101000, 1);
             xok_page_free(ROOT, p, 1);
         }));
    copies();
    life();
    switches(me);
    transfers(me);
    sleepers(me);
}
