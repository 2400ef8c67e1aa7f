// Capabilities: a tree of names, dominance along it, quotas hanging on it.
#include "kernel.h"
#include "xok/revoke.h"

static u32 free_name; // list through .component
static u32 stamps;    // counts lives of names; kept for a name in a table of its own
static u32 *stamp_of; // pages mapped with the names

static u8 revoked[XOK_NAME_MAX / 8]; // tops of subtrees whose capabilities are void

static void revoked_clear(u32 id) { revoked[id / 8] &= ~(1 << id % 8); }

// Children are found by a hash of (parent, component), chained through hash_next.
enum { HASH = 4096 };
static u32 hash_head[HASH];
static u32 hash_next[XOK_NAME_MAX];

static u32 *hash_of(u32 parent, u32 component)
{
    return &hash_head[(parent * 2654435761u ^ component * 2246822519u) >> 20];
}

static u32 child_find(u32 parent, u32 component)
{
    u32 id = *hash_of(parent, component);
    while (id && !(KNAMES[id].parent == parent && KNAMES[id].component == component))
        id = hash_next[id];
    return id;
}

static void hash_remove(u32 id)
{
    u32 *at = hash_of(KNAMES[id].parent, KNAMES[id].component);
    while (*at && *at != id)
        at = &hash_next[*at];
    if (*at)
        *at = hash_next[id];
}

static u64 name_page_va(u32 id)
{
    return (XOK_NAMES_VA + (u64)id * sizeof(struct xok_name_info)) & ~(XOK_PAGE_SIZE - 1);
}

// Names lie in exposed memory that grows page by page; a record may straddle two pages.
static bool name_room(u32 id)
{
    static u64 mapped = XOK_NAMES_VA, stamps_mapped;
    u64 end = name_page_va(id + 1) + XOK_PAGE_SIZE;
    for (; mapped < end; mapped += XOK_PAGE_SIZE) {
        u64 pa = kpage_alloc();
        if (!pa)
            return false;
        expose(mapped, pa);
    }
    if (!stamp_of)
        stamp_of = (u32 *)(XOK_NAMES_VA + EXPOSED_ALIAS + 0x8000000);
    for (; stamps_mapped * XOK_PAGE_SIZE <= (u64)id * 4; stamps_mapped++) {
        u64 pa = kpage_alloc();
        if (!pa)
            return false;
        expose(XOK_NAMES_VA + 0x8000000 + stamps_mapped * XOK_PAGE_SIZE, pa);
    }
    return true;
}

static u32 name_new(u32 parent, u32 component)
{
    u32 id = free_name;
    if (id) {
        free_name = KNAMES[id].component;
    } else {
        id = info.name_high ? info.name_high : XOK_NAME_ROOT;
        if (id >= XOK_NAME_MAX || !name_room(id))
            return 0;
        info.name_high = id + 1;
    }
    struct xok_name_info *n = &KNAMES[id];
    *n = (struct xok_name_info){.parent = parent, .component = component, .refs = 0,
                                .depth = parent ? KNAMES[parent].depth + 1 : 0};
    for (int r = 0; r < XOK_RES_COUNT; r++)
        n->limit[r] = XOK_UNLIMITED;
    if (parent)
        n->limit[XOK_RES_KEPT] = XOK_KEPT_DEFAULT;
    stamp_of[id] = ++stamps;
    if (parent)
        name_ref(parent);
    return id;
}

void name_init(void)
{
    u32 root = name_new(0, 0);
    assert(root == XOK_NAME_ROOT);
    name_ref(root);
}

u32 name_stamp(u32 name) { return stamp_of[name]; }
void name_ref(u32 name) { KNAMES[name].refs++; }

void name_drop(u32 name)
{
    while (name && !--KNAMES[name].refs) {
        struct xok_name_info *n = &KNAMES[name];
        u32 parent = n->parent;
        hash_remove(name);
        revoked_clear(name);
        quota_refund(parent, XOK_RES_NAMES, 1);
        *n = (struct xok_name_info){.component = free_name};
        free_name = name;
        name = parent;
    }
}

// ---- revocation of a subtree: its top leaves the tree of names to be found, and capabilities are looked at
// again, each when it is next used, by the epoch in which that was last done.
static u16 epoch = 1;

static bool is_void(u32 name)
{
    for (; name; name = KNAMES[name].parent)
        if (revoked[name / 8] >> name % 8 & 1)
            return true;
    return false;
}

static bool cap_check(struct cap *c)
{
    if (is_void(c->name)) {
        u32 name = c->name;
        c->name = 0;
        name_drop(name);
        return false;
    }
    c->epoch = epoch;
    return true;
}

