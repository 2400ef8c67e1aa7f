// Two or more stacks joined by simulated links, in virtual time: nothing here looks at a real clock.
#ifndef NET_SIM_H
#define NET_SIM_H
#include "net/tcp.h"

struct host;
struct link_frame {
    struct link_frame *next;
    u64 at;
    struct host *to;
    u32 len;
    u8 bytes[];
};
struct host {
    struct net net;
    struct netif nif;
    struct host *peer;     // at the other end
    u32 loss, dup, reorder, corrupt; // of 10000 frames it sends
    u64 delay;             // ns
    u64 rate;              // bytes a second, 0 no limit
    u32 queue;             // bytes that wait at most for the link, 0 no limit
    u64 busy_until;
    u32 mtu_silent;        // IP packets above are dropped by a router, which says so; 0 none
    u64 frames, dropped;
    bool (*filter)(struct host *from, u8 *frame, u32 len); // false: lost
    void *aux;
};

extern u64 sim_now;
extern long sim_allocs, sim_pages; // live
extern long sim_alloc_bytes;
extern long sim_fail_after;        // allocations until they begin to fail; -1 never
u32 sim_random(void);
void sim_seed(u64 seed);
void sim_host(struct host *h, u8 number, u32 features); // 10.0.0.number and fd00::number
void sim_join(struct host *a, struct host *b);
void sim_end(struct host *h);
void sim_frames_drop(void); // all that are on their way
// Runs until done() or the virtual time is over; true: done.
bool sim_run(struct host **hosts, u32 n, u64 ns, bool (*done)(void *), void *arg);
struct ip sim_ip4(u8 number), sim_ip6(u8 number);

// An endpoint: the owner of a connection.
struct app {
    struct host *h;
    struct tcp *t;
    struct tcp_listener *l;
    u64 to_send, sent, received;
    u32 seed, events;
    u64 rx_hash, tx_hash;
    bool eof, connected, failed, close_after, reading, shut_after;
    u32 chunk;
    s32 error;
    u32 accepts;
};
u64 hash_bytes(u64 h, const u8 *p, u64 n);
void app_connect(struct app *a, struct host *h, struct ip to, u16 port);
void app_listen(struct app *a, struct host *h, u16 port, u32 backlog);
bool app_accept(struct app *from, struct app *to);
void app_work(struct app *a); // sends and receives what it can
void app_close(struct app *a);
#endif
