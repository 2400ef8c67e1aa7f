// Internet addresses inside the family (ip(7), ipv6(7)): ports, and connections between two of its own
// sockets, which need no packets. IPv6 sockets take IPv4-mapped addresses.
#include "net/family.h"

enum { BUCKETS = 4096 };
static struct sock *ports[BUCKETS]; // bound sockets, by port: net_lock
static u32 next_port = PORT_FIRST;
#define LOOPBACK_NET 127u

static u16 swap16(u16 v) { return v << 8 | v >> 8; }
static struct sock **bucket(u16 port) { return &ports[swap16(port) % BUCKETS]; }

// The IPv4 address (network order) that a stands for; false: a true IPv6 one.
static bool as_ip4(const struct address *a, u32 *ip)
{
    static const u8 mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const u8 zero[16];
    if (a->family == AF_INET)
        *ip = a->in.ip4;
    else if (!memcmp(a->in6.ip, mapped, 12))
        memcpy(ip, a->in6.ip + 12, 4);
    else if (!memcmp(a->in6.ip, zero, 16))
        *ip = 0;
    else
        return false;
    return true;
}

static bool is_any(const struct address *a)
{
    u32 ip;
    return as_ip4(a, &ip) && !ip;
}

static bool is_own(const struct address *a)
{
    static const u8 loopback[16] = {[15] = 1};
    u32 ip;
    if (as_ip4(a, &ip) ? !ip || (ip & 0xff) == LOOPBACK_NET : !memcmp(a->in6.ip, loopback, 16))
        return true;
    struct ip x = ip_of(a);
    return addr_is_own(&stack, &x); // the table is small and seldom changes: no lock
}

bool inet_elsewhere(const struct address *a) { return !is_own(a); }

static s64 address_check(struct sock *s, const struct address *a)
{
    if (s->domain == AF_INET)
        return a->len < 16 ? -EINVAL : a->family != AF_INET ? -EAFNOSUPPORT : 0;
    return a->len < 24 ? -EINVAL : a->family != AF_INET6 ? -EAFNOSUPPORT : 0;
}

// Both versions' sockets share the ports unless one is for IPv6 only.
static bool overlap(const struct sock *s, const struct address *a, const struct sock *t)
{
    u32 x, y;
    bool v4 = as_ip4(a, &x), t4 = as_ip4(&t->name, &y);
    if (s->domain != t->domain && ((s->domain == AF_INET6 && s->v6only) || (t->domain == AF_INET6 && t->v6only)))
        return false;
    if (is_any(a) || is_any(&t->name))
        return true;
    return v4 == t4 && (v4 ? x == y : !memcmp(a->in6.ip, t->name.in6.ip, 16));
}

static bool taken(struct sock *s, const struct address *a)
{
    for (struct sock *t = *bucket(a->in.port4); t; t = t->hash_next) {
        if (t->name.in.port4 != a->in.port4 || t->protocol != s->protocol || !overlap(s, a, t))
            continue;
        if (s->reuse & 2 && t->reuse & 2) // SO_REUSEPORT
            continue;
        if (s->reuse & 1 && t->reuse & 1 && (s->type == SOCK_DGRAM || t->state != SOCK_LISTENING))
            continue;
        return true;
    }
    return false;
}

static void port_add(struct sock *s)
{
    struct sock **b = bucket(s->name.in.port4);
    s->hash_next = *b;
    *b = s;
    s->hashed = true;
}

static s64 port_choose(struct sock *s, struct address *a)
{
    for (u32 n = 0; n <= PORT_LAST - PORT_FIRST; n++) {
        a->in.port4 = swap16(next_port);
        next_port = next_port == PORT_LAST ? PORT_FIRST : next_port + 1;
        if (!taken(s, a))
            return 0;
    }
    return -EADDRINUSE;
}

static s64 bind_locked(struct sock *s, struct address *a)
{
    s64 r = 0;
    if (s->hashed)
        return -EINVAL;
    if (!a->in.port4)
        r = port_choose(s, a);
    else if (taken(s, a))
        r = -EADDRINUSE;
    if (r)
        return r;
    s->name = *a;
    s->name.len = s->domain == AF_INET ? 16 : 28;
    port_add(s);
    return 0;
}

static void inet_unbind(struct sock *s);
static s64 inet_bind(struct sock *s, const struct address *given)
{
    struct address a = *given;
    s64 r = address_check(s, &a);
    if (r)
        return r;
    if (!is_own(&a))
        return -EADDRNOTAVAIL;
    u16 port = swap16(a.in.port4);
    if (port && port < 1024 && !capable())
        return -EACCES;
    lock_take(&net_lock);
    r = bind_locked(s, &a);
    if (!r) {
        r = datagram_bind(s);
        if (r)
            inet_unbind(s);
    }
    lock_drop(&net_lock);
    return r;
}

s64 inet_name_any(struct sock *s)
{
    struct address any = {.len = s->domain == AF_INET ? 16 : 28, .family = s->domain};
    lock_take(&net_lock);
    s64 r = s->hashed ? 0 : bind_locked(s, &any);
    if (!r)
        r = datagram_bind(s);
    lock_drop(&net_lock);
    return r ? r : s->udp ? 0 : -EINVAL; // bound to loopback, and sends elsewhere
}

