// The path of every frame: where its headers are, then one hash probe a shape.
#include "net/dpf.h"

static u64 load64(const u8 *p)
{
    u64 v;
    __builtin_memcpy(&v, p, 8);
    return v;
}

static u32 load32(const u8 *p)
{
    u32 v;
    __builtin_memcpy(&v, p, 4);
    return v;
}

static u32 load16(const u8 *p)
{
    u16 v;
    __builtin_memcpy(&v, p, 2);
    return v;
}

enum { LE_IPV4 = 0x0008, LE_IPV6 = 0xdd86, LE_OFFSET = 0xff1f, LE_MORE = 0x0020 }; // as they lie in the frame
enum { LE6_OFFSET = 0xf8ff, LE6_MORE = 0x0100, NEXT_FRAGMENT = 44 };

struct headers {
    u32 class, transport; // transport: offset, 0 if none
    bool fragment, first;
    u64 key[DPF_KEY];     // of the datagram: addresses, protocol, identification
};

// What the usual case leaves out: fragments, IPv6.
static void headers_of(const u8 *f, u32 len, struct headers *h)
{
    *h = (struct headers){0};
    if (load16(f + 12) == LE_IPV4 && len >= 34 && (f[14] & 15) >= 5) {
        u32 where = load16(f + 20);
        h->class = 256 + f[23];
        h->fragment = where & (LE_OFFSET | LE_MORE);
        h->first = !(where & LE_OFFSET);
        h->transport = h->first ? 14 + (f[14] & 15) * 4 : 0;
        h->key[0] = load64(f + 26), h->key[4] = load16(f + 18) | (u64)h->class << 32;
    } else if (load16(f + 12) == LE_IPV6 && len >= 54) {
        h->class = 512 + f[20];
        h->transport = 54;
        if (f[20] != NEXT_FRAGMENT || len < 62)
            return;
        u32 where = load16(f + 56);
        h->class = 512 + f[54];
        h->fragment = where & (LE6_OFFSET | LE6_MORE);
        h->first = !(where & LE6_OFFSET);
        h->transport = h->first ? 62 : 0;
        for (u32 i = 0; i < 4; i++)
            h->key[i] = load64(f + 22 + 8 * i);
        h->key[4] = load32(f + 58) | (u64)h->class << 32;
    }
}

static u32 probe(const struct dpf *d, const struct dpf_plan *plan, const u8 *frame, u32 len, u32 transport)
{
    const u8 *base[2] = {frame, frame + transport};
    u32 there[2] = {len, transport && transport < len ? len - transport : 0};
    for (u32 i = 0; i < plan->count; i++) {
        const struct dpf_shape *s = plan->shape[i];
        if (there[0] < s->need[0] || there[1] < s->need[1])
            continue;
        u64 key[DPF_WORDS], h = 0;
        u32 n = s->words;
        for (u32 w = 0; w < n; w++) {
            key[w] = load64(base[s->base[w]] + s->offset[w]) & s->mask[w];
            h += key[w] * s->mul[w];
        }
        for (u32 x = d->bucket[h >> (64 - DPF_BUCKET_BITS)]; x; x = d->link[x].next) {
            const struct xok_filter_info *f = &d->filter[x];
            u64 differs = f->shape ^ (u64)(s - d->shape);
            for (u32 w = 0; w < n; w++)
                differs |= f->key[w] ^ key[w];
            if (!differs)
                return x;
        }
    }
    return 0;
}

static struct dpf_fragment *fragment_slot(struct dpf *d, const u64 *key)
{
    u64 x = 0;
    for (u32 i = 0; i < DPF_KEY; i++)
        x = (x ^ key[i]) * d->shape[i].mul[0];
    return &d->fragment[x >> 56];
}

static u32 plan_run(struct dpf *d, u32 nic, const struct headers *h, const u8 *frame, u32 len)
{
    const struct dpf_plan *plan = &d->plan[d->plan_of[nic][h->class]];
    if (plan->code && h->transport && len >= plan->need[0] && len >= h->transport + plan->need[1])
        return plan->code(frame, frame + h->transport);
    return probe(d, plan, frame, len, h->transport);
}

