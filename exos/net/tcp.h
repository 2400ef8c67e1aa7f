// TCP: RFC 9293, with window scale and timestamps (7323), SACK (2018, 2883), RACK-TLP (8985), PRR (6937),
// CUBIC (9438), SYN cookies (4987), blind-attack checks (5961), RTO (6298).
//
//   tcp_conn.c  connections and listeners, what sockets call   tcp_syn.c   half-open connections, cookies
//   tcp_in.c    segments that arrive                           tcp_wait.c  TIME-WAIT
//   tcp_ack.c   acknowledgements, loss                         tcp_timer.c
//   tcp_out.c   segments that leave                            tcp_cc.c    congestion control
#ifndef EXOS_NET_TCP_H
#define EXOS_NET_TCP_H
#include "net/stack.h"

#define SEQ_LT(a, b) ((s32)((a) - (b)) < 0)
#define SEQ_LEQ(a, b) ((s32)((a) - (b)) <= 0)
#define SEQ_GT(a, b) ((s32)((a) - (b)) > 0)
#define SEQ_GEQ(a, b) ((s32)((a) - (b)) >= 0)

enum { TH_FIN = 1, TH_SYN = 2, TH_RST = 4, TH_PSH = 8, TH_ACK = 16, TH_URG = 32 };
enum tcp_state { // Linux's numbers, as in /proc/net/tcp
    TCP_ESTABLISHED = 1, TCP_SYN_SENT, TCP_SYN_RECV, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE,
    TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING,
};
enum { TCP_EV_READ = 1, TCP_EV_WRITE = 2, TCP_EV_CONNECTED = 4, TCP_EV_ERROR = 8, TCP_EV_FIN = 16 };
enum {
    TCP_WINDOW = 65535, TCP_BUF_START = 131072, TCP_BUF_MAX = 4 << 20, TCP_WS = 7, TCP_OOO_MAX = 4096,
    TCP_RTO_MIN = 200, TCP_RTO_MAX = 120000, TCP_RTO_START = 1000, TCP_DELACK = 40, TCP_IW = 10,
    TCP_SYN_RETRIES = 6, TCP_SYNACK_RETRIES = 5, TCP_RETRIES = 15, TCP_ORPHAN_RETRIES = 8,
    TCP_WAIT_MS = 60000, TCP_WAIT_MAX = 65536, TCP_REQS_MAX = 65536,
};

enum { CONN_TCP, CONN_REQ, CONN_WAIT };
struct conn { // what the table of connections holds
    struct conn *next;
    struct ip la, ra;
    u16 lp, rp;
    u32 hash;
    u8 kind;
};

enum { SEG_UNSENT, SEG_FLIGHT, SEG_SACKED, SEG_LOST };
struct tseg { // consecutive bytes of the send queue
    struct tseg *next, *prev;   // by sequence number
    struct tseg *tnext, *tprev; // FLIGHT: by time sent; LOST: to be sent again
    u32 seq, len;
    u64 sent;                   // ns, last
    u8 state;
    bool fin, retx;             // a FIN follows the bytes; was sent more than once
    struct refq data;
};
struct tsegs {
    struct tseg *first, *last;
};
struct range {
    u32 start, end;
};

