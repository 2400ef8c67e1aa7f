// Packet rings: pages of their owner, pinned, that the kernel writes frames' descriptors into.
#include "net/net.h"

enum { PER_PAGE = XOK_PAGE_SIZE / sizeof(struct ring), DELIVER_DESCS = 64 };
static struct ring *chunk[XOK_RING_MAX / PER_PAGE + 1];
static u32 touched; // list of rings whose predicates are to be looked at: number + 1

bool ring_infos_grow(u32 number);

static struct xok_ring_info *info_of(u32 number)
{
    return (struct xok_ring_info *)(XOK_RINGS_VA + EXPOSED_ALIAS) + number;
}

static struct ring *ring_at(u32 number)
{
    struct ring *c = chunk[number / PER_PAGE];
    return c ? &c[number % PER_PAGE] : NULL;
}

struct ring *ring_find(u64 number)
{
    struct ring *r = number < net->ring_high ? ring_at(number) : NULL;
    return r && r->owner ? r : NULL;
}

static void touch(struct ring *r, u8 what)
{
    if (!r->touched) {
        r->next_touched = touched;
        touched = r->number + 1;
    }
    r->touched |= what;
}

void rings_wake(void)
{
    while (touched) {
        struct ring *r = ring_at(touched - 1);
        u8 what = r->touched;
        touched = r->next_touched;
        r->touched = 0;
        if (what & TOUCHED_ARRIVED)
            pred_touch_phys(r->pa + offsetof(struct xok_ring, arrived));
        if (what & TOUCHED_SENT)
            pred_touch_phys(r->pa + offsetof(struct xok_ring, sent));
    }
}

void ring_sent(u32 number, u32 first, u32 descs, s8 result)
{
    struct ring *r = ring_at(number);
    volatile struct xok_ring *head = ring_head(r);
    ring_tx(r, first)->result = result;
    for (u32 i = descs; i--;) // the first one last
        __atomic_store_n(&ring_tx(r, (first + i) & (r->tx_count - 1))->state, XOK_DESC_MINE, __ATOMIC_RELEASE);
    head->sent++;
    if (result)
        head->refused++;
    touch(r, TOUCHED_SENT);
}

// ---- delivery --------------------------------------------------------------------------------------------
struct target {
    u64 buf;
    u32 room;
};

// Buffers for len bytes, from the next descriptor on. Returns how many descriptors, 0 if there is no room.
static u32 targets_find(const struct ring *r, u32 len, struct target *t)
{
    u32 n = 0, room = 0;
    len = MAX(len, 1u);
    while (room < len && n < MIN((u32)DELIVER_DESCS, r->rx_count)) {
        volatile struct xok_rx *d = ring_rx(r, (r->rx_at + n) & (r->rx_count - 1));
        if (__atomic_load_n(&d->state, __ATOMIC_ACQUIRE) != XOK_DESC_KERNEL)
            return 0;
        t[n].buf = d->buf, t[n].room = d->room;
        room += MIN(t[n].room, 65536u);
        n++;
    }
    return room < len ? 0 : n;
}

static bool target_ok(const struct ring *r, const struct target *t)
{
    struct cap c = {r->owner, XOK_ALL};
    return t->room >= 64 && t->room <= 65536 && pages_may(&c, t->buf, t->room, XOK_W);
}

static void copy_pieces(u8 *to, u32 n, const struct piece **p, u32 *at)
{
    while (n) {
        u32 part = MIN(n, (*p)->len - *at);
        memcpy(to, (*p)->at + *at, part);
        to += part, n -= part, *at += part;
        if (*at == (*p)->len)
            (*p)++, *at = 0;
    }
}

// Gives the next descriptor back, filled.
static void rx_done(struct ring *r, u32 len, u32 tag, u16 flags, u16 gso_size)
{
    volatile struct xok_rx *d = ring_rx(r, r->rx_at);
    d->len = len;
    d->tag = tag;
    d->flags = flags;
    d->gso_size = gso_size;
    __atomic_store_n(&d->state, XOK_DESC_MINE, __ATOMIC_RELEASE);
    r->rx_at = (r->rx_at + 1) & (r->rx_count - 1);
}

static __attribute__((noinline)) bool deliver_parts(struct ring *r, const struct piece *p, u32 len, u16 flags,
                                                    u16 gso_size, u32 tag)
{
    struct target t[DELIVER_DESCS];
    u32 n = targets_find(r, len, t), at = 0;
    if (!n) {
        ring_head(r)->dropped++;
        return false;
    }
    touch(r, TOUCHED_ARRIVED);
    for (u32 i = 0; i < n; i++)
        if (!target_ok(r, &t[i])) {
            rx_done(r, 0, tag, 0, 0);
            ring_head(r)->bad++;
            return false;
        }
    ring_head(r)->arrived++;
    ring_head(r)->bytes += len;
    for (u32 i = 0; i < n; i++) {
        u32 part = MIN(len, t[i].room);
        copy_pieces(phys_to_virt(t[i].buf), part, &p, &at);
        len -= part;
        rx_done(r, part, tag, flags | (i + 1 < n ? XOK_RX_MORE : 0), gso_size);
    }
    return true;
}

