// Congestion control: CUBIC (RFC 9438), and proportional rate reduction in recovery (RFC 6937).
#include "net/tcp.h"

// Window sizes below are in segments times 256, times in milliseconds; no floating point in the library.
enum { FINE = 256 };

void cc_init(struct tcp *t)
{
    t->cwnd = TCP_IW * t->mss;
    t->ssthresh = ~0u;
    t->cubic_epoch = 0, t->cubic_wmax = 0;
}

static u32 cube_root(u64 v)
{
    u64 r = 0;
    for (int bit = 21; bit >= 0; bit--) {
        u64 n = r | 1ul << bit;
        if (n * n * n <= v)
            r = n;
    }
    return r;
}

static u32 fine_window(const struct tcp *t) { return (u64)t->cwnd * FINE / t->mss; }

// C = 0.4 windows a second cubed, beta = 0.7.
static void cubic_reduce(struct tcp *t)
{
    u32 w = fine_window(t);
    t->cubic_wmax = w < t->cubic_wmax ? (u64)w * 17 / 20 : w; // fast convergence: (1 + beta) / 2
    t->cubic_epoch = 0;
    t->ssthresh = MAX((u32)((u64)t->cwnd * 7 / 10), 2u * t->mss);
}

static void epoch_start(struct tcp *t)
{
    u32 w = fine_window(t);
    t->cubic_epoch = t->net->now;
    if (w < t->cubic_wmax) { // K = cbrt((wmax - cwnd) / C) seconds
        t->cubic_k = cube_root((u64)(t->cubic_wmax - w) * 2500000000ul / FINE);
    } else {
        t->cubic_k = 0;
        t->cubic_wmax = w;
    }
    t->cubic_est = w;
}

static u32 cubic_target(struct tcp *t, u32 w)
{
    s64 ms = (s64)((t->net->now - t->cubic_epoch) / 1000000 + t->srtt / 1000) - t->cubic_k;
    ms = MAX(MIN(ms, 100000l), -100000l);
    // 0.4 * (ms / 1000)^3 segments
    s64 target = (s64)t->cubic_wmax + ms * ms * ms * FINE / 2500000000l;
    return MAX(MIN(target, (s64)w * 3 / 2), (s64)w);
}

void cc_acked(struct tcp *t, u32 bytes)
{
    if (!t->limited || !bytes)
        return;
    if (t->cwnd < t->ssthresh) {
        t->cwnd += MIN(bytes, t->ssthresh - t->cwnd);
        return;
    }
    if (!t->cubic_epoch)
        epoch_start(t);
    u32 w = fine_window(t), target = cubic_target(t, w);
    // What Reno would have: alpha = 3 (1 - beta) / (1 + beta) = 9/17 of a segment a window.
    t->cubic_est += MAX((u64)bytes * FINE / t->mss * 9 * FINE / (17ul * MAX(w, 1u)), 1ul);
    target = MAX(target, t->cubic_est);
    if (target <= w)
        return;
    t->cwnd += (u64)(target - w) * bytes / MAX(w, 1u);
}

void cc_enter(struct tcp *t)
{
    t->prr_flight = t->nxt - t->una;
    t->prr_delivered = t->prr_out = 0;
    cubic_reduce(t);
}

void cc_loss(struct tcp *t)
{
    if (t->ca != CA_LOSS)
        cubic_reduce(t);
    t->cwnd = t->mss;
}

void cc_recovering(struct tcp *t, u32 delivered)
{
    t->prr_delivered += delivered;
    s64 more;
    if (t->flight > t->ssthresh) {
        more = (s64)(((u64)t->prr_delivered * t->ssthresh + t->prr_flight - 1) / MAX(t->prr_flight, 1u)) - t->prr_out;
    } else {
        s64 limit = MAX((s64)t->prr_delivered - t->prr_out, (s64)delivered) + t->mss;
        more = MIN((s64)t->ssthresh - t->flight, limit);
    }
    t->cwnd = t->flight + MAX(more, t->prr_out ? 0l : (s64)t->mss);
}

void cc_leave(struct tcp *t) { t->cwnd = MAX(t->ssthresh, 2u * t->mss); }
