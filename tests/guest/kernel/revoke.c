// Taking back: mappings after an access list has changed, pages by asking and by force, names by subtree;
// protected regions.
#include "child.h"
#include "libxok/revoke.h"
#include "xok/region.h"

#define TENANT 5 // slot with the tenant's name
#define AT 0x50000000ul
static u32 me, tenant_name;

extern u8 revoke_stub[], hole_stub[];
volatile u64 revoke_count, revoke_addr, revoke_error, holes;
__asm__("revoke_stub:\n"
        "  push %rax\n"
        "  mov 16(%rsp), %rax\n  mov %rax, revoke_addr\n"
        "  mov 24(%rsp), %rax\n  mov %rax, revoke_error\n"
        "  lock incq revoke_count\n"
        "  mov %fs:0, %rax\n"
        "  movq $0, 112(%rax)\n"
        "  pop %rax\n"
        "  lea 24(%rsp), %rsp\n"
        "  iretq\n"
        "hole_stub:\n" // a fault: counted; the load gets 0 and goes on behind itself (3 bytes)
        "  lock incq holes\n"
        "  addq $3, 24(%rsp)\n"
        "  xor %eax, %eax\n"
        "  lea 24(%rsp), %rsp\n"
        "  iretq\n");

static volatile u64 poke, value;
static void reads(u64 va) // on demand, in another space
{
    for (;;) {
        u64 v;
        __asm__ volatile("mov (%1), %0" : "=a"(v) : "b"(va)); // 3 bytes
        value = v;
        poke++;
        xok_sleep(0, 0);
    }
}

// An environment of the tenant's: its own space and name, the root's program.
static struct child tenant_new(u32 n, void (*fn)(u64), u64 arg)
{
    struct child c = {.kit = KIT + n * 5 * PAGE};
    c.ctl = (struct xok_ctl *)c.kit;
    kit_make(c.kit);
    c.env = xok_env_alloc(TENANT, 0);
    struct xok_pt_op link = {0, XOK_PTE_W, 0, 1, XOK_PT_LINK, 3, XOK_PT_CREATE, 0}; // its own root entry
    CHECK(xok_pt_batch(ROOT, c.env, &link, 1) == 1);
    struct xok_env_setup s = child_setup(c.kit);
    s.entry[XOK_UP_REVOKE] = (u64)revoke_stub, s.entry[XOK_UP_FAULT] = (u64)hole_stub;
    struct xok_regs r = {.rip = (u64)fn, .rdi = arg, .rsp = c.kit + 4 * PAGE - 8, .rflags = 2, .fsbase = c.kit + 2048};
    CHECK(xok_env_setup(ROOT, c.env, &s) == 0);
    CHECK(xok_cap_copy(TENANT, ROOT, c.env, XOK_ALL, 0) == 0);
    CHECK(xok_env_regs(ROOT, c.env, &r, 1) == 0);
    CHECK(xok_env_run(ROOT, c.env) == 0);
    return c;
}

static s64 map_in(u32 env, u64 slot, u64 va, u64 ppn, u64 bits)
{
    struct xok_pt_op op = {va, ppn << 12 | XOK_PTE_P | bits, 0, 1, XOK_PT_SET, 1, XOK_PT_CREATE, 0};
    return xok_pt_batch(slot, env, &op, 1);
}

static void poke_it(const struct child *c)
{
    u64 n = poke;
    c->ctl->event = 1;
    xok_wake(c->env);
    c->ctl->event = 0;
    RUN_UNTIL(*c, poke != n && STATE(c->env) == XOK_ENV_ASLEEP);
}

// Share a page with the tenant, take the share back: its mapping is gone, ours stays.
static void unshare(const struct child *c, u64 va)
{
    u64 p = page_new(AT);
    *(u64 *)AT = 4711;
    EQ(map_in(c->env, TENANT, va, p, 0), XOK_E_CAP);
    EQ(xok_page_acl(ROOT, p, 1, XOK_ACL(tenant_name, XOK_R)), 0);
    EQ(map_in(c->env, TENANT, va, p, XOK_PTE_W), XOK_E_CAP);
    EQ(map_in(c->env, TENANT, va, p, 0), 1);
    value = 0;
    RUN_UNTIL(*c, poke == 1);
    EQ(value, 4711);
    EQ(XOK_PAGES[p].refs, 2);
    EQ(revoke_unshare(ROOT, p), 2); // still allowed: nothing happens
    EQ(xok_page_acl(ROOT, p, 1, 0), 0);
    EQ(revoke_unshare(TENANT, p), XOK_E_CAP);
    EQ(xok_page_strip(ROOT, p, 0, 65), XOK_E_ARG);
    EQ(xok_page_strip(ROOT, p, ~0ul, 2), XOK_E_ARG);
    EQ(xok_page_strip(ROOT, ~0ul, 0, 2), XOK_E_ARG);
    EQ(revoke_unshare(ROOT, p), 1);
    holes = 0;
    poke_it(c);
    EQ(holes, 1);
    EQ(value, 0);
    EQ(*(u64 *)AT, 4711);
    page_gone(AT, p);
}

