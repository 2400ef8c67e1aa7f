// Ethernet, the table of neighbours, ARP (RFC 826).
#include "net/stack.h"

enum { ETH_LEN = 14, ARP_LEN = 28, REACHABLE_MS = 30000, DELAY_MS = 5000, RETRY_MS = 1000, TRIES = 3, STALE_MS = 600000 };
static const u8 everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct pending { // waits for its neighbour's address
    struct pending *next;
    struct tx tx;
    struct refq refs;
};

// Pieces that an interface can take: the same bytes in fewer.
static bool packet_refs(struct net *net, struct netif *nif, struct tx *t, struct refq *own)
{
    u32 n = 0;
    for (const struct netref *r = t->refs; r && n <= nif->max_refs; r = r->next)
        n++;
    if (n <= nif->max_refs)
        return true;
    for (const struct netref *r = t->refs; r; r = r->next)
        if (!refq_copy(net, own, r->data, r->len))
            return false;
    t->refs = own->first;
    return true;
}

static bool frame_send(struct net *net, struct netif *nif, struct tx *t, const u8 *mac, u16 type)
{
    struct refq own = {0};
    struct netpkt p = {.gso_size = t->gso};
    if (t->csum)
        p.flags |= NETPKT_CSUM;
    if (t->gso)
        p.flags |= type == ETH_IP4 ? NETPKT_TSO4 : NETPKT_TSO6;
    u8 *h = tx_push(t, ETH_LEN);
    memcpy(h, mac, 6);
    memcpy(h + 6, nif->mac, 6);
    put16(h + 12, type);
    p.head = h;
    p.head_len = NET_HEAD_MAX - t->at;
    p.len = p.head_len + t->body;
    p.csum_start = t->transport - t->at;
    p.csum_offset = t->csum_offset;
    bool ok = packet_refs(net, nif, t, &own);
    if (ok) {
        p.refs = t->refs;
        ok = nif->transmit(nif, &p);
    }
    refq_free(net, &own);
    nif->tx_packets += ok, nif->tx_drops += !ok;
    nif->tx_bytes += ok ? p.len : 0;
    return ok;
}

// ---- neighbours
static struct neigh **bucket(struct net *net, const struct ip *a)
{
    return &net->neigh[(u32)((a->q[0] ^ a->q[1] * 0x9e3779b97f4a7c15) >> 32) * 0x85ebca6bu >> 24];
}

static void lru_unlink(struct net *net, struct neigh *n)
{
    *(n->newer ? &n->newer->older : &net->neigh_new) = n->older;
    *(n->older ? &n->older->newer : &net->neigh_old) = n->newer;
}

static void lru_front(struct net *net, struct neigh *n)
{
    n->newer = NULL, n->older = net->neigh_new;
    *(net->neigh_new ? &net->neigh_new->newer : &net->neigh_old) = n;
    net->neigh_new = n;
}

static void pending_drop(struct net *net, struct neigh *n)
{
    while (n->first) {
        struct pending *p = n->first;
        n->first = p->next;
        refq_free(net, &p->refs);
        net_free(p);
    }
    n->last = NULL, n->waiting = 0;
}

static void neigh_free(struct net *net, struct neigh *n)
{
    struct neigh **b = bucket(net, &n->ip);
    while (*b != n)
        b = &(*b)->next;
    *b = n->next;
    lru_unlink(net, n);
    wheel_clear(net, &n->timer);
    pending_drop(net, n);
    net->neighs--;
    net_free(n);
}

void neigh_clear(struct net *net)
{
    while (net->neigh_old)
        neigh_free(net, net->neigh_old);
}

static void arp_send(struct netif *nif, const struct ip *from, const struct ip *to, u16 op, const u8 *mac);

