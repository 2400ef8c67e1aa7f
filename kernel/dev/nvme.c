// NVMe (NVM Express base specification 1.4): the first namespace of each controller, one queue pair
// for XN's requests. Pages are handed over as they are, by a list of their addresses (PRP).
#include "kernel.h"
#include "dev/virtio.h"
#include "dev/virtio_blk.h"
#include "disk/xn.h"

enum {
    R_CAP = 0,
    R_CC = 0x14,
    R_CSTS = 0x1c,
    R_AQA = 0x24,
    R_ASQ = 0x28,
    R_ACQ = 0x30,
    R_DOORBELL = 0x1000
};
enum { CC_ON = 1 | 6 << 16 | 4 << 20 /* entries of 64 and 16 bytes */, CSTS_READY = 1 };
enum { ADMIN_SQ = 1, ADMIN_CQ = 5, ADMIN_IDENTIFY = 6 };
enum { IO_FLUSH, IO_WRITE, IO_READ, IO_MANAGE = 9, DEALLOCATE = 4 };
enum { QUEUE = 64, CLASS_NVME = 0x010802, POLLS = 100000000 };

struct command {
    u8 opcode, flags;
    u16 id;
    u32 namespace;
    u64 reserved, metadata, prp1, prp2;
    u32 arg[6]; // dwords 10 to 15
};
struct completion {
    u32 result, reserved;
    u16 head, queue, id, status; // status: bit 0 the phase
};
struct pair { // of queues
    volatile struct command *sq;
    volatile struct completion *cq;
    u16 tail, head, phase, index;
};

static struct nvme {
    volatile u8 *regs;
    u32 stride;
    struct pair admin, io;
    u64 *list[QUEUE]; // eighth of a page each: PRP list, or the range to discard
    struct req *req[QUEUE];
    u8 free[QUEUE];
    u32 free_count, sector_shift;
} nvmes[XOK_DISK_MAX];

static u32 get(struct nvme *n, u32 r)
{
    return *(volatile u32 *)(n->regs + r);
}
static void put(struct nvme *n, u32 r, u32 v)
{
    *(volatile u32 *)(n->regs + r) = v;
}
static void put64(struct nvme *n, u32 r, u64 v)
{
    put(n, r, v), put(n, r + 4, v >> 32);
}

static bool pair_new(struct pair *p, u16 index)
{
    u64 sq = kpage_alloc(), cq = kpage_alloc();
    *p = (struct pair){.sq = phys_to_virt(sq), .cq = phys_to_virt(cq), .phase = 1, .index = index};
    return sq && cq;
}

static void send(struct nvme *n, struct pair *p, const struct command *c)
{
    *(struct command *)&p->sq[p->tail] = *c;
    p->tail = (p->tail + 1) % QUEUE;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    put(n, R_DOORBELL + 2 * p->index * n->stride, p->tail);
}

static bool take(struct nvme *n, struct pair *p, u16 *id, u16 *status)
{
    volatile struct completion *c = &p->cq[p->head];
    if ((c->status & 1) != p->phase)
        return false;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    *id = c->id, *status = c->status >> 1;
    p->head = (p->head + 1) % QUEUE;
    p->phase ^= !p->head;
    put(n, R_DOORBELL + (2 * p->index + 1) * n->stride, p->head);
    return true;
}

// While starting: polls.
static bool admin(struct nvme *n, struct command c)
{
    u16 id, status;
    send(n, &n->admin, &c);
    for (u32 i = 0; i < POLLS; i++)
        if (take(n, &n->admin, &id, &status))
            return !status;
    return false;
}

// ---- requests
static bool submit(struct disk *d, struct req *r)
{
    static const u8 opcodes[] = {IO_READ, IO_WRITE, IO_FLUSH, IO_MANAGE};
    struct nvme *n = d->device;
    if (!n->free_count)
        return false;
    u32 id = n->free[--n->free_count], shift = XOK_PAGE_SHIFT - n->sector_shift;
    u64 *list = n->list[id], sector = r->block << shift, sectors = (u64)r->count << shift;
    struct command c = {.opcode = opcodes[r->op], .id = id, .namespace = 1};
    if (r->op == REQ_DISCARD) {
        list[0] = sectors << 32, list[1] = sector; // one range
        c.prp1 = virt_to_phys(list);
        c.arg[1] = DEALLOCATE;
    } else if (r->op != REQ_FLUSH) {
        c.prp1 = (u64)r->page[0] * XOK_PAGE_SIZE;
        for (u32 i = 1; i < r->count; i++)
            list[i - 1] = (u64)r->page[i] * XOK_PAGE_SIZE;
        c.prp2 = r->count == 2 ? list[0] : r->count > 2 ? virt_to_phys(list) : 0;
        c.arg[0] = sector, c.arg[1] = sector >> 32, c.arg[2] = sectors - 1;
    }
    n->req[id] = r;
    send(n, &n->io, &c);
    return true;
}

