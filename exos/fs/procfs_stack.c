// /proc/net (proc(5)): what the TCP/IP stack knows: interfaces, routes, neighbours, IPv6 addresses.
#include "fs/procfs.h"
#include "net/family.h"

s64 net_dev_show(struct text *t, const struct ref *r)
{
    (void)r;
    text_add(t, "Inter-|   Receive                                                |  Transmit\n"
                " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n");
    stack_take();
    struct netif *all[8];
    u32 n = 0;
    for (struct netif *f = stack.ifs; f && n < countof(all); f = f->next)
        all[n++] = f;
    while (n--) { // lo came first
        const struct netif *f = all[n];
        text_add(t, "%6s: %7lu %7lu %4u %4lu %4u %5u %10u %9u %8lu %7lu %4u %4lu %4u %5u %7u %10u\n", f->name, f->rx_bytes,
                 f->rx_packets, 0, f->rx_drops, 0, 0, 0, 0, f->tx_bytes, f->tx_packets, 0, f->tx_drops, 0, 0, 0, 0);
    }
    stack_drop();
    return 0;
}

s64 net_route_show(struct text *t, const struct ref *r)
{
    char line[128];
    (void)r;
    text_add(t, "%-127s\n", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
    stack_take();
    for (u32 n = 0; n < ROUTES; n++) {
        const struct route_entry *e = &stack.routes[n];
        if (!e->nif || !ip_is4(&e->dst) || e->nif->features & NETIF_LOOPBACK)
            continue;
        u32 bits = e->plen - 96u;
        u8 m[4];
        u32 mask;
        put32(m, bits ? ~0u << (32 - bits) : 0);
        memcpy(&mask, m, 4);
        snprintf(line, sizeof line, "%s\t%08X\t%08X\t%04X\t0\t0\t%u\t%08X\t0\t0\t0", e->nif->name, e->dst.w[3] & mask,
                 e->direct ? 0 : e->hop.w[3], e->direct ? 1 : 3, e->metric, mask);
        text_add(t, "%-127s\n", line);
    }
    stack_drop();
    return 0;
}

s64 net_arp_show(struct text *t, const struct ref *r)
{
    (void)r;
    text_add(t, "IP address       HW type     Flags       HW address            Mask     Device\n");
    stack_take();
    for (const struct neigh *n = stack.neigh_new; n; n = n->older) {
        char ip[16];
        const u8 *a = &n->ip.b[12], *m = n->mac;
        if (!ip_is4(&n->ip))
            continue;
        snprintf(ip, sizeof ip, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
        text_add(t, "%-16s 0x1         0x%u         %02x:%02x:%02x:%02x:%02x:%02x     *        %s\n", ip,
                 n->state > NEIGH_INCOMPLETE ? 2 : 0, m[0], m[1], m[2], m[3], m[4], m[5], n->nif->name);
    }
    stack_drop();
    return 0;
}

s64 net_if_inet6_show(struct text *t, const struct ref *r)
{
    (void)r;
    stack_take();
    for (u32 n = 0; n < stack.addr_high; n++) {
        const struct addr *a = &stack.addrs[n];
        if (!a->nif || ip_is4(&a->ip))
            continue;
        for (u32 k = 0; k < 16; k++)
            text_add(t, "%02x", a->ip.b[k]);
        u32 scope = ip_loopback(&a->ip) ? 0x10 : ip_link_local(&a->ip) ? 0x20 : 0;
        text_add(t, " %02x %02x %02x %02x %8s\n", a->nif->features & NETIF_LOOPBACK ? 1 : 2, a->plen, scope,
                 (a->flags & ADDR_AUTO ? 0 : 0x80) | (a->flags & ADDR_TENTATIVE ? 0x40 : 0), a->nif->name);
    }
    stack_drop();
    return 0;
}

// A connection's state as /proc/net/tcp numbers it, and its queues; 0: not one of the stack's.
u32 net_tcp_state(struct sock *s, u32 *tx, u64 *rx)
{
    stack_take();
    const struct tcp *c = s->tcp;
    u32 state = c ? c->state : 0;
    if (c)
        *tx = c->queued, *rx = c->rcvq.bytes;
    stack_drop();
    return state;
}
