// Links: frames that arrive, interrupts and polling, the calls on filters.
#include "net/net.h"

static u8 text[32768]; // machine code of filters is made here, then moved to where it runs
static u8 *text_runs;

struct dpf dpf;
struct nic nics[XOK_NIC_MAX];
struct xok_net_info *net;
u64 net_quiet_until = ~0ul;
enum { POLL_BUDGET = 256, SERVE_ROUNDS = 2, FLOOD_NS = 100000, QUIET_MAX_NS = 1000000 };

struct nic *nic_find(u64 index) { return index < net->nic_count ? &nics[index] : NULL; }

struct nic *nic_add(const u8 *mac, u32 mtu, u32 features, struct virtio_net *device)
{
    u32 i = net->nic_count;
    if (i == XOK_NIC_MAX)
        return NULL;
    struct xok_nic_info *info = &net->nic[i];
    *info = (struct xok_nic_info){.mtu = mtu, .features = features, .index = i ? i - 1 : 0, .link = 1};
    memcpy(info->mac, mac, 6);
    nics[i] = (struct nic){.index = i, .info = info, .device = device};
    net->nic_count++;
    return &nics[i];
}

// ---- exposed tables grow page by page; their page tables exist since boot, so growing needs one page only
static bool table_grow(u64 *mapped, u64 end)
{
    for (; *mapped < end; *mapped += XOK_PAGE_SIZE) {
        u64 pa = kpage_alloc();
        if (!pa)
            return false;
        expose(*mapped, pa);
    }
    return true;
}

static bool filters_grow(u32 index)
{
    static u64 mapped = XOK_FILTERS_VA;
    return table_grow(&mapped, XOK_FILTERS_VA + (index + 1) * sizeof(struct xok_filter_info));
}

bool ring_infos_grow(u32 number)
{
    static u64 mapped = XOK_RINGS_VA;
    return table_grow(&mapped, XOK_RINGS_VA + (number + 1) * sizeof(struct xok_ring_info));
}
_Static_assert(XOK_FILTER_MAX * sizeof(struct xok_filter_info) <= 0x200000, "one page table");
_Static_assert(XOK_RING_MAX * sizeof(struct xok_ring_info) <= 0x200000, "one page table");

void net_init(void)
{
    static const u8 loop_mac[6] = {2, 'x', 'o', 'k', 0, 1};
    u64 seed;
    net = expose(XOK_NET_VA, kpage_alloc());
    filters_grow(0);
    ring_infos_grow(0);
    entropy_get(&seed, sizeof seed);
    text_runs = text_take(sizeof text);
    dpf_init(&dpf, (void *)(XOK_FILTERS_VA + EXPOSED_ALIAS), filters_grow, seed, text, text_runs,
             text_runs ? sizeof text : 0);
    nic_add(loop_mac, 65521, XOK_NIC_CSUM | XOK_NIC_TSO4 | XOK_NIC_TSO6 | XOK_NIC_RX_CSUM | XOK_NIC_RX_TSO, NULL);
    virtio_net_init();
}

// ---- frames ----------------------------------------------------------------------------------------------
void nic_tap(struct nic *nic, const struct piece *p, u32 len, u16 flags, u16 gso_size)
{
    for (u32 i = 0; i < nic->taps; i++)
        ring_deliver(ring_find(nic->tap[i]), p, len, flags, gso_size, 0);
}

void nic_input(struct nic *nic, const struct piece *p, u32 len, u16 flags, u16 gso_size)
{
    struct xok_nic_info *n = nic->info;
    n->rx_frames++;
    n->rx_bytes += len;
    if (nic->taps)
        nic_tap(nic, p, len, flags, gso_size);
    u32 x = 0;
    if (len >= 14 && (p->at[0] & 1 || mac_equal(p->at, n->mac)))
        x = dpf_classify(&dpf, nic->index, p->at, p->len, false);
    if (!x) {
        n->rx_unclaimed++;
        return;
    }
    struct xok_filter_info *f = &dpf.filter[x];
    f->hits++;
    if (f->handler && handler_run(nic, f, p, len))
        return;
    if (!ring_deliver(ring_find(f->ring), p, len, flags, gso_size, f->tag))
        n->rx_dropped++;
}

