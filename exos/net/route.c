// Addresses of the interfaces, routes, and what is known of path MTUs.
#include "net/stack.h"

bool ip_multicast(const struct ip *a)
{
    return ip_is4(a) ? a->b[12] >> 4 == 14 || a->w[3] == ~0u : a->b[0] == 0xff;
}

bool ip_link_local(const struct ip *a) { return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80; }

bool ip_loopback(const struct ip *a)
{
    return ip_is4(a) ? a->b[12] == 127 : !a->q[0] && !a->w[2] && get32(a->b + 12) == 1;
}

bool ip_prefix_eq(const struct ip *a, const struct ip *b, u32 bits)
{
    if (memcmp(a->b, b->b, bits / 8))
        return false;
    u32 rest = bits % 8;
    return !rest || !((a->b[bits / 8] ^ b->b[bits / 8]) >> (8 - rest));
}

// Prefix lengths are told in the address's own version, and kept as of 128 bits.
static u32 plen_wide(const struct ip *a, u32 plen) { return ip_is4(a) ? plen + 96 : plen; }

struct addr *addr_find(struct net *net, const struct ip *a)
{
    for (u32 n = 0; n < net->addr_high; n++)
        if (net->addrs[n].nif && ip_eq(&net->addrs[n].ip, a))
            return &net->addrs[n];
    return NULL;
}

bool addr_is_own(struct net *net, const struct ip *a)
{
    if (ip_loopback(a))
        return true;
    struct addr *x = addr_find(net, a);
    return x && !(x->flags & (ADDR_TENTATIVE | ADDR_DUPLICATE));
}

static void dad_done(struct net *net, struct net_timer *t)
{
    (void)net;
    struct addr *a = container_of(t, struct addr, dad);
    a->flags &= ~ADDR_TENTATIVE;
}

struct addr *addr_add(struct netif *nif, const struct ip *ip, u32 plen, u32 flags)
{
    struct net *net = nif->net;
    struct addr *a = addr_find(net, ip);
    for (u32 n = 0; !a && n < ADDRS; n++)
        if (!net->addrs[n].nif)
            a = &net->addrs[n];
    if (!a)
        return NULL;
    if (a->nif) // it stays as it is
        return a;
    memset(a, 0, sizeof *a);
    a->ip = *ip, a->nif = nif, a->net = net;
    net->addr_high = MAX(net->addr_high, (u32)(a - net->addrs) + 1);
    a->plen = plen_wide(ip, plen), a->flags = flags;
    a->valid_ms = a->preferred_ms = ~0ul;
    net->route_gen++;
    if (flags & ADDR_TENTATIVE) {
        a->dad.fn = dad_done;
        wheel_set(net, &a->dad, 1000);
        nd_solicit(net, nif, ip, NULL, true);
    } else if (ip_is4(ip) && !(nif->features & NETIF_LOOPBACK)) {
        arp_announce(nif, ip);
    }
    if (!ip_link_local(ip) && plen)
        route_add(net, ip, plen, NULL, nif, 0);
    return a;
}

void addr_remove(struct net *net, struct addr *a)
{
    wheel_clear(net, &a->dad);
    struct ip ip = a->ip;
    u32 plen = ip_is4(&ip) ? a->plen - 96 : a->plen;
    a->nif = NULL;
    net->route_gen++;
    route_remove(net, &ip, plen, NULL);
}

static struct route_entry *entry_find(struct net *net, const struct ip *dst, u32 plen, const struct ip *hop)
{
    for (u32 n = 0; n < ROUTES; n++) {
        struct route_entry *e = &net->routes[n];
        if (e->nif && e->plen == plen && ip_is4(&e->dst) == ip_is4(dst) && ip_prefix_eq(&e->dst, dst, plen) &&
            e->direct == !hop && (!hop || ip_eq(&e->hop, hop)))
            return e;
    }
    return NULL;
}

bool route_add(struct net *net, const struct ip *dst, u32 plen, const struct ip *hop, struct netif *nif, u32 metric)
{
    plen = plen_wide(dst, plen);
    struct route_entry *e = entry_find(net, dst, plen, hop);
    for (u32 n = 0; !e && n < ROUTES; n++)
        if (!net->routes[n].nif)
            e = &net->routes[n];
    if (!e)
        return false;
    *e = (struct route_entry){.dst = *dst, .nif = nif, .plen = plen, .metric = metric, .direct = !hop, .valid_ms = ~0ul};
    if (hop)
        e->hop = *hop;
    net->route_gen++;
    return true;
}

void route_remove(struct net *net, const struct ip *dst, u32 plen, const struct ip *hop)
{
    struct route_entry *e = entry_find(net, dst, plen_wide(dst, plen), hop);
    if (e)
        e->nif = NULL;
    net->route_gen++;
}

