// Message queues: msgget(2), msgop(2), msgctl(2).
#include "linux/ipc.h"

enum { MSGMAX = 8192, MSGMNB = 16384, MSG_NOERROR = 010000, MSG_EXCEPT = 020000, MSG_COPY = 040000, MSG_STAT = 11, MSG_INFO,
       MSG_STAT_ANY, CAP_IPC_RESOURCE = CAP_SYS_RESOURCE };

struct msg {
    struct list link;
    s64 type;
    u64 size;
    u8 text[];
};
struct queue {
    struct ipc ipc;
    struct lock lock; // everything below
    struct waitq wait;
    struct list msgs;
    u64 bytes, count, limit;
    s64 stime, rtime, ctime;
    u32 lspid, lrpid;
};
struct msqid_native { // struct msqid64_ds
    struct ipc_perm_native perm;
    s64 stime, rtime, ctime;
    u64 cbytes, qnum, qbytes;
    u32 lspid, lrpid;
    u64 unused[2];
};
_Static_assert(sizeof(struct msqid_native) == 120, "struct msqid64_ds");

static struct queue *queue_of(struct ipc *i) { return container_of(i, struct queue, ipc); }
static s64 now(void) { return clock_real_ns() / SECOND; }

static void queue_free(struct ipc *i)
{
    struct queue *q = queue_of(i);
    list_for_safe(it, next, &q->msgs)
        heap_free(container_of(it, struct msg, link));
    heap_free(q);
}
static struct ipc_table queues = {.free = queue_free};

static struct ipc *queue_make(u64 unused)
{
    struct queue *q = heap_alloc(sizeof *q);
    (void)unused;
    if (!q)
        return NULL;
    waitq_init(&q->wait);
    list_init(&q->msgs);
    q->limit = MSGMNB;
    q->ctime = now();
    return &q->ipc;
}

static s64 queue_check(struct ipc *i, u64 unused) { return (void)i, (void)unused, 0; }

CALL(msgget) { UNUSED; return ipc_get(&queues, a, b, queue_make, queue_check, 0); }

static s64 post(struct queue *q, struct msg *m, u32 flags)
{
    s64 r;
    bool full;
    lock_take(&q->lock);
    r = waitq_until(&q->wait, &q->lock,
                    q->ipc.dead || !(full = q->bytes + m->size > q->limit || q->count + 1 > q->limit) || flags & IPC_NOWAIT, 0, true);
    r = q->ipc.dead ? -EIDRM : r ? -ERESTARTNOHAND : full ? -EAGAIN : 0;
    if (!r) {
        list_add_tail(&q->msgs, &m->link);
        q->bytes += m->size, q->count++;
        q->stime = now(), q->lspid = proc_self()->pid;
    }
    lock_drop(&q->lock);
    if (!r)
        waitq_wake(&q->wait, 1 << 30, 0);
    return r;
}

CALL(msgsnd)
{
    s64 type, err;
    UNUSED;
    if (copy_in(&type, b, 8))
        return -EFAULT;
    if (c > MSGMAX || (s32)a < 0 || type < 1)
        return -EINVAL;
    struct msg *m = heap_alloc(sizeof *m + c);
    if (!m)
        return -ENOMEM;
    m->type = type, m->size = c;
    err = copy_in(m->text, b + 8, c);
    struct ipc *i = err ? NULL : ipc_find(&queues, a, IPC_WRITE, &err);
    if (i) {
        err = post(queue_of(i), m, d);
        ipc_put(&queues, i);
    }
    if (err)
        heap_free(m);
    return err;
}

// The message that a call with this type takes.
static struct msg *choose(struct queue *q, s64 type, u32 flags)
{
    struct msg *best = NULL;
    list_for(it, &q->msgs) {
        struct msg *m = container_of(it, struct msg, link);
        if (!type || (type > 0 && (m->type == type) != !!(flags & MSG_EXCEPT)))
            return m;
        if (type < 0 && m->type <= -type && (!best || m->type < best->type))
            best = m;
    }
    return best;
}