static void solicit(struct net *net, struct neigh *n)
{
    struct route r;
    if (!ip_is4(&n->ip)) {
        nd_solicit(net, n->nif, &n->ip, n->state == NEIGH_PROBE ? n->mac : NULL, false);
        return;
    }
    if (!route_find(net, &n->ip, NULL, &r))
        arp_send(n->nif, &r.src, &n->ip, 1, n->state == NEIGH_PROBE ? n->mac : everyone);
}

// Nobody answers: whoever waits to connect there is told.
static void unreachable(struct net *net, struct neigh *n)
{
    for (struct pending *p = n->first; p; p = p->next) {
        const u8 *h = p->tx.head + p->tx.transport;
        if (p->tx.proto == IPPROTO_TCP_)
            tcp_unreachable(net, &p->tx.src, get16(h), &p->tx.dst, get16(h + 2), get32(h + 4));
        else if (p->tx.proto == IPPROTO_UDP_)
            udp_error(net, &p->tx.src, get16(h), &p->tx.dst, get16(h + 2), EHOSTUNREACH, false);
    }
}

static void neigh_timer(struct net *net, struct net_timer *t)
{
    struct neigh *n = container_of(t, struct neigh, timer);
    if (n->state == NEIGH_REACHABLE) {
        n->state = NEIGH_STALE;
        wheel_set(net, t, STALE_MS);
    } else if (n->state == NEIGH_STALE || n->tries >= TRIES) {
        if (n->state == NEIGH_INCOMPLETE)
            unreachable(net, n);
        neigh_free(net, n);
    } else {
        n->tries++;
        wheel_set(net, t, RETRY_MS);
        solicit(net, n);
    }
}

struct neigh *neigh_find(struct net *net, struct netif *nif, const struct ip *a, bool create)
{
    struct neigh **b = bucket(net, a);
    for (struct neigh *n = *b; n; n = n->next)
        if (ip_eq(&n->ip, a) && n->nif == nif)
            return n;
    if (!create)
        return NULL;
    if (net->neighs >= NEIGH_MAX)
        neigh_free(net, net->neigh_old);
    struct neigh *n = net_alloc(sizeof *n);
    if (!n)
        return NULL;
    n->ip = *a, n->nif = nif, n->net = net;
    n->timer.fn = neigh_timer;
    n->next = *b;
    *b = n;
    lru_front(net, n);
    net->neighs++;
    return n;
}

static void pending_send(struct net *net, struct neigh *n)
{
    struct pending *p = n->first;
    n->first = n->last = NULL, n->waiting = 0;
    while (p) {
        struct pending *next = p->next;
        frame_send(net, n->nif, &p->tx, n->mac, ip_is4(&n->ip) ? ETH_IP4 : ETH_IP6);
        refq_free(net, &p->refs);
        net_free(p);
        p = next;
    }
}

void neigh_learn(struct net *net, struct netif *nif, const struct ip *a, const u8 *mac, bool create, bool solicited,
                 bool override)
{
    struct neigh *n = neigh_find(net, nif, a, create);
    if (!n || mac[0] & 1)
        return;
    bool known = n->state > NEIGH_INCOMPLETE, same = known && !memcmp(n->mac, mac, 6);
    if (known && !same && !override) {
        if (n->state == NEIGH_REACHABLE)
            n->state = NEIGH_STALE;
        return;
    }
    memcpy(n->mac, mac, 6);
    n->tries = 0;
    lru_unlink(net, n);
    lru_front(net, n);
    if (solicited) {
        n->state = NEIGH_REACHABLE;
        wheel_set(net, &n->timer, REACHABLE_MS);
    } else if (!same) {
        n->state = NEIGH_STALE;
        wheel_set(net, &n->timer, STALE_MS);
    }
    pending_send(net, n);
}

static bool pending_add(struct net *net, struct neigh *n, struct tx *t)
{
    if (n->waiting >= NEIGH_QUEUE)
        return false;
    struct pending *p = net_alloc(sizeof *p);
    if (!p)
        return false;
    p->tx = *t;
    if (!refq_clone(net, &p->refs, t->refs, 0, t->body)) {
        refq_free(net, &p->refs);
        net_free(p);
        return false;
    }
    p->tx.refs = p->refs.first;
    *(n->last ? &n->last->next : &n->first) = p;
    n->last = p;
    n->waiting++;
    return true;
}