enum { TCP_T_NONE, TCP_T_RTO, TCP_T_TLP, TCP_T_REO, TCP_T_PERSIST, TCP_T_SYN };
enum { CA_OPEN, CA_RECOVERY, CA_LOSS };
struct tcp {
    struct conn c;
    struct net *net;
    void *owner;               // NULL: an orphan, or not accepted yet
    struct tcp *ready_next;    // in its listener's queue
    struct tcp_listener *listener;
    u8 state, snd_ws, rcv_ws, backoff, probes, dupacks, ca, timer_kind;
    bool sack_ok, ts_ok, nodelay, cork, keepalive, fin_queued, closed, ack_now, push, limited, tlp_out, tlp_retx,
        reordered, fin_seen, rx_shut, hashed, fixed_rcv, fixed_snd, ack_late, fin_ooo;
    u8 nsack;
    u16 mss, peer_mss;         // payload of a segment we send; as the peer announced it
    s32 error;                 // why it ended
    u32 iss, una, nxt, wnd, wl1, wl2, max_wnd, sml; // sml: end of the last small segment sent
    u32 irs, rnxt, radv, acked;                // radv: right edge announced; acked: rnxt in the last ACK
    u32 fin_seq;               // of a FIN that came out of order
    u32 ts_recent, ts_off, ts_recent_s; // ts_recent_s: when, in seconds
    u32 sndbuf, rcvbuf, queued;
    struct tseg *head, *tail, *unsent;
    struct tseg *sack_hint;
    struct tsegs flightq, lostq;
    u32 flight, sacked, nsacked; // bytes in the network; bytes and segments SACKED
    u32 fack;                  // highest byte SACKed, +1
    u32 cwnd, ssthresh, recover;
    u32 prr_delivered, prr_out, prr_flight;
    u32 cubic_wmax, cubic_k, cubic_est;
    u64 cubic_epoch;
    u32 srtt, rttvar, min_rtt, rto; // microseconds; rto: milliseconds
    u64 min_rtt_at;
    u64 rack_sent;
    u32 rack_end, rack_rtt;    // rack_rtt: microseconds
    u32 tlp_end;
    u64 timer_due;             // ms; the wheel's may be earlier
    struct net_timer timer, ack_timer, life;
    u32 last_rx_ms, last_tx_ms; // they wrap: only differences count
    u32 keep_idle, keep_interval, keep_count, user_timeout; // s, s, , ms; 0 default
    u32 rcv_copied;            // window tuning: what was read per round trip
    u64 rcv_tuned;
    struct refq rcvq;
    struct netref *ooo, *ooo_last;
    u32 nooo;
    struct range sack[4], dsack;
    struct route route;
    u32 route_gen;
};

struct tcp_req { // half-open, passive
    struct conn c;
    struct tcp_req *next, **prev; // of its listener
    struct tcp_listener *listener;
    u32 iss, irs, ts_recent, ts_off;
    u16 mss;
    u8 ws, tries;
    bool ws_ok, sack_ok, ts_ok;
    u64 sent;
    struct net_timer timer;
};

struct tcp_wait { // TIME-WAIT
    struct conn c;
    u32 snxt, rnxt, wnd, ts_recent, ts_off;
    bool ts_ok;
    struct net_timer timer;
};

struct tcp_listener {
    struct tcp_listener *next;
    struct net *net;
    void *owner;
    struct ip local;
    u16 port;
    bool v6only, v4only, nodelay;
    u32 backlog, nready, nreqs, sndbuf, rcvbuf;
    u64 cookies_until_ms; // some were sent lately
    struct tcp_req *reqs;
    struct tcp *ready, *ready_last;
};

struct tcp_opts {
    u32 tsval, tsecr;
    u16 mss;
    u8 ws, nsack;
    bool has_ts, has_ws, sack_ok;
    struct range sack[4];
};
struct tcp_seg { // a segment that arrived
    struct rx *x;
    u32 seq, ack, wnd, len; // len: of data
    u16 sport, dport;
    u8 flags;
    const u8 *data;
    struct tcp_opts o;
};

// ---- tcp_conn.c: what sockets call
// Begins to connect; lport 0: chooses. NULL and *err: -EADDRINUSE, -ENETUNREACH, -ENOMEM ...
struct tcp *tcp_connect(struct net *net, const struct ip *local, u16 lport, const struct ip *to, u16 port, void *owner, s32 *err);
struct tcp_listener *tcp_listen(struct net *net, const struct ip *local, u16 port, u32 backlog, void *owner);
void tcp_unlisten(struct tcp_listener *l);
struct tcp *tcp_accept(struct tcp_listener *l, void *owner); // NULL: none is ready
// Takes over the bytes; more of the same is to come if `more`. How many are queued (fewer when memory is
// short: the rest is freed), or -EPIPE, -ENOBUFS and their like.
s64 tcp_send(struct tcp *t, struct refq *q, bool more);
u32 tcp_room(const struct tcp *t);                   // bytes the send buffer has room for
void tcp_consume(struct tcp *t, u32 n);              // n bytes of t->rcvq were read
void tcp_shutdown(struct tcp *t);                    // no more to send: FIN
void tcp_close(struct tcp *t);                       // the owner is gone; RST if bytes are unread
void tcp_abort(struct tcp *t);                       // RST, at once
void tcp_options_changed(struct tcp *t);             // nodelay, cork, keepalive: acts on them
static inline bool tcp_at_eof(const struct tcp *t) { return t->fin_seen && !t->rcvq.bytes; }

