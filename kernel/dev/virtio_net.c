// virtio-net (virtio 1.2, 5.1). Arriving frames land in pages of the driver and are copied once, into the
// ring that they belong to: whose they are is known only when they are there. Frames that leave are sent
// from the sender's pages, but for the head, which is copied so that it is what was checked.
#include "net/net.h"
#include "dev/virtio.h"

enum { F_CSUM = 0, F_GUEST_CSUM = 1, F_MTU = 3, F_MAC = 5, F_GUEST_TSO4 = 7, F_GUEST_TSO6 = 8, F_HOST_TSO4 = 11,
       F_HOST_TSO6 = 12, F_MRG_RXBUF = 15, F_STATUS = 16 };
enum { QUEUE = 256, RX = 0, TX = 1, HEAD_SLOT = 512, PIECES = 18, DESC_NEXT = 1, DESC_WRITE = 2 };
enum { HEADER_NEEDS_CSUM = 1, HEADER_DATA_VALID = 2, GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_ECN = 0x80 };

struct header {
    u8 flags, gso_type;
    u16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

struct queue {
    u16 size, free_head, free_count, used_seen, avail_next, published;
    volatile struct virtq_desc *desc;
    volatile u16 *avail; // flags, idx, ring[], used_event
    volatile struct virtq_used *used; // flags, idx, ring[], avail_event
    volatile u16 *doorbell;
};

struct virtio_net {
    struct virtio dev;
    struct nic *nic;
    struct queue rx, tx;
    bool event_idx, mergeable, has_status;
    u64 heads[QUEUE * HEAD_SLOT / XOK_PAGE_SIZE];
    struct {
        u32 ring;
        u16 first, descs; // 0 descs: nobody waits for it
    } sent[QUEUE];
};
static struct virtio_net devices[XOK_NIC_MAX - 1];

// ---- queues ----------------------------------------------------------------------------------------------
static bool queue_init(struct virtio_net *d, struct queue *q, u32 index)
{
    u64 desc = kpage_alloc(), rings = kpage_alloc();
    u32 max = virtio_queue_max(&d->dev, index);
    if (!desc || !rings || !max)
        return false;
    *q = (struct queue){.size = MIN(max, (u32)QUEUE), .desc = phys_to_virt(desc), .avail = phys_to_virt(rings),
                        .used = phys_to_virt(rings + 1024)};
    q->free_count = q->size;
    for (u32 i = 0; i < q->size; i++)
        q->desc[i].next = i + 1;
    q->doorbell = virtio_queue_set(&d->dev, index, q->size, desc, rings, rings + 1024);
    return true;
}

static volatile u16 *used_event(struct queue *q) { return &q->avail[2 + q->size]; }
static u16 avail_event(struct queue *q) { return *(volatile u16 *)&q->used->ring[q->size]; }

static void publish(struct queue *q, u16 id)
{
    q->avail[2 + (q->avail_next++ & (q->size - 1))] = id;
}

static void kick(struct virtio_net *d, struct queue *q, u32 index)
{
    u16 old = q->published, new = q->avail_next;
    if (old == new)
        return;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    q->avail[1] = q->published = new;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    bool wanted = d->event_idx ? (u16)(new - avail_event(q) - 1) < (u16)(new - old) : !(q->used->flags & 1);
    if (!wanted)
        return;
    d->nic->info->doorbells++;
    virtio_doorbell(&d->dev, q->doorbell, index);
}

// An interrupt once the device has used `after` more buffers than were seen; ~0: none.
static void interrupt_after(struct virtio_net *d, struct queue *q, u32 after)
{
    if (d->event_idx)
        *used_event(q) = q->used_seen + after; // ~0: one that was passed already
    else
        q->avail[0] = after == ~0u;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

// ---- sending ---------------------------------------------------------------------------------------------
static u8 *slot_of(struct virtio_net *d, u32 i)
{
    return (u8 *)phys_to_virt(d->heads[i * HEAD_SLOT / XOK_PAGE_SIZE]) + i * HEAD_SLOT % XOK_PAGE_SIZE;
}

static void parts_unpin(volatile struct virtq_desc *p)
{
    for (u64 ppn = p->addr / XOK_PAGE_SIZE; ppn <= (p->addr + p->len - 1) / XOK_PAGE_SIZE; ppn++)
        pages[ppn].pins--;
}

// Gives back a chain. The tables of descriptors are the driver's: the device reads them only.
static void chain_free(struct queue *q, u16 id)
{
    u16 last = id;
    q->free_count++;
    while (q->desc[last].flags & DESC_NEXT) {
        last = q->desc[last].next;
        parts_unpin(&q->desc[last]);
        q->free_count++;
    }
    q->desc[last].next = q->free_head;
    q->free_head = id;
}

static void sent_collect(struct virtio_net *d)
{
    struct queue *q = &d->tx;
    while (q->used_seen != q->used->idx) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        u32 id = q->used->ring[q->used_seen++ & (q->size - 1)].id;
        if (id >= q->size || d->sent[id].descs == 0xffff) // a broken device: not in flight
            continue;
        u16 descs = d->sent[id].descs;
        d->sent[id].descs = 0xffff;
        chain_free(q, id);
        if (descs) {
            ring_find(d->sent[id].ring)->sending--;
            ring_sent(d->sent[id].ring, d->sent[id].first, descs, 0);
        }
    }
}

u8 *virtio_net_head(struct virtio_net *d)
{
    if (d->tx.free_count <= FRAME_PARTS)
        sent_collect(d);
    return d->tx.free_count <= FRAME_PARTS ? NULL : slot_of(d, d->tx.free_head) + sizeof(struct header);
}

void virtio_net_send(struct virtio_net *d, const struct frame *f)
{
    struct queue *q = &d->tx;
    u16 id = q->free_head, last = id;
    u8 *slot = slot_of(d, id);
    bool csum = f->flags & XOK_TX_CSUM, tso = f->flags & (XOK_TX_TSO4 | XOK_TX_TSO6);
    *(struct header *)slot = (struct header){
        .flags = csum ? HEADER_NEEDS_CSUM : 0,
        .gso_type = !tso ? 0 : f->flags & XOK_TX_TSO4 ? GSO_TCPV4 : GSO_TCPV6,
        .hdr_len = tso ? f->head_len : 0,
        .gso_size = tso ? f->gso_size : 0,
        .csum_start = csum ? f->csum_start : 0,
        .csum_offset = csum ? f->csum_offset : 0,
    };
    q->desc[id].addr = virt_to_phys(slot);
    q->desc[id].len = sizeof(struct header) + f->head_len;
    q->desc[id].flags = 0;
    for (u32 i = 0; i < f->parts; i++) {
        q->desc[last].flags = DESC_NEXT;
        last = q->desc[last].next;
        q->desc[last].addr = f->part[i].addr;
        q->desc[last].len = f->part[i].len;
        q->desc[last].flags = 0;
    }
    q->free_head = q->desc[last].next;
    q->free_count -= f->parts + 1;
    d->sent[id].ring = f->ring, d->sent[id].first = f->first, d->sent[id].descs = f->parts ? f->descs : 0;
    publish(q, id);
    if (f->flags & XOK_TX_WAKE)
        interrupt_after(d, q, (u16)(q->avail_next - 1 - q->used_seen));
}

void virtio_net_kick(struct virtio_net *d)
{
    kick(d, &d->tx, TX);
    sent_collect(d);
}

void virtio_net_want_sent(struct virtio_net *d)
{
    u32 waiting = (u16)(d->tx.avail_next - d->tx.used_seen);
    interrupt_after(d, &d->tx, waiting * 3 / 4);
    sent_collect(d);
}

// ---- receiving -------------------------------------------------------------------------------------------
static void rx_post(struct queue *q, u16 id) { publish(q, id); }

// The buffers of the next frame, all there or none. Returns how many.
static u32 frame_gather(struct virtio_net *d, struct piece *p, u16 *ids, u32 *len, struct header *h)
{
    struct queue *q = &d->rx;
    u16 there = q->used->idx - q->used_seen;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    u32 n = 1;
    *len = 0;
    for (u32 i = 0; i < n; i++) {
        if (i >= there || i == PIECES)
            return i == PIECES ? i : 0;
        u32 id = q->used->ring[(q->used_seen + i) & (q->size - 1)].id & (q->size - 1);
        u32 used = MIN(q->used->ring[(q->used_seen + i) & (q->size - 1)].len, (u32)XOK_PAGE_SIZE);
        const u8 *at = phys_to_virt(q->desc[id].addr);
        if (!i) {
            memcpy(h, at, sizeof *h);
            n = d->mergeable ? MAX(h->num_buffers, 1) : 1;
            at += sizeof *h;
            used -= MIN(used, (u32)sizeof *h);
        }
        p[i] = (struct piece){at, used};
        ids[i] = id;
        *len += used;
    }
    return n;
}

u32 virtio_net_poll(struct virtio_net *d, u32 budget)
{
    struct queue *q = &d->rx;
    u32 frames = 0;
    sent_collect(d);
    while (frames < budget) {
        struct piece p[PIECES];
        struct header h;
        u16 ids[PIECES];
        u32 len, n = frame_gather(d, p, ids, &len, &h);
        if (!n)
            break;
        u8 type = h.gso_type & ~GSO_ECN;
        bool tso = type == GSO_TCPV4 || type == GSO_TCPV6;
        if (len <= XOK_FRAME_MAX)
            nic_input(d->nic, p, len,
                      (h.flags & (HEADER_NEEDS_CSUM | HEADER_DATA_VALID) ? XOK_RX_CSUM_OK : 0) | (tso ? XOK_RX_TSO : 0),
                      tso ? h.gso_size : 0);
        q->used_seen += n;
        for (u32 i = 0; i < n; i++)
            rx_post(q, ids[i]);
        frames++;
    }
    if (frames) {
        kick(d, q, RX);
        kick(d, &d->tx, TX); // what handlers replied
    }
    return frames;
}

void virtio_net_disarm(struct virtio_net *d) { interrupt_after(d, &d->rx, ~0u); }

bool virtio_net_arm(struct virtio_net *d)
{
    interrupt_after(d, &d->rx, 0);
    return d->rx.used_seen == d->rx.used->idx;
}

// ---- interrupts and start --------------------------------------------------------------------------------
static void link_read(void *arg)
{
    struct virtio_net *d = arg;
    u32 up = d->has_status ? virtio_config32(&d->dev, 4) >> 16 & 1 : 1; // mac[4..5], status
    if (up == d->nic->info->link)
        return;
    d->nic->info->link = up;
    d->nic->info->changes++;
    pred_touch_info(&d->nic->info->link);
}

static void interrupt(void *arg)
{
    struct virtio_net *d = arg;
    d->nic->info->interrupts++;
    if (virtio_ack(&d->dev) & 2)
        link_read(d);
    if (!d->nic->quiet_until)
        nic_serve(d->nic);
    else
        sent_collect(d), rings_wake();
}

static bool device_init(struct virtio_net *d, u64 have)
{
    if (!queue_init(d, &d->rx, RX) || !queue_init(d, &d->tx, TX))
        return false;
    for (u32 i = 0; i < countof(d->heads); i++)
        if (!(d->heads[i] = kpage_alloc()))
            return false;
    for (u32 i = 0; i < QUEUE; i++)
        d->sent[i].descs = 0xffff;
    for (u32 i = 0; i < d->rx.size; i++) {
        u64 pa = kpage_alloc();
        if (!pa)
            return false;
        d->rx.desc[i].addr = pa;
        d->rx.desc[i].len = XOK_PAGE_SIZE;
        d->rx.desc[i].flags = DESC_WRITE;
        rx_post(&d->rx, i);
    }
    d->event_idx = have >> VIRTIO_F_EVENT_IDX & 1;
    d->mergeable = have >> F_MRG_RXBUF & 1;
    d->has_status = have >> F_STATUS & 1;
    return true;
}

static u32 nic_features(u64 have)
{
    static const struct {
        u8 bit;
        u32 feature;
    } map[] = {{F_CSUM, XOK_NIC_CSUM}, {F_HOST_TSO4, XOK_NIC_TSO4}, {F_HOST_TSO6, XOK_NIC_TSO6},
               {F_GUEST_CSUM, XOK_NIC_RX_CSUM}, {F_GUEST_TSO4, XOK_NIC_RX_TSO}, {F_GUEST_TSO6, XOK_NIC_RX_TSO}};
    u32 f = XOK_NIC_DEVICE;
    for (u32 i = 0; i < countof(map); i++)
        if (have >> map[i].bit & 1)
            f |= map[i].feature;
    return f;
}

void virtio_net_init(void)
{
    u64 want = 1ul << F_CSUM | 1ul << F_GUEST_CSUM | 1ul << F_MTU | 1ul << F_MAC | 1ul << F_GUEST_TSO4 |
               1ul << F_GUEST_TSO6 | 1ul << F_HOST_TSO4 | 1ul << F_HOST_TSO6 | 1ul << F_MRG_RXBUF | 1ul << F_STATUS |
               1ul << VIRTIO_F_EVENT_IDX, have;
    for (u32 i = 0; i < countof(devices); i++) {
        struct virtio_net *d = &devices[i];
        if (!virtio_find(&d->dev, VIRTIO_NET, i, want, &have, interrupt, d))
            return;
        // Long frames need several buffers, or buffers of 64 KiB: without mergeable ones they are not asked for.
        if (!(have >> F_MAC & 1) || !(have >> F_MRG_RXBUF & 1) || !device_init(d, have)) {
            klog("network device %u: not usable", i);
            continue;
        }
        u8 mac[8];
        *(u32 *)mac = virtio_config32(&d->dev, 0), *(u32 *)(mac + 4) = virtio_config32(&d->dev, 4);
        u32 mtu = have >> F_MTU & 1 ? virtio_config32(&d->dev, 8) >> 16 : 1500;
        d->nic = nic_add(mac, MIN(MAX(mtu, 68u), 65521u), nic_features(have), d);
        virtio_config_irq(&d->dev, link_read, d);
        virtio_ready(&d->dev);
        link_read(d);
        kick(d, &d->rx, RX);
        interrupt_after(d, &d->tx, ~0u);
        interrupt_after(d, &d->rx, 0);
    }
}