static bool subnet_broadcast(struct net *net, const struct netif *nif, const struct ip *hop)
{
    for (u32 i = 0; ip_is4(hop) && i < net->addr_high; i++) {
        const struct addr *a = &net->addrs[i];
        if (a->nif == nif && ip_is4(&a->ip) && a->plen < 127 && ip_prefix_eq(&a->ip, hop, a->plen) &&
            (get32(hop->b + 12) | ~0u << (128 - a->plen)) == ~0u)
            return true;
    }
    return false;
}

bool ether_send(struct net *net, struct netif *nif, const struct ip *hop, struct tx *t)
{
    static const u8 nobody[6];
    u16 type = ip_is4(hop) ? ETH_IP4 : ETH_IP6;
    u8 mac[6];
    if (nif->features & NETIF_LOOPBACK)
        return frame_send(net, nif, t, nobody, type);
    if (ip_multicast(hop)) {
        mac_of_multicast(hop, mac);
        return frame_send(net, nif, t, mac, type);
    }
    struct neigh *n = neigh_find(net, nif, hop, false);
    if (n && n->state == NEIGH_REACHABLE)
        return frame_send(net, nif, t, n->mac, type);
    if (!n && subnet_broadcast(net, nif, hop))
        return frame_send(net, nif, t, everyone, type);
    if (!n && !(n = neigh_find(net, nif, hop, true)))
        return false;
    if (n->state == NEIGH_FREE || n->state == NEIGH_INCOMPLETE) {
        bool ok = pending_add(net, n, t);
        if (n->state == NEIGH_FREE) {
            n->state = NEIGH_INCOMPLETE;
            n->tries = 1;
            wheel_set(net, &n->timer, RETRY_MS);
            solicit(net, n);
        }
        return ok;
    }
    if (n->state == NEIGH_STALE) {
        n->state = NEIGH_PROBE;
        n->tries = 0;
        wheel_set(net, &n->timer, DELAY_MS);
    }
    return frame_send(net, nif, t, n->mac, type);
}

// ---- ARP
static void arp_send(struct netif *nif, const struct ip *from, const struct ip *to, u16 op, const u8 *mac)
{
    struct tx t;
    tx_start(&t, from, to, 0);
    t.transport = 0;
    u8 *p = tx_push(&t, ARP_LEN);
    static const u8 fixed[6] = {0, 1, 8, 0, 6, 4};
    memcpy(p, fixed, 6);
    put16(p + 6, op);
    memcpy(p + 8, nif->mac, 6);
    memcpy(p + 14, &from->b[12], 4);
    memset(p + 18, 0, 6);
    if (op == 2)
        memcpy(p + 18, mac, 6);
    memcpy(p + 24, &to->b[12], 4);
    frame_send(nif->net, nif, &t, mac, ETH_ARP);
}

void arp_announce(struct netif *nif, const struct ip *a) { arp_send(nif, a, a, 1, everyone); }

static void arp_input(struct net *net, struct netif *nif, const u8 *p, u32 len)
{
    static const u8 fixed[6] = {0, 1, 8, 0, 6, 4};
    if (len < ARP_LEN || memcmp(p, fixed, 6) || p[8] & 1)
        return;
    struct ip from = ip4_of(p + 14), to = ip4_of(p + 24);
    u16 op = get16(p + 6);
    struct addr *mine = addr_find(net, &to);
    bool for_us = mine && mine->nif == nif;
    if (ip_multicast(&from) || addr_find(net, &from))
        return;
    if (!ip_any(&from))
        neigh_learn(net, nif, &from, p + 8, for_us && op == 1, op == 2 && for_us, true);
    if (op == 1 && for_us)
        arp_send(nif, &to, &from, 2, p + 8);
}

