// IPv4 (RFC 791, 1122) and IPv6 (RFC 8200), in and out. Nothing is forwarded.
#include "net/tcp.h"

enum { IP4_LEN = 20, IP6_LEN = 40, FRAG_LEN = 8, EXTENSIONS_MAX = 8 };
enum { IP4_DF = 0x4000, IP4_MF = 0x2000 };

void ip_deliver(struct net *net, struct rx *x)
{
    net->count.ip_in++;
    switch (x->proto) {
    case IPPROTO_TCP_: tcp_input(net, x); return;
    case IPPROTO_UDP_: udp_input(net, x); return;
    case IPPROTO_ICMP_:
        if (ip_is4(&x->dst)) {
            icmp4_input(net, x);
            return;
        }
        break;
    case IPPROTO_ICMP6_:
        if (!ip_is4(&x->dst)) {
            icmp6_input(net, x);
            return;
        }
        break;
    }
    if (!x->broadcast)
        icmp_unreachable(net, x, UNREACH_PROTO);
}

// For us: an address of ours, one that all hosts listen to, or anything before we have an address.
static bool for_us(struct net *net, struct netif *nif, const struct ip *dst, bool *broadcast)
{
    *broadcast = ip_multicast(dst);
    if (*broadcast)
        return true;
    if (nif->features & NETIF_LOOPBACK ? addr_is_own(net, dst) : !ip_loopback(dst) && addr_find(net, dst))
        return true;
    for (u32 n = 0; n < net->addr_high; n++) {
        const struct addr *a = &net->addrs[n];
        if (a->nif != nif || !ip_is4(dst) || !ip_is4(&a->ip) || a->plen > 126 || !ip_prefix_eq(&a->ip, dst, a->plen))
            continue;
        if ((get32(dst->b + 12) | ~0u << (128 - a->plen)) == ~0u)
            return *broadcast = true;
    }
    return false;
}

// Source routes are refused (RFC 7126); all else may be passed over.
static bool ip4_options_ok(const u8 *p, u32 len)
{
    for (u32 n = 0; n < len && p[n];) {
        if (p[n] == 1) {
            n++;
            continue;
        }
        if (p[n] == 131 || p[n] == 137 || n + 1 >= len || p[n + 1] < 2 || p[n + 1] > len - n)
            return false;
        n += p[n + 1];
    }
    return true;
}

static void fragment(struct net *net, struct rx *x, u32 id, u32 off, bool more)
{
    u32 len;
    u8 *whole = frag_add(net, &x->src, &x->dst, id, x->proto, off, more, x->p, x->len, &len);
    if (!whole)
        return;
    x->p = whole, x->len = len;
    x->csum_ok = false;
    ip_deliver(net, x);
    net_free(whole);
}

void ip4_input(struct net *net, struct netif *nif, const u8 *p, u32 len, u32 flags)
{
    u32 head = len ? (p[0] & 15) * 4 : 0;
    if (len < IP4_LEN || p[0] >> 4 != 4 || head < IP4_LEN || head > len || get16(p + 2) < head || get16(p + 2) > len ||
        sum_end(sum_add(0, p, head))) {
        net->count.ip_bad++;
        return;
    }
    len = get16(p + 2);
    struct rx x = {.nif = nif, .src = ip4_of(p + 12), .dst = ip4_of(p + 16), .p = p + head, .len = len - head, .ip = p,
                   .ip_len = len, .proto = p[9], .ttl = p[8], .tos = p[1], .csum_ok = flags & NETRX_CSUM_OK};
    if (ip_multicast(&x.src) || (ip_loopback(&x.src) && !(nif->features & NETIF_LOOPBACK)) ||
        !for_us(net, nif, &x.dst, &x.broadcast) || !ip4_options_ok(p + IP4_LEN, head - IP4_LEN))
        return;
    u16 f = get16(p + 6);
    if (f & (IP4_MF | 0x1fff))
        fragment(net, &x, get16(p + 4), (f & 0x1fff) * 8, f & IP4_MF);
    else
        ip_deliver(net, &x);
}

// Options of a hop-by-hop or destination header: false if one unknown to us forbids going on.
static bool ip6_options_ok(const u8 *p, u32 len)
{
    for (u32 n = 2; n < len;) {
        if (!p[n]) {
            n++;
            continue;
        }
        if (n + 2 > len || n + 2 + p[n + 1] > len)
            return false;
        if (p[n] != 1 && p[n] != 5 && p[n] >> 6)
            return false;
        n += 2 + p[n + 1];
    }
    return true;
}