static s64 datagram_peer(struct sock *s, const struct address *a)
{
    struct ip to = ip_of(a);
    struct route r;
    s64 err = inet_name_any(s);
    if (err)
        return err;
    stack_take();
    err = route_find(&stack, &to, NULL, &r);
    stack_drop();
    if (err)
        return err;
    s->peer_name = *a;
    s->peer_name.len = s->domain == AF_INET ? 16 : 28;
    if (is_any(&s->name)) {
        u16 port = port_of(&s->name);
        address_of(&s->name, s->domain, &r.src, port);
    }
    datagram_connect(s, a);
    return 0;
}

static void inet_unbind(struct sock *s)
{
    if (!s->hashed)
        return;
    struct sock **b = bucket(s->name.in.port4);
    while (*b != s)
        b = &(*b)->hash_next;
    *b = s->hash_next;
    s->hashed = false;
}

static bool answers(const struct sock *t, const struct address *a, u32 protocol)
{
    u32 ip;
    if (t->name.in.port4 != a->in.port4 || t->protocol != protocol)
        return false;
    bool v4 = as_ip4(a, &ip) && a->family == AF_INET;
    if (t->domain == AF_INET6 && t->v6only && v4)
        return false;
    if (t->domain == AF_INET && !as_ip4(a, &ip))
        return false;
    if (is_any(&t->name) || is_any(a))
        return true;
    u32 mine;
    return as_ip4(a, &ip) ? as_ip4(&t->name, &mine) && mine == ip
                          : t->domain == AF_INET6 && !memcmp(t->name.in6.ip, a->in6.ip, 16);
}

static struct sock *find(const struct address *a, u32 protocol, bool listening)
{
    struct sock *found = NULL;
    u32 least = ~0u;
    for (struct sock *t = *bucket(a->in.port4); t; t = t->hash_next) {
        if (!answers(t, a, protocol) || (listening && t->state != SOCK_LISTENING))
            continue;
        u32 load = listening ? t->nbacklog : 0; // SO_REUSEPORT: whoever has the least to do
        if (load < least)
            found = t, least = load;
    }
    return found;
}

// A socket that sends gets a name: loopback, and a port.
static s64 name_give(struct sock *s, const struct address *to)
{
    struct address a = {.len = s->domain == AF_INET ? 16 : 28, .family = s->domain};
    u32 ip;
    bool fresh = !s->hashed;
    if (!fresh && !is_any(&s->name))
        return 0;
    if (!fresh)
        a.in.port4 = s->name.in.port4;
    if (s->domain == AF_INET)
        a.in.ip4 = to->in.ip4 ? to->in.ip4 : LOOPBACK_NET | 1u << 24;
    else if (as_ip4(to, &ip) && ip)
        memcpy(a.in6.ip, to->in6.ip, 16);
    else
        a.in6.ip[15] = 1;
    if (fresh)
        return bind_locked(s, &a);
    if (s->type != SOCK_DGRAM)
        s->name = a;
    return 0;
}

static s64 inet_connect(struct sock *s, const struct address *a, bool block)
{
    if (a->len >= 2 && a->family == AF_UNSPEC && s->type == SOCK_DGRAM) {
        s->peer_name.len = 0;
        datagram_connect(s, NULL);
        return 0;
    }
    s64 r = address_check(s, a);
    if (r)
        return r;
    if (s->tcp || (s->type == SOCK_STREAM && s->state == SOCK_IDLE && !is_own(a)))
        return remote_connect(s, a, block);
    if (s->type == SOCK_DGRAM && !is_own(a))
        return datagram_peer(s, a);
    if (s->type == SOCK_STREAM && s->state != SOCK_IDLE)
        return s->state == SOCK_CONNECTED ? -EISCONN : -EINVAL;
    lock_take(&net_lock);
    r = name_give(s, a);
    struct address to = *a;
    to.len = s->domain == AF_INET ? 16 : 28;
    if (is_any(&to)) {
        if (s->domain == AF_INET)
            to.in.ip4 = LOOPBACK_NET | 1u << 24;
        else
            to.in6.ip[15] = 1;
    }
    s->peer_name = to;
    if (!r && s->type == SOCK_STREAM) {
        struct sock *l = find(&to, s->protocol, true);
        r = l ? sock_connect_local(s, l, block) : -ECONNREFUSED;
    }
    lock_drop(&net_lock);
    return r;
}

static s64 inet_target(struct sock *s, const struct address *a, struct sock **to)
{
    s64 r = address_check(s, a);
    if (r)
        return r;
    if (!is_own(a))
        return -ENETUNREACH;
    lock_take(&net_lock);
    r = name_give(s, a);
    struct sock *t = r ? NULL : find(a, s->protocol, false);
    if (t)
        *to = sock_get(t);
    else if (!r) { // what comes back from a port where nobody is
        if (s->peer_name.len > 2)
            s->error = ECONNREFUSED;
        r = -EAGAIN;
    }
    lock_drop(&net_lock);
    return r;
}

const struct family inet_family = {.bind = inet_bind, .connect = inet_connect, .target = inet_target, .unbind = inet_unbind};
