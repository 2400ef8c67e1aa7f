// The TCP/IP stack. One `struct net` is a whole stack with its interfaces, addresses and connections; its
// caller holds its lock. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d; ports and sequence numbers are in
// the machine's order, addresses in the network's.
//
//   ref.c      bytes in pages          ether.c  frames in and out, neighbours, ARP
//   sum.c      checksums               nd.c     neighbour discovery, SLAAC
//   wheel.c    timers                  route.c  addresses, routes, path MTU
//   ip.c       IPv4 and IPv6           frag.c   reassembly
//   icmp.c     ICMP and ICMPv6         udp.c    UDP
//   dhcp.c     DHCP client             tcp*.c   TCP: see tcp.h
#ifndef EXOS_NET_STACK_H
#define EXOS_NET_STACK_H
#include "net/netif.h"

#ifndef EXOS_H
#define countof(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(p, type, field) ((type *)((char *)(p)-offsetof(type, field)))
#endif

// Errors are Linux's numbers, negative.
#include "core/errno.h"

// ---- bytes on the wire
static inline u16 get16(const u8 *p) { return p[0] << 8 | p[1]; }
static inline u32 get32(const u8 *p) { return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3]; }
static inline void put16(u8 *p, u16 v) { p[0] = v >> 8, p[1] = v; }
static inline void put32(u8 *p, u32 v) { p[0] = v >> 24, p[1] = v >> 16, p[2] = v >> 8, p[3] = v; }

struct ip {
    union {
        u8 b[16];
        u32 w[4];
        u64 q[2];
    };
};
#define IP4_MARK 0xffff0000u // w[2] of an IPv4 address
static inline bool ip_is4(const struct ip *a) { return !a->q[0] && a->w[2] == IP4_MARK; }
static inline bool ip_eq(const struct ip *a, const struct ip *b) { return a->q[0] == b->q[0] && a->q[1] == b->q[1]; }
static inline bool ip_any(const struct ip *a) { return !a->q[0] && (!a->q[1] || (a->w[2] == IP4_MARK && !a->w[3])); }
static inline struct ip ip4_of(const u8 *p)
{
    struct ip a = {.w = {0, 0, IP4_MARK, 0}};
    memcpy(&a.b[12], p, 4);
    return a;
}
static inline struct ip ip6_of(const u8 *p)
{
    struct ip a;
    memcpy(a.b, p, 16);
    return a;
}
static inline struct ip ip4_make(u32 v)
{
    u8 b[4];
    put32(b, v);
    return ip4_of(b);
}
bool ip_multicast(const struct ip *a);  // IPv4's broadcast address too
bool ip_link_local(const struct ip *a); // fe80::/10
bool ip_loopback(const struct ip *a);
bool ip_prefix_eq(const struct ip *a, const struct ip *b, u32 bits);

// ---- wheel.c: timers, in milliseconds. A timer is zero-filled before its first use.
struct net_timer {
    struct net_timer *next, **prev; // prev NULL: not armed
    u64 due;
    void (*fn)(struct net *net, struct net_timer *t);
};
enum { WHEEL_LEVELS = 6, WHEEL_SLOTS = 64 };
struct wheel {
    u64 now;
    u64 map[WHEEL_LEVELS]; // slots in use
    struct net_timer *slot[WHEEL_LEVELS][WHEEL_SLOTS];
};
static inline bool wheel_armed(const struct net_timer *t) { return t->prev; }
void wheel_set(struct net *net, struct net_timer *t, u64 ms_from_now);
void wheel_clear(struct net *net, struct net_timer *t);
u64 wheel_next(const struct wheel *w); // when a timer may be due, ~0 if there is none

