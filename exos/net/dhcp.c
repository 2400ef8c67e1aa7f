// DHCP client (RFC 2131, 2132).
#include "net/stack.h"

enum { BOOT_LEN = 236, COOKIE = 0x63825363, CLIENT = 68, SERVER = 67, PACKET = 576 };
enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK };
enum { O_MASK = 1, O_ROUTER = 3, O_DNS = 6, O_DOMAIN = 15, O_ADDRESS = 50, O_LEASE = 51, O_TYPE = 53, O_SERVER = 54,
       O_WANT = 55, O_T1 = 58, O_T2 = 59, O_END = 255 };

static u8 *option4(u8 *p, u8 kind, const struct ip *a)
{
    p[0] = kind, p[1] = 4;
    memcpy(p + 2, &a->b[12], 4);
    return p + 6;
}

static void send(struct dhcp *d, u8 type)
{
    struct net *net = d->nif->net;
    u8 b[PACKET] = {1, 1, 6};
    bool has = d->state == DHCP_RENEWING || d->state == DHCP_REBINDING;
    put32(b + 4, d->xid);
    put16(b + 8, (net_ms(net) - d->started_ms) / 1000);
    if (has)
        memcpy(b + 12, &d->address.b[12], 4);
    else
        put16(b + 10, 0x8000); // answer by broadcast: we have no address to be found at
    memcpy(b + 28, d->nif->mac, 6);
    put32(b + BOOT_LEN, COOKIE);
    u8 *o = b + BOOT_LEN + 4;
    *o++ = O_TYPE, *o++ = 1, *o++ = type;
    if (type == REQUEST && !has) {
        o = option4(o, O_ADDRESS, &d->offered);
        o = option4(o, O_SERVER, &d->server);
    }
    static const u8 want[] = {O_WANT, 7, O_MASK, O_ROUTER, O_DNS, O_DOMAIN, O_LEASE, O_T1, O_T2};
    memcpy(o, want, sizeof want);
    o += sizeof want;
    *o++ = O_END;
    struct ip to = d->state == DHCP_RENEWING ? d->server : ip4_make(~0u);
    struct refq q = {0};
    if (refq_copy(net, &q, b, MAX((u32)(o - b), 300u)))
        udp_send(&d->udp, &to, SERVER, q.first, q.bytes);
    refq_free(net, &q);
}

// 4, 8, 16, 32, 64 seconds, each give or take one (RFC 2131, 4.1).
static void again(struct dhcp *d)
{
    u32 r;
    net_random(&r, sizeof r);
    wheel_set(d->nif->net, &d->timer, (4000ul << MIN(d->tries, (u8)4)) - 1000 + r % 2000);
    d->tries++;
}

static void discover(struct dhcp *d)
{
    d->state = DHCP_SELECTING;
    d->tries = 0;
    net_random(&d->xid, sizeof d->xid);
    d->started_ms = net_ms(d->nif->net);
    send(d, DISCOVER);
    again(d);
}

static void forget(struct dhcp *d)
{
    struct net *net = d->nif->net;
    struct ip any = ip4_make(0);
    struct addr *a = addr_find(net, &d->address);
    if (a && !ip_any(&d->address)) {
        addr_remove(net, a);
        route_remove(net, &any, 0, &d->router);
    }
    d->address = any;
}

static void dhcp_timer(struct net *net, struct net_timer *t)
{
    struct dhcp *d = container_of(t, struct dhcp, timer);
    u64 now = net_ms(net);
    switch (d->state) {
    case DHCP_SELECTING:
        send(d, DISCOVER);
        again(d);
        break;
    case DHCP_REQUESTING:
        if (d->tries >= 4) {
            discover(d);
        } else {
            send(d, REQUEST);
            again(d);
        }
        break;
    default: // bound, renewing, rebinding: what is left of the lease, halved
        if (now >= d->lease_ms) {
            forget(d);
            discover(d);
            break;
        }
        if (d->state == DHCP_BOUND)
            net_random(&d->xid, sizeof d->xid);
        d->state = now >= d->t2_ms ? DHCP_REBINDING : DHCP_RENEWING;
        send(d, REQUEST);
        u64 end = d->state == DHCP_RENEWING ? d->t2_ms : d->lease_ms;
        wheel_set(net, t, MAX((end - now) / 2, MIN(60000ul, end - now + 1)));
    }
}

