// Written attacks, each with its name: what a hostile environment may try. Calls are made with a tenant's
// capability only; what kills is done by environments of the tenant's, and must kill them alone.
#include "child.h"
#include "libxok/pct.h"
#include "libxok/revoke.h"
#include "xok/region.h"

#define TENANT 5
#define READER 6 // the tenant's name with R only
#define AT (ARENA_T + 0x10000000ul)
#define ARENA_T (3ul << 39) // mapped in tables of the tenant's
#define SPARE 0x50000000ul

static u32 me, tenant_name, victim_env; // a space of the tenant's
static u64 own, foreign;                // a page of the tenant's, one of ours (mapped at SPARE)
static volatile u64 out[8];

static void attack(const char *name, s64 repelled) { say(repelled ? "ok attack " : "not ok attack ", name, repelled, 0); }
#define IS(r, e) ((s64)(r) == (e))

static s64 batch(u64 slot, u32 env, u64 va, u64 pte, u64 count, u8 kind, u8 level, u8 flags)
{
    struct xok_pt_op op = {va, pte, 0, count, kind, level, flags, 0};
    return xok_pt_batch(slot, env, &op, 1);
}

static s64 set(u64 va, u64 ppn, u64 bits) { return batch(TENANT, victim_env, va, ppn << 12 | 1 | bits, 1, XOK_PT_SET, 1, 1); }

// ---- pages and tables ----------------------------------------------------------------------------------------
static void mappings(void)
{
    u64 kernel = 0x200, table = 0;
    while (XOK_PAGES[table].type != XOK_PAGE_PT1)
        table++;
    attack("map a foreign page", IS(set(AT, foreign, 0), XOK_E_CAP));
    attack("map the kernel's memory", IS(set(AT, kernel, 0), XOK_E_CAP) && IS(map(SPARE + PAGE, kernel, 1, 0), XOK_E_CAP));
    attack("map a page table, even as root", IS(map(SPARE + PAGE, table, 1, XOK_PTE_W), XOK_E_CAP) && IS(map(SPARE + PAGE, table, 1, 0), XOK_E_CAP));
    attack("map beyond memory", IS(set(AT, XOK_INFO->page_count, 0), XOK_E_CAP) && IS(set(AT, 0xffffffffff, 0), XOK_E_CAP));
    attack("map a range that ends beyond memory", IS(batch(ROOT, 0, SPARE, (XOK_INFO->page_count - 1) << 12 | 1, 2, XOK_PT_SET, 1, 1), XOK_E_CAP));
    attack("map a free page", ({
               s64 p = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
               xok_page_free(TENANT, p, 1);
               IS(set(AT, p, 0), XOK_E_CAP);
           }));
    EQ(xok_page_acl(ROOT, foreign, 1, XOK_ACL(tenant_name, XOK_R)), 0);
    attack("write where reading is granted", IS(set(AT, foreign, XOK_PTE_W), XOK_E_CAP));
    EQ(set(AT, foreign, 0), 1);
    attack("turn a read-only mapping writable", IS(batch(TENANT, victim_env, AT, XOK_PTE_W, 1, XOK_PT_MOD, 1, 0), XOK_E_CAP));
    EQ(xok_page_acl(ROOT, foreign, 1, 0), 0);
    attack("keep a mapping after the share was taken back", IS(revoke_unshare(ROOT, foreign), 1) && XOK_PAGES[foreign].refs == 1);
    attack("forge the owner's access-list entry", IS(xok_page_acl(TENANT, own, 0, XOK_ACL(tenant_name, XOK_ALL)), XOK_E_ARG));
    attack("access list of a foreign page", IS(xok_page_acl(TENANT, foreign, 1, XOK_ACL(tenant_name, XOK_ALL)), XOK_E_CAP));
    attack("name in an access list that is none", IS(xok_page_acl(TENANT, own, 1, XOK_ACL(0xfffffu, XOK_R)), XOK_E_ARG) && IS(xok_page_acl(TENANT, own, 1, 0xff00000000), XOK_E_ARG));
    attack("rights in an access list that are none", IS(xok_page_acl(TENANT, own, 1, XOK_ACL(tenant_name, 0x1f)), XOK_E_ARG));
    EQ(set(AT, own, XOK_PTE_W), 1);
    attack("free a mapped page", IS(xok_page_free(TENANT, own, 1), XOK_E_BUSY));
    attack("free a foreign page", IS(xok_page_free(TENANT, foreign, 1), XOK_E_CAP));
    attack("free a page table", IS(xok_page_free(ROOT, table, 1), XOK_E_CAP));
    attack("free a free page", ({
               s64 p = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
               xok_page_free(TENANT, p, 1);
               IS(xok_page_free(TENANT, p, 1), XOK_E_CAP);
           }));
    attack("free a range with one foreign page: nothing is freed", ({
               s64 p = XOK_INFO->free_head;
               while (XOK_PAGES[p].type != XOK_PAGE_FREE || XOK_PAGES[p + 1].type != XOK_PAGE_FREE)
                   p--;
               s64 a = xok_page_alloc(TENANT, p, 1), b = xok_page_alloc(ROOT, p + 1, 1);
               s64 r = IS(xok_page_free(TENANT, p, 2), XOK_E_CAP) && XOK_PAGES[p].type == XOK_PAGE_USER;
               xok_page_free(ROOT, a, 1);
               xok_page_free(ROOT, b, 1);
               r;
           }));
    attack("allocate a page that is taken", IS(xok_page_alloc(TENANT, foreign, 1), XOK_E_NOMEM) && IS(xok_page_alloc(TENANT, 0, 1), XOK_E_NOMEM));
    attack("allocate out of range", IS(xok_page_alloc(TENANT, XOK_INFO->page_count, 1), XOK_E_ARG) && IS(xok_page_alloc(TENANT, 5, ~0ul), XOK_E_ARG) &&
                                        IS(xok_page_alloc(TENANT, ~0ul - 1, 2), XOK_E_ARG) && IS(xok_page_alloc(TENANT, 5, 0), XOK_E_ARG));
    attack("allocate without the right", IS(xok_page_alloc(READER, XOK_PAGE_ANY, 1), XOK_E_CAP));
}

