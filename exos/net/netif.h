// The boundary of the TCP/IP stack: what a network interface gives it and takes from it, and what it
// needs of its surroundings. The stack (stack.h) is freestanding and knows nothing of ExOS or the kernel:
// it runs in the machine, and on the host under test.
//
// The stack has no lock: whoever calls it holds the one lock of its `struct net`.
#ifndef EXOS_NETIF_H
#define EXOS_NETIF_H
#include <stdbool.h>
#include <stddef.h>
#include "xok/types.h"

// Bytes inside one page (never across two). Whoever keeps a netref holds a reference of that page, so
// pages of the file cache are sent from where they are.
struct netref {
    struct netref *next;
    u8 *data;
    u32 len;
    u32 seq; // TCP's, of bytes that came out of order
};

enum { NET_HEAD_MAX = 160 }; // Ethernet (14) + IPv6 with a fragment header (48) + TCP with options (60), rounded up

// A frame to be sent: `head_len` bytes at `head`, then the refs. Headers are complete but for what
// `flags` leaves to the interface; the fields mean what virtio-net's (1.2, 5.1.6.2) mean.
struct netpkt {
    const u8 *head;
    const struct netref *refs;
    u32 len;             // of the frame, head included
    u16 head_len;        // at most NET_HEAD_MAX: Ethernet to transport header
    u16 flags;           // NETPKT_*
    u16 csum_start;      // NETPKT_CSUM: the sum over [csum_start, len) goes to csum_start + csum_offset,
    u16 csum_offset;     //   where the pseudo header's sum already is
    u16 gso_size;        // NETPKT_TSO*: payload of each TCP segment to be cut
};
enum {
    NETPKT_CSUM = 1, // the interface fills in the transport checksum
    NETPKT_TSO4 = 2, // and cuts a TCP segment longer than gso_size
    NETPKT_TSO6 = 4,
};

enum {
    NETIF_CSUM = 1,     // takes NETPKT_CSUM
    NETIF_TSO4 = 2,     // takes NETPKT_TSO4
    NETIF_TSO6 = 4,
    NETIF_LOOPBACK = 8, // no link-level addresses are resolved; frames come back
    NETIF_UP = 16,      // the link is there
};

struct net;
struct netif {
    struct netif *next;
    struct net *net;
    u8 mac[6];
    u16 mtu;             // of an IP packet: 1500
    u32 features;        // NETIF_*
    u32 max_refs;        // pieces a frame may have beside its head
    u32 tso_max;         // bytes of an IP packet with TSO, at most 65535
    void *driver;        // the interface's own
    char name[16];
    // Sends p or drops it; false: dropped, for want of room. `head` and the netrefs (not the pages) are the
    // caller's again on return: an interface that has not finished by then copies the head and takes
    // references of the pages (net_page_ref).
    bool (*transmit)(struct netif *nif, const struct netpkt *p);
    u64 rx_packets, rx_bytes, rx_drops, tx_packets, tx_bytes, tx_drops;
};

// A frame arrived: contiguous, the stack's to read during the call only. len: with the Ethernet header.
enum {
    NETRX_CSUM_OK = 1,   // the transport checksum was verified, or the frame never left this machine
};
void net_input(struct netif *nif, const u8 *frame, u32 len, u32 flags);

// ---- what the surroundings provide
u64 net_clock(void);            // nanoseconds, monotonic
void *net_alloc(size_t size);   // zero-filled; NULL when out of memory
void net_free(void *p);
void *net_page_get(void);       // a page (4096 bytes, aligned) with one reference
void net_page_ref(void *in);    // of the page that `in` points into
void net_page_put(void *in);
void net_random(void *to, size_t n);

void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
#endif