static s64 take(struct queue *q, u64 to, u64 room, s64 type, u32 flags)
{
    struct msg *m = NULL;
    lock_take(&q->lock);
    s64 r = waitq_until(&q->wait, &q->lock, q->ipc.dead || (m = choose(q, type, flags)) || flags & IPC_NOWAIT, 0, true);
    r = q->ipc.dead ? -EIDRM : r ? -ERESTARTNOHAND : !m ? -ENOMSG : m->size > room && !(flags & MSG_NOERROR) ? -E2BIG : 0;
    if (!r) {
        list_del(&m->link);
        q->bytes -= m->size, q->count--;
        q->rtime = now(), q->lrpid = proc_self()->pid;
    }
    lock_drop(&q->lock);
    if (r)
        return r;
    waitq_wake(&q->wait, 1 << 30, 0);
    u64 n = MIN(m->size, room);
    r = copy_out(to, &m->type, 8) || copy_out(to + 8, m->text, n) ? -EFAULT : (s64)n;
    heap_free(m);
    return r;
}

CALL(msgrcv)
{
    s64 err;
    UNUSED;
    if ((s32)a < 0 || (s64)c < 0)
        return -EINVAL;
    if (e & MSG_COPY)
        return -ENOSYS; // as a Linux without checkpoints
    struct ipc *i = ipc_find(&queues, a, IPC_READ, &err);
    if (!i)
        return err;
    err = take(queue_of(i), b, c, (s64)d < -0x7fffffffffffffff ? -0x7fffffffffffffff : (s64)d, e);
    ipc_put(&queues, i);
    return err;
}

static s64 queue_set(struct queue *q, u64 from)
{
    struct msqid_native d;
    if (copy_in(&d, from, sizeof d))
        return -EFAULT;
    s64 r = ipc_may_change(&q->ipc);
    if (!r && d.qbytes > MSGMNB && !has_capability(CAP_IPC_RESOURCE))
        r = -EPERM;
    if (r)
        return r;
    lock_take(&q->lock);
    ipc_perm_set(&q->ipc, &d.perm);
    q->limit = d.qbytes;
    q->ctime = now();
    lock_drop(&q->lock);
    waitq_wake(&q->wait, 1 << 30, 0);
    return 0;
}

static s64 queue_remove(struct queue *q)
{
    s64 r = ipc_remove(&queues, &q->ipc);
    if (!r)
        waitq_wake(&q->wait, 1 << 30, 0);
    return r;
}

static s64 stat_out(struct queue *q, u64 to, s64 r)
{
    struct msqid_native d = {.stime = q->stime, .rtime = q->rtime, .ctime = q->ctime, .cbytes = q->bytes, .qnum = q->count,
                             .qbytes = q->limit, .lspid = q->lspid, .lrpid = q->lrpid};
    ipc_perm_out(&q->ipc, &d.perm);
    return copy_out(to, &d, sizeof d) ? -EFAULT : r;
}

CALL(msgctl)
{
    s64 err;
    UNUSED;
    u32 cmd = b & ~0x100u;
    bool by_index = cmd == MSG_STAT || cmd == MSG_STAT_ANY;
    if ((s32)a < 0 || (cmd > IPC_INFO && (cmd < MSG_STAT || cmd > MSG_STAT_ANY)))
        return -EINVAL;
    if (cmd == IPC_INFO || cmd == MSG_INFO) {
        u32 info[8] = {cmd == MSG_INFO ? queues.used : 0, 0, MSGMAX, MSGMNB, IPC_MAX, 16, 0, 0xffff};
        return copy_out(c, info, sizeof info) ? -EFAULT : queues.high ? (s64)queues.high - 1 : 0;
    }
    u32 want = cmd == IPC_STAT || cmd == MSG_STAT ? IPC_READ : 0;
    struct ipc *i = by_index ? ipc_at(&queues, a, want, &err) : ipc_find(&queues, a, want, &err);
    if (!i)
        return err;
    struct queue *q = queue_of(i);
    err = cmd == IPC_RMID ? queue_remove(q) : cmd == IPC_SET ? queue_set(q, c) : stat_out(q, c, by_index ? i->id : 0);
    ipc_put(&queues, i);
    return err;
}
