// ICMP (RFC 792, 1122) and ICMPv6 (RFC 4443): echo, errors out, errors in.
#include "net/tcp.h"

enum { ICMP_HEAD = 8, QUOTE4 = 548, QUOTE6 = 1232, ERRORS_PER_SECOND = 1000 };

// Tokens accumulate for a second. at: when the bucket would be full.
bool rate_ok(struct net *net, u64 *at, u32 per_second)
{
    u64 step = 1000000000 / per_second, now = net->now;
    if (*at > now + 1000000000)
        return false;
    *at = MAX(*at, now) + step;
    return true;
}

static void message_send(struct net *net, const struct ip *src, const struct ip *dst, u8 type, u8 code, const u8 *rest,
                         const u8 *body, u32 len)
{
    struct route r;
    struct refq q = {0};
    struct tx t;
    bool v4 = ip_is4(dst);
    if (route_find(net, dst, src, &r))
        return;
    tx_start(&t, &r.src, dst, v4 ? IPPROTO_ICMP_ : IPPROTO_ICMP6_);
    if (refq_copy(net, &q, body, len)) {
        t.refs = q.first, t.body = len;
        u8 *h = tx_push(&t, ICMP_HEAD);
        h[0] = type, h[1] = code;
        put16(h + 2, 0);
        memcpy(h + 4, rest, 4);
        if (v4) {
            put16(h + 2, sum_end(sum_refs(sum_add(0, h, ICMP_HEAD), t.refs, 0, len)));
            t.transport = t.at;
        } else {
            tx_sum(&t, r.nif, 2);
        }
        ip_send(net, &t, &r);
        net->count.icmp_out++;
    }
    refq_free(net, &q);
}

void icmp_unreachable(struct net *net, struct rx *x, u32 what)
{
    static const u8 zero[4];
    bool v4 = ip_is4(&x->src);
    if (ip_any(&x->src) || x->broadcast || !rate_ok(net, &net->icmp_tokens, ERRORS_PER_SECOND))
        return;
    if (v4)
        message_send(net, &x->dst, &x->src, 3, what == UNREACH_PORT ? 3 : 2, zero, x->ip, MIN(x->ip_len, (u32)QUOTE4));
    else
        message_send(net, &x->dst, &x->src, what == UNREACH_PORT ? 1 : 4, what == UNREACH_PORT ? 4 : 1, zero, x->ip,
                     MIN(x->ip_len, (u32)QUOTE6));
}

// The packet of ours that an error quotes: to whom it belongs.
static void error_deliver(struct net *net, const struct ip *src, const struct ip *dst, u8 proto, const u8 *p, u32 len,
                          s32 err, bool hard, u32 mtu)
{
    if (!addr_is_own(net, src) || len < 8)
        return;
    if (proto == IPPROTO_TCP_)
        tcp_icmp(net, src, get16(p), dst, get16(p + 2), get32(p + 4), err, hard, mtu);
    else if (proto == IPPROTO_UDP_) {
        if (mtu)
            pmtu_note(net, dst, mtu);
        udp_error(net, src, get16(p), dst, get16(p + 2), err, hard);
    }
}

static u32 lower_mtu(u32 size) // RFC 1191, 7: the next plateau
{
    static const u16 plateau[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 576};
    for (u32 n = 0; n < countof(plateau); n++)
        if (plateau[n] < size)
            return plateau[n];
    return 576;
}

static void error4(struct net *net, struct rx *x)
{
    const u8 *q = x->p + ICMP_HEAD;
    u32 len = x->len - ICMP_HEAD, head = len ? (q[0] & 15) * 4 : 0;
    if (len < 20 || q[0] >> 4 != 4 || head < 20 || head + 8 > len || get16(q + 6) & 0x1fff)
        return;
    struct ip src = ip4_of(q + 12), dst = ip4_of(q + 16);
    static const u8 of_code[16] = {ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE, EOPNOTSUPP,
                                   ENETUNREACH, EHOSTDOWN, ENETUNREACH, ENETUNREACH, EHOSTUNREACH, ENETUNREACH,
                                   EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};
    u8 type = x->p[0], code = x->p[1];
    s32 err = EHOSTUNREACH;
    bool hard = false;
    u32 mtu = 0;
    if (type == 3 && code < 16) {
        err = of_code[code];
        hard = code == 2 || code == 3;
        if (code == 4) {
            mtu = get16(x->p + 6);
            if (mtu < 68)
                mtu = lower_mtu(get16(q + 2));
        }
    } else if (type == 12) {
        err = 71; // EPROTO
        hard = true;
    } else if (type != 11) {
        return;
    }
    error_deliver(net, &src, &dst, q[9], q + head, len - head, err, hard, mtu);
}

void icmp4_input(struct net *net, struct rx *x)
{
    net->count.icmp_in++;
    if (x->len < ICMP_HEAD || sum_end(sum_add(0, x->p, x->len))) {
        net->count.csum_bad++;
        return;
    }
    switch (x->p[0]) {
    case 8:
        if (!x->broadcast && rate_ok(net, &net->icmp_tokens, ERRORS_PER_SECOND))
            message_send(net, &x->dst, &x->src, 0, 0, x->p + 4, x->p + ICMP_HEAD, x->len - ICMP_HEAD);
        break;
    case 0:
        if (net->icmp_echo_reply)
            net->icmp_echo_reply(net, x);
        break;
    case 3: case 11: case 12: error4(net, x); break;
    }
}

static void error6(struct net *net, struct rx *x)
{
    const u8 *q = x->p + ICMP_HEAD;
    u32 len = x->len - ICMP_HEAD, at = 40;
    if (len < 48 || q[0] >> 4 != 6)
        return;
    u8 proto = q[6], type = x->p[0], code = x->p[1];
    if (proto == IPPROTO_FRAGMENT_ && len >= 56 && !(get16(q + 42) & 0xfff8))
        proto = q[40], at = 48;
    struct ip src = ip6_of(q + 8), dst = ip6_of(q + 24);
    static const u8 of_code[7] = {ENETUNREACH, EACCES, EHOSTUNREACH, EHOSTUNREACH, ECONNREFUSED, EACCES, EACCES};
    s32 err = EHOSTUNREACH;
    bool hard = false;
    u32 mtu = 0;
    if (type == 1 && code < countof(of_code))
        err = of_code[code], hard = code == 4;
    else if (type == 2)
        err = EMSGSIZE, mtu = get32(x->p + 4);
    else if (type == 4)
        err = 71, hard = code == 1;
    error_deliver(net, &src, &dst, proto, q + at, len - at, err, hard, mtu);
}

void icmp6_input(struct net *net, struct rx *x)
{
    net->count.icmp_in++;
    if (x->len < ICMP_HEAD || (!x->csum_ok && sum_end(sum_add(sum_pseudo(&x->src, &x->dst, IPPROTO_ICMP6_, x->len), x->p, x->len)))) {
        net->count.csum_bad++;
        return;
    }
    switch (x->p[0]) {
    case 1: case 2: case 3: case 4: error6(net, x); break;
    case 128:
        if (!ip_any(&x->src) && rate_ok(net, &net->icmp_tokens, ERRORS_PER_SECOND))
            message_send(net, x->broadcast ? NULL : &x->dst, &x->src, 129, 0, x->p + 4, x->p + ICMP_HEAD, x->len - ICMP_HEAD);
        break;
    case 129:
        if (net->icmp_echo_reply)
            net->icmp_echo_reply(net, x);
        break;
    case 133: case 134: case 135: case 136: nd_input(net, x); break;
    }
}