// ---- ref.c: bytes in pages
struct refq {
    struct netref *first, *last;
    u32 bytes;
};
struct netref *ref_new(struct net *net);
void ref_free(struct net *net, struct netref *r); // the node and its reference of the page
void refs_free(struct net *net, struct netref *r); // a whole chain
// Room for up to *n bytes in a page, referenced; *n is how many it got. Successive calls get successive
// bytes. NULL when out of memory.
u8 *frag_take(struct net *net, u32 *n);
bool refq_put(struct net *net, struct refq *q, u8 *data, u32 len); // takes over the page reference, also on failure
bool refq_copy(struct net *net, struct refq *q, const u8 *from, u32 len); // false: some may be in
void refq_drop(struct net *net, struct refq *q, u32 n); // the first n bytes
void refq_free(struct net *net, struct refq *q);
bool refq_clone(struct net *net, struct refq *q, const struct netref *from, u32 off, u32 len);
// Cuts q after n bytes; the rest goes to the empty queue `rest`.
bool refq_cut(struct net *net, struct refq *q, u32 n, struct refq *rest);
void refs_read(const struct netref *r, u32 off, u8 *to, u32 len);

// ---- sum.c: Internet checksums, RFC 1071. Partial sums are folded to 32 bits.
u32 sum_add(u32 sum, const u8 *p, u32 len);                   // p begins at an even offset
u32 sum_refs(u32 sum, const struct netref *r, u32 off, u32 len); // the bytes begin at an even offset
u32 sum_pseudo(const struct ip *src, const struct ip *dst, u8 proto, u32 len);
static inline u16 sum_end(u32 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (u16)~sum;
}
u64 siphash(const u64 key[2], const void *p, size_t n);

// ---- packets on their way through the stack
struct route {
    struct netif *nif;
    struct ip hop, src;
    u32 mtu;  // of the path
};
struct tx { // outgoing: headers are pushed downwards from the end of head[]
    u8 head[NET_HEAD_MAX];
    u32 at;                    // first byte of the headers
    const struct netref *refs;
    u32 body;                  // bytes in refs
    struct ip src, dst;
    u8 proto, ttl, tos;
    bool df;                   // not to be fragmented
    u16 gso;                   // TCP: payload of a segment, 0
    u16 csum_offset;           // from the transport header; valid with csum
    bool csum;                 // left to the interface
    u16 transport;             // where in head[] the transport header is
};
struct rx { // incoming, above IP: contiguous
    struct netif *nif;
    struct ip src, dst;
    const u8 *p;  // transport header
    u32 len;
    const u8 *ip; // the packet, and how much of it is at hand: what an error quotes
    u32 ip_len;
    u8 proto, ttl, tos;
    bool csum_ok, broadcast;
};
static inline void tx_start(struct tx *t, const struct ip *src, const struct ip *dst, u8 proto)
{
    t->at = NET_HEAD_MAX, t->refs = NULL, t->body = 0;
    t->src = *src, t->dst = *dst, t->proto = proto;
    t->ttl = 64, t->tos = 0, t->df = false, t->gso = 0, t->csum = false;
}
static inline u8 *tx_push(struct tx *t, u32 n) { return t->head + (t->at -= n); }
// After the transport header was pushed: sums header and body into the 16 bits at `offset` of it.
void tx_sum(struct tx *t, const struct netif *nif, u32 offset);

// ---- route.c
enum { ADDR_TENTATIVE = 1, ADDR_AUTO = 2, ADDR_DUPLICATE = 4 };
struct addr {
    struct ip ip;
    struct netif *nif; // NULL: free
    u8 plen, flags;
    u64 valid_ms, preferred_ms; // wheel time; ~0 for ever
    struct net_timer dad;
    struct net *net;
};
struct route_entry {
    struct ip dst, hop;
    struct netif *nif; // NULL: free
    u8 plen;
    u16 metric;
    bool direct, is_auto;
    u64 valid_ms;
};
struct addr *addr_add(struct netif *nif, const struct ip *a, u32 plen, u32 flags);
void addr_remove(struct net *net, struct addr *a);
struct addr *addr_find(struct net *net, const struct ip *a); // usable or tentative
bool addr_is_own(struct net *net, const struct ip *a);       // usable; all of 127/8 too
bool route_add(struct net *net, const struct ip *dst, u32 plen, const struct ip *hop, struct netif *nif, u32 metric);
void route_remove(struct net *net, const struct ip *dst, u32 plen, const struct ip *hop);
// The way to dst; src (chosen if any). 0, -ENETUNREACH, -EADDRNOTAVAIL.
s32 route_find(struct net *net, const struct ip *dst, const struct ip *src, struct route *out);
bool pmtu_note(struct net *net, const struct ip *dst, u32 mtu); // false: nothing learnt
u32 pmtu_of(struct net *net, const struct ip *dst, u32 link);

