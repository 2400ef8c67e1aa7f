// /proc/net (proc(5)): the sockets there are.
#include "fs/procfs.h"
#include "net/sock.h"

#define SHOW(name) static s64 name##_show(struct text *t, const struct ref *r)
enum { TCP_ESTABLISHED = 1, TCP_CLOSE = 7, TCP_CLOSE_WAIT, TCP_LISTEN = 10 };

static u32 tcp_state(const struct sock *s)
{
    if (s->type != SOCK_STREAM)
        return s->peer_name.len > 2 ? TCP_ESTABLISHED : TCP_CLOSE;
    return s->state == SOCK_LISTENING ? TCP_LISTEN : s->state != SOCK_CONNECTED ? TCP_CLOSE
           : s->peer_gone ? TCP_CLOSE_WAIT : TCP_ESTABLISHED;
}

static void address_add(struct text *t, const struct address *a, u32 domain)
{
    u32 word[4] = {0}, words = domain == AF_INET ? 1 : 4;
    u16 port = 0;
    if (a->len > 2) {
        port = a->in.port4;
        if (domain == AF_INET)
            word[0] = a->in.ip4;
        else
            memcpy(word, a->in6.ip, 16);
    }
    for (u32 n = 0; n < words; n++)
        text_add(t, "%08X", word[n]);
    text_add(t, ":%04X ", (u16)(port << 8 | port >> 8));
}

static s64 inet_show(struct text *t, u32 domain, u32 type)
{
    bool tcp = type == SOCK_STREAM;
    u32 n = 0;
    if (domain == AF_INET && tcp)
        text_add(t, "%-149s\n", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode");
    else if (domain == AF_INET)
        text_add(t, "%-127s\n", "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode "
                                "ref pointer drops");
    else
        text_add(t, "  sl  local_address                         remote_address                        st tx_queue rx_queue tr "
                    "tm->when retrnsmt   uid  timeout inode%s\n", tcp ? "" : " ref pointer drops");
    lock_take(&sock_all_lock);
    list_for(it, &sock_all) {
        struct sock *s = container_of(it, struct sock, all);
        if (s->domain != domain || s->type != type || (tcp ? s->state == SOCK_IDLE : !s->hashed))
            continue;
        text_add(t, tcp ? "%4u: " : "%5u: ", n++);
        address_add(t, &s->name, domain);
        address_add(t, &s->peer_name, domain);
        u32 tx = 0, state = 0;
        u64 rx = s->state == SOCK_LISTENING ? s->nbacklog : s->queued;
        if (tcp && s->tcp)
            state = net_tcp_state(s, &tx, &rx);
        text_add(t, "%02X %08X:%08lX 00:00000000 00000000 %5u        0 %lu %u 0000000000000000", state ? state : tcp_state(s), tx, rx,
                 s->creds.uid, s->ino, s->refs);
        text_add(t, tcp ? " 100 0 0 10 0\n" : " 0\n");
    }
    lock_drop(&sock_all_lock);
    return 0;
}

SHOW(tcp) { (void)r; return inet_show(t, AF_INET, SOCK_STREAM); }
SHOW(tcp6) { (void)r; return inet_show(t, AF_INET6, SOCK_STREAM); }
SHOW(udp) { (void)r; return inet_show(t, AF_INET, SOCK_DGRAM); }
SHOW(udp6) { (void)r; return inet_show(t, AF_INET6, SOCK_DGRAM); }

SHOW(unix)
{
    (void)r;
    text_add(t, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    lock_take(&sock_all_lock);
    list_for(it, &sock_all) {
        const struct sock *s = container_of(it, struct sock, all);
        if (s->domain != AF_UNIX)
            continue;
        bool connected = s->state == SOCK_CONNECTED;
        text_add(t, "%016lx: %08X 00000000 %08X %04X %02X %5lu", 0ul, s->refs, s->state == SOCK_LISTENING ? 0x10000 : 0, s->type,
                 connected ? 3 : 1, s->ino);
        if (s->name.len > 2) {
            text_add(t, " %s", s->name.bytes[0] ? "" : "@");
            for (u32 n = s->name.bytes[0] ? 0 : 1; n + 2u < s->name.len; n++) {
                char c = s->name.bytes[n] ? s->name.bytes[n] : '@';
                if (s->name.bytes[0] && !s->name.bytes[n])
                    break;
                text_bytes(t, &c, 1);
            }
        }
        text_add(t, "\n");
    }
    lock_drop(&sock_all_lock);
    return 0;
}

SHOW(sockstat)
{
    (void)r;
    u32 all = 0, tcp = 0, udp = 0, unused = 0;
    lock_take(&sock_all_lock);
    list_for(it, &sock_all) {
        const struct sock *s = container_of(it, struct sock, all);
        u32 *of = s->domain != AF_INET ? &unused : s->type == SOCK_STREAM ? &tcp : &udp;
        ++*of, all++;
    }
    lock_drop(&sock_all_lock);
    text_add(t, "sockets: used %u\nTCP: inuse %u orphan 0 tw 0 alloc %u mem 0\nUDP: inuse %u mem 0\nUDPLITE: inuse 0\n"
                "RAW: inuse 0\nFRAG: inuse 0 memory 0\n", all, tcp, tcp, udp);
    return 0;
}

SHOW(fixed)
{
    text_add(t, "%s", (const char *)r->node->arg);
    return 0;
}

#define FILE(name) {#name, S_IFREG | 0444, .show = name##_show}
#define FIXED(name, text) {name, S_IFREG | 0444, .show = fixed_show, .arg = text}
const struct node net_names[NET_COUNT] = {
    FILE(tcp), FILE(tcp6), FILE(udp), FILE(udp6), FILE(unix), FILE(sockstat),
    {"dev", S_IFREG | 0444, .show = net_dev_show}, {"route", S_IFREG | 0444, .show = net_route_show},
    {"if_inet6", S_IFREG | 0444, .show = net_if_inet6_show}, {"arp", S_IFREG | 0444, .show = net_arp_show},
    FIXED("ipv6_route", "00000000000000000000000000000001 80 00000000000000000000000000000000 00 "
                        "00000000000000000000000000000000 00000000 00000001 00000000 80200001       lo\n"),
    FIXED("raw", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"),
    FIXED("raw6", "  sl  local_address                         remote_address                        st tx_queue rx_queue tr "
                  "tm->when retrnsmt   uid  timeout inode ref pointer drops\n"),
    FIXED("packet", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
    FIXED("protocols", "protocol  size sockets  memory press maxhdr  slab module\n"),
    FIXED("igmp", "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"),
    FIXED("netlink", "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"),
};
