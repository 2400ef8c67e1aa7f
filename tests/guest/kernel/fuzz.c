// Random and nearly valid calls, made of include/xok/syscalls.def, by tenants with few rights on all
// processors at once. The first environment supervises: it brings back to life what dies, and in the end
// takes everything from the tenants and looks whether the accounts are even and its own memory is as it was.
//
// The boot module's data part, if any, is a decimal number of calls to make; else CALLS_DEFAULT.
#include "child.h"
#include "libxok/revoke.h"
#include "xok/pct.h"
#include "xok/region.h"
#ifndef FUZZ_CALLS
#define FUZZ_CALLS 200000
#endif

#define ARENA (1ul << 39) // a tenant's own memory: 4 pages to play with, then those below
#define CTL (ARENA + 4 * PAGE)
#define UPCALL (ARENA + 5 * PAGE)
#define EXC (ARENA + 6 * PAGE)
#define STACK (ARENA + 7 * PAGE)
#define RECORD (ARENA + 9 * PAGE)
#define OURS 0x60000000ul // records, and control pages, as the supervisor sees them
#define PATTERN 0x70000000ul
enum { TENANTS = 4, PATTERN_PAGES = 32, TENANT_SLOT = 10, RECORD_WORDS = 192, LIFE = 4000 };

static const struct call {
    u16 number;
    const char *args;
} calls[] = {
#define SYSCALL(number, name, argc, args, cap, bound, text) {number, args},
#include "xok/syscalls.def"
#undef SYSCALL
};
static const char *const call_names[] = {
#define SYSCALL(number, name, argc, args, cap, bound, text) [number] = #name,
#include "xok/syscalls.def"
};
enum { CALLS = sizeof calls / sizeof calls[0] };

struct record { // written by the tenant; nothing rests on it
    volatile u64 calls, last, good;
    volatile u64 longest[RECORD_WORDS];
};

// ---- the tenant: runs on its stack and registers alone ---------------------------------------------------
struct fuzz {
    u64 seed, pages[8], envs[8];
    struct record *record;
};

static u64 rnd(struct fuzz *f)
{
    f->seed ^= f->seed << 13, f->seed ^= f->seed >> 7, f->seed ^= f->seed << 17;
    return f->seed;
}

static u64 pick_page(struct fuzz *f)
{
    u64 r = rnd(f);
    switch (r & 7) {
    case 0: return r >> 8;
    case 1: return (r >> 8) % XOK_INFO->page_count;
    case 2: return XOK_PAGE_ANY;
    case 3: return XOK_INFO->page_count - (r >> 8 & 1);
    default: return f->pages[r >> 8 & 7];
    }
}

static u64 pick_env(struct fuzz *f)
{
    u64 r = rnd(f);
    switch (r & 7) {
    case 0: return r >> 8;
    case 1: return XOK_ENVS[(r >> 8) % XOK_INFO->env_high].id;
    case 2: return f->envs[r >> 8 & 7] ^ 1ul << (r >> 16 & 63);
    case 3: case 4: return f->envs[r >> 8 & 7];
    default: return 0;
    }
}

static u64 pick_address(struct fuzz *f)
{
    u64 r = rnd(f);
    switch (r & 15) {
    case 0: return r >> 4;
    case 1: return XOK_INFO_VA + (r >> 8 & 0xffff);
    case 2: return 0xffff800000000000 + (r >> 8 & 0xffffff8);
    case 3: return (u64)XOK_PTE(ARENA) + (r >> 8 & 0xff8);
    case 4: return XOK_USER_END - (r >> 8 & 0xfff);
    case 5: return 0x800000000000 + (r >> 8 & 0xffff8);
    case 6: return (u64)text_begin + (r >> 8 & 0xfff);
    case 7: return ARENA + 4 * PAGE - (r >> 8 & 0xff); // ends where the library's pages begin
    case 8: return ARENA + 8 * PAGE + (r >> 8 & 0xff8);
    default: return ARENA + (r >> 8 & 0x3ff8);
    }
}

