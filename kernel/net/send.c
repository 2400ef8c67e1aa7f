// Frames out: read from the owner's descriptors once, checked, queued in the device or handed to a ring here.
#include "net/net.h"

enum { SEND_BUDGET = 64, ETHERNET = 14 };
// Of a frame that goes on after its head at least this much is copied: all that filters can look at.
enum { HEAD_LEAST = 96 };
_Static_assert(HEAD_LEAST >= 14 + 60 + (u32)DPF_TRANSPORT && HEAD_LEAST >= (u32)DPF_FRAME, "");

bool pages_may_all(const struct cap *c, u64 addr, u64 len, u32 rights)
{
    u64 ppn = addr / XOK_PAGE_SIZE, last;
    if (__builtin_add_overflow(addr, len - 1, &last) || last / XOK_PAGE_SIZE >= page_count)
        return false;
    for (; ppn <= last / XOK_PAGE_SIZE; ppn++)
        if (pages[ppn].type != XOK_PAGE_USER || !page_may(c, ppn, rights))
            return false;
    return true;
}

// Reads the descriptors of the frame at r->tx_at: its parts into f->part, 0 or why not. f->descs is how many
// descriptors go with it in any case. XOK_E_AGAIN: it is not the kernel's, or not all of it.
static s64 frame_read(const struct ring *r, const struct cap *c, struct frame *f)
{
    bool more = true, ok = true;
    f->first = r->tx_at, f->descs = f->parts = f->len = 0;
    while (more && f->descs < XOK_TX_DESCS && f->descs < r->tx_count) {
        volatile struct xok_tx *d = ring_tx(r, (r->tx_at + f->descs) & (r->tx_count - 1));
        if (__atomic_load_n(&d->state, __ATOMIC_ACQUIRE) != XOK_DESC_KERNEL)
            return XOK_E_AGAIN;
        u32 flags = d->flags, parts = d->parts;
        if (!f->descs)
            f->flags = flags, f->csum_start = d->csum_start, f->csum_offset = d->csum_offset,
            f->gso_size = d->gso_size;
        more = flags & XOK_TX_MORE;
        f->descs++;
        ok = ok && parts >= 1 && parts <= XOK_TX_PARTS;
        for (u32 i = 0; ok && i < parts; i++) {
            struct xok_part p = {d->part[i].addr, d->part[i].len, 0};
            ok = p.len >= 1 && p.len <= 65536 && pages_may(c, p.addr, p.len, XOK_R);
            f->part[f->parts++] = p;
            f->len += p.len;
        }
    }
    return ok && !more && f->len >= ETHERNET && f->len <= XOK_FRAME_MAX ? 0 : XOK_E_ARG;
}

// Moves the frame's first bytes from its parts to f->head.
static void head_take(struct frame *f)
{
    u32 want = MIN(f->len, MAX(MIN(f->part[0].len, (u32)XOK_TX_HEAD), (u32)HEAD_LEAST)), i = 0;
    f->head_len = 0;
    while (f->head_len < want) {
        u32 n = MIN(want - f->head_len, f->part[i].len);
        memcpy(f->head + f->head_len, phys_to_virt(f->part[i].addr), n);
        f->head_len += n;
        f->part[i].addr += n, f->part[i].len -= n;
        i += !f->part[i].len;
    }
    for (u32 k = i; k < f->parts; k++)
        f->part[k - i] = f->part[k];
    f->parts -= i;
}

// May c send it? Whoever receives its mirror may; see net.h.
static bool source_ok(struct nic *nic, const struct cap *c, const struct frame *f)
{
    if (c->name == XOK_NAME_ROOT)
        return c->rights & XOK_W;
    if (!mac_equal(f->head + 6, nic->info->mac))
        return false;
    dpf_mirror(f->head, f->head_len);
    u32 x = dpf_classify(&dpf, nic->index, f->head, f->head_len, true);
    dpf_mirror(f->head, f->head_len);
    return x && cap_over(c, dpf.filter[x].owner, XOK_W);
}

// The device writes a checksum after the check of the source: only where TCP and UDP have theirs.
static bool offload_ok(const struct nic *nic, const struct frame *f, bool local)
{
    u32 features = local ? nics[XOK_NIC_LOOP].info->features : nic->info->features;
    u32 tso = f->flags & (XOK_TX_TSO4 | XOK_TX_TSO6);
    if (f->flags & XOK_TX_CSUM) {
        u32 at = dpf_transport(f->head, f->head_len);
        if (!(features & XOK_NIC_CSUM) || !at || f->csum_start != at ||
            (f->csum_offset != 6 && f->csum_offset != 16) || at + f->csum_offset + 2 > f->head_len)
            return false;
    }
    if (!tso)
        return f->len <= nic->info->mtu + ETHERNET + 0u;
    return f->flags & XOK_TX_CSUM && f->gso_size >= 8 &&
           ((tso == XOK_TX_TSO4 && features & XOK_NIC_TSO4 && f->head[12] == 0x08) ||
            (tso == XOK_TX_TSO6 && features & XOK_NIC_TSO6 && f->head[12] == 0x86));
}