// The epoch is 16 bits: every 65 536th revocation looks at all capabilities there are.
static void epoch_next(void)
{
    if (++epoch)
        return;
    epoch = 1;
    for (u32 i = 0; i < info.env_high; i++)
        for (u32 s = 0; envs[i] && s < XOK_CAP_SLOTS; s++)
            if (envs[i]->caps[s].name)
                cap_check(&envs[i]->caps[s]);
}

bool cap_slot(struct env *e, u64 slot, struct cap *out)
{
    if (slot >= XOK_CAP_SLOTS || !e->caps[slot].name)
        return false;
    if (e->caps[slot].epoch != epoch && !cap_check(&e->caps[slot]))
        return false;
    *out = e->caps[slot];
    return true;
}

s64 sys_cap_revoke(u64 slot, u64 component)
{
    struct cap c;
    if (!cap_slot(this_cpu()->env, slot, &c) || !(c.rights & XOK_V))
        return XOK_E_CAP;
    u32 id = component > ~0u ? 0 : child_find(c.name, component);
    if (!id)
        return XOK_E_ARG;
    hash_remove(id);
    revoked[id / 8] |= 1 << id % 8;
    epoch_next();
    return 0;
}

bool cap_above(const struct cap *c, u32 name)
{
    u32 depth = KNAMES[c->name].depth;
    while (name && KNAMES[name].depth > depth)
        name = KNAMES[name].parent;
    return name == c->name;
}

bool cap_dominates(const struct cap *c, u32 entry, u32 rights)
{
    return (XOK_ACL_RIGHTS(entry) & rights) == rights && cap_over(c, XOK_ACL_NAME(entry), rights);
}

s64 quota_charge(u32 name, enum xok_resource r, u32 n)
{
    for (u32 i = name; i; i = KNAMES[i].parent)
        if (KNAMES[i].limit[r] != XOK_UNLIMITED &&
            (n > KNAMES[i].limit[r] || KNAMES[i].used[r] > KNAMES[i].limit[r] - n))
            return XOK_E_QUOTA;
    for (u32 i = name; i; i = KNAMES[i].parent)
        KNAMES[i].used[r] += n;
    return 0;
}

void quota_refund(u32 name, enum xok_resource r, u32 n)
{
    for (u32 i = name; i; i = KNAMES[i].parent)
        KNAMES[i].used[r] -= n;
}

s64 sys_cap_forge(u64 slot, u64 component, u64 rights, u64 to)
{
    struct env *e = this_cpu()->env;
    struct cap c;
    if (!cap_slot(e, slot, &c) || !(c.rights & XOK_A))
        return XOK_E_CAP;
    if (rights & ~(u64)c.rights || !rights || to >= XOK_CAP_SLOTS || component > ~0u ||
        KNAMES[c.name].depth + 1 >= XOK_NAME_DEPTH)
        return XOK_E_ARG;
    if (e->caps[to].name)
        return XOK_E_BUSY;
    u32 id = child_find(c.name, component);
    if (!id) {
        s64 r = quota_charge(c.name, XOK_RES_NAMES, 1);
        if (r)
            return r;
        id = name_new(c.name, component);
        if (!id) {
            quota_refund(c.name, XOK_RES_NAMES, 1);
            return XOK_E_FULL;
        }
        u32 *head = hash_of(c.name, component);
        hash_next[id] = *head;
        *head = id;
    }
    e->caps[to] = (struct cap){id, rights, epoch};
    name_ref(id);
    return 0;
}

s64 sys_cap_copy(u64 slot, u64 over, u64 target, u64 rights, u64 to)
{
    struct env *me = this_cpu()->env, *e = env_find(target);
    struct cap c, o;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(me, slot, &c) || !cap_slot(me, over, &o) || !cap_over(&o, e->name, XOK_W))
        return XOK_E_CAP;
    if (rights & ~(u64)c.rights || !rights || to >= XOK_CAP_SLOTS)
        return XOK_E_ARG;
    if (e->caps[to].name)
        return XOK_E_BUSY;
    e->caps[to] = (struct cap){c.name, rights, epoch};
    name_ref(c.name);
    return 0;
}

s64 sys_cap_drop(u64 slot)
{
    struct env *e = this_cpu()->env;
    struct cap c;
    if (!cap_slot(e, slot, &c))
        return XOK_E_CAP;
    e->caps[slot].name = 0;
    name_drop(c.name);
    return 0;
}

s64 sys_cap_quota(u64 slot, u64 component, u64 resource, u64 limit)
{
    struct cap c;
    if (!cap_slot(this_cpu()->env, slot, &c) || !(c.rights & XOK_A))
        return XOK_E_CAP;
    u32 id = child_find(c.name, component);
    if (!id || resource >= XOK_RES_COUNT || limit > XOK_UNLIMITED)
        return XOK_E_ARG;
    KNAMES[id].limit[resource] = limit;
    return 0;
}