static u64 pick_number(struct fuzz *f)
{
    u64 r = rnd(f);
    switch (r & 15) {
    case 0: return r >> 4;
    case 1: return 1ul << (r >> 8 & 63);
    case 2: return (1ul << (r >> 8 & 63)) - 1;
    case 3: return -(r >> 8 & 15);
    case 4: return pick_page(f);
    case 5: return pick_address(f);
    case 6: return ARENA + (r >> 8 & 0x1f) * PAGE;
    case 7: return XOK_RANGE(r >> 8 & 0xfff, r >> 24 & 0x3f);
    case 8: return (u64)XOK_ACL(r >> 8 & 0x1f, r >> 16 & 15);
    case 9: return (u64)(r >> 8 & 0x1f) << 32 | (r >> 16 & 0x1f);
    default: return r >> 8 & 7;
    }
}

static void fill_ops(struct fuzz *f, struct xok_pt_op *o, int n)
{
    for (; n--; o++) {
        u64 r = rnd(f);
        o->va = r & 7 ? ARENA + (r >> 8 & 0x3ff) * PAGE * (r & 64 ? 512 : 1) : pick_address(f);
        o->pte = (r & 8 ? pick_page(f) << 12 | (rnd(f) & 0x8ff0000000000fff) : rnd(f)) | (r & 48 ? 1 : 0);
        o->clear = r & 16 ? rnd(f) : XOK_PTE_W;
        o->count = r & 32 ? 1 + (r >> 40 & 7) : pick_number(f);
        o->kind = (r >> 48) % 7, o->level = (r >> 52 & 3) ? 1 : r >> 54 & 7, o->flags = r >> 58 & 1, o->pad = 0;
    }
}

static void fill(struct fuzz *f, u64 number, void *at)
{
    u64 *word = at;
    for (int i = 0; i < 64; i++)
        word[i] = pick_number(f);
    if (number == 16)
        fill_ops(f, at, 6);
    if (number == 25) {
        struct xok_env_setup *s = at;
        *s = (struct xok_env_setup){CTL, UPCALL, EXC, (u64)text_begin, (u64)text_end, 0, {0}, 0, 0};
        if (rnd(f) & 3)
            word[rnd(f) % (sizeof *s / 8)] = pick_address(f);
    }
    if (number == 26) {
        struct xok_regs *r = at;
        r->rip = rnd(f) & 1 ? (u64)text_begin : pick_address(f);
        r->fsbase = r->gsbase = 0;
    }
    if (number == 45)
        for (int i = 0; i < 32; i++)
            ((struct xok_pred_term *)at)[i] = (struct xok_pred_term){pick_address(f) & ~7ul, rnd(f), rnd(f) % 6, rnd(f) & 1, 0, i};
}