static void seize(const struct child *c, u64 va)
{
    s64 p = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
    s64 q = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
    EQ(map_in(c->env, TENANT, va, p, XOK_PTE_W), 1);
    EQ(map(AT, p, 1, XOK_PTE_W), 1); // the root may map it too
    *(u64 *)AT = 99;
    holes = 0;
    poke_it(c);
    EQ(value, 99);
    u64 used = XOK_NAMES[tenant_name].used[XOK_RES_PAGES], lost = c->ctl->lost;
    EQ(revoke_seize(TENANT, c->env, p), XOK_E_CAP); // one's equal
    EQ(revoke_seize(ROOT, me, p), XOK_E_CAP);
    EQ(revoke_seize(ROOT, c->env, XOK_PTE_PPN(*XOK_PTE(c->kit))), XOK_E_CAP); // not the tenant's
    revoke_count = 0;
    EQ(revoke_seize(ROOT, c->env, p), 0);
    EQ(XOK_PAGES[p].type, XOK_PAGE_FREE);
    EQ(XOK_NAMES[tenant_name].used[XOK_RES_PAGES], used - 1);
    EQ(c->ctl->lost, lost + 1);
    EQ(c->ctl->lost_pages[lost % XOK_LOST].page, p);
    EQ(c->ctl->lost_pages[lost % XOK_LOST].saved, 0);
    EQ(*XOK_PTE(AT), 0); // our mapping of it is gone, too
    RUN_UNTIL(*c, revoke_count == 1);
    EQ(revoke_addr, 0);
    poke_it(c);
    CHECK(holes >= 1);
    EQ(STATE(c->env), XOK_ENV_ASLEEP); // it lost a page, not its life
    (void)q;
    EQ(xok_page_free(ROOT, q, 1), 0);
}

static volatile s64 keep_result[4];
static volatile u64 keep_page, keep_save;
static void keeps(u64 arg)
{
    (void)arg;
    keep_result[0] = xok_page_keep(0, keep_page, XOK_KEEP_PAGE);
    keep_result[1] = xok_page_keep(0, keep_save, XOK_KEEP_SAVE);
    keep_result[2] = xok_page_keep(0, keep_save, XOK_KEEP_SAVE);
    keep_result[3] = xok_page_keep(0, 5, XOK_KEEP_PAGE); // not its own
    for (;;)
        xok_sleep(0, 0);
}

static void guaranteed(void)
{
    s64 p = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1), q = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
    s64 victim = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
    keep_page = p, keep_save = q;
    struct child c = tenant_new(2, keeps, 0);
    RUN(c);
    EQ(keep_result[0], 0);
    EQ(keep_result[1], 0);
    EQ(keep_result[2], XOK_E_BUSY);
    EQ(keep_result[3], XOK_E_CAP);
    EQ(XOK_NAMES[tenant_name].used[XOK_RES_KEPT], 2);
    EQ(revoke_seize(ROOT, c.env, p), XOK_E_BUSY);
    EQ(revoke_seize(ROOT, c.env, q), XOK_E_BUSY);
    EQ(xok_page_free(ROOT, q, 1), XOK_E_BUSY);
    EQ(map(AT, victim, 1, XOK_PTE_W), 1);
    *(u64 *)AT = 1234;
    EQ(revoke_seize(ROOT, c.env, victim), 0);
    EQ(c.ctl->lost_pages[0].page, victim);
    EQ(c.ctl->lost_pages[0].saved, q); // its state is in the page set aside
    EQ(map(AT, q, 1, 0), 1);
    EQ(*(u64 *)AT, 1234);
    unmap(AT, 1);
    EQ(XOK_NAMES[tenant_name].used[XOK_RES_KEPT], 1);
    EQ(xok_page_free(ROOT, q, 1), 0);
    // asked, and deaf
    EQ(xok_env_ask(TENANT, c.env, XOK_RES_PAGES, 3), XOK_E_CAP);
    EQ(xok_env_ask(ROOT, c.env, XOK_RES_COUNT, 3), XOK_E_ARG);
    EQ(xok_env_ask(ROOT, c.env, XOK_RES_PAGES, 0), XOK_E_ARG);
    revoke_count = 0;
    EQ(xok_env_ask(ROOT, c.env, XOK_RES_PAGES, 3), 0);
    RUN_UNTIL(c, revoke_count);
    EQ(revoke_addr, 3);
    EQ(revoke_error, XOK_RES_PAGES);
    c.ctl->lost = 0xffffffff; // the vector's index is the library's to spoil, not the kernel's to trust
    victim = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
    EQ(revoke_seize(ROOT, c.env, victim), 0);
    EQ(c.ctl->lost, 0);
    child_free(&c);
    EQ(XOK_NAMES[tenant_name].used[XOK_RES_KEPT], 1); // a kept page outlives the environment, and is freed
    EQ(xok_page_free(ROOT, p, 1), 0);
    EQ(XOK_NAMES[tenant_name].used[XOK_RES_KEPT], 0);
}