// ---- interrupts and polling ------------------------------------------------------------------------------
static void quiet_set(struct nic *nic, u64 until)
{
    if (until)
        virtio_net_disarm(nic->device);
    nic->quiet_until = until;
    net_quiet_until = ~0ul;
    for (u32 i = 0; i < net->nic_count; i++)
        if (nics[i].quiet_until)
            net_quiet_until = MIN(net_quiet_until, nics[i].quiet_until);
}

// Delivers what the device has, with interrupts on when it has no more. Under a flood the rest is left to the
// timer, so that it takes no more than a part of the processor.
u32 nic_serve(struct nic *nic)
{
    u32 n = 0;
    for (u32 i = 0; i < SERVE_ROUNDS; i++) {
        n += virtio_net_poll(nic->device, POLL_BUDGET);
        if (virtio_net_arm(nic->device))
            break;
        if (i + 1 == SERVE_ROUNDS) {
            quiet_set(nic, clock_ns() + FLOOD_NS);
            timer_set(this_cpu());
        }
    }
    rings_wake();
    return n;
}

// Quiet times that are over at `now`: what came meanwhile is delivered, and interrupts are on again.
void net_quiet_end(u64 now)
{
    for (u32 i = 0; i < net->nic_count; i++)
        if (nics[i].quiet_until && nics[i].quiet_until <= now) {
            quiet_set(&nics[i], 0);
            nic_serve(&nics[i]);
        }
}

s64 sys_net_poll(u64 index, u64 quiet_ns)
{
    struct nic *nic = nic_find(index);
    if (!nic || quiet_ns > QUIET_MAX_NS)
        return XOK_E_ARG;
    if (!nic->device)
        return 0;
    nic->info->polls++;
    quiet_set(nic, quiet_ns ? clock_ns() + quiet_ns : 0);
    if (!quiet_ns)
        return nic_serve(nic);
    u32 n = virtio_net_poll(nic->device, POLL_BUDGET);
    rings_wake();
    timer_set(this_cpu());
    return n;
}

// ---- filters -----------------------------------------------------------------------------------------------
static void filters_changed(void)
{
    if (dpf.text_used)
        text_put(text_runs, text, dpf.text_used);
    dpf.text_used = 0;
    net->filter_count = dpf.count;
    net->filter_high = dpf.high;
}

static bool may_take(void *cap, u32 name) { return cap_over(cap, name, XOK_W); }

s64 sys_filter_add(u64 slot, u64 number, u64 filter)
{
    struct cap c;
    struct xok_filter f;
    struct ring *r = ring_find(number);
    if (!r)
        return XOK_E_ARG;
    if (!cap_slot(this_cpu()->env, slot, &c) || !cap_over(&c, r->owner, XOK_W))
        return XOK_E_CAP;
    if (copy_in(&f, filter, sizeof f))
        return XOK_E_FAULT;
    s64 q = quota_charge(r->owner, XOK_RES_FILTERS, 1);
    if (q)
        return q;
    s64 id = dpf_add(&dpf, r->nic, &f, number, r->owner, may_take, &c);
    filters_changed();
    if (id < 0) {
        quota_refund(r->owner, XOK_RES_FILTERS, 1);
        return id;
    }
    name_ref(r->owner);
    r->filters++;
    ((struct xok_ring_info *)(XOK_RINGS_VA + EXPOSED_ALIAS))[number].filters++;
    return id;
}

s64 sys_filter_del(u64 slot, u64 id)
{
    struct cap c;
    u32 x = dpf_find(&dpf, id);
    if (!x)
        return XOK_E_ARG;
    u32 owner = dpf.filter[x].owner, number = dpf.filter[x].ring;
    if (!cap_slot(this_cpu()->env, slot, &c) || !cap_over(&c, owner, XOK_W))
        return XOK_E_CAP;
    handler_drop(&dpf.filter[x]);
    dpf_del(&dpf, x);
    filters_changed();
    ring_find(number)->filters--;
    ((struct xok_ring_info *)(XOK_RINGS_VA + EXPOSED_ALIAS))[number].filters--;
    quota_refund(owner, XOK_RES_FILTERS, 1);
    name_drop(owner);
    return 0;
}