// ---- among the files of TCP
struct tcp *tcp_new(struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp);
void tcp_free(struct tcp *t);
void tcp_fail(struct tcp *t, s32 err);               // the connection is over: tells the owner, or frees it
bool conn_add(struct net *net, struct conn *c);
void conn_remove(struct net *net, struct conn *c);
struct conn *conn_find(struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp);
struct tcp_listener *listener_find(struct net *net, const struct ip *la, u16 port, const struct ip *ra, u16 rp);
bool tcp_route(struct tcp *t);
void tcp_event(struct tcp *t, u32 events);
u32 tcp_isn(struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp);
u32 tcp_ts_offset(struct net *net, const struct ip *la, const struct ip *ra);
u32 tcp_mss_of(const struct route *r, bool v4);
void tcp_mss_sync(struct tcp *t);
void tcp_input(struct net *net, struct rx *x);
void tcp_icmp(struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp, u32 seq, s32 err, bool hard, u32 mtu);
void tcp_established(struct tcp *t);
void tcp_receive(struct tcp *t, struct tcp_seg *s);
void tcp_ack_in(struct tcp *t, struct tcp_seg *s);
void tcp_seg_sent(struct tcp *t, struct tseg *s);
void tcp_loss_all(struct tcp *t);
void tcp_detect(struct tcp *t);
void tcp_output(struct tcp *t);
void tcp_ack(struct tcp *t);                         // a bare acknowledgement, now
void tcp_challenge(struct tcp *t);
void tcp_probe(struct tcp *t);
void tcp_send_syn(struct tcp *t);
void tcp_send_rst(struct tcp *t);
void tcp_reset_reply(struct net *net, const struct tcp_seg *s);
struct tcp_bare { // a segment without a connection
    struct ip la, ra;
    u16 lp, rp, mss, wnd;
    u32 seq, ack, tsval, tsecr;
    u8 flags, ws;
    bool ts, sack_ok, has_ws;
};
void tcp_send_bare(struct net *net, const struct tcp_bare *b);
void tcp_arm(struct tcp *t);                         // the retransmission timer, as the state demands
void tcp_arm_ack(struct tcp *t);
void tcp_arm_life(struct tcp *t);
void tcp_timers_init(struct tcp *t);
bool tseg_cut(struct tcp *t, struct tseg *s, u32 len);
void tsegs_add(struct tsegs *l, struct tseg *s);
void tsegs_del(struct tsegs *l, struct tseg *s);
u32 tcp_goal(const struct tcp *t);
void syn_input(struct net *net, struct tcp_listener *l, struct tcp_seg *s, u32 iss);
void req_input(struct net *net, struct tcp_req *r, struct tcp_seg *s);
bool cookie_input(struct net *net, struct tcp_listener *l, struct tcp_seg *s);
void req_free(struct net *net, struct tcp_req *r);
void wait_start(struct tcp *t);                      // replaces t, which is freed
bool wait_input(struct net *net, struct tcp_wait *w, struct tcp_seg *s); // true: a new SYN, w is gone; s->ack is its ISN
void wait_free(struct net *net, struct tcp_wait *w);
void cc_init(struct tcp *t);
void cc_acked(struct tcp *t, u32 bytes);
void cc_enter(struct tcp *t);                        // recovery
void cc_loss(struct tcp *t);                         // a timeout
void cc_recovering(struct tcp *t, u32 delivered);
void cc_leave(struct tcp *t);
static inline u32 tcp_ts_now(const struct net *net, u32 off) { return (u32)net_ms(net) + off; }
#endif