static void tables(void)
{
    attack("unaligned address", IS(set(AT + 8, own, 0), XOK_E_ARG));
    attack("address that is not canonical", IS(set(0x800000000000, own, 0), XOK_E_ARG) && IS(set(1ul << 63, own, 0), XOK_E_ARG));
    attack("address of the kernel's", IS(set(0xffff800000000000, own, 0), XOK_E_ARG) && IS(set(XOK_INFO_VA, own, 0), XOK_E_ARG));
    attack("last page below the hole", IS(set(XOK_USER_END, own, 0), XOK_E_ARG));
    attack("write the self-map", IS(set((u64)XOK_PTE(AT), own, XOK_PTE_W), XOK_E_ARG) && IS(batch(TENANT, victim_env, XOK_SELFMAP, 0, 1, XOK_PT_UNLINK, 4, 0), XOK_E_ARG));
    attack("range across the self-map", IS(batch(TENANT, victim_env, XOK_SELFMAP - 0x200000, 0, 4096, XOK_PT_CLEAR, 2, 0), XOK_E_ARG));
    attack("range that wraps", IS(batch(TENANT, victim_env, XOK_USER_END - PAGE, 0, 4096, XOK_PT_CLEAR, 1, 0), XOK_E_ARG) &&
                                   IS(batch(TENANT, victim_env, AT, 0, 0xffffffff, XOK_PT_CLEAR, 3, 0), XOK_E_ARG));
    attack("level that is none", IS(batch(TENANT, victim_env, AT, own << 12 | 1, 1, XOK_PT_SET, 4, 1), XOK_E_ARG) && IS(batch(TENANT, victim_env, AT, own << 12 | 1, 1, XOK_PT_SET, 0, 1), XOK_E_ARG) &&
                                     IS(batch(TENANT, victim_env, 0, 0, 1, XOK_PT_LINK, 5, 1), XOK_E_ARG) && IS(batch(TENANT, victim_env, 0, 0, 1, XOK_PT_LINK, 1, 1), XOK_E_ARG));
    attack("kind that is none", IS(batch(TENANT, victim_env, AT, 0, 1, 99, 1, 0), XOK_E_ARG));
    attack("link a foreign table", IS(batch(TENANT, victim_env, 0, XOK_PTE_W, 1, XOK_PT_LINK, 4, 0), XOK_E_CAP) && IS(batch(TENANT, victim_env, 0, 0, 1, XOK_PT_LINK, 4, 0), XOK_E_CAP));
    attack("link the root as its own subtree", IS(batch(ROOT, 0, XOK_SELFMAP, 0, 1, XOK_PT_LINK, 4, 0), XOK_E_ARG) && IS(batch(ROOT, 0, XOK_SELFMAP, 0, 1, XOK_PT_LINK, 3, 1), XOK_E_ARG));
    attack("link where a table hangs", IS(batch(ROOT, 0, 0, XOK_PTE_W, 1, XOK_PT_LINK, 4, 0), XOK_E_BUSY));
    attack("copy a space to itself", IS(batch(ROOT, 0, SPARE, 0, 1, XOK_PT_COPY, 1, 0), XOK_E_ARG));
    attack("copy foreign mappings into one's space", IS(batch(TENANT, victim_env, SPARE, 0, 1, XOK_PT_COPY, 1, 1), XOK_E_CAP));
    attack("change a foreign space", IS(batch(TENANT, me, AT, own << 12 | 1, 1, XOK_PT_SET, 1, 1), XOK_E_CAP) && IS(xok_space_clear(TENANT, me, 0, 1ul << 39), XOK_E_CAP));
    attack("clear a space with the self-map in it", ({
               u32 e = xok_env_alloc(TENANT, 0);
               s64 r = xok_space_clear(TENANT, e, 0, 1ul << 47) == 0;
               r &= xok_env_free(TENANT, e) == 0;
               r && IS(xok_space_clear(TENANT, victim_env, 0, 1ul << 48), XOK_E_ARG) && IS(xok_space_clear(TENANT, victim_env, PAGE, 1ul << 39), XOK_E_ARG) &&
                   IS(xok_space_clear(TENANT, victim_env, -(1ul << 39), 2ul << 39), XOK_E_ARG);
           }));
    attack("huge leaf over pages that are not all one's own", IS(batch(TENANT, victim_env, AT & -0x200000, (own & ~511ul) << 12 | 1, 1, XOK_PT_SET, 2, 1), XOK_E_CAP));
    attack("huge leaf of a page in the middle", IS(batch(ROOT, victim_env, 4ul << 39, (foreign | 1) << 12 | 1, 1, XOK_PT_SET, 2, 1), XOK_E_CAP));
    attack("huge leaf where a table hangs", ({
               s64 p = 0;
               while (p < (s64)XOK_INFO->page_count && xok_page_alloc(ROOT, p, 512) < 0)
                   p += 512;
               s64 r = IS(batch(ROOT, 0, SPARE, p << 12 | 1, 1, XOK_PT_SET, 2, 1), XOK_E_BUSY);
               xok_page_free(ROOT, p, 512);
               r;
           }));
    attack("reserved and privileged bits of an entry", ({
               EQ(map(SPARE + PAGE, own, 1, XOK_PTE_W | 0x780), 1);
               u64 pte = *XOK_PTE(SPARE + PAGE);
               unmap(SPARE + PAGE, 1);
               !(pte & 0x180) && pte & XOK_PTE_U; // neither PAT nor global
           }));
    attack("batch that is too long", ({
               struct xok_pt_op op[2] = {{AT, 0, 0, 4096, XOK_PT_CLEAR, 1, 0, 0}, {AT, 0, 0, 1, XOK_PT_CLEAR, 1, 0, 0}};
               IS(xok_pt_batch(TENANT, victim_env, op, 2), 1) && IS(xok_pt_batch(TENANT, victim_env, op, 65), XOK_E_ARG) && IS(xok_pt_batch(TENANT, victim_env, op, 0), XOK_E_ARG) &&
                   IS(xok_pt_batch(TENANT, victim_env, op, ~0ul), XOK_E_ARG) && IS(batch(TENANT, victim_env, AT, 0, 4097, XOK_PT_CLEAR, 1, 0), XOK_E_ARG);
           }));
    attack("pointers into the kernel and past the end", ({
               IS(xok_pt_batch(TENANT, victim_env, (void *)0xffff800000000000, 1), XOK_E_FAULT) && IS(xok_pt_batch(TENANT, victim_env, (void *)(XOK_USER_END - 8), 1), XOK_E_FAULT) &&
                   IS(xok_pt_batch(TENANT, victim_env, (void *)0x8000000000000000, 1), XOK_E_FAULT) && IS(xok_pt_batch(TENANT, victim_env, (void *)-8ul, 2), XOK_E_FAULT) &&
                   IS(xok_env_regs(ROOT, victim_env, (void *)XOK_INFO_VA, 0), XOK_E_FAULT) && IS(xok_env_regs(ROOT, victim_env, (void *)text_begin, 0), XOK_E_FAULT) &&
                   IS(xok_entropy((void *)XOK_PTE(0), 8), XOK_E_FAULT) && IS(xok_log((void *)-1ul, 8), XOK_E_FAULT) && IS(xok_log("", 513), XOK_E_ARG) && IS(xok_entropy((void *)SPARE, 257), XOK_E_ARG);
           }));
}

