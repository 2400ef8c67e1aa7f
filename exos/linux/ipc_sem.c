// Semaphore sets: semget(2), semop(2), semctl(2).
#include "linux/ipc.h"
#include "linux/ipc_exit.h"
#include "proc/signal.h"

enum { SEMMSL = 32000, SEMOPM = 500, SEMVMX = 32767, SEM_UNDO = 0x1000, GETPID = 11, GETVAL, GETALL, GETNCNT, GETZCNT,
       SETVAL, SETALL, SEM_STAT, SEM_INFO, SEM_STAT_ANY, OPS_SMALL = 16 };

struct sem {
    s32 val;
    u32 pid; // of the last operation
    u32 ncnt, zcnt;
};
struct sem_set {
    struct ipc ipc;
    struct lock lock;   // everything below
    struct waitq wait;
    struct list undos;
    s64 otime, ctime;
    u32 n;
    struct sem sem[];
};
// What the exit of a process takes back from one set.
struct sem_undo {
    struct list of_set;    // set->lock
    struct sem_undo *next; // of the process: undo_lock
    struct sem_set *set;   // with a reference
    s16 adjust[];          // set->lock
};
struct semid_native { // struct semid64_ds
    struct ipc_perm_native perm;
    s64 otime, unused1, ctime, unused2;
    u64 nsems, unused3, unused4;
};
_Static_assert(sizeof(struct semid_native) == 104, "struct semid64_ds");
struct sembuf_native {
    u16 num;
    s16 op, flags;
};

static void set_free(struct ipc *i) { heap_free(container_of(i, struct sem_set, ipc)); }
static struct ipc_table sets = {.free = set_free};
static struct lock undo_lock;
static struct sem_set *set_of(struct ipc *i) { return container_of(i, struct sem_set, ipc); }
static s64 now(void) { return clock_real_ns() / SECOND; }

static struct ipc *set_make(u64 n)
{
    struct sem_set *s = n && n <= SEMMSL ? heap_alloc(sizeof *s + n * sizeof s->sem[0]) : NULL;
    if (!s)
        return NULL;
    waitq_init(&s->wait);
    list_init(&s->undos);
    s->n = n;
    s->ctime = now();
    return &s->ipc;
}

static s64 set_check(struct ipc *i, u64 n) { return n > set_of(i)->n ? -EINVAL : 0; }

CALL(semget)
{
    UNUSED;
    s32 n = b;
    if (n < 0 || n > SEMMSL)
        return -EINVAL;
    s64 r = ipc_get(&sets, a, c, set_make, set_check, n);
    return r == -ENOMEM && !n ? -EINVAL : r;
}

// ---- undo
static struct sem_undo *undo_find(struct proc *p, struct sem_set *s)
{
    lock_take(&undo_lock);
    struct sem_undo *u = p->sem_undo;
    while (u && u->set != s)
        u = u->next;
    lock_drop(&undo_lock);
    return u;
}

// The caller's record for the set, made if need be. NULL: out of memory.
static struct sem_undo *undo_get(struct sem_set *s)
{
    struct proc *p = proc_self();
    struct sem_undo *u = undo_find(p, s), *fresh = u ? NULL : heap_alloc(sizeof *u + s->n * sizeof u->adjust[0]);
    if (u || !fresh)
        return u;
    lock_take(&undo_lock);
    for (u = p->sem_undo; u && u->set != s;)
        u = u->next;
    if (!u) {
        u = fresh;
        u->set = s;
        u->next = p->sem_undo;
        p->sem_undo = u;
    }
    lock_drop(&undo_lock);
    if (u != fresh) {
        heap_free(fresh);
        return u;
    }
    lock_take(&sets.lock);
    s->ipc.refs++;
    lock_drop(&sets.lock);
    lock_take(&s->lock);
    list_add_tail(&s->undos, &u->of_set);
    lock_drop(&s->lock);
    return u;
}

// The process has no thread left.
void sem_exit(struct proc *p)
{
    while (p->sem_undo) {
        struct sem_undo *u = p->sem_undo;
        struct sem_set *s = u->set;
        p->sem_undo = u->next;
        lock_take(&s->lock);
        list_del(&u->of_set);
        for (u32 i = 0; i < s->n; i++)
            if (u->adjust[i]) {
                s->sem[i].val = MAX(0, MIN(s->sem[i].val + u->adjust[i], SEMVMX));
                s->sem[i].pid = p->pid;
            }
        lock_drop(&s->lock);
        waitq_wake(&s->wait, 1 << 30, 0);
        ipc_put(&sets, &s->ipc);
        heap_free(u);
    }
}