static u32 common_bits(const struct ip *a, const struct ip *b)
{
    u32 n = 0;
    while (n < 16 && a->b[n] == b->b[n])
        n++;
    return n == 16 ? 128 : n * 8 + (u32)__builtin_clz(a->b[n] ^ b->b[n]) - 24;
}

// RFC 6724, as far as it matters with one interface: same scope, not deprecated, longest common prefix.
static bool source_choose(struct net *net, const struct netif *nif, const struct ip *dst, struct ip *src)
{
    const struct addr *best = NULL;
    s32 best_score = -1;
    u64 now = net_ms(net);
    for (u32 n = 0; n < net->addr_high; n++) {
        const struct addr *a = &net->addrs[n];
        if (!a->nif || ip_is4(&a->ip) != ip_is4(dst) || a->flags & (ADDR_TENTATIVE | ADDR_DUPLICATE))
            continue;
        s32 score = 0;
        if (a->nif == nif)
            score += 8;
        if (ip_link_local(&a->ip) == (ip_link_local(dst) || (!ip_is4(dst) && ip_multicast(dst) && (dst->b[1] & 15) == 2)))
            score += 4;
        if (a->preferred_ms > now)
            score += 2;
        score = score * 256 + common_bits(&a->ip, dst);
        if (score > best_score)
            best = a, best_score = score;
    }
    if (!best || (ip_loopback(&best->ip) && !ip_loopback(dst)))
        return false;
    *src = best->ip;
    return true;
}

static struct netif *any_netif(struct net *net)
{
    for (struct netif *f = net->ifs; f; f = f->next)
        if (!(f->features & NETIF_LOOPBACK) && f->features & NETIF_UP)
            return f;
    return NULL;
}

static struct route_entry *route_best(struct net *net, const struct ip *dst)
{
    struct route_entry *best = NULL;
    u64 now = net_ms(net);
    for (u32 n = 0; n < ROUTES; n++) {
        struct route_entry *e = &net->routes[n];
        if (!e->nif || !(e->nif->features & NETIF_UP) || ip_is4(&e->dst) != ip_is4(dst) || e->valid_ms <= now ||
            !ip_prefix_eq(&e->dst, dst, e->plen))
            continue;
        if (!best || e->plen > best->plen || (e->plen == best->plen && e->metric < best->metric))
            best = e;
    }
    return best;
}

s32 route_find(struct net *net, const struct ip *dst, const struct ip *src, struct route *out)
{
    bool given = src && !ip_any(src);
    out->hop = *dst;
    if (given && !addr_is_own(net, src))
        return -EADDRNOTAVAIL;
    if (addr_is_own(net, dst)) {
        out->nif = &net->lo;
        out->src = given ? *src : *dst;
        out->mtu = net->lo.mtu;
        return 0;
    }
    if (given && ip_loopback(src))
        return -EINVAL;
    struct route_entry *e = route_best(net, dst);
    if (ip_multicast(dst) || ip_link_local(dst)) {
        out->nif = e ? e->nif : any_netif(net);
    } else {
        out->nif = e ? e->nif : NULL;
        if (e && !e->direct)
            out->hop = e->hop;
    }
    if (!out->nif)
        return -ENETUNREACH;
    if (given) {
        out->src = *src;
    } else if (!source_choose(net, out->nif, &out->hop, &out->src)) {
        if (!ip_is4(dst) || dst->w[3] != ~0u)
            return -ENETUNREACH;
        out->src = ip4_make(0); // a host that has no address yet
    } else if (!ip_is4(dst) && !ip_eq(dst, &out->hop)) {
        source_choose(net, out->nif, dst, &out->src);
    }
    out->mtu = pmtu_of(net, dst, out->nif->mtu);
    return 0;
}

static struct pmtu *pmtu_slot(struct net *net, const struct ip *a)
{
    u32 h = (a->w[0] ^ a->w[1] ^ a->w[2] ^ a->w[3]) * 0x9e3779b1u;
    return &net->pmtu[h >> 24];
}

u32 pmtu_of(struct net *net, const struct ip *dst, u32 link)
{
    struct pmtu *m = pmtu_slot(net, dst);
    return m->mtu && m->until_ms > net_ms(net) && ip_eq(&m->dst, dst) ? MIN(m->mtu, link) : link;
}

enum { PMTU_MIN4 = 552, PMTU_MIN6 = 1280, PMTU_MS = 600000 };
bool pmtu_note(struct net *net, const struct ip *dst, u32 mtu)
{
    struct route r;
    mtu = MAX(mtu, ip_is4(dst) ? (u32)PMTU_MIN4 : (u32)PMTU_MIN6);
    if (route_find(net, dst, NULL, &r) || mtu >= r.mtu)
        return false;
    *pmtu_slot(net, dst) = (struct pmtu){*dst, mtu, net_ms(net) + PMTU_MS};
    net->route_gen++;
    return true;
}
