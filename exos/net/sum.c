// Internet checksums (RFC 1071), and SipHash-2-4 (Aumasson, Bernstein 2012) for what strangers must not guess.
#include "net/stack.h"

static u32 fold(u64 s)
{
    s = (s & 0xffffffff) + (s >> 32);
    return (u32)((s & 0xffffffff) + (s >> 32));
}

// Sums in the order of memory; the halves are swapped at the end, as RFC 1071 allows.
static u64 sum_native(const u8 *p, u32 len)
{
    u64 s = 0;
    for (; len >= 64; p += 64, len -= 64)
        __asm__("addq (%1), %0\n\tadcq 8(%1), %0\n\tadcq 16(%1), %0\n\tadcq 24(%1), %0\n\t"
                "adcq 32(%1), %0\n\tadcq 40(%1), %0\n\tadcq 48(%1), %0\n\tadcq 56(%1), %0\n\tadcq $0, %0"
                : "+r"(s)
                : "r"(p), "m"(*(const u8(*)[64])p)
                : "cc");
    for (; len >= 8; p += 8, len -= 8)
        __asm__("addq %1, %0\n\tadcq $0, %0" : "+r"(s) : "m"(*(const u8(*)[8])p) : "cc");
    s = (s & 0xffffffff) + (s >> 32);
    for (; len >= 2; p += 2, len -= 2)
        s += p[0] | p[1] << 8;
    if (len)
        s += p[0];
    return s;
}

static u32 swapped(u64 s)
{
    u32 v = fold(s);
    v = (v & 0xffff) + (v >> 16);
    v = (v & 0xffff) + (v >> 16);
    return (v & 0xff) << 8 | v >> 8;
}

u32 sum_add(u32 sum, const u8 *p, u32 len) { return fold((u64)sum + swapped(sum_native(p, len))); }

u32 sum_refs(u32 sum, const struct netref *r, u32 off, u32 len)
{
    bool odd = false;
    for (; r && off >= r->len; r = r->next)
        off -= r->len;
    for (; r && len; r = r->next, off = 0) {
        u32 n = MIN(r->len - off, len), s = swapped(sum_native(r->data + off, n));
        if (odd)
            s = (s & 0xff) << 8 | s >> 8;
        sum = fold((u64)sum + s);
        odd ^= n & 1;
        len -= n;
    }
    return sum;
}

u32 sum_pseudo(const struct ip *src, const struct ip *dst, u8 proto, u32 len)
{
    if (ip_is4(dst))
        return proto + len + swapped((u64)src->w[3] + dst->w[3]);
    u32 from = ip_is4(src) ? 12 : 0, s = proto + (len >> 16) + (len & 0xffff);
    s = sum_add(s, src->b + from, 16 - from);
    return sum_add(s, dst->b + from, 16 - from);
}

void tx_sum(struct tx *t, const struct netif *nif, u32 offset)
{
    u8 *h = t->head + t->at;
    u32 head = NET_HEAD_MAX - t->at, s = sum_pseudo(&t->src, &t->dst, t->proto, head + t->body);
    t->transport = t->at;
    t->csum_offset = offset;
    t->csum = nif->features & NETIF_CSUM;
    if (t->csum) {
        put16(h + offset, ~sum_end(s));
        return;
    }
    put16(h + offset, 0);
    s = sum_add(s, h, head);
    u16 v = sum_end(sum_refs(s, t->refs, 0, t->body)); // head is even: all transport headers are
    put16(h + offset, v || t->proto != IPPROTO_UDP_ ? v : 0xffff);
}

#define ROL(x, n) ((x) << (n) | (x) >> (64 - (n)))
static void sip_round(u64 v[4])
{
    v[0] += v[1], v[2] += v[3];
    v[1] = ROL(v[1], 13) ^ v[0], v[3] = ROL(v[3], 16) ^ v[2];
    v[0] = ROL(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = ROL(v[1], 17) ^ v[2], v[3] = ROL(v[3], 21) ^ v[0];
    v[2] = ROL(v[2], 32);
}

u64 siphash(const u64 key[2], const void *p, size_t n)
{
    u64 v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                key[1] ^ 0x7465646279746573};
    const u8 *b = p;
    u64 last = (u64)n << 56;
    for (; n >= 8; b += 8, n -= 8) {
        u64 m;
        memcpy(&m, b, 8);
        v[3] ^= m;
        sip_round(v), sip_round(v);
        v[0] ^= m;
    }
    for (size_t i = 0; i < n; i++)
        last |= (u64)b[i] << (8 * i);
    v[3] ^= last;
    sip_round(v), sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
