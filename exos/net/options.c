// getsockopt(2), setsockopt(2): socket(7), tcp(7), ip(7), ipv6(7). What only shapes packets is kept and
// told back.
#include "net/sock.h"

enum { SOL_SOCKET = 1, SOL_IP = 0, SOL_TCP = 6, SOL_UDP = 17, SOL_IPV6 = 41 };
enum { SO_DEBUG = 1, SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_DONTROUTE, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE,
       SO_OOBINLINE, SO_NO_CHECK, SO_PRIORITY, SO_LINGER, SO_BSDCOMPAT, SO_REUSEPORT, SO_PASSCRED, SO_PEERCRED,
       SO_RCVLOWAT, SO_SNDLOWAT, SO_RCVTIMEO, SO_SNDTIMEO, SO_ATTACH_FILTER = 26, SO_TIMESTAMP = 29, SO_ACCEPTCONN = 30,
       SO_SNDBUFFORCE = 32, SO_RCVBUFFORCE = 33, SO_PROTOCOL = 38, SO_DOMAIN = 39 };
enum { TCP_NODELAY = 1, TCP_MAXSEG, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_LINGER2,
       TCP_DEFER_ACCEPT, TCP_WINDOW_CLAMP, TCP_INFO, TCP_QUICKACK, TCP_CONGESTION, TCP_USER_TIMEOUT = 18,
       TCP_FASTOPEN = 23 };
enum { IPV6_V6ONLY = 26 };
enum { BUF_MIN = 2304, BUF_MAX = 8 << 20 };

static s64 timeout_in(u64 value, u32 len, u64 *out)
{
    s64 tv[2];
    if (len < sizeof tv)
        return -EINVAL;
    if (copy_in(tv, value, sizeof tv))
        return -EFAULT;
    if (tv[1] < 0 || tv[1] >= 1000000)
        return -EDOM;
    *out = tv[0] < 0 ? 0 : MIN(tv[0], 1l << 33) * 1000000000ul + tv[1] * 1000;
    return 0;
}

static s64 socket_set(struct sock *s, u32 name, u64 value, u32 len)
{
    s32 v;
    if (name == SO_RCVTIMEO)
        return timeout_in(value, len, &s->rcvtimeo);
    if (name == SO_SNDTIMEO)
        return timeout_in(value, len, &s->sndtimeo);
    if (name == SO_LINGER)
        return len < 8 ? -EINVAL : copy_in(s->linger, value, 8);
    if (len < sizeof v)
        return -EINVAL;
    if (copy_in(&v, value, sizeof v))
        return -EFAULT;
    switch (name) {
    case SO_REUSEADDR: s->reuse = (s->reuse & ~1) | (v ? 1 : 0); return 0;
    case SO_REUSEPORT: s->reuse = (s->reuse & ~2) | (v ? 2 : 0); return 0;
    case SO_SNDBUF: case SO_SNDBUFFORCE: s->buf_set |= 2; s->sndbuf = MIN(MAX((u32)v * 2ul, BUF_MIN * 2ul), (u64)BUF_MAX); return 0;
    case SO_RCVBUF: case SO_RCVBUFFORCE: s->buf_set |= 1; s->limit = MIN(MAX((u32)v * 2ul, (u64)BUF_MIN), (u64)BUF_MAX); return 0;
    case SO_DEBUG: case SO_DONTROUTE: case SO_BROADCAST: case SO_KEEPALIVE: case SO_OOBINLINE: case SO_NO_CHECK:
    case SO_PRIORITY: case SO_PASSCRED: case SO_RCVLOWAT: case SO_TIMESTAMP:
        s->options = v ? s->options | 1u << name : s->options & ~(1u << name);
        return 0;
    default: return -ENOPROTOOPT;
    }
}

static s64 tcp_set(struct sock *s, u32 name, u64 value, u32 len)
{
    s32 v;
    if (name == TCP_CONGESTION)
        return 0;
    if (len < sizeof v)
        return -EINVAL;
    if (copy_in(&v, value, sizeof v))
        return -EFAULT;
    switch (name) {
    case TCP_NODELAY: s->nodelay = v; return 0;
    case TCP_CORK: s->cork = v; return 0;
    case TCP_KEEPIDLE: case TCP_KEEPINTVL: case TCP_KEEPCNT:
        if (v < 1)
            return -EINVAL;
        s->keep[name - TCP_KEEPIDLE] = v;
        return 0;
    case TCP_USER_TIMEOUT: s->keep[3] = v; return 0;
    case TCP_MAXSEG: case TCP_SYNCNT: case TCP_LINGER2: case TCP_DEFER_ACCEPT: case TCP_WINDOW_CLAMP: case TCP_QUICKACK:
    case TCP_FASTOPEN: return 0;
    default: return -ENOPROTOOPT;
    }
}

static s64 option_set(struct sock *s, u32 level, u32 name, u64 value, u32 len)
{
    s32 v = 0;
    if (level == SOL_SOCKET)
        return socket_set(s, name, value, len);
    if (s->domain == AF_UNIX)
        return -EOPNOTSUPP;
    if (level == SOL_TCP && s->protocol == IPPROTO_TCP)
        return tcp_set(s, name, value, len);
    if (level == SOL_IPV6 && s->domain == AF_INET6) {
        if (name != IPV6_V6ONLY)
            return 0;
        if (len < sizeof v || copy_in(&v, value, sizeof v))
            return len < sizeof v ? -EINVAL : -EFAULT;
        if (s->hashed)
            return -EINVAL;
        s->v6only = v;
        return 0;
    }
    return level == SOL_IP ? 0 : -ENOPROTOOPT;
}