void net_input(struct netif *nif, const u8 *frame, u32 len, u32 flags)
{
    struct net *net = nif->net;
    nif->rx_packets++;
    nif->rx_bytes += len;
    if (len < ETH_LEN) {
        nif->rx_drops++;
        return;
    }
    if (!(nif->features & NETIF_LOOPBACK) && !(frame[0] & 1) && memcmp(frame, nif->mac, 6))
        return;
    const u8 *p = frame + ETH_LEN;
    len -= ETH_LEN;
    switch (get16(frame + 12)) {
    case ETH_IP4: ip4_input(net, nif, p, len, flags); break;
    case ETH_IP6: ip6_input(net, nif, p, len, flags); break;
    case ETH_ARP: arp_input(net, nif, p, len); break;
    default: nif->rx_drops++;
    }
}

// ---- the stack as a whole, and the interface that leads back
struct loop_frame {
    struct loop_frame *next;
    u32 len;
    u8 bytes[];
};
enum { LOOP_MTU = 65535 };

static bool loop_transmit(struct netif *nif, const struct netpkt *p)
{
    struct net *net = nif->net;
    struct loop_frame *f = net_alloc(sizeof *f + p->len);
    if (!f)
        return false;
    f->len = p->len;
    memcpy(f->bytes, p->head, p->head_len);
    refs_read(p->refs, 0, f->bytes + p->head_len, p->len - p->head_len);
    *(net->lo_last ? &net->lo_last->next : &net->lo_first) = f;
    net->lo_last = f;
    return true;
}

bool net_init(struct net *net)
{
    net->now = net_clock();
    net->wheel.now = net_ms(net);
    net_random(net->key, sizeof net->key);
    net_random(&net->ip_id, sizeof net->ip_id);
    net_random(&net->tcp_port_seed, sizeof net->tcp_port_seed);
    net->udp_next_port = 32768 + net->tcp_port_seed % 28232;
    net->conn_mask = 255;
    net->conns = net_alloc((net->conn_mask + 1) * sizeof *net->conns);
    if (!net->conns)
        return false;
    struct netif *lo = &net->lo;
    memcpy(lo->name, "lo", 3);
    lo->mtu = LOOP_MTU, lo->tso_max = LOOP_MTU, lo->max_refs = ~0u;
    lo->features = NETIF_CSUM | NETIF_LOOPBACK | NETIF_UP;
    lo->transmit = loop_transmit;
    net_attach(lo, net);
    struct ip v4 = ip4_make(0x7f000001), v6 = {.b = {[15] = 1}};
    addr_add(lo, &v4, 8, 0);
    addr_add(lo, &v6, 128, 0);
    return true;
}

void net_attach(struct netif *nif, struct net *net)
{
    nif->net = net;
    nif->next = net->ifs;
    net->ifs = nif;
}

void net_enter(struct net *net) { net->now = net_clock(); }

void net_leave(struct net *net)
{
    if (net->lo_busy)
        return;
    net->lo_busy = true;
    while (net->lo_first) {
        struct loop_frame *f = net->lo_first;
        net->lo_first = f->next;
        if (!net->lo_first)
            net->lo_last = NULL;
        net_input(&net->lo, f->bytes, f->len, NETRX_CSUM_OK);
        net_free(f);
    }
    net->lo_busy = false;
}

void net_fini(struct net *net)
{
    net_leave(net);
    for (u32 n = 0; n < ADDRS; n++)
        if (net->addrs[n].nif)
            addr_remove(net, &net->addrs[n]);
    neigh_clear(net);
    frag_clear(net);
    tcp_clear(net);
    while (net->ref_spare) {
        struct netref *r = net->ref_spare;
        net->ref_spare = r->next;
        net_free(r);
    }
    if (net->frag_page)
        net_page_put(net->frag_page);
    net->frag_page = NULL;
    net_free(net->conns);
    net->conns = NULL;
}