static void bound(struct dhcp *d, const struct ip *a, u64 lease, u64 t1, u64 t2)
{
    struct net *net = d->nif->net;
    struct ip any = ip4_make(0);
    u64 now = net_ms(net);
    if (!ip_eq(a, &d->address))
        forget(d);
    d->address = *a;
    d->state = DHCP_BOUND;
    d->bound_ms = now;
    d->lease_ms = lease == 0xffffffff ? ~0ul : now + lease * 1000;
    t2 = t2 && t2 < lease ? t2 : lease / 8 * 7;
    t1 = t1 && t1 < t2 ? t1 : MIN(lease / 2, t2);
    d->t1_ms = now + t1 * 1000, d->t2_ms = now + t2 * 1000;
    addr_add(d->nif, a, d->plen, 0);
    if (!ip_any(&d->router))
        route_add(net, &any, 0, &d->router, d->nif, 100);
    if (lease != 0xffffffff)
        wheel_set(net, &d->timer, MAX(t1, 1ul) * 1000);
    else
        wheel_clear(net, &d->timer);
    if (net->dhcp_bound)
        net->dhcp_bound(d);
}

struct options {
    u8 type;
    struct ip server, router, dns[DHCP_DNS];
    u32 mask, lease, t1, t2, ndns;
    char domain[64];
};

static void options_read(struct options *o, const u8 *p, u32 len)
{
    for (u32 n = 0; n < len && p[n] != O_END;) {
        u8 kind = p[n];
        if (!kind) {
            n++;
            continue;
        }
        if (n + 2 > len || n + 2 + p[n + 1] > len)
            return;
        const u8 *v = p + n + 2;
        u32 size = p[n + 1];
        n += 2 + size;
        if (kind == O_TYPE && size == 1)
            o->type = *v;
        if (kind == O_DOMAIN)
            memcpy(o->domain, v, MIN(size, sizeof o->domain - 1));
        if (size < 4)
            continue;
        switch (kind) {
        case O_MASK: o->mask = get32(v); break;
        case O_ROUTER: o->router = ip4_of(v); break;
        case O_SERVER: o->server = ip4_of(v); break;
        case O_LEASE: o->lease = get32(v); break;
        case O_T1: o->t1 = get32(v); break;
        case O_T2: o->t2 = get32(v); break;
        case O_DNS:
            for (o->ndns = 0; o->ndns < DHCP_DNS && (o->ndns + 1) * 4 <= size; o->ndns++)
                o->dns[o->ndns] = ip4_of(v + o->ndns * 4);
        }
    }
}

void dhcp_input(struct dhcp *d, const u8 *p, u32 len)
{
    if (len < BOOT_LEN + 4 || p[0] != 2 || get32(p + 4) != d->xid || memcmp(p + 28, d->nif->mac, 6) ||
        get32(p + BOOT_LEN) != COOKIE)
        return;
    struct options o = {.server = ip4_make(0), .router = ip4_make(0)};
    options_read(&o, p + BOOT_LEN + 4, len - BOOT_LEN - 4);
    struct ip mine = ip4_of(p + 16);
    if (o.type == OFFER && d->state == DHCP_SELECTING && !ip_any(&mine) && !ip_any(&o.server)) {
        d->offered = mine, d->server = o.server;
        d->state = DHCP_REQUESTING;
        d->tries = 0;
        send(d, REQUEST);
        again(d);
        return;
    }
    if (d->state != DHCP_REQUESTING && d->state != DHCP_RENEWING && d->state != DHCP_REBINDING)
        return;
    if (o.type == NAK) {
        forget(d);
        discover(d);
    } else if (o.type == ACK && !ip_any(&mine) && !ip_multicast(&mine) && !ip_loopback(&mine) && o.lease) {
        if (!ip_any(&o.server))
            d->server = o.server;
        d->router = o.router;
        for (d->plen = 0; d->plen < 32 && o.mask >> (31 - d->plen) & 1;)
            d->plen++;
        if (!d->plen)
            d->plen = 24;
        d->ndns = o.ndns;
        memcpy(d->dns, o.dns, sizeof d->dns);
        memcpy(d->domain, o.domain, sizeof d->domain);
        bound(d, &mine, o.lease, o.t1, o.t2);
    }
}

// The owner of d->udp's receptions calls dhcp_input.
void dhcp_start(struct netif *nif, struct dhcp *d)
{
    memset(d, 0, sizeof *d);
    d->nif = nif;
    d->address = d->offered = d->router = d->server = ip4_make(0);
    d->udp.lport = CLIENT;
    d->udp.local = ip4_make(0);
    d->udp.v4only = d->udp.broadcast = true;
    d->udp.owner = d;
    d->timer.fn = dhcp_timer;
    if (!udp_bind(nif->net, &d->udp))
        discover(d);
}
