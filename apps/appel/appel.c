// Appel and Li's benchmark of virtual memory for user programs (ASPLOS 1991; thesis 3, table of Aegis) as a
// native program: what a garbage collector or a shared virtual memory would do, without a system in between.
// Run under -icount, where the time stamp counter counts instructions.
#include "apps/tiny/tiny.h"

enum { PAGES = 100, ROUNDS = 8 };
static u8 *area;
static u64 order[PAGES], traps;
static int unprotects;
static s64 protects_next = -1; // page to protect in the handler, -1: none

// Sets or clears W of n pages.
static void protection(u64 page, u64 n, int writable)
{
    struct xok_pt_op op = {.va = (u64)area + page * PAGE, .pte = writable ? XOK_PTE_W : 0, .clear = writable ? 0 : XOK_PTE_W,
                           .count = n, .kind = XOK_PT_MOD, .level = 1};
    xok_pt_batch(TINY_CAP, 0, &op, 1);
}

static int handler(u64 addr, u64 error, struct xok_frame *f)
{
    (void)f;
    if (!(error & 1))
        return 0; // not there yet: the library's
    traps++;
    u64 page = (addr - (u64)area) / PAGE;
    if (unprotects && protects_next >= 0) { // appel1: both in one call
        struct xok_pt_op op[2] = {
            {.va = (u64)area + page * PAGE, .pte = XOK_PTE_W, .count = 1, .kind = XOK_PT_MOD, .level = 1},
            {.va = (u64)area + protects_next * PAGE, .clear = XOK_PTE_W, .count = 1, .kind = XOK_PT_MOD, .level = 1}};
        xok_pt_batch(TINY_CAP, 0, op, 2);
    } else if (unprotects) {
        protection(page, 1, 1);
    } else {
        f->rip += 3; // trap alone: behind the store
    }
    return 1;
}

static u64 stamps;
static u64 now(void) { return __builtin_ia32_rdtsc(); }
static void report(const char *what, u64 each, u64 limit) { tiny_say(what - (each <= limit ? 0 : 4), each, limit); }
#define NAME(s) ("not ok " s + 4)

// A store of three bytes, so that the handler can skip it.
static void touch(u64 page) { __asm__ volatile("mov %%cl, (%0)\n nop" : : "a"(area + page * PAGE), "c"(1) : "memory"); }

#define LEAST(each, step)                           \
    ({                                              \
        u64 least_ = ~0ul;                          \
        for (int i_ = 0; i_ < ROUNDS; i_++) {       \
            u64 from_ = now();                      \
            step;                                   \
            u64 took_ = (now() - from_) / (each);   \
            least_ = took_ < least_ ? took_ : least_; \
        }                                           \
        least_;                                     \
    })

void tiny_main(void)
{
    area = (u8 *)(((u64)tiny_alloc((PAGES + 1) * PAGE) + PAGE - 1) & ~(PAGE - 1));
    for (u64 i = 0; i < PAGES; i++) {
        area[i * PAGE] = 1;
        order[i] = (i * 37 + 11) % PAGES; // every page once, in no order
    }
    tiny_fault = handler;
    stamps = LEAST(1, (void)0);

    report(NAME("dirty"), LEAST(PAGES, for (u64 i = 0; i < PAGES; i++) traps += *XOK_PTE((u64)area + order[i] * PAGE) >> 6 & 1), 30);
    traps = 0;
    report(NAME("prot1"), LEAST(PAGES, for (u64 i = 0; i < PAGES; i++) protection(order[i], 1, 0)), 420);
    report(NAME("unprot100, each page"), LEAST(PAGES, protection(0, PAGES, 1)), 60);
    report(NAME("prot100, each page"), LEAST(PAGES, (protection(0, PAGES, 1), protection(0, PAGES, 0))), 120);
    u64 before = traps;
    report(NAME("trap"), LEAST(PAGES, for (u64 i = 0; i < PAGES; i++) touch(order[i])), 220);
    tiny_say(traps == before + PAGES * ROUNDS ? "ok each store trapped" : "not ok traps", traps, before);
    // appel1: in the handler of a store to a protected page, unprotect it and protect another
    unprotects = 1;
    protection(0, PAGES, 0);
    protection(order[PAGES - 1], 1, 1);
    before = traps;
    report(NAME("appel1: trap, unprot, prot1"), LEAST(PAGES, for (u64 i = 0; i < PAGES; i++) {
               protects_next = order[(i + PAGES - 1) % PAGES];
               touch(order[i]);
           }), 850);
    tiny_say(traps == before + PAGES * ROUNDS ? "ok each store trapped" : "not ok traps", traps, before);
    // appel2: protect all in one call; each store traps and is unprotected
    protects_next = -1;
    before = traps;
    report(NAME("appel2: protN, trap, unprot"), LEAST(PAGES, {
               protection(0, PAGES, 0);
               for (u64 i = 0; i < PAGES; i++)
                   touch(order[i]);
           }), 600);
    tiny_say(traps == before + PAGES * ROUNDS ? "ok each store trapped" : "not ok traps", traps, before);
}
