// ICMP datagram sockets (icmp(7)): echo requests out, and the answers to them in. s->udp holds the identifier
// and is not in the stack's table of ports.
#include "net/family.h"

static struct udp *pings; // the stack's lock

bool is_ping(const struct sock *s) { return s->protocol == IPPROTO_ICMP || s->protocol == IPPROTO_ICMPV6; }

static bool taken(u16 id, bool v4)
{
    for (const struct udp *u = pings; u; u = u->next)
        if (u->lport == id && u->v4only == v4)
            return true;
    return false;
}

s64 ping_bind(struct sock *s)
{
    struct udp *u = heap_alloc(sizeof *u);
    if (!u)
        return -ENOMEM;
    u->owner = s;
    u->v4only = s->domain == AF_INET;
    stack_take();
    u->lport = s->hashed ? port_of(&s->name) : 0;
    for (u32 tries = 0; tries < 65536 && (!u->lport || taken(u->lport, u->v4only)); tries++)
        net_random(&u->lport, sizeof u->lport);
    u->next = pings;
    pings = u;
    s->udp = u;
    stack_drop();
    return 0;
}

void ping_release(struct sock *s)
{
    stack_take();
    for (struct udp **at = &pings; *at; at = &(*at)->next) {
        if (*at == s->udp) {
            *at = s->udp->next;
            break;
        }
    }
    stack_drop();
}

void ping_arrived(struct net *net, const struct rx *x)
{
    u16 id = get16(x->p + 4);
    (void)net;
    for (struct udp *u = pings; u; u = u->next)
        if (u->lport == id && u->v4only == ip_is4(&x->src))
            udp_arrived(u->owner, &x->src, 0, &x->dst, x->p, x->len);
}

s64 ping_send(struct sock *s, struct message *m, const struct address *to)
{
    enum { HEAD = 8, ECHO4 = 8, ECHO6 = 128 };
    struct refq q = {0};
    struct ip ip = ip_of(to);
    struct route r;
    struct tx t;
    u8 head[HEAD];
    bool v4 = ip_is4(&ip);
    s64 err = m->len < HEAD ? -EINVAL : s->udp ? 0 : ping_bind(s);
    if (!err)
        err = datagram_gather(m, &q);
    stack_take();
    if (!err) {
        refs_read(q.first, 0, head, HEAD);
        refq_drop(&stack, &q, HEAD);
        err = head[0] != (v4 ? ECHO4 : ECHO6) || head[1] ? -EINVAL : route_find(&stack, &ip, NULL, &r);
    }
    if (!err) {
        tx_start(&t, &r.src, &ip, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
        t.refs = q.first, t.body = q.bytes;
        u8 *h = tx_push(&t, HEAD);
        memcpy(h, head, HEAD);
        put16(h + 4, s->udp->lport);
        put16(h + 2, 0);
        if (v4) {
            put16(h + 2, sum_end(sum_refs(sum_add(0, h, HEAD), q.first, 0, q.bytes)));
            t.transport = t.at;
        } else {
            tx_sum(&t, r.nif, 2);
        }
        err = ip_send(&stack, &t, &r);
    }
    refq_free(&stack, &q);
    stack_drop();
    return err ? err : (s64)m->len;
}