// What the call would usually be given; ~0 - 1 where nothing is usual.
#define UNUSUAL (~0ul - 1)
static u64 usual(struct fuzz *f, u64 number, int index)
{
    u64 r = rnd(f), page = f->pages[r & 7], env = r & 3 ? f->envs[r >> 3 & 7] : 0;
    u64 name = XOK_ENVS[XOK_ENV_INDEX(((volatile struct xok_ctl *)CTL)->id)].name;
#define ARGS(...) ((const u64[6]){__VA_ARGS__})[index]
    switch (number) {
    case 1: return ARGS(0, r >> 8 & 3, 15, 2 + (r >> 12) % 30);
    case 2: return ARGS(0, 0, env, 15, 2 + (r >> 12) % 30);
    case 3: return ARGS(2 + (r >> 12) % 30);
    case 4: return ARGS(0, r >> 8 & 3, r >> 12 & 7, r >> 16 & 15);
    case 5: return ARGS(0, r >> 8 & 3);
    case 8: return ARGS(0, r & 8 ? XOK_PAGE_ANY : page, 1);
    case 9: return ARGS(0, page, 1);
    case 10: return ARGS(0, page, 1 + (r >> 8) % 3, XOK_ACL(r & 16 ? name : (r >> 20) % 20, r >> 12 & 15));
    case 11: return ARGS(0, page, (r >> 8) % XOK_INFO->page_count, 64);
    case 12: return ARGS(0, env, page, (r >> 8) % XOK_INFO->page_count, 64);
    case 13: return ARGS(0, page, (r >> 8) % 3);
    case 17: return ARGS(0, page, r >> 8 & 1);
    case 18: return ARGS(0, page, r >> 8 & 3, XOK_RANGE(512 + (r >> 12 & 0xff0), r >> 24 & 31), name << 32 | name);
    case 19: case 20: return ARGS(0, page, r >> 8 & 3, ARENA, XOK_RANGE(r >> 12 & 7, r >> 20 & 15));
    case 24: return ARGS(0, r & 8 ? 0 : env);
    case 25: case 26: case 16: return index < 2 ? ARGS(0, env) : index == 3 ? 1 + (r >> 8 & 3) : UNUSUAL;
    case 27: case 28: return ARGS(0, env);
    case 29: return ARGS(0, env, r >> 8 & 15);
    case 32: return ARGS(0, env, r & 16 ? ARENA : 0, 1ul << 39);
    case 33: return ARGS(0, r >> 8 & 1);
    case 34: return r & 16 ? ARENA + (r >> 8 & 3) * PAGE : 0;
    case 36: return ARGS(0, env, 0, 1);
    case 40: return ARGS(0, env, r >> 8 & 1, r & 16 ? XOK_SLOT_ANY : r >> 12 & 15);
    case 41: return ARGS(0, r >> 8 & 1, r >> 12 & 15);
    case 42: case 44: return XOK_ENVS[(r >> 8) % XOK_INFO->env_high].id;
    case 43: return index ? XOK_ENVS[(r >> 8) % XOK_INFO->env_high].id : 1;
    default: return UNUSUAL;
    }
}

static u64 argument(struct fuzz *f, const char **list, u64 number, int index)
{
    const char *s = *list;
    while (*s == ' ' || *s == ',')
        s++;
    const char *kind = s;
    while (*s && *s != ',')
        s++;
    *list = s;
    u64 value = rnd(f) & 3 ? usual(f, number, index) : UNUSUAL;
    if (value != UNUSUAL)
        return value;
    if (!*kind || !(rnd(f) & 255))
        return pick_number(f);
    if (kind[0] == 'c')
        return rnd(f) & 7 ? 0 : rnd(f) & 63;
    if (kind[0] == 'e')
        return pick_env(f);
    if (kind[0] == 'p') {
        u64 at = rnd(f) & 7 ? ARENA + (rnd(f) & 0x7f8) : pick_address(f);
        if (at >= ARENA && at < ARENA + PAGE)
            fill(f, number, (void *)at);
        return at;
    }
    return index == 1 && number >= 8 && number < 21 ? pick_page(f) : pick_number(f);
}

// What ends, blocks or is slow comes less often.
static u64 seldom(struct fuzz *f, u64 number)
{
    switch (number) {
    case 28: return rnd(f) & 3;  // env_free
    case 43: return rnd(f) & 31;  // sleep
    case 59: return rnd(f) & 1023; // log
    case 129: return rnd(f) & 31; // pct_reply
    case 25: case 32: return rnd(f) & 7; // env_setup, space_clear
    default: return 0;
    }
}