bool ring_deliver(struct ring *r, const struct piece *p, u32 len, u16 flags, u16 gso_size, u32 tag)
{
    volatile struct xok_rx *d = ring_rx(r, r->rx_at);
    bool usual = r->rx_count && len <= p->len && __atomic_load_n(&d->state, __ATOMIC_ACQUIRE) == XOK_DESC_KERNEL;
    struct target t = {d->buf, d->room}; // after the look at whose it is
    if (!usual || t.room < len || !target_ok(r, &t))
        return deliver_parts(r, p, len, flags, gso_size, tag);
    // The usual frame: one piece, into one buffer.
    memcpy(phys_to_virt(t.buf), p->at, len);
    rx_done(r, len, tag, flags, gso_size);
    ring_head(r)->arrived++;
    ring_head(r)->bytes += len;
    touch(r, TOUCHED_ARRIVED);
    return true;
}

// ---- calls -------------------------------------------------------------------------------------------------
static bool power_in(u32 n, u32 least, u32 most) { return !n || (n >= least && n <= most && !(n & (n - 1))); }

static u32 hint; // below it every number is taken

static s64 number_get(void)
{
    for (; hint < net->ring_high; hint++)
        if (!ring_at(hint)->owner)
            return hint;
    u32 i = net->ring_high;
    if (i == XOK_RING_MAX)
        return XOK_E_FULL;
    if (!ring_infos_grow(i))
        return XOK_E_NOMEM;
    if (!chunk[i / PER_PAGE]) {
        u64 pa = kpage_alloc();
        if (!pa)
            return XOK_E_NOMEM;
        chunk[i / PER_PAGE] = phys_to_virt(pa);
    }
    net->ring_high = i + 1;
    return i;
}

static bool pages_can_pin(const struct cap *c, u64 ppn, u64 count)
{
    if (ppn >= page_count || count > page_count - ppn)
        return false;
    for (u64 i = ppn; i < ppn + count; i++)
        if (pages[i].type != XOK_PAGE_USER || !cap_dominates(c, pages[i].acl[0], XOK_W) || pages[i].pins > 0xff00)
            return false;
    return true;
}

s64 sys_ring_make(u64 slot, u64 index, u64 setup)
{
    struct cap c;
    struct xok_ring_setup s;
    struct nic *nic = nic_find(index);
    if (!cap_slot(this_cpu()->env, slot, &c) || (c.rights & (XOK_A | XOK_W)) != (XOK_A | XOK_W))
        return XOK_E_CAP;
    if (copy_in(&s, setup, sizeof s))
        return XOK_E_FAULT;
    bool tap = s.flags & XOK_RING_TAP;
    if (!nic || s.flags & ~XOK_RING_TAP || !power_in(s.rx_count, 128, 4096) || !power_in(s.tx_count, 64, 1024))
        return XOK_E_ARG;
    u64 count = XOK_RING_PAGES(s.rx_count, s.tx_count);
    if (!pages_can_pin(&c, s.ppn, count) || (tap && !(c.name == XOK_NAME_ROOT && c.rights & XOK_R)))
        return XOK_E_CAP;
    if (tap && nic->taps == NIC_TAPS)
        return XOK_E_FULL;
    s64 i = quota_charge(c.name, XOK_RES_RINGS, 1);
    if (i < 0)
        return i;
    i = number_get();
    if (i < 0) {
        quota_refund(c.name, XOK_RES_RINGS, 1);
        return i;
    }
    struct ring *r = ring_at(i);
    *r = (struct ring){.number = i, .owner = c.name, .nic = index, .flags = s.flags, .rx_count = s.rx_count,
                       .tx_count = s.tx_count, .pa = s.ppn * XOK_PAGE_SIZE};
    *info_of(i) = (struct xok_ring_info){.owner = c.name, .nic = index, .ppn = s.ppn, .rx_count = s.rx_count,
                                         .tx_count = s.tx_count, .flags = s.flags};
    name_ref(c.name);
    for (u64 k = 0; k < count; k++)
        pages[s.ppn + k].pins++;
    memset(phys_to_virt(r->pa), 0, sizeof(struct xok_ring));
    if (tap)
        nic->tap[nic->taps++] = i;
    return i;
}

s64 sys_ring_free(u64 slot, u64 number)
{
    struct cap c;
    struct ring *r = ring_find(number);
    if (!r)
        return XOK_E_ARG;
    if (!cap_slot(this_cpu()->env, slot, &c) || !cap_over(&c, r->owner, XOK_W))
        return XOK_E_CAP;
    if (r->filters || r->sending)
        return XOK_E_BUSY;
    struct nic *nic = &nics[r->nic];
    for (u32 i = 0; i < nic->taps; i++)
        if (nic->tap[i] == number)
            nic->tap[i] = nic->tap[--nic->taps];
    for (u64 k = 0; k < XOK_RING_PAGES(r->rx_count, r->tx_count); k++)
        pages[r->pa / XOK_PAGE_SIZE + k].pins--;
    quota_refund(r->owner, XOK_RES_RINGS, 1);
    name_drop(r->owner);
    r->owner = 0; // it may still be in the list of touched rings: its page is not looked at through that
    *info_of(number) = (struct xok_ring_info){0};
    hint = MIN(hint, (u32)number);
    return 0;
}