// ---- capabilities and quotas -------------------------------------------------------------------------------------
static void capabilities(void)
{
    attack("slots that are none", IS(xok_page_alloc(32, XOK_PAGE_ANY, 1), XOK_E_CAP) && IS(xok_page_alloc(1ul << 32, XOK_PAGE_ANY, 1), XOK_E_CAP) && IS(xok_page_alloc(~0ul, XOK_PAGE_ANY, 1), XOK_E_CAP) &&
                                      IS(xok_page_alloc(31, XOK_PAGE_ANY, 1), XOK_E_CAP));
    attack("wrong slot, though another would do", IS(xok_page_free(TENANT, foreign, 1), XOK_E_CAP) && IS(xok_env_free(TENANT, me), XOK_E_CAP));
    attack("forge more rights than one has", IS(xok_cap_forge(READER, 1, XOK_ALL, 20), XOK_E_CAP) && IS(xok_cap_copy(READER, ROOT, 0, XOK_ALL, 20), XOK_E_ARG) && IS(xok_cap_forge(TENANT, 1, 0x1f, 20), XOK_E_ARG) &&
                                                 IS(xok_cap_forge(TENANT, 1, 0, 20), XOK_E_ARG));
    attack("forge into a slot that is taken or none", IS(xok_cap_forge(TENANT, 1, XOK_ALL, ROOT), XOK_E_BUSY) && IS(xok_cap_forge(TENANT, 1, XOK_ALL, 32), XOK_E_ARG) && IS(xok_cap_forge(TENANT, 1ul << 32, XOK_ALL, 20), XOK_E_ARG));
    attack("a sister's name: forged, it is one's own child", ({
               EQ(xok_cap_forge(TENANT, 77, XOK_ALL, 20), 0); // the tenant itself is child 77 of the root
               s64 r = IS(xok_page_free(20, own, 1), XOK_E_CAP);
               xok_cap_drop(20);
               r;
           }));
    attack("names without end", ({
               s64 r = 0, slot = TENANT, depth = 0;
               for (; depth < 20 && !(r = xok_cap_forge(slot, 1, XOK_ALL, 20 + (depth & 1))); depth++) {
                   if (slot != TENANT)
                       xok_cap_drop(slot);
                   slot = 20 + (depth & 1);
               }
               xok_cap_drop(slot);
               IS(r, XOK_E_ARG) && depth < XOK_NAME_DEPTH;
           }));
    attack("give a capability to whom one does not own", IS(xok_cap_copy(TENANT, TENANT, me, XOK_ALL, 20), XOK_E_CAP));
    attack("raise one's own quota", IS(xok_cap_quota(TENANT, 77, XOK_RES_PAGES, XOK_UNLIMITED), XOK_E_ARG) && IS(xok_cap_quota(ROOT, 77, XOK_RES_COUNT, 1), XOK_E_ARG));
    attack("revoke one's own name, or a sister", IS(xok_cap_revoke(TENANT, 77), XOK_E_ARG));
    attack("stop the machine", IS(xok_halt(TENANT, 1), XOK_E_CAP) && IS(xok_halt(READER, 1), XOK_E_CAP));
    attack("write and read another's console", IS(xok_con_write(TENANT, 1, (void *)SPARE, 1), XOK_E_CAP) && IS(xok_con_read(TENANT, 0, (void *)SPARE, 1), XOK_E_CAP) && IS(xok_con_write(ROOT, 99, (void *)SPARE, 1), XOK_E_ARG));
}