static s64 invoke(u64 number, const u64 *a)
{
    register u64 rax __asm__("rax") = number, rdi __asm__("rdi") = a[0], rsi __asm__("rsi") = a[1];
    register u64 rdx __asm__("rdx") = a[2], r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    __asm__ volatile("push %%rbx\n push %%rbp\n syscall\n pop %%rbp\n pop %%rbx"
                     : "+r"(rax), "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(r10), "+r"(r8), "+r"(r9)
                     : : "rcx", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    return rax;
}

static void tenant(u64 seed)
{
    struct fuzz f = {.seed = seed * 0x9e3779b97f4a7c15 + 1, .record = (struct record *)RECORD};
    for (u64 n = 0; n < LIFE; n++) { // then it has perhaps no capability any more
        const struct call *c = &calls[rnd(&f) % CALLS];
        const char *args = c->args;
        u64 a[6], number = rnd(&f) & 63 ? c->number : pick_number(&f);
        if (seldom(&f, number))
            continue;
        for (int i = 0; i < 6; i++)
            a[i] = argument(&f, &args, c->number, i);
        if (number == 3 && !a[0] && rnd(&f) & 1023) // without it nothing works any more
            continue;
        f.record->last = number;
        u64 from = __builtin_ia32_rdtsc();
        s64 r = invoke(number, a);
        u64 took = __builtin_ia32_rdtsc() - from;
        if (number < RECORD_WORDS && took > f.record->longest[number])
            f.record->longest[number] = took;
        f.record->calls++;
        f.record->good += r >= 0;
        if (number == 8 && r > 0)
            f.pages[rnd(&f) & 7] = r;
        if (number == 24 && r > 0)
            f.envs[rnd(&f) & 7] = r;
    }
    for (;;)
        xok_env_free(31, 0), xok_env_free(0, 0), xok_sleep(1, 0);
}

// ---- another tenant: computes the same again and again, in its own memory, and must not notice anything -------
static void worker(u64 seed)
{
    struct record *r = (struct record *)RECORD;
    u64 *table = (u64 *)ARENA;
    for (;;) {
        u64 x = seed, sum = 0;
        for (u64 i = 0; i < 4 * PAGE / 8; i++)
            x ^= x << 13, x ^= x >> 7, x ^= x << 17, table[i] = x;
        for (u64 k = 0; k < 20000; k++) {
            u64 *a = &table[x % (4 * PAGE / 8)];
            x = x * 6364136223846793005 + *a;
            *a ^= x;
            sum += x;
        }
        if (r->calls && r->good != sum)
            r->last++;
        r->good = sum;
        r->calls++;
    }
}

// ---- the supervisor ------------------------------------------------------------------------------------------
static struct life {
    u32 env, name, deaths;
    u64 seed, seen, since, counted, total; // counted: of the record's calls, which the tenant may spoil
    struct record *record;
    struct xok_ctl *ctl;
} life[TENANTS + 1]; // the last one works
static u64 record_page[TENANTS + 1];

static s64 map_in(u32 env, u64 slot, u64 va, u64 ppn, u64 count, u64 bits)
{
    struct xok_pt_op op = {va, ppn << 12 | XOK_PTE_P | bits, 0, count, XOK_PT_SET, 1, XOK_PT_CREATE, 0};
    return xok_pt_batch(slot, env, &op, 1);
}

// Is `name` the tenant's, or below it?
static int below(u32 name, u32 top)
{
    for (; name; name = XOK_NAMES[name].parent)
        if (name == top)
            return 1;
    return 0;
}

static void page_back(u64 p)
{
    for (int i = 1; i < XOK_PAGE_ACL; i++)
        xok_page_acl(ROOT, p, i, 0);
    if (XOK_PAGES[p].type == XOK_PAGE_REGION)
        xok_region_page(ROOT, p, 0);
    if (XOK_PAGES[p].refs)
        revoke_unshare(ROOT, p);
    xok_page_free(ROOT, p, 1);
}

static void reap(struct life *l)
{
    unmap(OURS + 0x100000 + (l - life) * PAGE, 1); // its control page, as we see it
    for (u32 i = 1; i < XOK_INFO->env_high; i++)
        if (XOK_ENVS[i].id && below(XOK_ENVS[i].name, l->name))
            xok_env_free(ROOT, XOK_ENVS[i].id);
    for (u64 p = 0; p < XOK_INFO->page_count; p++) {
        u8 type = XOK_PAGES[p].type;
        if ((type == XOK_PAGE_USER || type == XOK_PAGE_SEIZED || type == XOK_PAGE_REGION) &&
            below(XOK_ACL_NAME(XOK_PAGES[p].acl[0]), l->name))
            page_back(p);
    }
}

static int born(u32 i)
{
    struct life *l = &life[i];
    u64 slot = TENANT_SLOT + i;
    s64 e = xok_env_alloc(slot, 0);
    if (e < 0)
        return 0;
    l->env = e;
    int ok = 1;
    for (u64 va = (u64)text_begin & ~(PAGE - 1); va < (u64)image_end; va += PAGE) { // its text and constants, ours to change
        u64 pte = *XOK_PTE(va);
        if (!(pte & XOK_PTE_W))
            ok &= map_in(e, ROOT, va, XOK_PTE_PPN(pte), 1, pte & XOK_PTE_NX) == 1;
    }
    for (u64 va = ARENA; va < ARENA + 9 * PAGE; va += PAGE) {
        s64 p = xok_page_alloc(slot, XOK_PAGE_ANY, 1);
        ok &= p > 0 && map_in(e, slot, va, p, 1, XOK_PTE_W) == 1;
        if (va == CTL) {
            l->ctl = (struct xok_ctl *)(OURS + 0x100000 + i * PAGE);
            ok &= map((u64)l->ctl, p, 1, XOK_PTE_W) == 1;
            memset(l->ctl, 0, PAGE);
        }
    }
    ok &= map_in(e, ROOT, RECORD, record_page[i], 1, XOK_PTE_W) == 1;
    struct xok_env_setup s = {CTL, UPCALL, EXC, (u64)text_begin, (u64)text_end, (u64)text_begin, {0}, XOK_ENV_KSAVE, 0};
    l->seed = l->seed * 6364136223846793005 + 1442695040888963407;
    struct xok_regs r = {.rip = i == TENANTS ? (u64)worker : (u64)tenant, .rdi = l->seed >> 16, .rsp = STACK + 2 * PAGE - 8, .rflags = 2};
    ok &= !xok_env_setup(ROOT, e, &s) && !xok_env_regs(ROOT, e, &r, 1) && !xok_cap_copy(slot, ROOT, e, XOK_ALL, 0) &&
          !xok_cap_copy(slot, ROOT, e, XOK_R, 1) && xok_slot_alloc(ROOT, e, (i + 1) % XOK_INFO->cpu_count, XOK_SLOT_ANY) >= 0 &&
          !xok_env_run(ROOT, e);
    l->seen = l->record->calls, l->since = 0;
    return ok;
}

// A tenant that does not go on, whatever it did to itself, is replaced.
static void care(u32 i)
{
    struct life *l = &life[i];
    u8 state = STATE(l->env);
    u64 calls = l->record->calls, more = calls - l->counted;
    l->total += more < LIFE + 1 ? more : 0;
    l->counted = calls;
    if (XOK_ENVS[XOK_ENV_INDEX(l->env)].id == l->env && state == XOK_ENV_ASLEEP) {
        l->ctl->event = 1;
        xok_wake(l->env);
    }
    if (XOK_ENVS[XOK_ENV_INDEX(l->env)].id == l->env && state == XOK_ENV_READY && calls != l->seen) {
        l->seen = calls, l->since = 0;
        return;
    }
    if (l->since++ < 3 && XOK_ENVS[XOK_ENV_INDEX(l->env)].id == l->env && state != XOK_ENV_DEAD)
        return;
    l->deaths++;
    reap(l);
    if (!born(i)) { // something of its is held by another
        for (u32 k = 0; k < TENANTS; k++)
            reap(&life[k]);
        for (u32 k = 0; k < TENANTS; k++)
            EQ(born(k), 1);
    }
}

static void test(void)
{
    u64 total = 0, self_map = 0;
    adult();
    for (int i = 0; i < PATTERN_PAGES; i++) {
        page_new(PATTERN + i * PAGE);
        for (u64 w = 0; w < PAGE / 8; w++)
            ((u64 *)(PATTERN + i * PAGE))[w] = w * 0x9e3779b97f4a7c15 ^ i;
        self_map ^= XOK_PTE_PPN(*XOK_PTE(PATTERN + i * PAGE)) * (i + 1);
    }
    static const u32 limits[] = {[XOK_RES_PAGES] = 60, [XOK_RES_PTPAGES] = 60, [XOK_RES_ENVS] = 5, [XOK_RES_SLOTS] = 6,
                                 [XOK_RES_NAMES] = 12, [XOK_RES_PREDS] = 4, [XOK_RES_FILTERS] = 4, [XOK_RES_RINGS] = 4};
    for (u32 i = 0; i <= TENANTS; i++) {
        EQ(xok_cap_forge(ROOT, 1000 + i, XOK_ALL, TENANT_SLOT + i), 0);
        s64 p = xok_page_alloc(TENANT_SLOT + i, XOK_PAGE_ANY, 1);
        life[i].name = XOK_ACL_NAME(XOK_PAGES[p].acl[0]);
        EQ(xok_page_free(ROOT, p, 1), 0);
        for (u32 r = 0; r < sizeof limits / sizeof limits[0]; r++)
            EQ(xok_cap_quota(ROOT, 1000 + i, r, limits[r]), 0);
        life[i].record = (struct record *)(OURS + i * PAGE);
        record_page[i] = page_new((u64)life[i].record);
        life[i].seed = i + 1;
        EQ(born(i), 1);
    }
    u64 free = XOK_INFO->pages_free, names = XOK_INFO->name_high;
    const struct record *work = life[TENANTS].record;
    while (total < FUZZ_CALLS || work->calls < 20) {
        total = 0;
        for (u32 i = 0; i < TENANTS; i++) {
            care(i);
            total += life[i].total;
        }
        xok_yield(0);
    }
    EQ(STATE(life[TENANTS].env), XOK_ENV_READY);
    CHECK(work->calls >= 20);
    EQ(work->last, 0); // its results were all the same
    for (u32 i = 0; i <= TENANTS; i++)
        reap(&life[i]);
    for (u32 i = 0; i <= TENANTS; i++)
        reap(&life[i]); // what others held
    for (u32 i = 0; i <= TENANTS; i++) {
        say("tenant # ", "", life[i].deaths, life[i].total);
        say("good # ", "", life[i].record->good, 0);
        for (u32 r = 0; r < XOK_RES_COUNT; r++)
            if (XOK_NAMES[life[i].name].used[r])
                say("not ok ", "left in use # ", r, XOK_NAMES[life[i].name].used[r]);
    }
    for (u32 k = 0; k < sizeof call_names / sizeof call_names[0]; k++) {
        u64 longest = 0;
        for (u32 i = 0; i < TENANTS; i++)
            longest = life[i].record->longest[k] > longest ? life[i].record->longest[k] : longest;
        if (call_names[k])
            say("longest ", call_names[k], k, longest);
    }
    u64 wrong = 0;
    for (int i = 0; i < PATTERN_PAGES; i++) {
        for (u64 w = 0; w < PAGE / 8; w++)
            wrong += ((u64 *)(PATTERN + i * PAGE))[w] != (w * 0x9e3779b97f4a7c15 ^ i);
        self_map ^= XOK_PTE_PPN(*XOK_PTE(PATTERN + i * PAGE)) * (i + 1);
        wrong += XOK_PAGES[XOK_PTE_PPN(*XOK_PTE(PATTERN + i * PAGE))].refs != 1;
    }
    EQ(wrong, 0);
    EQ(self_map, 0);
    EQ(XOK_INFO->env_count, 1);
    CHECK(XOK_INFO->pages_free + 256 > free); // exposed records, spare tables
    CHECK(XOK_INFO->name_high < names + 4 * 16);
    CHECK(total >= FUZZ_CALLS);
}
