// What XN's paths cost, in instructions (under -icount the time stamp counter counts them), and how
// it scales.
#include "diskkit.h"

enum { ROUNDS = 16 };
static void cost(const char *what, u64 each, u64 limit)
{
    say(each <= limit ? "ok cost " : "not ok cost ", what, each, limit);
}
static u64 stamps;
#define COST(what, limit, per, step)                                                               \
    do {                                                                                           \
        u64 least_ = ~0ul;                                                                         \
        for (int i_ = 0; i_ < ROUNDS; i_++) {                                                      \
            u64 from_ = __builtin_ia32_rdtsc();                                                    \
            step;                                                                                  \
            u64 took_ = __builtin_ia32_rdtsc() - from_;                                            \
            least_ = took_ < least_ ? took_ : least_;                                              \
        }                                                                                          \
        cost(what, (least_ - stamps) / (per), limit);                                              \
        if (!stamps)                                                                               \
            stamps = least_;                                                                       \
    } while (0)

static void test(void)
{
    static struct xok_io o[BIG];
    ctl = adult();
    EQ(until(xok_disk_format, 0), 0);
    EQ(until(xok_disk_mount, 0), 0);
    toy_dir = template(ROOT, "toy.dir", 150, false);
    EQ(root(ROOT, 0, "toy", ROOT_BLOCK, XOK_ROOT_CREATE), 0);
    EQ(IO(NEW, ROOT_BLOCK, XOK_DISK(0)->root[0].parent, 0, 0), 0);
    COST("time stamp", 100, 1, (void)0);
    struct toy_slot s = {.block = 0};
    struct xok_mod m = {.data = (u64)&s, .off = SLOT_AT(0), .len = sizeof s};
    struct xok_change c = {.block = {ROOT_BLOCK}, .blocks = 1, .mods = 1, .mod = (u64)&m};
    COST("call that does nothing", 600, 1, xok_disk_io(ROOT, 0, o, 0, &done));
    COST("change of one part, nothing owned", 3000, 1, xok_disk_change(ROOT, &c));
    m.off = 0, m.len = 64;
    COST("change of the head: all 63 parts", 60000, 1, xok_disk_change(ROOT, &c));
    u32 n = 0;
    COST("allocation of one block", 4000, 1,
         (alloc(ROOT, ROOT_BLOCK, n, 300 + n, 1, XOK_T_DATA), n++));
    n = 0;
    struct toy_slot none = {0};
    COST("free of one block", 4000, 1,
         (set(ROOT, ROOT_BLOCK, n, none,
              (struct xok_claim){
                  .block = 300 + n, .count = 1, .kind = XOK_FREE, .type = XOK_T_DATA}),
          n++));
    EQ(alloc(ROOT, ROOT_BLOCK, 0, 1024, BIG, XOK_T_DATA), 0);
    for (u32 i = 0; i < BIG; i++)
        o[i] = (struct xok_io){.block = 1024 + i,
                               .parent = ROOT_BLOCK,
                               .ppn = page_new(BUF + i * PAGE),
                               .at = SLOT_AT(0),
                               .op = XOK_IO_NEW};
    u64 from = __builtin_ia32_rdtsc();
    EQ(xok_disk_io(ROOT, 0, o, BIG, &done), BIG);
    cost("block into the registry", (__builtin_ia32_rdtsc() - from) / BIG, 500);
    for (u32 i = 0; i < BIG; i++)
        o[i].op = XOK_IO_WRITE;
    from = __builtin_ia32_rdtsc();
    EQ(xok_disk_io(ROOT, 0, o, BIG, &done), BIG);
    cost("block to the device", (__builtin_ia32_rdtsc() - from) / BIG, 500);
}