static s64 quota(u32 resource, u32 more) { return xok_cap_quota(ROOT, 77, resource, XOK_NAMES[tenant_name].used[resource] + more); }

static void hoarding(void)
{
    s64 r;
    EQ(quota(XOK_RES_PAGES, 3), 0);
    s64 p[4];
    for (int i = 0; i < 4; i++)
        p[i] = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
    attack("hoard pages", p[2] > 0 && IS(p[3], XOK_E_QUOTA) && IS(xok_page_alloc(TENANT, 5, 512), XOK_E_NOMEM));
    for (int i = 0; i < 3; i++)
        xok_page_free(TENANT, p[i], 1);
    attack("hoard pages under a child's name", ({
               xok_cap_quota(ROOT, 77, XOK_RES_PAGES, XOK_NAMES[tenant_name].used[XOK_RES_PAGES]);
               EQ(xok_cap_forge(TENANT, 3, XOK_ALL, 20), 0);
               r = xok_page_alloc(20, XOK_PAGE_ANY, 1);
               xok_cap_drop(20);
               IS(r, XOK_E_QUOTA);
           }));
    quota(XOK_RES_PAGES, 1000);
    EQ(quota(XOK_RES_ENVS, 2), 0);
    s64 e[3];
    for (int i = 0; i < 3; i++)
        e[i] = xok_env_alloc(TENANT, 0);
    attack("hoard environments", e[1] > 0 && IS(e[2], XOK_E_QUOTA));
    EQ(quota(XOK_RES_SLOTS, 2), 0);
    s64 s[3];
    for (int i = 0; i < 3; i++)
        s[i] = xok_slot_alloc(TENANT, e[0], 0, XOK_SLOT_ANY);
    attack("hoard slots", s[1] > 0 && IS(s[2], XOK_E_QUOTA));
    attack("take another's slot, free it, move in", IS(xok_slot_alloc(TENANT, e[0], 0, 0), XOK_E_BUSY) && IS(xok_slot_free(TENANT, 0, 0), XOK_E_CAP) && IS(xok_slot_alloc(TENANT, me, 0, 7000), XOK_E_CAP) &&
                                                       IS(xok_slot_alloc(TENANT, e[0], 16, 1), XOK_E_ARG) && IS(xok_slot_alloc(TENANT, e[0], ~0ul, 1), XOK_E_ARG) && IS(xok_slot_free(TENANT, 0, ~0ul), XOK_E_ARG));
    EQ(quota(XOK_RES_PTPAGES, 2), 0);
    attack("hoard page tables", IS(batch(TENANT, e[0], AT, own << 12 | 1, 1, XOK_PT_SET, 1, 1), XOK_E_QUOTA) && IS(batch(TENANT, e[0], AT, 2, 1, XOK_PT_SET, 1, 1), XOK_E_QUOTA));
    attack("a table that could not be made leaves none behind", XOK_NAMES[tenant_name].used[XOK_RES_PTPAGES] == XOK_NAMES[tenant_name].limit[XOK_RES_PTPAGES] - 2);
    quota(XOK_RES_PTPAGES, 1000);
    EQ(xok_env_free(TENANT, e[0]), 0);
    EQ(xok_env_free(TENANT, e[1]), 0);
    EQ(quota(XOK_RES_NAMES, 2), 0);
    attack("hoard names", ({
               s64 a = xok_cap_forge(TENANT, 1, XOK_ALL, 20), b = xok_cap_forge(TENANT, 2, XOK_ALL, 21), c = xok_cap_forge(TENANT, 3, XOK_ALL, 22);
               xok_cap_drop(20);
               xok_cap_drop(21);
               !a && !b && IS(c, XOK_E_QUOTA);
           }));
    quota(XOK_RES_NAMES, 100);
    attack("keep all of one's pages from revocation", ({
               s64 page = 0, kept = 0;
               EQ(xok_cap_quota(ROOT, 77, XOK_RES_KEPT, 1), 0);
               page = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
               kept = xok_page_keep(TENANT, page, XOK_KEEP_PAGE); // not of the caller's name
               xok_page_free(TENANT, page, 1);
               IS(kept, XOK_E_CAP);
           }));
}