// ---- a subtree of names -------------------------------------------------------------------------------
static void subtree(void)
{
    EQ(xok_cap_forge(ROOT, 10, XOK_ALL, 6), 0);
    EQ(xok_cap_forge(6, 11, XOK_ALL, 7), 0);
    EQ(xok_cap_forge(7, 12, XOK_ALL, 8), 0);
    EQ(xok_cap_forge(ROOT, 13, XOK_ALL, 9), 0);
    s64 p = xok_page_alloc(8, XOK_PAGE_ANY, 1), q = xok_page_alloc(9, XOK_PAGE_ANY, 1);
    EQ(xok_page_acl(ROOT, q, 1, XOK_ACL(XOK_ACL_NAME(XOK_PAGES[p].acl[0]), XOK_R)), 0);
    EQ(map_in(0, 8, AT, q, 0), XOK_E_CAP); // the tester's tables are the root's
    EQ(xok_cap_revoke(ROOT, 99), XOK_E_ARG);
    EQ(xok_cap_revoke(ROOT, ~0ul), XOK_E_ARG);
    EQ(xok_cap_copy(6, ROOT, 0, XOK_A, 10), 0);
    EQ(xok_cap_revoke(10, 11), XOK_E_CAP); // without the right V
    EQ(xok_cap_drop(10), 0);
    u64 names = XOK_NAMES[XOK_NAME_ROOT].used[XOK_RES_NAMES];
    EQ(xok_cap_revoke(6, 11), 0);
    EQ(xok_page_alloc(8, XOK_PAGE_ANY, 1), XOK_E_CAP);
    EQ(xok_page_alloc(7, XOK_PAGE_ANY, 1), XOK_E_CAP);
    CHECK(xok_page_free(6, xok_page_alloc(6, XOK_PAGE_ANY, 1), 1) == 0); // the parent, and others, are untouched
    CHECK(xok_page_free(9, xok_page_alloc(9, XOK_PAGE_ANY, 1), 1) == 0);
    EQ(xok_cap_drop(8), XOK_E_CAP);
    EQ(xok_cap_forge(6, 11, XOK_ALL, 7), 0); // a new name of the old component
    EQ(xok_page_free(7, p, 1), XOK_E_CAP);   // is not the old name
    EQ(xok_page_free(6, p, 1), 0);           // its parent collects what is left
    EQ(xok_page_free(9, q, 1), 0);
    EQ(xok_cap_drop(7), 0);
    EQ(xok_cap_drop(6), 0);
    EQ(xok_cap_drop(9), 0);
    EQ(XOK_NAMES[XOK_NAME_ROOT].used[XOK_RES_NAMES], names - 4);
    for (u32 i = 0; i < 70000; i++) { // epochs go round
        if (xok_cap_forge(ROOT, 20, XOK_ALL, 6) || xok_cap_revoke(ROOT, 20) || xok_cap_drop(6) != XOK_E_CAP) {
            EQ(i, -1);
            break;
        }
    }
    EQ(xok_cap_copy(ROOT, ROOT, 0, XOK_ALL, 6), 0);
    EQ(xok_cap_drop(6), 0);
    EQ(XOK_NAMES[XOK_NAME_ROOT].used[XOK_RES_NAMES], names - 4);
}