s64 sock_option_set(struct sock *s, u32 level, u32 name, u64 value, u32 len)
{
    s64 r = option_set(s, level, name, value, len);
    if (!r && (s->tcp || s->hear))
        remote_options(s);
    return r;
}

static s64 out(u64 value, u64 lenp, const void *from, u32 have)
{
    s32 len;
    if (copy_in(&len, lenp, sizeof len))
        return -EFAULT;
    if (len < 0)
        return -EINVAL;
    len = MIN((u32)len, have);
    return copy_out(value, from, len) || copy_out(lenp, &len, sizeof len) ? -EFAULT : 0;
}

static s64 socket_get(struct sock *s, u32 name, u64 value, u64 lenp)
{
    s32 v;
    switch (name) {
    case SO_REUSEADDR: v = s->reuse & 1; break;
    case SO_REUSEPORT: v = s->reuse >> 1 & 1; break;
    case SO_TYPE: v = s->type; break;
    case SO_DOMAIN: v = s->domain; break;
    case SO_PROTOCOL: v = s->protocol; break;
    case SO_ERROR: v = s->tcp ? remote_error(s) : __atomic_exchange_n(&s->error, 0, __ATOMIC_SEQ_CST); break;
    case SO_SNDBUF: v = s->sndbuf; break;
    case SO_RCVBUF: v = s->limit; break;
    case SO_ACCEPTCONN: v = s->state == SOCK_LISTENING; break;
    case SO_LINGER: return out(value, lenp, s->linger, 8);
    case SO_PEERCRED: {
        struct creds none = {0, ~0u, ~0u};
        return s->domain != AF_UNIX ? -ENOPROTOOPT : out(value, lenp, s->peer ? &s->peer_creds : &none, sizeof none);
    }
    case SO_RCVTIMEO: case SO_SNDTIMEO: {
        u64 t = name == SO_RCVTIMEO ? s->rcvtimeo : s->sndtimeo;
        s64 tv[2] = {t / 1000000000, t % 1000000000 / 1000};
        return out(value, lenp, tv, sizeof tv);
    }
    case SO_RCVLOWAT: case SO_SNDLOWAT: v = 1; break;
    case SO_DEBUG: case SO_DONTROUTE: case SO_BROADCAST: case SO_KEEPALIVE: case SO_OOBINLINE: case SO_NO_CHECK:
    case SO_PRIORITY: case SO_PASSCRED: case SO_TIMESTAMP: v = s->options >> name & 1; break;
    default: return -ENOPROTOOPT;
    }
    return out(value, lenp, &v, sizeof v);
}

static s64 tcp_get(struct sock *s, u32 name, u64 value, u64 lenp)
{
    static const u32 keep_default[3] = {7200, 75, 9};
    s32 v = 0;
    switch (name) {
    case TCP_NODELAY: v = s->nodelay; break;
    case TCP_CORK: v = s->cork; break;
    case TCP_KEEPIDLE: case TCP_KEEPINTVL: case TCP_KEEPCNT:
        v = s->keep[name - TCP_KEEPIDLE] ? s->keep[name - TCP_KEEPIDLE] : keep_default[name - TCP_KEEPIDLE];
        break;
    case TCP_USER_TIMEOUT: v = s->keep[3]; break;
    case TCP_MAXSEG: v = 65483; break; // of the loopback interface
    case TCP_CONGESTION: return out(value, lenp, "cubic", 6);
    case TCP_INFO: {
        u8 real[104];
        if (s->tcp) {
            remote_info(s, real);
            return out(value, lenp, real, sizeof real);
        }
        u8 info[104] = {s->state == SOCK_CONNECTED ? 1 : s->state == SOCK_LISTENING ? 10 : 7};
        return out(value, lenp, info, sizeof info);
    }
    case TCP_SYNCNT: case TCP_LINGER2: case TCP_DEFER_ACCEPT: case TCP_WINDOW_CLAMP: case TCP_QUICKACK: case TCP_FASTOPEN: break;
    default: return -ENOPROTOOPT;
    }
    return out(value, lenp, &v, sizeof v);
}

s64 sock_option_get(struct sock *s, u32 level, u32 name, u64 value, u64 lenp)
{
    s32 v = s->v6only;
    if (level == SOL_SOCKET)
        return socket_get(s, name, value, lenp);
    if (level == SOL_TCP && s->protocol == IPPROTO_TCP)
        return tcp_get(s, name, value, lenp);
    if (level == SOL_IPV6 && s->domain == AF_INET6 && name == IPV6_V6ONLY)
        return out(value, lenp, &v, sizeof v);
    if ((level == SOL_IP && s->domain == AF_INET) || (level == SOL_IPV6 && s->domain == AF_INET6)) {
        v = 0;
        return out(value, lenp, &v, sizeof v);
    }
    return s->domain == AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
}