// ---- operations
// All of them or none: 0, the error, or 1 if ops[*at] must wait. set->lock held.
static s64 ops_try(struct sem_set *s, const struct sembuf_native *ops, u32 n, struct sem_undo *u, u32 *at)
{
    s64 r = 0;
    u32 i;
    for (i = 0; i < n && !r; i++) {
        struct sem *m = &s->sem[ops[i].num];
        s32 adjust = u && ops[i].flags & SEM_UNDO ? u->adjust[ops[i].num] - ops[i].op : 0;
        if ((!ops[i].op && m->val) || m->val + ops[i].op < 0)
            r = ops[i].flags & IPC_NOWAIT ? -EAGAIN : 1;
        else if (m->val + ops[i].op > SEMVMX || adjust > SEMVMX || adjust < -SEMVMX - 1)
            r = -ERANGE;
        if (r)
            break;
        m->val += ops[i].op;
        if (u && ops[i].flags & SEM_UNDO)
            u->adjust[ops[i].num] = adjust;
    }
    *at = i;
    while (r && i-- > 0) { // take back what was done
        s->sem[ops[i].num].val -= ops[i].op;
        if (u && ops[i].flags & SEM_UNDO)
            u->adjust[ops[i].num] += ops[i].op;
    }
    for (i = 0; !r && i < n; i++)
        s->sem[ops[i].num].pid = proc_self()->pid;
    if (!r)
        s->otime = now();
    return r;
}

// As ops_try, and counts the caller among those who wait for that semaphore.
static s64 ops_wait(struct sem_set *s, const struct sembuf_native *ops, u32 n, struct sem_undo *u, u64 deadline)
{
    s64 r, slept = 0;
    u32 at;
    struct waiter w = {.thread = thread_self()};
    lock_take(&s->lock);
    while ((r = s->ipc.dead ? -EIDRM : ops_try(s, ops, n, u, &at)) == 1) {
        if (slept) {
            r = slept == -ETIMEDOUT ? -EAGAIN : slept;
            break;
        }
        if (!w.q) { // looked at again once it is there
            waitq_add(&s->wait, &w);
            continue;
        }
        u32 *count = ops[at].op ? &s->sem[ops[at].num].ncnt : &s->sem[ops[at].num].zcnt;
        ++*count;
        lock_drop(&s->lock);
        slept = thread_sleep(deadline, true);
        lock_take(&s->lock);
        --*count;
    }
    lock_drop(&s->lock);
    waitq_del(&w);
    return r;
}

static s64 ops_do(struct sem_set *s, const struct sembuf_native *ops, u32 n, u64 deadline)
{
    bool undo = false, alter = false;
    for (u32 i = 0; i < n; i++) {
        if (ops[i].num >= s->n)
            return -EFBIG;
        undo |= ops[i].flags & SEM_UNDO && ops[i].op;
        alter |= ops[i].op != 0;
    }
    struct sem_undo *u = undo ? undo_get(s) : NULL;
    if (undo && !u)
        return -ENOMEM;
    s64 r = ops_wait(s, ops, n, u, deadline);
    if (!r && alter)
        waitq_wake(&s->wait, 1 << 30, 0);
    return r;
}

CALL(semtimedop)
{
    UNUSED;
    struct sembuf_native small[OPS_SMALL], *ops = small;
    u64 ns, deadline = 0;
    s64 r;
    u32 n = c, want = IPC_READ;
    if (n < 1 || (s32)a < 0)
        return -EINVAL;
    if (n > SEMOPM)
        return -E2BIG;
    if (d && (r = time_in(d, &ns)))
        return r;
    if (d)
        deadline = clock_mono_ns() + ns;
    if (n > OPS_SMALL && !(ops = heap_alloc(n * sizeof *ops)))
        return -ENOMEM;
    r = copy_in(ops, b, n * sizeof *ops);
    for (u32 i = 0; !r && i < n; i++)
        if (ops[i].op)
            want = IPC_WRITE;
    struct ipc *i = r ? NULL : ipc_find(&sets, a, want, &r);
    if (i) {
        r = ops_do(set_of(i), ops, n, deadline);
        ipc_put(&sets, i);
    }
    if (ops != small)
        heap_free(ops);
    return r;
}

CALL(semop) { UNUSED; return sys_semtimedop(a, b, c, 0, 0, 0); }

// ---- semctl(2)
static void undos_clear(struct sem_set *s, u32 from, u32 to)
{
    list_for(it, &s->undos)
        for (u32 i = from; i < to; i++)
            container_of(it, struct sem_undo, of_set)->adjust[i] = 0;
}