// ---- protected regions ------------------------------------------------------------------------------------
static volatile s64 region_result[4];
static volatile u64 region_ppn;
static void uses_region(u64 arg)
{
    u64 word = 0;
    (void)arg;
    region_result[0] = xok_region_read(0, region_ppn, 3, &word, XOK_RANGE(0, 8));
    region_result[1] = word;
    region_result[2] = xok_region_write(0, region_ppn, 3, &word, XOK_RANGE(0, 8));
    region_result[3] = xok_region_write(0, region_ppn, 4, &word, XOK_RANGE(2, 3));
    for (;;)
        xok_sleep(0, 0);
}

static void regions(void)
{
    u64 p = page_new(AT), word = 0x1122334455667788;
    memset((void *)AT, 0xee, PAGE);
    EQ(xok_region_page(ROOT, p, 1), XOK_E_BUSY); // mapped
    unmap(AT, 1);
    EQ(xok_region_page(TENANT, p, 1), XOK_E_CAP);
    EQ(xok_region_page(ROOT, p, 2), XOK_E_ARG);
    EQ(xok_region_page(ROOT, ~0ul, 1), XOK_E_CAP);
    EQ(xok_region_page(ROOT, p, 1), 0);
    EQ(map(AT, p, 1, 0), XOK_E_CAP);
    EQ(xok_page_free(ROOT, p, 1), XOK_E_CAP);
    u64 both = (u64)XOK_NAME_ROOT << 32 | tenant_name; // the root writes, the tenant reads
    EQ(xok_region_make(ROOT, p, 3, XOK_RANGE(XOK_REGION_DATA - 1, 8), both), XOK_E_ARG);
    EQ(xok_region_make(ROOT, p, 3, XOK_RANGE(4090, 8), both), XOK_E_ARG);
    EQ(xok_region_make(ROOT, p, 3, XOK_RANGE(0xffffffffffff, 8), both), XOK_E_ARG);
    EQ(xok_region_make(ROOT, p, XOK_REGIONS, XOK_RANGE(4088, 8), both), XOK_E_ARG);
    EQ(xok_region_make(ROOT, p, 3, XOK_RANGE(4088, 8), 0xfffff), XOK_E_ARG); // no such name
    EQ(xok_region_make(TENANT, p, 3, XOK_RANGE(4088, 8), both), XOK_E_CAP);
    EQ(xok_region_make(ROOT, p, 3, XOK_RANGE(4088, 8), both), 0);
    EQ(xok_region_make(ROOT, p, 4, XOK_RANGE(600, 5), (u64)tenant_name << 32), 0);
    EQ(xok_region_write(ROOT, p, 3, &word, XOK_RANGE(0, 8)), 0);
    EQ(xok_region_write(ROOT, p, 3, &word, XOK_RANGE(1, 8)), XOK_E_ARG);
    EQ(xok_region_write(ROOT, p, 3, &word, XOK_RANGE(9, 0)), XOK_E_ARG);
    EQ(xok_region_write(ROOT, p, 5, &word, XOK_RANGE(0, 0)), XOK_E_CAP); // no region
    EQ(xok_region_write(ROOT, p, 3, (void *)XOK_INFO_VA, XOK_RANGE(0, 8)), XOK_E_FAULT);
    EQ(xok_region_read(ROOT, p, 4, &word, XOK_RANGE(0, 1)), XOK_E_CAP); // nobody reads that one
    EQ(xok_region_read(ROOT, XOK_PTE_PPN(*XOK_PTE(KIT)), 0, &word, XOK_RANGE(0, 1)), XOK_E_CAP);
    region_ppn = p;
    struct child c = tenant_new(2, uses_region, 0);
    RUN(c);
    EQ(region_result[0], 0);
    EQ(region_result[1], word);
    EQ(region_result[2], XOK_E_CAP);
    EQ(region_result[3], 0);
    child_free(&c);
    EQ(xok_region_page(TENANT, p, 0), XOK_E_CAP);
    EQ(xok_region_page(ROOT, p, 0), 0);
    EQ(map(AT, p, 1, XOK_PTE_W), 1);
    EQ(*(u64 *)(AT + 4088), 0); // emptied
    page_gone(AT, p);
}

static void test(void)
{
    adult();
    me = XOK_INFO->cpu[0].env;
    EQ(xok_cap_forge(ROOT, 77, XOK_ALL, TENANT), 0);
    s64 p = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
    tenant_name = XOK_ACL_NAME(XOK_PAGES[p].acl[0]);
    EQ(xok_page_free(TENANT, p, 1), 0);
    u64 far = 1ul << 39; // in tables of the tenant's own
    struct child c = tenant_new(1, reads, far);
    unshare(&c, far);
    seize(&c, far);
    child_free(&c);
    guaranteed();
    subtree();
    regions();
}
