// poll(2), ppoll(2), select(2), pselect6(2): one look, and one sleep on the queues of all.
#include "linux/fs.h"

void sigmask_replace(u64 mask);
enum { FEW = 8 };
struct pollfd_native {
    s32 fd;
    s16 events, revents;
};
struct watch {
    struct file *f;
    bool owned;
    struct waiter w[FILE_POLL_QUEUES];
};

// *deadline: 0 for ever, 1 not at all.
static s64 deadline_in(u64 from, bool us, u64 *deadline)
{
    struct timespec_native ts;
    *deadline = 0;
    if (!from)
        return 0;
    if (copy_in(&ts, from, sizeof ts))
        return -EFAULT;
    if (us && ts.sec >= 0) // select(2) takes more than a second of microseconds
        ts.sec += (u64)ts.nsec / 1000000, ts.nsec = ts.nsec % 1000000 * 1000;
    if (ts.sec < 0 || (u64)ts.nsec >= 1000000000)
        return -EINVAL;
    if (ts.sec > 1l << 33)
        return 0;
    *deadline = ts.sec | ts.nsec ? clock_mono_ns() + ts.sec * 1000000000ul + ts.nsec : 1;
    return 0;
}

static u32 file_events(struct file *f, struct waiter *w)
{
    return f->ops->poll ? f->ops->poll(f, w) : POLLIN | POLLOUT;
}

// Fills revents of n entries; how many are not 0. watch: entries to add to queues, or NULL.
static s64 look(struct pollfd_native *p, struct watch *watch, u64 n, bool add)
{
    s64 ready = 0;
    for (u64 i = 0; i < n; i++) {
        p[i].revents = 0;
        if (p[i].fd < 0)
            continue;
        struct watch *w = &watch[i];
        u32 events = w->f ? file_events(w->f, add ? w->w : NULL) & ((u16)p[i].events | POLLERR | POLLHUP) : POLLNVAL;
        p[i].revents = events;
        ready += events != 0;
        if (ready)
            add = false; // nobody will sleep
    }
    return ready;
}

static s64 poll_run(struct pollfd_native *p, u64 n, u64 deadline)
{
    struct watch few[FEW], *watch = n <= FEW ? few : heap_alloc(n * sizeof *watch);
    if (!watch)
        return -ENOMEM;
    if (n <= FEW)
        memset(few, 0, n * sizeof *few);
    for (u64 i = 0; i < n; i++) {
        for (int q = 0; q < FILE_POLL_QUEUES; q++)
            watch[i].w[q].thread = thread_self();
        if (p[i].fd >= 0)
            watch[i].f = fd_borrow(p[i].fd, &watch[i].owned);
        if (watch[i].f && watch[i].f->flags & O_PATH) {
            fd_return(watch[i].f, watch[i].owned);
            watch[i].f = NULL;
        }
    }
    s64 r = look(p, watch, n, deadline != 1);
    while (!r && deadline != 1) {
        s64 slept = thread_sleep(deadline, true);
        r = look(p, watch, n, false);
        if (r || slept == -ETIMEDOUT)
            break;
        if (slept)
            r = -ERESTARTNOHAND;
    }
    for (u64 i = 0; i < n; i++) {
        for (int q = 0; q < FILE_POLL_QUEUES; q++)
            waitq_del(&watch[i].w[q]);
        if (watch[i].f)
            fd_return(watch[i].f, watch[i].owned);
    }
    if (watch != few)
        heap_free(watch);
    return r;
}

static s64 poll_user(u64 fds, u64 n, u64 deadline)
{
    struct pollfd_native few[FEW], *p = few;
    if (n > MIN(proc_self()->rlim[RLIMIT_NOFILE_].cur, FILES_MAX))
        return -EINVAL;
    if (n > FEW && !(p = heap_alloc(n * sizeof *p)))
        return -ENOMEM;
    s64 r = n && copy_in(p, fds, n * sizeof *p) ? -EFAULT : 0;
    if (!r)
        r = poll_run(p, n, deadline);
    if (r >= 0 && n && copy_out(fds, p, n * sizeof *p))
        r = -EFAULT;
    if (p != few)
        heap_free(p);
    return r;
}

s64 sys_poll(u64 fds, u64 n, u64 ms, u64 d, u64 e, u64 f)
{
    s32 timeout = ms;
    (void)d, (void)e, (void)f;
    return poll_user(fds, n, timeout < 0 ? 0 : timeout ? clock_mono_ns() + timeout * 1000000ul : 1);
}

