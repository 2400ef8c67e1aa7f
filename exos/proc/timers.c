// Timers in a pairing heap: no memory is needed to arm one, and the earliest is at hand.
#include "proc/timers.h"
#include "core/calls.h"
#include "core/thread.h"

static struct lock lock;
static struct timer *root;    // lock
static struct timer *running; // its fn is being called: lock

// The later of two heaps becomes the other's first child.
static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->deadline < a->deadline) {
        struct timer *t = a;
        a = b, b = t;
    }
    b->next = a->child;
    if (b->next)
        b->next->from = &b->next;
    a->child = b;
    b->from = &a->child;
    a->next = NULL;
    return a;
}

static void root_set(struct timer *t)
{
    root = t;
    if (t)
        t->from = &root;
}

// Siblings melded in pairs from the left, then the pairs from the right.
static struct timer *meld_all(struct timer *first)
{
    struct timer *pairs = NULL, *all = NULL;
    while (first) {
        struct timer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = NULL;
        if (b)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct timer *a = pairs;
        pairs = a->next;
        a->next = NULL;
        all = meld(all, a);
    }
    return all;
}

static void take_out(struct timer *t)
{
    if (!t->from)
        return;
    bool was_root = t == root;
    *t->from = t->next;
    if (t->next)
        t->next->from = t->from;
    struct timer *rest = meld_all(t->child);
    root_set(was_root ? rest : meld(root, rest));
    t->child = t->next = NULL;
    t->from = NULL;
}

void timer_arm(struct timer *t, u64 deadline, void (*fn)(struct timer *))
{
    lock_take(&lock);
    take_out(t);
    t->deadline = MAX(deadline, 1ul);
    t->fn = fn;
    root_set(meld(root, t));
    bool first = root == t;
    lock_drop(&lock);
    if (first && thread_self() != keeper)
        keeper_kick();
}

void timer_disarm(struct timer *t)
{
    for (;;) {
        lock_take(&lock);
        bool busy = running == t && thread_self() != keeper;
        if (!busy)
            take_out(t);
        lock_drop(&lock);
        if (!busy)
            return;
        xok_yield(keeper->env);
    }
}

u64 timers_run(u64 now)
{
    lock_take(&lock);
    while (root && root->deadline <= now) {
        struct timer *t = root;
        take_out(t);
        running = t;
        lock_drop(&lock);
        t->fn(t);
        lock_take(&lock);
        running = NULL;
    }
    u64 next = root ? root->deadline : 0;
    lock_drop(&lock);
    return next;
}
