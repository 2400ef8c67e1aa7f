// Sockets: what all families share. A socket's bytes and messages wait in the receiver's queue; a local
// pair (both ends in this family) needs nothing in between.
//
// Locks: net_lock (names, ports, who listens, who is whose peer) > sock->lock of one socket (its queue).
// Nobody holds two sockets' locks.
#ifndef EXOS_NET_SOCK_H
#define EXOS_NET_SOCK_H
#include "fs/vfs.h"

enum { AF_UNSPEC = 0, AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, AF_NETLINK = 16 };
enum { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_RAW = 3, SOCK_SEQPACKET = 5, SOCK_TYPE = 15 };
enum { IPPROTO_ICMP = 1, IPPROTO_TCP = 6, IPPROTO_UDP = 17, IPPROTO_ICMPV6 = 58 };
enum { MSG_OOB = 1, MSG_PEEK = 2, MSG_CTRUNC = 8, MSG_TRUNC = 0x20, MSG_DONTWAIT = 0x40, MSG_EOR = 0x80,
       MSG_WAITALL = 0x100, MSG_ERRQUEUE = 0x2000, MSG_NOSIGNAL = 0x4000, MSG_MORE = 0x8000, MSG_WAITFORONE = 0x10000,
       MSG_CMSG_CLOEXEC = 0x40000000 };
enum { SHUT_RD, SHUT_WR, SHUT_RDWR };
enum { ADDR_MAX = 128, FDS_MAX = 253, PORT_FIRST = 32768, PORT_LAST = 60999 };

struct address { // a struct sockaddr of any family
    u16 len;     // bytes that count; 0: none
    union {
        struct { u16 family; u8 bytes[ADDR_MAX - 2]; };
        struct { u16 family4, port4; u32 ip4; u8 zero[8]; } in;
        struct { u16 family6, port6; u32 flow; u8 ip[16]; u32 scope; } in6;
    };
};

struct creds {
    s32 pid;
    u32 uid, gid;
};

// One message, or a piece of a stream.
struct seg {
    struct list link;
    u32 len, off;       // off: bytes of it that were read
    u32 room;           // bytes of data[]
    u32 nfiles;
    struct file **files;// SCM_RIGHTS
    struct creds creds;
    struct address from;
    char data[];
};

struct sock;
struct message { // of sendmsg and recvmsg
    const struct iovec_native *v;
    u64 nv, len;
    struct address *name;  // to whom; filled with from whom
    struct file **files;   // sent, or received: then the receiver's to free
    u32 nfiles;
    bool has_creds;
    struct creds creds;
    u32 flags, out_flags;
};

struct family {
    s64 (*bind)(struct sock *s, const struct address *a);
    s64 (*connect)(struct sock *s, const struct address *a, bool block);
    s64 (*target)(struct sock *s, const struct address *a, struct sock **to); // of a datagram: referenced
    void (*unbind)(struct sock *s); // net_lock held
};

enum { SOCK_IDLE, SOCK_LISTENING, SOCK_CONNECTED, SOCK_CLOSED };
struct sock {
    u32 refs;
    u16 domain, type, protocol;
    u8 state;                 // net_lock
    const struct family *family;
    struct lock lock;
    struct waitq wait;        // its users: something to read, or room to write
    struct waitq space;       // datagram senders waiting for room in its queue
    struct list queue;        // of struct seg
    u64 queued;               // bytes in it
    struct seg *spare;        // emptied, for the next bytes of a stream
    u64 limit;                // SO_RCVBUF
    bool eof;                 // nothing more will come
    bool tx_shut, peer_gone, reset;
    s32 error;                // SO_ERROR
    struct sock *peer;        // a reference; net_lock
    struct address name, peer_name;
    struct inode *inode;      // a bound unix name: a reference
    struct sock *hash_next;   // abstract names and ports: net_lock
    bool hashed;
    // listening
    struct list backlog, backlog_link;
    u32 nbacklog, backlog_max;
    struct creds creds;       // of whom SO_PEERCRED of the other end tells
    struct creds peer_creds;
    u64 rcvtimeo, sndtimeo;   // ns, 0 never
    u64 sndbuf;
    u32 options;              // bits by SO_* number
    u32 linger[2];
    u32 keep[4];              // TCP_KEEPIDLE, KEEPINTVL, KEEPCNT, USER_TIMEOUT: kept and told
    bool v6only, nodelay, cork;
    u8 reuse;
    struct list all;          // sock_all_lock
    u64 ino;                  // of its file, 0 before there is one
    // Of the TCP/IP stack (family.h), for what is not in this family: NULL each.
    struct tcp *tcp;
    struct tcp_listener *hear;
    struct udp *udp;
    struct list arrived;      // datagrams, under the stack's lock
    u64 arrived_bytes;
    bool connecting;          // nobody was told yet how connect() ended
    u8 buf_set;               // 1 SO_RCVBUF, 2 SO_SNDBUF: set by the program
};