// ---- environments -----------------------------------------------------------------------------------------------
static void environments(void)
{
    struct xok_regs r = {.rip = (u64)text_begin, .rflags = 2};
    struct xok_env_setup s = child_setup(KIT);
    u32 e = xok_env_alloc(TENANT, 0);
    attack("meddle with a foreign environment", IS(xok_env_free(TENANT, me), XOK_E_CAP) && IS(xok_env_setup(TENANT, me, &s), XOK_E_CAP) && IS(xok_env_regs(TENANT, me, &r, 1), XOK_E_CAP) &&
                                                    IS(xok_env_notify(TENANT, me, 1), XOK_E_CAP) && IS(xok_env_run(TENANT, me), XOK_E_CAP) && IS(xok_env_alloc(TENANT, me), XOK_E_CAP) &&
                                                    IS(xok_env_ask(TENANT, me, 0, 1), XOK_E_CAP));
    attack("ids that are none", IS(xok_env_free(ROOT, 0xffff), XOK_E_ENV) && IS(xok_env_free(ROOT, e + 0x10000), XOK_E_ENV) && IS(xok_env_free(ROOT, ~0ul), XOK_E_ENV) && IS(xok_wake(1ul << 40 | e), XOK_E_ENV) && IS(xok_env_free(ROOT, 0x10000), XOK_E_ENV));
    r.rip = 0x800000000000;
    attack("start at an address that is not canonical", IS(xok_env_regs(TENANT, e, &r, 1), XOK_E_ARG));
    r.rip = 0xffffffff80200000;
    attack("start in the kernel", IS(xok_env_regs(TENANT, e, &r, 1), XOK_E_ARG));
    r.rip = (u64)text_begin, r.fsbase = 0x800000000000;
    attack("thread bases that are not canonical", IS(xok_env_regs(TENANT, e, &r, 1), XOK_E_ARG) && IS(xok_env_base(0, 0xffff800000000000), XOK_E_ARG) && IS(xok_env_base(2, 0), XOK_E_ARG));
    attack("control page in the kernel, unmapped, read-only, unaligned", ({
               struct xok_env_setup t[5] = {s, s, s, s, s};
               t[0].ctl = 0xffff800000000000, t[1].ctl = 0x1000, t[2].ctl = (u64)text_begin, t[3].ctl = KIT + 4, t[4].ctl = (u64)XOK_PTE(0);
               s64 ok = 1;
               for (int i = 0; i < 5; i++)
                   ok &= xok_env_setup(ROOT, 0, &t[i]) < 0;
               ok;
           }));
    attack("upcall stack in the kernel, unmapped, unaligned", ({
               struct xok_env_setup t[4] = {s, s, s, s};
               t[0].upcall_stack = 0xffff800000000000, t[1].upcall_stack = 0x1000, t[2].upcall_stack = KIT + PAGE + 8, t[3].upcall_stack = XOK_SLOTS_VA;
               s64 ok = 1;
               for (int i = 0; i < 4; i++)
                   ok &= xok_env_setup(ROOT, 0, &t[i]) < 0;
               ok;
           }));
    attack("entry points and exception stack in the kernel", ({
               struct xok_env_setup t[3] = {s, s, s};
               t[0].entry[XOK_UP_PCT] = 0xffffffff80200000, t[1].exc_stack = 0xffff800000000000, t[2].bounce = 0x800000000000;
               s64 ok = 1;
               for (int i = 0; i < 3; i++)
                   ok &= IS(xok_env_setup(ROOT, 0, &t[i]), XOK_E_ARG);
               ok;
           }));
    attack("run twice", ({
               r.fsbase = 0;
               xok_env_regs(TENANT, e, &r, 1);
               IS(xok_env_run(TENANT, e), 0) && IS(xok_env_run(TENANT, e), XOK_E_BUSY);
           }));
    EQ(xok_env_free(TENANT, e), 0);
    attack("use an environment that is no more", IS(xok_env_free(TENANT, e), XOK_E_ENV) && IS(xok_env_run(TENANT, e), XOK_E_ENV) && IS(xok_slot_alloc(TENANT, e, 0, XOK_SLOT_ANY), XOK_E_ENV) && IS(batch(TENANT, e, AT, 0, 1, XOK_PT_CLEAR, 1, 0), XOK_E_ENV));
    attack("free the pinned control page and upcall stack", ({
               u64 c = XOK_PTE_PPN(*XOK_PTE(KIT)), u = XOK_PTE_PPN(*XOK_PTE(KIT + PAGE));
               IS(xok_page_free(ROOT, c, 1), XOK_E_BUSY) && IS(xok_page_free(ROOT, u, 1), XOK_E_BUSY);
           }));
    attack("predicate over what one cannot read", ({
               struct xok_pred_term t[5] = {{.addr = 0xffff800000000000}, {.addr = 0x1000}, {.addr = SPARE + 4}, {.addr = SPARE, .op = 9}, {.addr = XOK_SELFMAP}};
               s64 ok = 1;
               for (int i = 0; i < 5; i++)
                   ok &= xok_pred_set(&t[i], 1) < 0;
               ok && IS(xok_pred_set(t, 33), XOK_E_ARG) && IS(xok_pred_set(t, ~0ul), XOK_E_ARG) && IS(xok_pred_touch(0xffff800000000000), XOK_E_ARG) && IS(xok_pred_touch(0x1000), XOK_E_FAULT);
           }));
    attack("predicate over a freed page", ({
               struct xok_pred_term t = {.addr = SPARE, .value = ~0ul};
               EQ(xok_pred_set(&t, 1), 0);
               unmap(SPARE, 1);
               s64 ok = IS(xok_page_free(ROOT, foreign, 1), XOK_E_BUSY);
               EQ(xok_pred_set(0, 0), 0);
               map(SPARE, foreign, 1, XOK_PTE_W);
               ok && XOK_PAGES[foreign].pins == 0;
           }));
    attack("transfer to oneself, to nobody, to a closed gate", ({
               u64 m[6] = {0};
               IS(pct_call(me, m), XOK_E_ENV) && IS(pct_call(0, m), XOK_E_ENV) && IS(pct_post(0xdead0001, m), XOK_E_ENV) && IS(pct_call(victim_env, m), XOK_E_ENV);
           }));
    attack("registers after a call hold nothing of the kernel", ({
               u64 a, b, c, d, f, g;
               __asm__ volatile("mov $30, %%eax\n xor %%edi, %%edi\n xor %%esi, %%esi\n xor %%edx, %%edx\n syscall\n mov %%r8, %0\n mov %%r9, %1\n mov %%r10, %2\n mov %%rdx, %3\n mov %%rsi, %4\n mov %%rdi, %5"
                                : "=&b"(a), "=&S"(b), "=&D"(c), "=&d"(d), "=&r"(f), "=&r"(g) : : "rax", "rcx", "r8", "r9", "r10", "r11", "memory");
               (a | b | c | d) >> 40 == 0;
           }));
}