void ip6_input(struct net *net, struct netif *nif, const u8 *p, u32 len, u32 flags)
{
    if (len < IP6_LEN || p[0] >> 4 != 6 || get16(p + 4) > len - IP6_LEN) {
        net->count.ip_bad++;
        return;
    }
    len = IP6_LEN + get16(p + 4);
    struct rx x = {.nif = nif, .src = ip6_of(p + 8), .dst = ip6_of(p + 24), .p = p + IP6_LEN, .len = len - IP6_LEN,
                   .ip = p, .ip_len = len, .proto = p[6], .ttl = p[7], .tos = p[0] << 4 | p[1] >> 4,
                   .csum_ok = flags & NETRX_CSUM_OK};
    if (ip_multicast(&x.src) || ip_is4(&x.src) || ip_is4(&x.dst) ||
        (ip_loopback(&x.src) && !(nif->features & NETIF_LOOPBACK)) || !for_us(net, nif, &x.dst, &x.broadcast))
        return;
    for (u32 n = 0; n < EXTENSIONS_MAX; n++) {
        bool options = x.proto == 0 || x.proto == 60, routing = x.proto == 43;
        if (x.proto == IPPROTO_FRAGMENT_) {
            if (x.len < FRAG_LEN)
                return;
            u16 f = get16(x.p + 2);
            u32 id = get32(x.p + 4);
            x.proto = x.p[0];
            x.p += FRAG_LEN, x.len -= FRAG_LEN;
            if (f & 0xfff9) {
                fragment(net, &x, id, f & 0xfff8, f & 1);
                return;
            }
            continue; // all in one
        }
        if (!options && !routing) {
            if (x.proto != 59)
                ip_deliver(net, &x);
            return;
        }
        u32 size = x.len < 8 ? ~0u : 8u + x.p[1] * 8u;
        if (size > x.len || (routing && x.p[3]) || (options && !ip6_options_ok(x.p, size)))
            return;
        x.proto = x.p[0];
        x.p += size, x.len -= size;
    }
}

// ---- out
static void ip4_head(struct net *net, struct tx *t, u16 frag, u16 id)
{
    u8 *h = tx_push(t, IP4_LEN);
    (void)net;
    h[0] = 0x45, h[1] = t->tos;
    put16(h + 2, NET_HEAD_MAX - t->at + t->body);
    put16(h + 4, id);
    put16(h + 6, frag);
    h[8] = t->ttl, h[9] = t->proto;
    put16(h + 10, 0);
    memcpy(h + 12, &t->src.b[12], 4);
    memcpy(h + 16, &t->dst.b[12], 4);
    put16(h + 10, sum_end(sum_add(0, h, IP4_LEN)));
}

static void ip6_head(struct tx *t, u8 next)
{
    u32 len = NET_HEAD_MAX - t->at + t->body;
    u8 *h = tx_push(t, IP6_LEN);
    put32(h, 6u << 28 | (u32)t->tos << 20);
    put16(h + 4, len > 0xffff ? 0 : len);
    h[6] = next, h[7] = t->ttl;
    memcpy(h + 8, t->src.b, 16);
    memcpy(h + 24, t->dst.b, 16);
}

// The datagram in pieces that fit; the transport header travels as data.
static s32 send_pieces(struct net *net, struct tx *t, const struct route *r)
{
    bool v4 = ip_is4(&t->dst);
    struct refq all = {0};
    u32 head = NET_HEAD_MAX - t->at, room = (r->mtu - (v4 ? IP4_LEN : IP6_LEN + FRAG_LEN)) & ~7u, id;
    u8 *h = t->head + t->at;
    if (t->csum) { // the pseudo header is summed already
        u32 s = sum_refs(sum_add(0, h, head), t->refs, 0, t->body);
        put16(h + t->csum_offset, sum_end(s));
        t->csum = false;
    }
    s32 err = refq_copy(net, &all, h, head) && refq_clone(net, &all, t->refs, 0, t->body) ? 0 : -ENOBUFS;
    if (v4)
        id = ++net->ip_id;
    else
        net_random(&id, sizeof id);
    for (u32 off = 0; !err && off < all.bytes; off += room) {
        struct refq part = {0};
        struct tx x = *t;
        x.at = x.transport = NET_HEAD_MAX;
        x.body = MIN(room, all.bytes - off);
        bool more = off + x.body < all.bytes;
        if (!refq_clone(net, &part, all.first, off, x.body)) {
            refq_free(net, &part);
            err = -ENOBUFS;
            break;
        }
        x.refs = part.first;
        if (v4) {
            ip4_head(net, &x, off / 8 | (more ? IP4_MF : 0), id);
        } else {
            u8 *f = tx_push(&x, FRAG_LEN);
            f[0] = t->proto, f[1] = 0;
            put16(f + 2, off | more);
            put32(f + 4, id);
            ip6_head(&x, IPPROTO_FRAGMENT_);
        }
        if (!ether_send(net, r->nif, &r->hop, &x))
            err = -ENOBUFS;
        refq_free(net, &part);
    }
    refq_free(net, &all);
    return err;
}

s32 ip_send(struct net *net, struct tx *t, const struct route *r)
{
    bool v4 = ip_is4(&t->dst);
    u32 size = (v4 ? IP4_LEN : IP6_LEN) + NET_HEAD_MAX - t->at + t->body;
    net->count.ip_out++;
    if (size > (t->gso ? r->nif->tso_max : r->mtu)) {
        if (t->df || t->gso || size > 65535)
            return -EMSGSIZE;
        return send_pieces(net, t, r);
    }
    if (v4)
        ip4_head(net, t, t->df ? IP4_DF : 0, t->df ? 0 : ++net->ip_id);
    else
        ip6_head(t, t->proto);
    return ether_send(net, r->nif, &r->hop, t) ? 0 : -ENOBUFS;
}