extern struct lock net_lock;
extern struct lock sock_all_lock; // innermost: every socket, for /proc/net
extern struct list sock_all;
extern const struct family unix_family, inet_family;
extern const struct file_ops sock_ops;

struct sock *sock_new(u32 domain, u32 type, u32 protocol);
static inline struct sock *sock_get(struct sock *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}
void sock_put(struct sock *s);
struct file *sock_file(struct sock *s, u32 flags);  // takes over the reference, unless it fails
struct sock *sock_of(struct file *f);               // NULL: not a socket
void sock_pair(struct sock *a, struct sock *b);     // net_lock held: connected to each other
s64 sock_connect_local(struct sock *s, struct sock *listener, bool block); // net_lock held; dropped meanwhile
s64 sock_accept(struct sock *s, bool block, struct sock **out);
s64 sock_send(struct sock *s, struct message *m, bool block);
s64 sock_receive(struct sock *s, struct message *m, bool block);
s64 sock_shutdown(struct sock *s, int how);
s64 sock_option_set(struct sock *s, u32 level, u32 name, u64 value, u32 len);
s64 sock_option_get(struct sock *s, u32 level, u32 name, u64 value, u64 len);
struct creds creds_now(void);

// remote.c, datagram.c: through the TCP/IP stack
struct ip;
struct refq;
struct net;
struct rx;
struct ip ip_of(const struct address *a);
u16 port_of(const struct address *a);
void address_of(struct address *a, u32 domain, const struct ip *ip, u16 port);
s64 remote_connect(struct sock *s, const struct address *a, bool block);
s64 remote_listen(struct sock *s);              // s is named, and SOCK_LISTENING
void remote_unlisten(struct sock *s);
struct sock *remote_accept(struct sock *s);     // NULL: none is there
s64 sock_broken(void); // SIGPIPE; -EPIPE
s64 remote_sendfile(struct sock *s, struct file *in, u64 *pos, u64 len, bool block); // 0: at a hole, or the end
bool remote_ready(const struct sock *s);
s64 remote_send(struct sock *s, struct message *m, bool block);
s64 remote_receive(struct sock *s, struct message *m, bool block);
u32 remote_poll(struct sock *s);
s64 remote_shutdown(struct sock *s, int how);
void remote_release(struct sock *s);
void remote_options(struct sock *s);
s32 remote_error(struct sock *s);               // SO_ERROR, told once
bool remote_unconnected(const struct sock *s);
u32 remote_queued(struct sock *s, bool out);
void remote_info(struct sock *s, u8 *info);     // 104 bytes
s64 datagram_bind(struct sock *s);              // s has a name
void datagram_connect(struct sock *s, const struct address *to); // NULL: from anybody again
void datagram_release(struct sock *s);
s64 datagram_send(struct sock *s, struct message *m, const struct address *to);
s64 datagram_gather(struct message *m, struct refq *q); // the program's bytes; on failure too, q is the caller's
void datagram_collect(struct sock *s);          // s->lock held
void udp_arrived(void *owner, const struct ip *from, u16 port, const struct ip *to, const u8 *p, u32 len);
void udp_told(void *owner, s32 err);
// ping.c
bool is_ping(const struct sock *s);
s64 ping_bind(struct sock *s);
void ping_release(struct sock *s);
s64 ping_send(struct sock *s, struct message *m, const struct address *to);
void ping_arrived(struct net *net, const struct rx *x);
bool inet_elsewhere(const struct address *a);   // not an address of this machine
s64 inet_name_any(struct sock *s);              // any address, a port, and an endpoint in the stack
#endif