static void interrupt(void *arg)
{
    struct nvme *n = arg;
    u16 id, status;
    while (take(n, &n->io, &id, &status)) {
        struct req *r = id < QUEUE ? n->req[id] : NULL;
        if (!r)
            continue;
        n->req[id] = NULL;
        n->free[n->free_count++] = id;
        xn_complete(r, !status);
    }
}

// ---- start
static bool ready(struct nvme *n, u32 want)
{
    for (u32 i = 0; i < POLLS / 100; i++)
        if ((get(n, R_CSTS) & CSTS_READY) == want)
            return true;
    return false;
}

static bool queues_start(struct nvme *n)
{
    put(n, R_CC, 0);
    if (!ready(n, 0) || !pair_new(&n->admin, 0) || !pair_new(&n->io, 1))
        return false;
    put(n, R_AQA, (QUEUE - 1) << 16 | (QUEUE - 1));
    put64(n, R_ASQ, virt_to_phys((void *)n->admin.sq));
    put64(n, R_ACQ, virt_to_phys((void *)n->admin.cq));
    put(n, R_CC, CC_ON);
    u32 size = (QUEUE - 1) << 16 | 1;
    struct command cq = {.opcode = ADMIN_CQ,
                         .prp1 = virt_to_phys((void *)n->io.cq),
                         .arg = {size, 3 /* interrupts */}};
    struct command sq = {
        .opcode = ADMIN_SQ, .prp1 = virt_to_phys((void *)n->io.sq), .arg = {size, 1 << 16 | 1}};
    return ready(n, CSTS_READY) && admin(n, cq) && admin(n, sq);
}

static bool lists_new(struct nvme *n)
{
    u64 page = 0;
    for (u32 i = 0; i < QUEUE - 1; i++, page += 512) { // a full queue holds one less
        if (!(page % XOK_PAGE_SIZE) && !(page = kpage_alloc()))
            return false;
        n->list[i] = phys_to_virt(page);
        n->free[n->free_count++] = i;
    }
    return true;
}

static void attach(struct nvme *n)
{
    u64 cap = get(n, R_CAP) | (u64)get(n, R_CAP + 4) << 32, page = kpage_alloc();
    n->stride = 4u << (cap >> 32 & 15);
    const u8 *id = phys_to_virt(page);
    if (!page || n->stride > 256 || !queues_start(n) || !lists_new(n))
        return;
    struct command identify = {.opcode = ADMIN_IDENTIFY, .prp1 = page, .arg = {1}};
    if (!admin(n, identify))
        return;
    bool small = id[77] && 1u << id[77] < SEGMENTS;
    u32 features = (id[525] & 1 ? XOK_DISK_FLUSH : 0) | (id[520] & 4 ? XOK_DISK_DISCARD : 0);
    identify.namespace = 1, identify.arg[0] = 0;
    if (small || !admin(n, identify))
        return;
    u64 sectors = *(const u64 *)id;
    n->sector_shift = id[128 + 4 * (id[26] & 15) + 2];
    struct disk *d =
        sectors && n->sector_shift >= 9 && n->sector_shift <= XOK_PAGE_SHIFT ? disk_new() : NULL;
    kpage_free(page);
    if (!d)
        return;
    d->device = n, d->submit = submit;
    u64 blocks = sectors >> (XOK_PAGE_SHIFT - n->sector_shift);
    xn_disk_add(d, MIN(blocks, XOK_DISKMAP_STRIDE), 1u << n->sector_shift, features);
    klog("disk %u: %lu MiB, NVMe", d->index, d->capacity / 256);
}

void nvme_init(void)
{
    for (u32 dev = 0, i = 0; pci_get(0, 0) != ~0u && dev < 256 && i < XOK_DISK_MAX; dev++) {
        if (pci_get(dev, 0) == ~0u || pci_get(dev, 8) >> 8 != CLASS_NVME)
            continue;
        struct nvme *n = &nvmes[i++];
        pci_set(dev, 4, pci_get(dev, 4) | 6); // memory space, bus master
        n->regs = pci_bar(dev, 0, 0);
        if (!n->regs || !pci_interrupt(dev, interrupt, n))
            klog("an NVMe controller is not used");
        else
            attach(n);
    }
}
