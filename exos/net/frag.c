// Reassembly (RFC 815's idea, as a bitmap of eight-byte units). A datagram whose fragments overlap, or
// contradict each other, is thrown away whole (RFC 5722).
#include "net/stack.h"

enum { FRAGS_MAX = 256, BYTES_MAX = 4 << 20, LIFE_MS = 30000, SIZE_MAX_ = 65536 };
struct frag {
    struct frag *next;
    struct ip src, dst;
    u32 id, total, got, room; // total 0: the last one is not here yet
    u8 proto;
    bool dead;                // overlapped: what still comes is swallowed
    u64 until_ms;
    u8 *bytes;                // then, behind `room` bytes, the bitmap
};

static void frag_free(struct net *net, struct frag **at)
{
    struct frag *f = *at;
    *at = f->next;
    net->nfrags--;
    net->frag_bytes -= f->room;
    net_free(f->bytes);
    net_free(f);
}

static void frag_expire(struct net *net, struct net_timer *t)
{
    for (struct frag **at = &net->frags; *at;) {
        if ((*at)->until_ms <= net_ms(net)) {
            frag_free(net, at);
            net->count.frag_fail++;
        } else {
            at = &(*at)->next;
        }
    }
    if (net->frags)
        wheel_set(net, t, 1000);
}

void frag_clear(struct net *net)
{
    while (net->frags)
        frag_free(net, &net->frags);
    wheel_clear(net, &net->frag_timer);
}

static struct frag **oldest(struct net *net)
{
    struct frag **at = &net->frags;
    while ((*at)->next)
        at = &(*at)->next;
    return at;
}

static struct frag *frag_new(struct net *net)
{
    while (net->nfrags >= FRAGS_MAX)
        frag_free(net, oldest(net));
    struct frag *f = net_alloc(sizeof *f);
    if (!f)
        return NULL;
    f->until_ms = net_ms(net) + LIFE_MS;
    f->next = net->frags;
    net->frags = f;
    net->nfrags++;
    net->frag_timer.fn = frag_expire;
    if (!wheel_armed(&net->frag_timer))
        wheel_set(net, &net->frag_timer, 1000);
    return f;
}

// Makes room for `end` bytes and their bitmap.
static bool frag_grow(struct net *net, struct frag *f, u32 end)
{
    if (end <= f->room)
        return true;
    u32 room = MIN(MAX(end, f->room * 2), (u32)SIZE_MAX_);
    room = (room + 63) & ~63u;
    if (net->frag_bytes + room - f->room > BYTES_MAX)
        return false;
    u8 *p = net_alloc(room + room / 64);
    if (!p)
        return false;
    if (f->bytes) {
        memcpy(p, f->bytes, f->room);
        memcpy(p + room, f->bytes + f->room, f->room / 64);
        net_free(f->bytes);
    }
    net->frag_bytes += room - f->room;
    f->bytes = p, f->room = room;
    return true;
}

// Marks the units; false: one was there already.
static bool frag_mark(struct frag *f, u32 off, u32 len)
{
    u8 *map = f->bytes + f->room;
    for (u32 n = off / 8; n < (off + len + 7) / 8; n++) {
        if (map[n / 8] >> (n % 8) & 1)
            return false;
        map[n / 8] |= 1 << (n % 8);
    }
    return true;
}

u8 *frag_add(struct net *net, const struct ip *src, const struct ip *dst, u32 id, u8 proto, u32 off, bool more, const u8 *p,
             u32 len, u32 *total)
{
    if ((more && (len % 8 || !len)) || off + len > 65535)
        return NULL;
    struct frag **at = &net->frags, *f;
    while (*at && !((*at)->id == id && (*at)->proto == proto && ip_eq(&(*at)->src, src) && ip_eq(&(*at)->dst, dst)))
        at = &(*at)->next;
    f = *at;
    if (!f) {
        f = frag_new(net);
        if (!f)
            return NULL;
        f->src = *src, f->dst = *dst, f->id = id, f->proto = proto;
        at = &net->frags;
    }
    if (f->dead)
        return NULL;
    u32 end = off + len;
    bool bad = (!more && f->total && f->total != end) || (f->total && end > f->total) || (!more && f->got + len > end);
    if (!bad && !frag_grow(net, f, end)) {
        frag_free(net, at);
        net->count.frag_fail++;
        return NULL;
    }
    if (bad || !frag_mark(f, off, len)) {
        f->dead = true;
        net->count.frag_fail++;
        return NULL;
    }
    if (!more)
        f->total = end;
    memcpy(f->bytes + off, p, len);
    f->got += len;
    if (!f->total || f->got != f->total)
        return NULL;
    u8 *whole = f->bytes;
    *total = f->total;
    f->bytes = NULL;
    frag_free(net, at);
    net->count.frag_ok++;
    return whole;
}
