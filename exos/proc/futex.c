// Futexes (futex(2)): sleepers in a hash by what the word is: (space, address), or the page for shared ones.
#include "fs/fs.h"
#include "proc/signal.h"
#include "vm/vm.h"

enum { WAIT, WAKE, FD, REQUEUE, CMP_REQUEUE, WAKE_OP, LOCK_PI, UNLOCK_PI, TRYLOCK_PI, WAIT_BITSET, WAKE_BITSET };
enum { PRIVATE = 128, REALTIME = 256, BUCKETS = 1024, OWNER_DIED = 0x40000000, WAITERS = 0x80000000, TID = 0x3fffffff };
enum { ROBUST_MAX = 2048 }; // entries of a robust list that are followed, as Linux
struct key {
    u64 space, word;
};
struct sleeper {
    struct list link;
    struct key key;
    struct thread *thread;
    u32 bitset;
    volatile bool woken;
    struct bucket *bucket;
};
static struct bucket {
    struct lock lock;
    struct list sleepers; // zero until first used
} buckets[BUCKETS];

static struct bucket *bucket_of(struct key k)
{
    u64 h = (k.space >> 6 ^ k.word >> 2) * 0x9e3779b97f4a7c15ul;
    struct bucket *b = &buckets[h >> 54];
    return b;
}

static void bucket_take(struct bucket *b)
{
    lock_take(&b->lock);
    if (!b->sleepers.next)
        list_init(&b->sleepers);
}

static s64 key_get(u64 addr, bool private, struct key *k)
{
    struct vm *vm = thread_self()->proc->vm;
    u32 v;
    if (addr & 3)
        return -EINVAL;
    *k = (struct key){(u64)vm, addr};
    if (private)
        return 0;
    if (user_get32(addr, &v))
        return -EFAULT;
    lock_take(&vm->lock);
    struct area *a = area_at(vm, addr);
    if (a && a->flags & MAP_SHARED)
        *k = (struct key){0, XOK_PTE_PPN(pte_get(addr)) * PAGE + addr % PAGE};
    lock_drop(&vm->lock);
    return 0;
}

static int wake_locked(struct bucket *b, struct key k, u32 bitset, int n)
{
    int woken = 0;
    list_for_safe(it, next, &b->sleepers) {
        struct sleeper *s = container_of(it, struct sleeper, link);
        if (woken >= n)
            break;
        if (s->key.space != k.space || s->key.word != k.word || !(s->bitset & bitset))
            continue;
        struct thread *t = s->thread;
        list_del(&s->link);
        s->woken = true; // s may be gone from here on
        thread_wake(t);
        woken++;
    }
    return woken;
}

static s64 futex_wake(u64 addr, bool private, int n, u32 bitset)
{
    struct key k;
    s64 r = key_get(addr, private, &k);
    if (r || !bitset)
        return r ? r : -EINVAL;
    struct bucket *b = bucket_of(k);
    bucket_take(b);
    r = wake_locked(b, k, bitset, n);
    lock_drop(&b->lock);
    return r;
}

// A requeued sleeper changes bucket while it sleeps: lock the one it is in.
static void sleeper_leave(struct sleeper *s)
{
    for (;;) {
        struct bucket *b = s->bucket;
        bucket_take(b);
        if (b == s->bucket) {
            if (!s->woken)
                list_del(&s->link);
            lock_drop(&b->lock);
            return;
        }
        lock_drop(&b->lock);
    }
}

static s64 futex_wait(u64 addr, bool private, u32 expected, u64 deadline, u32 bitset)
{
    struct sleeper s = {.thread = thread_self(), .bitset = bitset};
    u32 now;
    s64 r = key_get(addr, private, &s.key);
    if (r || !bitset)
        return r ? r : -EINVAL;
    s.bucket = bucket_of(s.key);
    bucket_take(s.bucket);
    r = user_get32(addr, &now);
    if (r || now != expected) {
        lock_drop(&s.bucket->lock);
        return r ? r : -EAGAIN;
    }
    list_add_tail(&s.bucket->sleepers, &s.link);
    lock_drop(&s.bucket->lock);
    while (!s.woken && !r)
        r = thread_sleep(deadline, true);
    sleeper_leave(&s);
    return s.woken ? 0 : r;
}

static s64 futex_requeue(u64 from, u64 to, bool private, int wake, int move, bool compare, u32 expected)
{
    struct key k1, k2;
    u32 now;
    s64 r = key_get(from, private, &k1);
    if (!r)
        r = key_get(to, private, &k2);
    if (r || wake < 0 || move < 0)
        return r ? r : -EINVAL;
    struct bucket *b1 = bucket_of(k1), *b2 = bucket_of(k2);
    bucket_take(b1 < b2 ? b1 : b2);
    if (b1 != b2)
        bucket_take(b1 < b2 ? b2 : b1);
    r = compare ? user_get32(from, &now) : 0;
    if (!r && compare && now != expected)
        r = -EAGAIN;
    int done = r ? 0 : wake_locked(b1, k1, ~0u, wake), moved = 0;
    list_for_safe(it, next, &b1->sleepers) {
        struct sleeper *s = container_of(it, struct sleeper, link);
        if (r || moved >= move)
            break;
        if (s->key.space != k1.space || s->key.word != k1.word)
            continue;
        list_del(&s->link);
        s->key = k2;
        s->bucket = b2;
        list_add_tail(&b2->sleepers, &s->link);
        moved++;
    }
    lock_drop(&b1->lock);
    if (b1 != b2)
        lock_drop(&b2->lock);
    return r ? r : compare ? done + moved : done;
}