static void frame_pieces(const struct frame *f, struct piece *p)
{
    p[0] = (struct piece){f->head, f->head_len};
    for (u32 i = 0; i < f->parts; i++)
        p[i + 1] = (struct piece){phys_to_virt(f->part[i].addr), f->part[i].len};
}

static void parts_pin(const struct frame *f)
{
    for (u32 i = 0; i < f->parts; i++)
        for (u64 ppn = f->part[i].addr / XOK_PAGE_SIZE; ppn <= (f->part[i].addr + f->part[i].len - 1) / XOK_PAGE_SIZE;
             ppn++)
            pages[ppn].pins++;
}

static bool parts_can_pin(const struct frame *f)
{
    for (u32 i = 0; i < f->parts; i++)
        for (u64 ppn = f->part[i].addr / XOK_PAGE_SIZE; ppn <= (f->part[i].addr + f->part[i].len - 1) / XOK_PAGE_SIZE;
             ppn++)
            if (pages[ppn].pins > 0xff00)
                return false;
    return true;
}

// A frame that stays in this machine.
static void send_local(struct nic *nic, const struct frame *f)
{
    struct piece p[FRAME_PARTS + 1];
    frame_pieces(f, p);
    bool tso = f->flags & (XOK_TX_TSO4 | XOK_TX_TSO6);
    nic_input(nic, p, f->len, XOK_RX_CSUM_OK | (tso ? XOK_RX_TSO : 0), tso ? f->gso_size : 0);
}

static void send_out(struct nic *nic, struct ring *r, const struct frame *f)
{
    if (nic->taps) {
        struct piece p[FRAME_PARTS + 1];
        bool tso = f->flags & (XOK_TX_TSO4 | XOK_TX_TSO6);
        frame_pieces(f, p);
        nic_tap(nic, p, f->len, XOK_RX_SENT | (tso ? XOK_RX_TSO : 0), tso ? f->gso_size : 0);
    }
    if (f->parts) {
        parts_pin(f);
        r->sending++;
        for (u32 i = 0; i < f->descs; i++)
            ring_tx(r, (f->first + i) & (r->tx_count - 1))->state = XOK_DESC_SENDING;
    }
    virtio_net_send(nic->device, f);
}

s64 frame_send(struct nic *nic, const struct cap *c, const u8 *bytes, u32 len)
{
    static u8 reply[XOK_REPLY_MAX];
    struct frame f = {.len = len, .head_len = len, .head = nic->device ? virtio_net_head(nic->device) : reply};
    if (len < ETHERNET)
        return XOK_E_ARG;
    if (!f.head)
        return XOK_E_FULL;
    memcpy(f.head, bytes, len);
    if (!source_ok(nic, c, &f)) {
        nic->info->tx_refused++;
        return XOK_E_CAP;
    }
    nic->info->tx_frames++;
    nic->info->tx_bytes += len;
    if (nic->device && !mac_equal(f.head, nic->info->mac))
        send_out(nic, NULL, &f);
    else
        send_local(nic, &f);
    return 0;
}

// One frame from r's descriptors. 1: taken (sent or refused), 0: there is none, or no room.
static u32 send_one(struct nic *nic, struct ring *r, const struct cap *c, struct frame *f)
{
    static u8 loop_head[XOK_TX_HEAD + DPF_READ];
    f->head = nic->device ? virtio_net_head(nic->device) : loop_head;
    if (!f->head)
        return 0;
    s64 error = frame_read(r, c, f);
    if (error == XOK_E_AGAIN)
        return 0;
    bool local = false;
    if (!error) {
        head_take(f);
        local = !nic->device || mac_equal(f->head, nic->info->mac);
        error = !source_ok(nic, c, f) ? XOK_E_CAP
                : !offload_ok(nic, f, local) || !parts_can_pin(f) ? XOK_E_ARG : 0;
    }
    r->tx_at = (r->tx_at + f->descs) & (r->tx_count - 1);
    if (error) {
        nic->info->tx_refused++;
    } else {
        nic->info->tx_frames++;
        nic->info->tx_bytes += f->len;
        if (local)
            send_local(nic, f);
        else
            send_out(nic, r, f);
    }
    if (error || local || !f->parts)
        ring_sent(r->number, f->first, f->descs, error);
    return 1;
}

s64 sys_net_send(u64 slot, u64 number)
{
    struct cap c;
    struct frame f;
    struct ring *r = ring_find(number);
    if (!r)
        return XOK_E_ARG;
    if (!cap_slot(this_cpu()->env, slot, &c) || !cap_over(&c, r->owner, XOK_W))
        return XOK_E_CAP;
    struct nic *nic = &nics[r->nic];
    u32 n = 0;
    f.ring = number;
    while (n < SEND_BUDGET && r->tx_count && ring_tx(r, r->tx_at)->state == XOK_DESC_KERNEL &&
           send_one(nic, r, &c, &f))
        n++;
    if (nic->device) {
        virtio_net_kick(nic->device);
        if (n < SEND_BUDGET && r->tx_count && ring_tx(r, r->tx_at)->state == XOK_DESC_KERNEL)
            virtio_net_want_sent(nic->device); // no room: its owner will wait
    }
    rings_wake();
    return n;
}