// ---- what is done by instructions: an environment each ------------------------------------------------------------
extern u8 crimes[], crimes_end[];
#define CRIME 64 // bytes of each
#define C(code) ".balign 64\n" code "\n mov $1, %eax\n mov %eax, (%rdi)\n 1: jmp 1b\n"
__asm__(".section .text.zz, \"ax\"\n.balign 4096\ncrimes:\n"
        C("cli") C("sti") C("hlt") C("in $0x60, %al") C("out %al, $0x80") C("mov %rax, %cr3") C("mov %cr0, %rax") C("mov %rax, %dr7")
        C("mov $0xc0000082, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr") C("mov $0xc0000080, %ecx\n rdmsr")
        C("lgdt (%rdi)") C("lidt (%rdi)") C("mov $0x38, %eax\n ltr %ax") C("xor %eax, %eax\n lldt %ax") C("swapgs") C("clts")
        C("invlpg (%rdi)") C("wbinvd") C("xor %ecx, %ecx\n xor %eax, %eax\n xor %edx, %edx\n xsetbv") C("sysretq") C("sysexitq")
        C("int $0x08") C("int $0x0e") C("int $0x20") C("int $0x22") C("int $0x80") C("int $0xff") C("ud2") C("int3")
        C("push $0x10\n push %rsp\n push $0x3002\n push $0x08\n lea 1b(%rip), %rax\n push %rax\n iretq") // ring 0 by iretq
        C("pushq $8\n lea 1b(%rip), %rax\n push %rax\n lretq")
        C("mov $0x10, %eax\n mov %eax, %ss\n push %rax") C("mov $0x38, %eax\n mov %eax, %ds\n mov (%rdi), %rax")
        C("mov $0xffffffff80200000, %rax\n jmp *%rax") C("mov $0xffff800000000000, %rax\n mov %rax, (%rax)") C("mov $0x800000000000, %rax\n mov (%rax), %rax")
        C("mov $0xffffc00000000000, %rax\n mov %rax, (%rax)") C("mov $0x5f8000000000, %rax\n mov %rax, (%rax)")
        C("xor %esp, %esp\n push %rax") C("mov $0xffff800000100000, %rsp\n push %rax") C("mov $0xffff800000100000, %rsp\n iretq")
        C("mov $0xffff800000100000, %rax\n wrgsbase %rax\n mov %gs:0, %rax")
        C("mov $0x800000000000, %rax\n mov %rax, %rsp\n mov $30, %eax\n syscall\n push %rax")
        C("xor %eax, %eax\n xor %edx, %edx\n div %edx") C("jmp .") // the last is innocent: it must go on
        "crimes_end: .balign 4096\n.text\n");