// ---- ether.c, nd.c
enum { ETH_IP4 = 0x0800, ETH_ARP = 0x0806, ETH_IP6 = 0x86dd };
// Frame with IP header complete: resolves the next hop and transmits; false: dropped.
bool ether_send(struct net *net, struct netif *nif, const struct ip *hop, struct tx *t);
enum { NEIGH_FREE, NEIGH_INCOMPLETE, NEIGH_REACHABLE, NEIGH_STALE, NEIGH_PROBE };
enum { NEIGH_BUCKETS = 256, NEIGH_MAX = 1024, NEIGH_QUEUE = 8 };
struct pending;
struct neigh {
    struct neigh *next, *newer, *older; // in its bucket; by use
    struct ip ip;
    struct netif *nif;
    struct net *net;
    u8 mac[6], state, tries, waiting;
    struct net_timer timer;
    struct pending *first, *last;
};
struct neigh *neigh_find(struct net *net, struct netif *nif, const struct ip *a, bool create);
// What a neighbour said of itself. solicited: it answered us.
void neigh_learn(struct net *net, struct netif *nif, const struct ip *a, const u8 *mac, bool create, bool solicited, bool override);
void neigh_clear(struct net *net);
void arp_announce(struct netif *nif, const struct ip *a);
void nd_input(struct net *net, struct rx *x);
void nd_solicit(struct net *net, struct netif *nif, const struct ip *target, const u8 *mac, bool dad);
void nd_start(struct netif *nif); // link-local address, router solicitation
void mac_of_multicast(const struct ip *a, u8 *mac);

// ---- ip.c, frag.c
void ip4_input(struct net *net, struct netif *nif, const u8 *p, u32 len, u32 flags);
void ip6_input(struct net *net, struct netif *nif, const u8 *p, u32 len, u32 flags);
// Adds the IP header and sends; fragments where it may and must. 0 or -EMSGSIZE, -ENOBUFS, -ENETUNREACH.
s32 ip_send(struct net *net, struct tx *t, const struct route *r);
void ip_deliver(struct net *net, struct rx *x);
// A fragment; NULL: not complete yet. Else the whole payload, of *len bytes, to be freed with net_free.
u8 *frag_add(struct net *net, const struct ip *src, const struct ip *dst, u32 id, u8 proto, u32 off, bool more, const u8 *p, u32 len, u32 *total);
void frag_clear(struct net *net);

// ---- icmp.c
enum { IPPROTO_ICMP_ = 1, IPPROTO_TCP_ = 6, IPPROTO_UDP_ = 17, IPPROTO_FRAGMENT_ = 44, IPPROTO_ICMP6_ = 58 };
void icmp4_input(struct net *net, struct rx *x), icmp6_input(struct net *net, struct rx *x);
enum { UNREACH_PORT, UNREACH_PROTO, UNREACH_TIME }; // icmp_unreachable
void icmp_unreachable(struct net *net, struct rx *x, u32 what);
bool rate_ok(struct net *net, u64 *tokens_at, u32 per_second); // a token bucket

// ---- of TCP (tcp.h), for the rest
void tcp_clear(struct net *net); // all connections, when no owner is left
void tcp_unreachable(struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp, u32 seq); // no neighbour answers

// ---- udp.c
struct udp { // an endpoint; the caller's memory, zero-filled
    struct udp *next;
    struct net *net;
    void *owner;
    struct ip local, remote; // remote any: not connected
    u16 lport, rport;
    bool bound, v6only, v4only, reuse, broadcast;
    u8 ttl;
    s32 error;
};
enum { UDP_BUCKETS = 1024 };
s32 udp_bind(struct net *net, struct udp *u); // lport 0: chooses one. -EADDRINUSE
void udp_unbind(struct udp *u);
// Sends refs (not taken over). 0 or an error.
s32 udp_send(struct udp *u, const struct ip *to, u16 port, const struct netref *refs, u32 len);
void udp_input(struct net *net, struct rx *x);
void udp_error(struct net *net, const struct ip *local, u16 lport, const struct ip *remote, u16 rport, s32 err, bool hard);