static s64 futex_wake_op(u64 a1, u64 a2, bool private, int n1, int n2, u32 op)
{
    s32 arg = (s32)(op << 8) >> 20, cmp = (s32)(op << 20) >> 20;
    u32 kind = op >> 28 & 7, old, seen;
    if (op >> 31)
        arg = 1 << (arg & 31);
    for (;;) {
        if (user_get32(a2, &old))
            return -EFAULT;
        u32 new = kind == 0 ? (u32)arg : kind == 1 ? old + arg : kind == 2 ? old | arg : kind == 3 ? old & ~arg : old ^ arg;
        if (user_cas32(a2, old, new, &seen))
            return -EFAULT;
        if (seen == old)
            break;
    }
    s32 v = old;
    u32 test = op >> 24 & 15;
    bool yes = test == 0 ? v == cmp : test == 1 ? v != cmp : test == 2 ? v < cmp : test == 3 ? v <= cmp
               : test == 4 ? v > cmp : v >= cmp;
    s64 r = futex_wake(a1, private, n1, ~0u);
    if (r >= 0 && yes) {
        s64 more = futex_wake(a2, private, n2, ~0u);
        r = more < 0 ? more : r + more;
    }
    return r;
}

s64 sys_futex(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    u32 op = b & 127;
    bool private = b & PRIVATE;
    u64 ts[2], deadline = 0;
    s64 r;
    if ((op == WAIT || op == WAIT_BITSET) && d) {
        if (copy_in(ts, d, 16))
            return -EFAULT;
        if (ts[1] >= 1000000000 || (s64)ts[0] < 0)
            return -EINVAL;
        u64 ns = ts[0] > 1ul << 33 ? 1ul << 62 : ts[0] * 1000000000 + ts[1];
        if (op == WAIT)
            deadline = clock_mono_ns() + ns;
        else if (b & REALTIME)
            deadline = ns > XOK_INFO->boot_epoch_ns ? ns - XOK_INFO->boot_epoch_ns : 1;
        else
            deadline = MAX(ns, 1ul);
    }
    switch (op) {
    case WAIT:
    case WAIT_BITSET:
        r = futex_wait(a, private, c, deadline, op == WAIT ? ~0u : (u32)f);
        return r == -EINTR ? (d ? -EINTR : -ERESTARTSYS) : r;
    case WAKE: return futex_wake(a, private, (s32)c, ~0u);
    case WAKE_BITSET: return futex_wake(a, private, (s32)c, f);
    case REQUEUE: return futex_requeue(a, e, private, (s32)c, (s32)d, false, 0);
    case CMP_REQUEUE: return futex_requeue(a, e, private, (s32)c, (s32)d, true, f);
    case WAKE_OP: return futex_wake_op(a, e, private, (s32)c, (s32)d, f);
    default: return -ENOSYS;
    }
}

s64 sys_set_robust_list(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    if (b != 24)
        return -EINVAL;
    thread_self()->robust_list = a;
    return 0;
}

s64 sys_get_robust_list(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    u64 head = thread_self()->robust_list, len = 24;
    (void)d, (void)e, (void)f;
    if (a && a != thread_self()->tid)
        return -EPERM;
    return copy_out(b, &head, 8) || copy_out(c, &len, 8) ? -EFAULT : 0;
}

static void robust_one(u64 word, u32 tid)
{
    u32 v, seen;
    while (!user_get32(word, &v) && (v & TID) == tid) {
        if (user_cas32(word, v, (v & WAITERS) | OWNER_DIED, &seen))
            return;
        if (seen == v) {
            if (v & WAITERS)
                futex_wake(word, false, 1, ~0u), futex_wake(word, true, 1, ~0u);
            return;
        }
    }
}

// A thread leaves: its robust mutexes are marked, and whoever joins it is told.
void futex_exit(struct thread *t)
{
    u64 head[3], at;
    if (t->robust_list && !copy_in(head, t->robust_list, sizeof head)) {
        at = head[0];
        for (int i = 0; i < ROBUST_MAX && (at & ~1ul) != t->robust_list && at; i++) {
            u64 entry = at & ~1ul;
            if (copy_in(&at, entry, 8))
                break;
            if (entry != head[2])
                robust_one(entry + head[1], t->tid);
        }
        if (head[2])
            robust_one((head[2] & ~1ul) + head[1], t->tid);
    }
    if (t->clear_child_tid && t->proc->nthreads > 1) {
        u32 zero = 0;
        copy_out(t->clear_child_tid, &zero, 4);
        futex_wake(t->clear_child_tid, true, 1, ~0u);
        futex_wake(t->clear_child_tid, false, 1, ~0u);
    }
}