static __attribute__((noinline)) u32 classify_slow(struct dpf *d, u32 nic, const u8 *frame, u32 len, bool outgoing)
{
    struct headers h;
    headers_of(frame, len, &h);
    if (!h.fragment)
        return plan_run(d, nic, &h, frame, len);
    h.key[4] |= (u64)(nic << 1 | outgoing) << 48;
    struct dpf_fragment *slot = fragment_slot(d, h.key);
    if (!h.first && !__builtin_memcmp(slot->key, h.key, sizeof h.key)) {
        u32 x = dpf_find(d, slot->filter);
        if (x)
            return x;
    }
    u32 x = plan_run(d, nic, &h, frame, len);
    if (x && h.first) {
        __builtin_memcpy(slot->key, h.key, sizeof h.key);
        slot->filter = d->filter[x].id;
    }
    return x;
}

u32 dpf_classify(struct dpf *d, u32 nic, const u8 *frame, u32 len, bool outgoing)
{
    // The usual frames: IPv4 without options, and IPv6, whole.
    if (load16(frame + 12) == LE_IPV4 && frame[14] == 0x45 && !(load16(frame + 20) & (LE_OFFSET | LE_MORE)) &&
        len >= d->entry[nic][frame[23]].need)
        return d->entry[nic][frame[23]].code(frame, frame + 34);
    if (load16(frame + 12) == LE_IPV6 && frame[20] != NEXT_FRAGMENT && len >= d->entry[nic][256 + frame[20]].need)
        return d->entry[nic][256 + frame[20]].code(frame, frame + 54);
    return classify_slow(d, nic, frame, len, outgoing);
}

static void swap(u8 *a, u8 *b, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        u8 t = a[i];
        a[i] = b[i], b[i] = t;
    }
}

// Protocols whose header begins with source port and destination port.
static bool has_ports(u32 protocol)
{
    return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136;
}

static void store32(u8 *p, u32 v) { __builtin_memcpy(p, &v, 4); }
static void store64(u8 *p, u64 v) { __builtin_memcpy(p, &v, 8); }

// The usual frame: IPv4 without options, whole.
static void mirror_ipv4(u8 *f, bool ports)
{
    u64 to = load64(f), from = load64(f + 6), addresses = load64(f + 26);
    u32 four = load32(f + 34);
    store64(f, (from & 0xffffffffffff) | to << 48);
    store64(f + 6, (to & 0xffffffffffff) | from >> 48 << 48);
    store64(f + 26, addresses << 32 | addresses >> 32);
    if (ports)
        store32(f + 34, four << 16 | four >> 16);
}

void dpf_mirror(u8 *f, u32 len)
{
    u32 type = load16(f + 12);
    if (type == LE_IPV4 && f[14] == 0x45 && !(load16(f + 20) & (LE_OFFSET | LE_MORE)) && len >= 38) {
        mirror_ipv4(f, has_ports(f[23]));
        return;
    }
    swap(f, f + 6, 6);
    if (type == 0x0608) { // ARP of IPv4 over Ethernet: sender and target
        if (len >= 42 && load32(f + 14) == 0x00080100 && load16(f + 18) == 0x0406)
            swap(f + 22, f + 32, 10);
        return;
    }
    struct headers h;
    headers_of(f, len, &h);
    if (!h.class)
        return;
    if (h.class < 512)
        swap(f + 26, f + 30, 4);
    else
        swap(f + 22, f + 38, 16);
    if (h.transport && h.transport + 4 <= len && has_ports(h.class & 255))
        swap(f + h.transport, f + h.transport + 2, 2);
}

u32 dpf_transport(const u8 *f, u32 len)
{
    struct headers h;
    headers_of(f, len, &h);
    return h.transport < len ? h.transport : 0;
}
