// UDP (RFC 768, 8200).
#include "net/stack.h"

enum { UDP_HEAD = 8, PORT_FIRST_ = 32768, PORT_LAST_ = 60999 };
static struct udp **bucket(struct net *net, u16 port) { return &net->udp[port % UDP_BUCKETS]; }

static bool takes(const struct udp *u, const struct ip *a)
{
    if (ip_is4(a) ? u->v6only : u->v4only)
        return false;
    return ip_any(&u->local) || ip_eq(&u->local, a);
}

static bool clash(const struct udp *a, const struct udp *b)
{
    if (a->lport != b->lport || (a->reuse && b->reuse) || (a->v4only && b->v6only) || (a->v6only && b->v4only))
        return false;
    return ip_any(&a->local) || ip_any(&b->local) || ip_eq(&a->local, &b->local);
}

static bool taken(struct net *net, const struct udp *u)
{
    for (struct udp *o = *bucket(net, u->lport); o; o = o->next)
        if (clash(o, u))
            return true;
    return false;
}

s32 udp_bind(struct net *net, struct udp *u)
{
    if (u->lport) {
        if (taken(net, u))
            return -EADDRINUSE;
    } else {
        u32 tries = PORT_LAST_ - PORT_FIRST_ + 1;
        do {
            u->lport = net->udp_next_port;
            net->udp_next_port = net->udp_next_port == PORT_LAST_ ? (u32)PORT_FIRST_ : net->udp_next_port + 1;
        } while (taken(net, u) && --tries);
        if (!tries) {
            u->lport = 0;
            return -EADDRINUSE;
        }
    }
    struct udp **b = bucket(net, u->lport);
    u->net = net;
    u->next = *b;
    *b = u;
    u->bound = true;
    return 0;
}

void udp_unbind(struct udp *u)
{
    if (!u->bound)
        return;
    struct udp **b = bucket(u->net, u->lport);
    while (*b != u)
        b = &(*b)->next;
    *b = u->next;
    u->bound = false;
}

s32 udp_send(struct udp *u, const struct ip *to, u16 port, const struct netref *refs, u32 len)
{
    struct net *net = u->net;
    struct route r;
    struct tx t;
    if (!u->bound) // where errors and answers go
        return -EINVAL;
    if (ip_is4(to) && to->w[3] == ~0u && !u->broadcast)
        return -EACCES;
    s32 err = route_find(net, to, &u->local, &r);
    if (err)
        return err;
    if (len + UDP_HEAD + 20 > 65535)
        return -EMSGSIZE;
    tx_start(&t, &r.src, to, IPPROTO_UDP_);
    if (u->ttl)
        t.ttl = u->ttl;
    t.refs = refs, t.body = len;
    u8 *h = tx_push(&t, UDP_HEAD);
    put16(h, u->lport);
    put16(h + 2, port);
    put16(h + 4, UDP_HEAD + len);
    put16(h + 6, 0);
    tx_sum(&t, r.nif, 6);
    net->count.udp_out++;
    err = ip_send(net, &t, &r);
    return err == -ENOBUFS ? 0 : err; // lost on the way
}

// The most particular of those that take it.
static struct udp *find(struct net *net, const struct ip *local, u16 lport, const struct ip *remote, u16 rport)
{
    struct udp *best = NULL;
    u32 best_score = 0;
    for (struct udp *u = *bucket(net, lport); u; u = u->next) {
        if (u->lport != lport || (!ip_multicast(local) && !takes(u, local)))
            continue;
        if (!ip_any(&u->remote) && (u->rport != rport || !ip_eq(&u->remote, remote)))
            continue;
        u32 score = 1 + (!ip_any(&u->local) ? 1 : 0) + (!ip_any(&u->remote) ? 2 : 0);
        if (score > best_score)
            best = u, best_score = score;
    }
    return best;
}

void udp_input(struct net *net, struct rx *x)
{
    const u8 *h = x->p;
    u32 len = x->len >= UDP_HEAD ? get16(h + 4) : 0;
    net->count.udp_in++;
    if (len < UDP_HEAD || len > x->len)
        return;
    bool summed = get16(h + 6);
    if (!x->csum_ok && (summed ? sum_end(sum_add(sum_pseudo(&x->src, &x->dst, IPPROTO_UDP_, len), h, len)) != 0 : !ip_is4(&x->src))) {
        net->count.csum_bad++;
        return;
    }
    struct udp *u = find(net, &x->dst, get16(h + 2), &x->src, get16(h));
    if (u) {
        net->udp_receive(u->owner, &x->src, get16(h), &x->dst, h + UDP_HEAD, len - UDP_HEAD);
        return;
    }
    net->count.udp_noport++;
    icmp_unreachable(net, x, UNREACH_PORT);
}

void udp_error(struct net *net, const struct ip *local, u16 lport, const struct ip *remote, u16 rport, s32 err, bool hard)
{
    struct udp *u = find(net, local, lport, remote, rport);
    (void)hard;
    if (u && !ip_any(&u->remote)) { // only who is connected learns of it, as Linux has it
        u->error = err;
        net->udp_failed(u->owner, err);
    }
}
