// IPv6 neighbour discovery (RFC 4861) and stateless address configuration (RFC 4862).
#include "net/stack.h"

enum { ROUTER_SOLICIT = 133, ROUTER_ADVERT, NEIGH_SOLICIT, NEIGH_ADVERT };
enum { OPT_SOURCE = 1, OPT_TARGET, OPT_PREFIX, OPT_MTU = 5 };
enum { NA_ROUTER = 0x80, NA_SOLICITED = 0x40, NA_OVERRIDE = 0x20 };

void mac_of_multicast(const struct ip *a, u8 *mac)
{
    if (!ip_is4(a)) {
        mac[0] = mac[1] = 0x33;
        memcpy(mac + 2, &a->b[12], 4);
    } else if (a->w[3] == ~0u) {
        memset(mac, 0xff, 6);
    } else {
        mac[0] = 1, mac[1] = 0, mac[2] = 0x5e, mac[3] = a->b[13] & 0x7f, mac[4] = a->b[14], mac[5] = a->b[15];
    }
}

static struct ip solicited_node(const struct ip *a)
{
    return (struct ip){.b = {0xff, 2, [11] = 1, 0xff, a->b[13], a->b[14], a->b[15]}};
}

static const struct ip all_nodes = {.b = {0xff, 2, [15] = 1}}, all_routers = {.b = {0xff, 2, [15] = 2}};

// head: the message but for type, code and sum. mac: link-level option of that kind, NULL none.
static void message(struct net *net, struct netif *nif, const struct ip *src, const struct ip *dst, u8 type, const u8 *rest,
                    const struct ip *target, u8 option)
{
    struct tx t;
    struct route r = {.nif = nif, .hop = *dst, .src = *src, .mtu = nif->mtu};
    tx_start(&t, src, dst, IPPROTO_ICMP6_);
    t.ttl = 255;
    if (option) {
        u8 *o = tx_push(&t, 8);
        o[0] = option, o[1] = 1;
        memcpy(o + 2, nif->mac, 6);
    }
    if (target)
        memcpy(tx_push(&t, 16), target->b, 16);
    u8 *h = tx_push(&t, 8);
    h[0] = type, h[1] = 0;
    memcpy(h + 4, rest, 4);
    put16(h + 2, 0);
    tx_sum(&t, nif, 2);
    ip_send(net, &t, &r);
}

void nd_solicit(struct net *net, struct netif *nif, const struct ip *target, const u8 *mac, bool dad)
{
    static const u8 zero[4];
    struct route r;
    struct ip none = {0}, to = mac ? *target : solicited_node(target);
    if (dad)
        r.src = none;
    else if (route_find(net, target, NULL, &r))
        return;
    message(net, nif, &r.src, &to, NEIGH_SOLICIT, zero, target, dad ? 0 : OPT_SOURCE);
}

static const u8 *option_find(const u8 *p, u32 len, u8 kind, u32 size)
{
    for (u32 n = 0; n + 8 <= len && p[n + 1] && p[n + 1] * 8u <= len - n; n += p[n + 1] * 8u)
        if (p[n] == kind && p[n + 1] * 8u >= size)
            return p + n;
    return NULL;
}

static void solicited(struct net *net, struct rx *x)
{
    if (x->len < 24)
        return;
    struct ip target = ip6_of(x->p + 8), to = x->src;
    struct addr *a = addr_find(net, &target);
    if (!a || a->nif != x->nif || a->flags & ADDR_DUPLICATE)
        return;
    bool dad = ip_any(&x->src);
    if (a->flags & ADDR_TENTATIVE) {
        if (dad) // somebody else tries the same address
            a->flags |= ADDR_DUPLICATE;
        return;
    }
    const u8 *o = option_find(x->p + 24, x->len - 24, OPT_SOURCE, 8);
    if (o && !dad)
        neigh_learn(net, x->nif, &x->src, o + 2, true, false, true);
    if (dad)
        to = all_nodes;
    u8 rest[4] = {NA_OVERRIDE | (dad ? 0 : NA_SOLICITED)};
    message(net, x->nif, &target, &to, NEIGH_ADVERT, rest, &target, OPT_TARGET);
}

