// pidfd_open(2) and what can be done with its descriptors.
#include "proc/pidfd.h"
#include "fs/vfs.h"
#include "linux/misc.h"
#include "proc/signal.h"

enum { CAP_SYS_PTRACE = 19, SI_TKILL = -6 };

void pidref_put(struct pidref *r)
{
    if (!__atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL))
        heap_free(r);
}

static u32 pidfd_poll(struct file *f, struct waiter *w)
{
    struct pidref *r = f->priv;
    if (w)
        waitq_add(&r->wait, w);
    return __atomic_load_n(&r->ended, __ATOMIC_ACQUIRE) ? POLLIN : 0;
}

static void pidfd_release(struct file *f) { pidref_put(f->priv); }

static const struct file_ops pidfd_ops = {.poll = pidfd_poll, .release = pidfd_release, .name = "[pidfd]"};

static struct pidref *pidref_new(void)
{
    struct pidref *r = heap_alloc(sizeof *r);
    if (r) {
        waitq_init(&r->wait);
        r->refs = 1;
    }
    return r;
}

static s64 install(struct pidref *r, u32 flags)
{
    struct file *f = file_new(&pidfd_ops, O_RDWR | (flags & O_NONBLOCK));
    if (!f)
        return -ENOMEM;
    f->priv = r;
    __atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
    return fd_install(f, O_CLOEXEC, 0);
}

s64 pidfd_new(u32 flags, struct pidref **ref)
{
    struct pidref *r = pidref_new();
    s64 fd = r ? install(r, flags) : -ENOMEM;
    if (r && fd < 0) {
        pidref_put(r);
        r = NULL;
    }
    *ref = r;
    return fd;
}

void pidref_bind(struct pidref *r, struct proc *p)
{
    __atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
    r->proc = p;
    r->pid = p->pid;
    p->pidref = r;
}

void pidref_ended(struct proc *p)
{
    if (!p->pidref)
        return;
    __atomic_store_n(&p->pidref->ended, true, __ATOMIC_RELEASE);
    waitq_wake(&p->pidref->wait, 1 << 30, POLLIN);
}

void pidref_gone(struct proc *p)
{
    struct pidref *r = p->pidref;
    if (!r)
        return;
    p->pidref = NULL;
    r->proc = NULL;
    pidref_put(r);
}

CALL(pidfd_open)
{
    UNUSED;
    s32 pid = a;
    if (b & ~(u64)O_NONBLOCK || pid <= 0)
        return -EINVAL;
    struct pidref *r = NULL, *fresh = pidref_new();
    if (!fresh)
        return -ENOMEM;
    lock_take(&proc_lock);
    struct proc *p = proc_find(pid);
    s64 err = p ? 0 : thread_find(pid) ? -EINVAL : -ESRCH;
    if (p && !p->pidref) {
        pidref_bind(fresh, p);
        fresh->ended = p->state == PROC_ZOMBIE;
    }
    if (p) {
        r = p->pidref;
        __atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
    }
    lock_drop(&proc_lock);
    pidref_put(fresh);
    if (!r)
        return err;
    err = install(r, b);
    pidref_put(r);
    return err;
}

// The descriptor's file, with a reference, or NULL.
static struct file *pidfd_file(int fd)
{
    struct file *f = fd_file(fd);
    if (f && f->ops != &pidfd_ops) {
        file_put(f);
        f = NULL;
    }
    return f;
}

s64 pidfd_pid(int fd, bool *nonblock)
{
    struct file *f = pidfd_file(fd);
    if (!f)
        return -EBADF;
    s64 pid = ((struct pidref *)f->priv)->pid;
    *nonblock = f->flags & O_NONBLOCK;
    file_put(f);
    return pid;
}

CALL(pidfd_send_signal)
{
    UNUSED;
    struct proc *me = proc_self();
    int sig = b;
    struct siginfo_native info = {.signo = sig, .field = {me->pid | (u64)me->ruid << 32}};
    if (d)
        return -EINVAL;
    struct file *file = pidfd_file(a);
    if (!file)
        return -EBADF;
    s64 r = c && copy_in(&info, c, sizeof info) ? -EFAULT : sig < 0 || sig > 64 || info.signo != sig ? -EINVAL : 0;
    lock_take(&proc_lock);
    struct proc *p = ((struct pidref *)file->priv)->proc;
    if (!r && !p)
        r = -ESRCH;
    if (!r && ((c && p != me && (info.code >= 0 || info.code == SI_TKILL)) || !may_signal(p, sig)))
        r = -EPERM;
    if (!r)
        r = signal_proc(p, sig, &info);
    lock_drop(&proc_lock);
    file_put(file);
    return r;
}

static bool may_trace(const struct proc *p)
{
    const struct proc *me = proc_self();
    return p == me || has_capability(CAP_SYS_PTRACE) ||
           (me->fsuid == p->ruid && me->fsuid == p->euid && me->fsuid == p->suid && me->fsgid == p->rgid &&
            me->fsgid == p->egid && me->fsgid == p->sgid && p->dumpable);
}

CALL(pidfd_getfd)
{
    UNUSED;
    if (c)
        return -EINVAL;
    struct file *file = pidfd_file(a), *got = NULL;
    if (!file)
        return -EBADF;
    lock_take(&proc_lock);
    struct proc *p = ((struct pidref *)file->priv)->proc;
    s64 r = !p || p->state == PROC_ZOMBIE || p->ending || !p->files ? -ESRCH : !may_trace(p) ? -EPERM : 0;
    if (!r && !(got = files_get_file(p->files, b)))
        r = -EBADF;
    lock_drop(&proc_lock);
    file_put(file);
    return r ? r : fd_install(got, O_CLOEXEC, 0);
}