static s64 value_set(struct sem_set *s, u32 num, s32 val)
{
    if (val < 0 || val > SEMVMX)
        return -ERANGE;
    lock_take(&s->lock);
    s->sem[num].val = val;
    s->sem[num].pid = proc_self()->pid;
    s->ctime = now();
    undos_clear(s, num, num + 1);
    lock_drop(&s->lock);
    waitq_wake(&s->wait, 1 << 30, 0);
    return 0;
}

static s64 values(struct sem_set *s, u64 user, bool set)
{
    u16 *v = heap_alloc(s->n * sizeof *v);
    s64 r = !v ? -ENOMEM : set ? copy_in(v, user, s->n * 2) : 0;
    for (u32 i = 0; !r && set && i < s->n; i++)
        r = v[i] > SEMVMX ? -ERANGE : 0;
    if (!r) {
        lock_take(&s->lock);
        for (u32 i = 0; i < s->n; i++) {
            if (set)
                s->sem[i].val = v[i], s->sem[i].pid = proc_self()->pid;
            v[i] = s->sem[i].val;
        }
        if (set) {
            s->ctime = now();
            undos_clear(s, 0, s->n);
        }
        lock_drop(&s->lock);
        if (set)
            waitq_wake(&s->wait, 1 << 30, 0);
        else
            r = copy_out(user, v, s->n * 2);
    }
    heap_free(v);
    return r;
}

static s64 change(struct sem_set *s, u32 cmd, u64 from)
{
    struct semid_native d;
    if (cmd == IPC_SET && copy_in(&d, from, sizeof d))
        return -EFAULT;
    s64 r = cmd == IPC_RMID ? ipc_remove(&sets, &s->ipc) : ipc_may_change(&s->ipc);
    if (!r && cmd == IPC_RMID)
        waitq_wake(&s->wait, 1 << 30, 0);
    if (!r && cmd == IPC_SET) {
        ipc_perm_set(&s->ipc, &d.perm);
        s->ctime = now();
    }
    return r;
}

static s64 control(struct sem_set *s, u32 num, u32 cmd, u64 arg)
{
    if ((cmd == GETPID || cmd == GETVAL || cmd == GETNCNT || cmd == GETZCNT || cmd == SETVAL) && num >= s->n)
        return -EINVAL;
    switch (cmd) {
    case GETPID: return s->sem[num].pid;
    case GETVAL: return s->sem[num].val;
    case GETNCNT: return s->sem[num].ncnt;
    case GETZCNT: return s->sem[num].zcnt;
    case SETVAL: return value_set(s, num, arg);
    case GETALL: return values(s, arg, false);
    case SETALL: return values(s, arg, true);
    case IPC_RMID:
    case IPC_SET: return change(s, cmd, arg);
    default: break;
    }
    struct semid_native d = {.otime = s->otime, .ctime = s->ctime, .nsems = s->n};
    ipc_perm_out(&s->ipc, &d.perm);
    return copy_out(arg, &d, sizeof d) ? -EFAULT : cmd == IPC_STAT ? 0 : s->ipc.id;
}

CALL(semctl)
{
    s64 err;
    UNUSED;
    u32 cmd = c & ~0x100u;
    bool by_index = cmd == SEM_STAT || cmd == SEM_STAT_ANY;
    if ((s32)a < 0 || (cmd > IPC_INFO && cmd < GETPID) || cmd > SEM_STAT_ANY)
        return -EINVAL;
    if (cmd == IPC_INFO || cmd == SEM_INFO) {
        u32 used = cmd == SEM_INFO ? sets.used : 0;
        u32 info[10] = {IPC_MAX * SEMMSL, IPC_MAX, IPC_MAX * SEMMSL, IPC_MAX * SEMMSL, SEMMSL, SEMOPM, SEMOPM, used, SEMVMX, SEMVMX};
        return copy_out(d, info, sizeof info) ? -EFAULT : sets.high ? (s64)sets.high - 1 : 0;
    }
    u32 want = cmd == SETVAL || cmd == SETALL ? IPC_WRITE : cmd == IPC_RMID || cmd == IPC_SET || cmd == SEM_STAT_ANY ? 0 : IPC_READ;
    struct ipc *i = by_index ? ipc_at(&sets, a, want, &err) : ipc_find(&sets, a, want, &err);
    if (!i)
        return err;
    err = control(set_of(i), b, cmd, d);
    ipc_put(&sets, i);
    return err;
}
