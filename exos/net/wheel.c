// Timers in a wheel of six levels of 64 slots. A timer lies at the level of the highest group of six bits
// in which its time differs from now, so arming and clearing take constant time, and the first slot in use
// of the lowest level in use is always the next to look at.
#include "net/stack.h"

static void place(struct wheel *w, struct net_timer *t)
{
    u64 diff = t->due ^ w->now;
    u32 level = diff ? (63 - (u32)__builtin_clzl(diff)) / 6 : 0;
    if (level >= WHEEL_LEVELS) { // further away than any timer here means
        level = WHEEL_LEVELS - 1;
        t->due = w->now | ((1ul << 36) - 1);
    }
    u32 s = t->due >> (6 * level) & (WHEEL_SLOTS - 1);
    struct net_timer **head = &w->slot[level][s];
    t->next = *head;
    if (t->next)
        t->next->prev = &t->next;
    t->prev = head;
    *head = t;
    w->map[level] |= 1ul << s;
}

static void unlink(struct wheel *w, struct net_timer *t)
{
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    struct net_timer **base = &w->slot[0][0];
    if (!*t->prev && t->prev >= base && t->prev < base + WHEEL_LEVELS * WHEEL_SLOTS) {
        u64 n = t->prev - base;
        w->map[n / WHEEL_SLOTS] &= ~(1ul << (n % WHEEL_SLOTS));
    }
    t->prev = NULL;
}

void wheel_clear(struct net *net, struct net_timer *t)
{
    if (t->prev)
        unlink(&net->wheel, t);
}

void wheel_set(struct net *net, struct net_timer *t, u64 ms)
{
    struct wheel *w = &net->wheel;
    u64 due = net_ms(net) + MAX(ms, 1ul);
    if (due <= w->now)
        due = w->now + 1;
    wheel_clear(net, t);
    t->due = due;
    u64 before = net->wake_earlier ? wheel_next(w) : 0;
    place(w, t);
    if (due < before)
        net->wake_earlier(net, due);
}

u64 wheel_next(const struct wheel *w)
{
    for (u32 level = 0; level < WHEEL_LEVELS; level++) {
        if (!w->map[level])
            continue;
        u64 slot = __builtin_ctzl(w->map[level]);
        return (w->now >> (6 * level + 6) << (6 * level + 6)) | slot << (6 * level);
    }
    return ~0ul;
}

void net_timers(struct net *net)
{
    struct wheel *w = &net->wheel;
    u64 now = net_ms(net);
    for (;;) {
        u64 next = wheel_next(w);
        if (next > now)
            break;
        w->now = MAX(w->now, next);
        u32 level = 0;
        while (!w->map[level])
            level++;
        u32 s = __builtin_ctzl(w->map[level]);
        struct net_timer *list = w->slot[level][s];
        w->slot[level][s] = NULL;
        w->map[level] &= ~(1ul << s);
        list->prev = &list;
        while (list) {
            struct net_timer *t = list;
            unlink(w, t);
            if (t->due > w->now)
                place(w, t);
            else
                t->fn(net, t);
        }
    }
    w->now = MAX(w->now, now);
}

u64 net_next_ns(struct net *net)
{
    u64 next = wheel_next(&net->wheel);
    return next == ~0ul ? next : next * 1000000;
}
