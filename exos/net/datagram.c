// Datagrams from and to other machines. What arrives waits in s->arrived, under the stack's lock, until a
// reader moves it into the socket's queue.
#include "net/family.h"

struct dhcp card_dhcp;

void udp_arrived(void *owner, const struct ip *from, u16 port, const struct ip *to, const u8 *p, u32 len)
{
    struct sock *s = owner;
    (void)to;
    if (owner == &card_dhcp) {
        dhcp_input(&card_dhcp, p, len);
        return;
    }
    if (s->arrived_bytes && s->arrived_bytes + s->queued + len > s->limit) // lost, as on any network
        return;
    struct seg *g = heap_alloc(sizeof *g + len);
    if (!g)
        return;
    g->len = g->room = len;
    memcpy(g->data, p, len);
    address_of(&g->from, s->domain, from, port);
    list_add_tail(&s->arrived, &g->link);
    s->arrived_bytes += len;
    waitq_wake(&s->wait, 1 << 30, POLLIN);
}

void udp_told(void *owner, s32 err)
{
    struct sock *s = owner;
    if (owner == &card_dhcp)
        return;
    s->error = err;
    waitq_wake(&s->wait, 1 << 30, POLLIN | POLLOUT);
}

void datagram_collect(struct sock *s)
{
    if (!s->udp || list_empty(&s->arrived))
        return;
    stack_take();
    while (!list_empty(&s->arrived)) {
        struct list *n = s->arrived.next;
        list_del(n);
        list_add_tail(&s->queue, n);
    }
    s->queued += s->arrived_bytes;
    s->arrived_bytes = 0;
    stack_drop();
}

// A bound name that the network may reach has an endpoint in the stack.
s64 datagram_bind(struct sock *s)
{
    struct ip local = ip_of(&s->name);
    if (is_ping(s))
        return s->udp ? 0 : ping_bind(s);
    if (s->type != SOCK_DGRAM || s->domain == AF_UNIX || s->udp || ip_loopback(&local))
        return 0;
    struct udp *u = heap_alloc(sizeof *u);
    if (!u)
        return -ENOMEM;
    u->owner = s;
    u->local = local;
    u->lport = port_of(&s->name);
    u->v4only = s->domain == AF_INET, u->v6only = s->v6only;
    u->reuse = s->reuse;
    stack_take();
    s64 r = udp_bind(&stack, u);
    if (!r)
        s->udp = u;
    stack_drop();
    if (r)
        heap_free(u);
    return r;
}

void datagram_connect(struct sock *s, const struct address *to)
{
    stack_take();
    if (s->udp) {
        s->udp->remote = to ? ip_of(to) : (struct ip){0};
        s->udp->rport = to ? port_of(to) : 0;
    }
    stack_drop();
}

void datagram_release(struct sock *s)
{
    struct udp *u = s->udp;
    if (!u)
        return;
    if (is_ping(s))
        ping_release(s);
    stack_take();
    udp_unbind(u);
    s->udp = NULL;
    list_for_safe(it, next, &s->arrived) heap_free(container_of(it, struct seg, link));
    list_init(&s->arrived);
    stack_drop();
    heap_free(u);
}

s64 datagram_gather(struct message *m, struct refq *q)
{
    s64 r = 0;
    stack_take();
    for (u32 left = m->len; !r && left;) {
        u32 k = left;
        u8 *p = frag_take(&stack, &k);
        if (!p || !refq_put(&stack, q, p, k))
            r = -ENOBUFS;
        left -= k;
    }
    stack_drop();
    u64 n = 0, off = 0;
    for (struct netref *x = q->first; !r && x; x = x->next) {
        for (u32 done = 0; !r && done < x->len;) {
            u64 k = MIN(m->v[n].len - off, (u64)(x->len - done));
            r = copy_in(x->data + done, m->v[n].base + off, k);
            done += k, off += k;
            if (off == m->v[n].len)
                n++, off = 0;
        }
    }
    return r;
}

// The socket has a name and an endpoint already.
s64 datagram_send(struct sock *s, struct message *m, const struct address *to)
{
    struct refq q = {0};
    struct ip ip = ip_of(to);
    s64 r = m->len > 65507 ? -EMSGSIZE : datagram_gather(m, &q);
    stack_take();
    if (!r && s->udp) {
        s->udp->broadcast = s->options >> 6 & 1; // SO_BROADCAST
        r = udp_send(s->udp, &ip, port_of(to), q.first, m->len);
    }
    refq_free(&stack, &q);
    stack_drop();
    return r ? r : (s64)m->len;
}