static void advertised(struct net *net, struct rx *x)
{
    if (x->len < 24)
        return;
    struct ip target = ip6_of(x->p + 8);
    struct addr *a = addr_find(net, &target);
    if (a) {
        if (a->flags & ADDR_TENTATIVE && a->nif == x->nif)
            a->flags |= ADDR_DUPLICATE;
        return;
    }
    const u8 *o = option_find(x->p + 24, x->len - 24, OPT_TARGET, 8);
    if (o)
        neigh_learn(net, x->nif, &target, o + 2, false, x->p[4] & NA_SOLICITED && !x->broadcast, x->p[4] & NA_OVERRIDE);
}

static u64 until(struct net *net, u32 seconds) { return seconds == ~0u ? ~0ul : net_ms(net) + seconds * 1000ul; }

static struct ip with_interface_id(const struct ip *prefix, const u8 *mac)
{
    struct ip a = *prefix;
    u8 id[8] = {mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
    memcpy(a.b + 8, id, 8);
    return a;
}

static void prefix_option(struct net *net, struct netif *nif, const u8 *o)
{
    u32 valid = get32(o + 4), preferred = get32(o + 8);
    struct ip prefix = ip6_of(o + 16);
    if (o[2] > 128 || preferred > valid || ip_link_local(&prefix) || ip_multicast(&prefix) || ip_is4(&prefix))
        return;
    if (o[3] & 0x40 && o[2] == 64) { // A: addresses may be made of it
        struct ip mine = with_interface_id(&prefix, nif->mac);
        struct addr *a = addr_find(net, &mine);
        if (!a && valid)
            a = addr_add(nif, &mine, 128, ADDR_AUTO | ADDR_TENTATIVE);
        if (a && a->flags & ADDR_AUTO) {
            u64 v = until(net, valid), two_hours = net_ms(net) + 7200000;
            if (v > two_hours || v > a->valid_ms) // RFC 4862, 5.5.3: no stranger shortens it much
                a->valid_ms = v;
            else if (a->valid_ms > two_hours)
                a->valid_ms = two_hours;
            a->preferred_ms = until(net, preferred);
        }
    }
    if (o[3] & 0x80 && o[2]) { // L: its hosts are on this link
        if (valid)
            route_add(net, &prefix, o[2], NULL, nif, 256);
        else
            route_remove(net, &prefix, o[2], NULL);
    }
}

static void router(struct net *net, struct rx *x)
{
    if (x->len < 16 || !ip_link_local(&x->src))
        return;
    struct ip all = {0};
    const u8 *o = option_find(x->p + 16, x->len - 16, OPT_SOURCE, 8);
    if (o)
        neigh_learn(net, x->nif, &x->src, o + 2, true, false, true);
    u16 life = get16(x->p + 6);
    if (life && route_add(net, &all, 0, &x->src, x->nif, 1024)) {
        for (u32 n = 0; n < ROUTES; n++)
            if (net->routes[n].nif == x->nif && ip_eq(&net->routes[n].hop, &x->src))
                net->routes[n].valid_ms = until(net, life), net->routes[n].is_auto = true;
    } else if (!life) {
        route_remove(net, &all, 0, &x->src);
    }
    for (u32 at = 16; at + 8 <= x->len && x->p[at + 1] && x->p[at + 1] * 8u <= x->len - at; at += x->p[at + 1] * 8u)
        if (x->p[at] == OPT_PREFIX && x->p[at + 1] == 4)
            prefix_option(net, x->nif, x->p + at);
    o = option_find(x->p + 16, x->len - 16, OPT_MTU, 8);
    if (o && get32(o + 4) >= 1280 && get32(o + 4) < x->nif->mtu) {
        x->nif->mtu = get32(o + 4);
        net->route_gen++;
    }
}

void nd_input(struct net *net, struct rx *x)
{
    if (x->ttl != 255 || x->p[1] || (x->len >= 24 && x->p[0] >= NEIGH_SOLICIT && x->p[8] == 0xff))
        return;
    switch (x->p[0]) {
    case ROUTER_ADVERT: router(net, x); break;
    case NEIGH_SOLICIT: solicited(net, x); break;
    case NEIGH_ADVERT: advertised(net, x); break;
    }
}

void nd_start(struct netif *nif)
{
    static const u8 zero[4];
    struct ip prefix = {.b = {0xfe, 0x80}}, mine = with_interface_id(&prefix, nif->mac), none = {0};
    addr_add(nif, &mine, 64, ADDR_TENTATIVE);
    message(nif->net, nif, &none, &all_routers, ROUTER_SOLICIT, zero, NULL, 0);
}