// ---- dhcp.c
enum { DHCP_OFF, DHCP_SELECTING, DHCP_REQUESTING, DHCP_BOUND, DHCP_RENEWING, DHCP_REBINDING };
enum { DHCP_DNS = 3 };
struct dhcp {
    struct netif *nif;
    u8 state, tries, ndns;
    u32 xid;
    struct ip offered, server, router, dns[DHCP_DNS], address;
    u8 plen;
    u64 bound_ms, t1_ms, t2_ms, lease_ms;
    u64 started_ms;
    char domain[64];
    struct udp udp;
    struct net_timer timer;
};
void dhcp_start(struct netif *nif, struct dhcp *d);
void dhcp_input(struct dhcp *d, const u8 *p, u32 len);

// ---- the stack
struct conn;
struct tcp;
struct tcp_listener;
struct frag;
enum { ADDRS = 32, ROUTES = 64, PMTUS = 256, LISTEN_BUCKETS = 256 };
struct net_count { // what /proc/net tells
    u64 ip_in, ip_bad, ip_out, frag_ok, frag_fail, csum_bad;
    u64 tcp_in, tcp_out, tcp_retrans, tcp_rst_out, tcp_active, tcp_passive, tcp_cookie_sent, tcp_cookie_ok, tcp_cookie_bad;
    u64 tcp_syn_drop, tcp_accept_full, tcp_wait_full, tcp_paws, tcp_challenge, tcp_rto, tcp_tlp, tcp_recovery, tcp_nomem;
    u64 udp_in, udp_out, udp_noport, icmp_in, icmp_out;
};
struct net {
    u64 now;   // nanoseconds, at the latest entry
    u64 key[2];
    struct netif *ifs;
    struct wheel wheel;
    struct addr addrs[ADDRS];
    struct route_entry routes[ROUTES];
    u32 route_gen; // changes with them
    u32 addr_high; // addrs[] from here on were never used
    struct pmtu {
        struct ip dst;
        u32 mtu;
        u64 until_ms;
    } pmtu[PMTUS];
    struct neigh *neigh[NEIGH_BUCKETS], *neigh_new, *neigh_old;
    u32 neighs;
    struct frag *frags;
    u32 nfrags, frag_bytes;
    struct net_timer frag_timer;
    u16 ip_id;
    struct udp *udp[UDP_BUCKETS];
    u32 udp_next_port;
    struct conn **conns;
    u32 nconns, conn_mask;
    struct tcp_listener *listeners[LISTEN_BUCKETS];
    u32 ntimewait, nreqs;
    u32 tcp_port_seed;
    struct netref *ref_spare;
    u32 ref_spares;
    u8 *frag_page;
    u32 frag_used;
    struct netif lo; // frames that come back
    struct loop_frame *lo_first, *lo_last;
    bool lo_busy;
    u64 icmp_tokens, rst_tokens, challenge_tokens;
    // Upcalls into whoever uses the stack; the lock is held, none may call back in.
    void (*tcp_event)(void *owner, u32 events);
    void (*accept_event)(void *owner);
    void (*udp_receive)(void *owner, const struct ip *from, u16 port, const struct ip *to, const u8 *p, u32 len);
    void (*udp_failed)(void *owner, s32 err);
    void (*icmp_echo_reply)(struct net *net, const struct rx *x);
    void (*dhcp_bound)(struct dhcp *d); // NULL or: addresses, resolver changed
    void (*wake_earlier)(struct net *net, u64 ms); // a timer is due before all others; NULL allowed
    struct net_count count;
};
static inline u64 net_ms(const struct net *net) { return net->now / 1000000; }
bool net_init(struct net *net);    // zero-filled by the caller; upcalls set
void net_fini(struct net *net);    // no endpoints are left: gives back all memory
void net_attach(struct netif *nif, struct net *net); // an interface, its fields filled
void net_enter(struct net *net);   // before any call below: looks at the clock
void net_leave(struct net *net);   // after it: what came back over loopback
void net_timers(struct net *net);  // what is due
u64 net_next_ns(struct net *net);  // when to call it next, ~0 never
#endif