static s64 mask_in(u64 from, u64 size)
{
    u64 mask;
    if (!from)
        return 0;
    if (size != 8)
        return -EINVAL;
    if (copy_in(&mask, from, 8))
        return -EFAULT;
    sigmask_replace(mask);
    return 0;
}

// ppoll and pselect6 say how much time was left; a restarted one goes on with it.
static void remaining_out(u64 to, u64 deadline, bool us)
{
    u64 now = clock_mono_ns(), left = deadline > now ? deadline - now : 0;
    struct timespec_native ts = {left / 1000000000, left % 1000000000 / (us ? 1000 : 1)};
    if (to && deadline)
        copy_out(to, &ts, sizeof ts); // a constant is not a mistake
}

s64 sys_ppoll(u64 fds, u64 n, u64 timeout, u64 mask, u64 size, u64 f)
{
    u64 deadline;
    (void)f;
    s64 r = deadline_in(timeout, false, &deadline);
    if (!r)
        r = mask_in(mask, size);
    if (r)
        return r;
    r = poll_user(fds, n, deadline);
    remaining_out(timeout, deadline, false);
    return r;
}

enum { SELECT_IN = POLLIN | POLLHUP | POLLERR, SELECT_OUT = POLLOUT | POLLERR, SELECT_EX = POLLPRI };

static s64 select_sets(u64 n, u64 *set[3], struct pollfd_native *p, u64 *count)
{
    static const s16 want[3] = {POLLIN, POLLOUT, POLLPRI};
    *count = 0;
    for (u64 fd = 0; fd < n; fd++) {
        s16 events = 0;
        for (int s = 0; s < 3; s++)
            if (set[s] && set[s][fd / 64] >> fd % 64 & 1)
                events |= want[s];
        if (events)
            p[(*count)++] = (struct pollfd_native){fd, events, 0};
    }
    return 0;
}

static s64 select_result(u64 words, u64 *set[3], const struct pollfd_native *p, u64 count)
{
    static const u32 ready[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};
    static const s16 want[3] = {POLLIN, POLLOUT, POLLPRI};
    s64 bits = 0;
    for (int s = 0; s < 3; s++)
        if (set[s])
            memset(set[s], 0, words * 8);
    for (u64 i = 0; i < count; i++) {
        if (p[i].revents & POLLNVAL)
            return -EBADF;
        for (int s = 0; s < 3; s++)
            if ((p[i].events & want[s]) && (p[i].revents & ready[s])) {
                set[s][p[i].fd / 64] |= 1ul << p[i].fd % 64;
                bits++;
            }
    }
    return bits;
}

static s64 select_run(u64 n, const u64 user[3], u64 deadline)
{
    if ((s32)n < 0)
        return -EINVAL;
    n = MIN((u32)n, (u64)proc_self()->files->cap);
    u64 words = (n + 63) / 64, count = 0, *set[3] = {NULL, NULL, NULL};
    u64 *bits = heap_alloc(3 * words * 8 + 8);
    struct pollfd_native *p = heap_alloc((n + 1) * sizeof *p);
    s64 r = bits && p ? 0 : -ENOMEM;
    for (int s = 0; !r && s < 3; s++)
        if (user[s]) {
            set[s] = bits + s * words;
            r = copy_in(set[s], user[s], words * 8);
        }
    if (!r)
        r = select_sets(n, set, p, &count);
    if (!r)
        r = poll_run(p, count, deadline);
    if (r >= 0)
        r = select_result(words, set, p, count);
    for (int s = 0; r >= 0 && s < 3; s++)
        if (set[s] && copy_out(user[s], set[s], words * 8))
            r = -EFAULT;
    heap_free(bits);
    heap_free(p);
    return r;
}

s64 sys_select(u64 n, u64 in, u64 out, u64 ex, u64 timeout, u64 f)
{
    u64 deadline;
    (void)f;
    s64 r = deadline_in(timeout, true, &deadline);
    if (r)
        return r;
    r = select_run(n, (const u64[3]){in, out, ex}, deadline);
    remaining_out(timeout, deadline, true);
    return r;
}

s64 sys_pselect6(u64 n, u64 in, u64 out, u64 ex, u64 timeout, u64 sig)
{
    u64 deadline, mask[2] = {0, 0};
    s64 r = deadline_in(timeout, false, &deadline);
    if (!r && sig && copy_in(mask, sig, sizeof mask))
        r = -EFAULT;
    if (!r)
        r = mask_in(mask[0], mask[1]);
    if (r)
        return r;
    r = select_run(n, (const u64[3]){in, out, ex}, deadline);
    remaining_out(timeout, deadline, false);
    return r;
}