static u32 suspect(u64 fn, u64 text_hi, u64 exc, u64 ctl_kit)
{
    u32 e = xok_env_alloc(TENANT, 0);
    struct xok_pt_op link = {0, XOK_PTE_W, 0, 1, XOK_PT_LINK, 3, XOK_PT_CREATE, 0};
    CHECK(xok_pt_batch(ROOT, e, &link, 1) == 1);
    struct xok_env_setup s = {ctl_kit, ctl_kit + PAGE, exc, (u64)text_begin, text_hi, 0, {0}, XOK_ENV_KSAVE, 0};
    struct xok_regs r = {.rip = fn, .rdi = (u64)out, .rsp = ctl_kit + 4 * PAGE - 8, .rflags = 0x3202}; // IOPL 3, if one lets it
    CHECK(xok_env_setup(ROOT, e, &s) == 0);
    CHECK(xok_env_regs(ROOT, e, &r, 1) == 0);
    CHECK(xok_env_run(ROOT, e) == 0);
    CHECK(xok_slot_alloc(ROOT, e, 0, XOK_SLOT_ANY) >= 0);
    return e;
}

static void instructions(void)
{
    kit_make(KIT + 10 * PAGE);
    u64 n = (crimes_end - crimes) / CRIME, survived = 0;
    for (u64 i = 0; i <= n; i++) {
        for (int exc = 0; exc < 3; exc++) { // no exception stack; a good one without stubs; one that cannot be written
            u64 stack = exc == 0 ? 0 : exc == 1 ? KIT + 12 * PAGE : (u64)text_begin & -PAGE;
            u32 e = suspect((u64)crimes + i * CRIME, (u64)text_end, stack, KIT + 10 * PAGE);
            out[0] = 0;
            for (int k = 0; k < 3 && STATE(e) == XOK_ENV_READY; k++)
                xok_yield(e), xok_yield(0);
            survived += out[0] != 0;
            if (i == n) { // the innocent one
                EQ(STATE(e), XOK_ENV_READY);
            } else if (out[0] || STATE(e) != XOK_ENV_DEAD) {
                say("not ok crime # ", "", i, exc);
            }
            CHECK(xok_env_free(ROOT, e) == 0);
        }
    }
    attack("privileged instructions, gates and selectors, with every kind of exception stack", survived == 0);
}

extern u8 xmm_write[], xmm_read[], edge[];
__asm__("xmm_write:\n mov $0x5ec2e75ec2e7, %rax\n movq %rax, %xmm3\n movq %rax, %mm1\n 1: jmp 1b\n"
        "xmm_read:\n movq %xmm3, %rax\n movq %mm1, %rcx\n or %rcx, %rax\n mov %rax, 8(%rdi)\n movq $1, (%rdi)\n 1: jmp 1b\n");

