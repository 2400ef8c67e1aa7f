// virtio-blk (virtio 1.2, 5.2): XN's requests, each an indirect descriptor table of its own:
// header, up to SEGMENTS pages, status byte.
#include "kernel.h"
#include "dev/virtio.h"
#include "dev/virtio_blk.h"
#include "disk/xn.h"

enum { F_READONLY = 5, F_BLOCK_SIZE = 6, F_FLUSH = 9, F_DISCARD = 13 };
enum { T_READ, T_WRITE, T_FLUSH = 4, T_DISCARD = 11, S_OK = 0 };
enum { C_CAPACITY = 0, C_BLOCK_SIZE = 20, C_MAX_DISCARD = 36 };
enum { D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4 };
enum { QUEUE = 64, SECTORS = XOK_BLOCK_SIZE / 512 };

struct slot { // half a page, seen by the device
    struct virtq_desc table[SEGMENTS + 2];
    struct {
        u32 type, reserved;
        u64 sector;
    } header;
    struct {
        u64 sector;
        u32 sectors, flags;
    } range; // discard
    u8 status;
};
_Static_assert(sizeof(struct slot) <= 2048, "two slots a page");

static struct blk {
    struct virtio dev;
    struct virtq q;
    struct slot *slot[QUEUE];
    struct req *req[QUEUE];
    struct disk *disk;
} blks[XOK_DISK_MAX];

static u32 put(struct slot *s, u32 n, u64 pa, u32 len, bool device_writes)
{
    s->table[n] = (struct virtq_desc){pa, len, (device_writes ? D_WRITE : 0) | D_NEXT, n + 1};
    return n + 1;
}

// Pages that follow each other in memory are one segment.
static u32 put_pages(struct slot *s, u32 n, const struct req *r)
{
    for (u32 i = 0, k; i < r->count; i += k) {
        for (k = 1; i + k < r->count && r->page[i + k] == r->page[i] + k; k++)
            ;
        n = put(s, n, (u64)r->page[i] * XOK_PAGE_SIZE, k * XOK_PAGE_SIZE, r->op == REQ_READ);
    }
    return n;
}

static bool submit(struct disk *d, struct req *r)
{
    static const u8 types[] = {T_READ, T_WRITE, T_FLUSH, T_DISCARD};
    struct blk *b = d->device;
    struct virtq *q = &b->q;
    if (!q->free_count)
        return false;
    u32 id = q->free_head;
    struct slot *s = b->slot[id];
    u64 base = virt_to_phys(s);
    s->header.type = types[r->op];
    s->header.sector = r->op <= REQ_WRITE ? r->block * SECTORS : 0;
    s->status = 0xff;
    u32 n = put(s, 0, base + offsetof(struct slot, header), sizeof s->header, false);
    if (r->op == REQ_DISCARD) {
        s->range.sector = r->block * SECTORS, s->range.sectors = r->count * SECTORS;
        n = put(s, n, base + offsetof(struct slot, range), sizeof s->range, false);
    } else if (r->op != REQ_FLUSH) {
        n = put_pages(s, n, r);
    }
    put(s, n, base + offsetof(struct slot, status), 1, true);
    s->table[n].flags &= ~D_NEXT;
    b->req[id] = r;
    virtq_put(q, base + offsetof(struct slot, table), (n + 1) * sizeof s->table[0], D_INDIRECT, id);
    virtq_kick(q);
    return true;
}

static void interrupt(void *arg)
{
    struct blk *b = arg;
    u64 id;
    u32 len;
    virtio_ack(&b->dev);
    while (virtq_pop(&b->q, &id, &len)) {
        struct req *r = id < QUEUE ? b->req[id] : NULL;
        if (!r)
            continue;
        b->req[id] = NULL;
        xn_complete(r, b->slot[id]->status == S_OK);
    }
}

static bool slots_new(struct blk *b)
{
    for (u32 i = 0; i < QUEUE; i += 2) {
        u64 pa = kpage_alloc();
        if (!pa)
            return false;
        b->slot[i] = phys_to_virt(pa);
        b->slot[i + 1] = phys_to_virt(pa + 2048);
    }
    return true;
}

static void attach(struct blk *b, u64 have)
{
    u64 sectors =
        virtio_config32(&b->dev, C_CAPACITY) | (u64)virtio_config32(&b->dev, C_CAPACITY + 4) << 32;
    u32 sector = have >> F_BLOCK_SIZE & 1 ? virtio_config32(&b->dev, C_BLOCK_SIZE) : 512,
        features = 0;
    if (have >> F_FLUSH & 1)
        features |= XOK_DISK_FLUSH;
    if (have >> F_DISCARD & 1 && virtio_config32(&b->dev, C_MAX_DISCARD) >= SEGMENTS * SECTORS)
        features |= XOK_DISK_DISCARD;
    if (have >> F_READONLY & 1)
        features |= XOK_DISK_READONLY;
    struct disk *d = slots_new(b) && virtq_init(&b->q, &b->dev, 0) ? disk_new() : NULL;
    if (!d || !sector || XOK_BLOCK_SIZE % sector)
        return;
    b->disk = d;
    d->device = b, d->submit = submit;
    virtio_ready(&b->dev);
    xn_disk_add(d, MIN(sectors / SECTORS, XOK_DISKMAP_STRIDE), sector, features);
    klog("disk %u: %lu MiB", d->index, d->capacity / 256);
}

void virtio_blk_init(void)
{
    u64 want = 1ul << F_READONLY | 1ul << F_BLOCK_SIZE | 1ul << F_FLUSH | 1ul << F_DISCARD |
               1ul << VIRTIO_F_INDIRECT,
        have;
    for (u32 i = 0; i < XOK_DISK_MAX; i++) {
        struct blk *b = &blks[i];
        if (!virtio_find(&b->dev, VIRTIO_BLK, i, want, &have, interrupt, b))
            return;
        if (have >> VIRTIO_F_INDIRECT & 1)
            attach(b, have);
        else
            klog("disk %u: no indirect descriptors, not used", i);
    }
}