static void leaks(void)
{
    u32 a = suspect((u64)xmm_write, (u64)text_end, 0, KIT + 10 * PAGE);
    xok_yield(a);
    CHECK(xok_env_free(ROOT, a) == 0);
    out[0] = 0, out[1] = 1;
    a = suspect((u64)xmm_read, (u64)text_end, 0, KIT + 10 * PAGE);
    while (!out[0] && STATE(a) == XOK_ENV_READY)
        xok_yield(a);
    attack("floating-point registers of another", out[1] == 0 && out[0] == 1);
    CHECK(xok_env_free(ROOT, a) == 0);
    attack("memory contents of a page freed by another", ({
               u64 p = page_new(SPARE + 2 * PAGE);
               memset((void *)(SPARE + 2 * PAGE), 0x5e, PAGE);
               page_gone(SPARE + 2 * PAGE, p);
               EQ(xok_page_alloc(TENANT, p, 1), p);
               EQ(map(SPARE + 2 * PAGE, p, 1, 0), 1);
               u64 sum = 0;
               for (u64 i = 0; i < PAGE / 8; i++)
                   sum |= ((u64 *)(SPARE + 2 * PAGE))[i];
               unmap(SPARE + 2 * PAGE, 1);
               xok_page_free(ROOT, p, 1);
               sum == 0;
           }));
    attack("memory contents of the kernel's pages that became free", ({
               u32 e = xok_env_alloc(ROOT, 0);
               xok_env_free(ROOT, e);
               s64 p = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
               EQ(map(SPARE + 2 * PAGE, p, 1, 0), 1);
               u64 sum = 0;
               for (u64 i = 0; i < PAGE / 8; i++)
                   sum |= ((u64 *)(SPARE + 2 * PAGE))[i];
               unmap(SPARE + 2 * PAGE, 1);
               xok_page_free(ROOT, p, 1);
               sum == 0;
           }));
}

// A system call whose return address is the last of user memory, and one past the library's text.
static void edges(void)
{
    u64 va = XOK_USER_END - PAGE, p = page_new(va);
    *(u8 *)(va + PAGE - 2) = 0x0f, *(u8 *)(va + PAGE - 1) = 0x05;
    EQ(map(va, p, 1, 0), 1);
    u32 e = xok_env_alloc(TENANT, 0);
    EQ(batch(ROOT, e, va, p << 12 | 1, 1, XOK_PT_SET, 1, 1), 1);
    struct xok_pt_op link = {0, XOK_PTE_W, 0, 1, XOK_PT_LINK, 3, XOK_PT_CREATE, 0};
    EQ(xok_pt_batch(ROOT, e, &link, 1), 1);
    for (int bounced = 0; bounced < 2; bounced++) {
        struct xok_env_setup s = {KIT + 10 * PAGE, KIT + 11 * PAGE, 0, 0, 0, 0, {0}, XOK_ENV_KSAVE, 0};
        struct xok_regs r = {.rip = va + PAGE - 2, .rax = 30, .rsp = 8, .rflags = 2};
        u32 f = xok_env_alloc(TENANT, e);
        EQ(bounced ? xok_env_setup(ROOT, f, &s) : 0, 0); // before it all calls are the kernel's
        EQ(xok_env_regs(ROOT, f, &r, 1), 0);
        EQ(xok_env_run(ROOT, f), 0);
        CHECK(xok_slot_alloc(ROOT, f, 0, XOK_SLOT_ANY) >= 0);
        for (int k = 0; k < 100 && STATE(f) == XOK_ENV_READY; k++)
            xok_yield(f);
        attack(bounced ? "bounced system call with nowhere to bounce to" : "system call that returns to the end of user memory", STATE(f) == XOK_ENV_DEAD);
        EQ(xok_env_free(ROOT, f), 0);
    }
    EQ(xok_env_free(ROOT, e), 0);
    page_gone(va, p);
}

static void test(void)
{
    adult();
    me = XOK_INFO->cpu[0].env;
    EQ(xok_cap_forge(ROOT, 77, XOK_ALL, TENANT), 0);
    EQ(xok_cap_copy(TENANT, ROOT, 0, XOK_R, READER), 0);
    own = xok_page_alloc(TENANT, XOK_PAGE_ANY, 1);
    tenant_name = XOK_ACL_NAME(XOK_PAGES[own].acl[0]);
    foreign = page_new(SPARE);
    victim_env = xok_env_alloc(TENANT, 0);
    mappings();
    tables();
    capabilities();
    environments();
    instructions();
    leaks();
    edges();
    hoarding();
    EQ(xok_env_free(ROOT, victim_env), 0);
    for (int i = 0; i < XOK_RES_COUNT; i++)
        EQ(XOK_NAMES[tenant_name].used[i], i == XOK_RES_PAGES);
}
