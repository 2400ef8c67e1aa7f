// Controlling terminals: sessions, foreground and background groups (credentials(7), termios(3)).
// A process remembers its terminal; it has it only while the terminal belongs to its session.
#include "fs/tty.h"
#include "proc/signal.h"

struct tty *terminal_of(struct proc *p)
{
    struct tty *t = p->tty;
    return t && t->sid == p->sid ? t : NULL;
}

static bool refuses(struct proc *p, int sig)
{
    return thread_self()->sigmask >> (sig - 1) & 1 || p->action[sig - 1].handler == 1;
}

// A background group that reads, or changes settings, is stopped; one that nobody could continue is told.
s64 terminal_check(struct tty *t, int sig)
{
    struct proc *p = proc_self();
    bool stopped;
    if (terminal_of(p) != t || !t->pgid || t->pgid == p->pgid)
        return 0;
    if (refuses(p, sig))
        return sig == TTY_SIGTTIN ? -EIO : 0;
    lock_take(&proc_lock);
    s64 r = group_orphaned(p->pgid, NULL, &stopped) ? -EIO : -ERESTARTSYS;
    if (r == -ERESTARTSYS)
        signal_group_locked(p->pgid, sig, NULL);
    lock_drop(&proc_lock);
    return r;
}

// proc_lock held.
static void give(struct tty *t, struct proc *p)
{
    t->sid = p->sid;
    t->pgid = p->pgid;
    p->tty = t;
}

void terminal_take(struct tty *t, struct file *f)
{
    struct proc *p = proc_self();
    lock_take(&proc_lock);
    if (p->pid == p->sid && !terminal_of(p) && !t->sid && file_readable(f))
        give(t, p);
    lock_drop(&proc_lock);
}

static s64 take_by_force(struct tty *t, struct file *f, bool steal)
{
    struct proc *p = proc_self();
    s64 r = 0;
    lock_take(&proc_lock);
    if (p->pid == p->sid && t->sid == p->sid)
        ;
    else if (p->pid != p->sid || terminal_of(p))
        r = -EPERM;
    else if (t->sid && !(steal && capable()))
        r = -EPERM;
    else if (!file_readable(f) && !capable())
        r = -EPERM;
    else
        give(t, p);
    lock_drop(&proc_lock);
    return r;
}

// The line is gone: the session's leader hears of it, and tells its jobs.
void terminal_lost(struct tty *t)
{
    lock_take(&proc_lock);
    struct proc *leader = t->sid ? proc_find(t->sid) : NULL;
    if (leader) {
        signal_proc(leader, TTY_SIGHUP, NULL);
        signal_proc(leader, TTY_SIGCONT, NULL);
    }
    t->sid = t->pgid = 0;
    lock_drop(&proc_lock);
}

// The leader goes or gives the terminal up: nobody in the session has it any more.
static void leave(struct tty *t, bool ends)
{
    lock_take(&proc_lock);
    u32 pgid = t->pgid;
    t->sid = t->pgid = 0;
    if (pgid) {
        signal_group_locked(pgid, TTY_SIGHUP, NULL);
        if (!ends)
            signal_group_locked(pgid, TTY_SIGCONT, NULL);
    }
    lock_drop(&proc_lock);
}

static s64 give_up(struct tty *t)
{
    struct proc *p = proc_self();
    if (terminal_of(p) != t)
        return -ENOTTY;
    p->tty = NULL;
    if (p->pid == p->sid)
        leave(t, false);
    return 0;
}

void proc_leaves_terminal(struct proc *p)
{
    struct tty *t = terminal_of(p);
    if (t && p->pid == p->sid)
        leave(t, true);
}

void terminal_hangup(void)
{
    struct tty *t = terminal_of(proc_self());
    if (t)
        tty_hangup(t);
}

static s64 foreground_set(struct tty *t, u64 arg)
{
    struct proc *me = proc_self();
    s32 pgid;
    s64 r = terminal_check(t, TTY_SIGTTOU);
    if (r)
        return r == -EIO ? -ENOTTY : r;
    if (copy_in(&pgid, arg, sizeof pgid))
        return -EFAULT;
    if (terminal_of(me) != t)
        return -ENOTTY;
    if (pgid < 0)
        return -EINVAL;
    lock_take(&proc_lock);
    r = -ESRCH;
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        if (p->pgid != (u32)pgid)
            continue;
        r = p->sid == me->sid ? 0 : -EPERM;
        break;
    }
    if (!r)
        t->pgid = pgid;
    lock_drop(&proc_lock);
    return r;
}

s64 terminal_ioctl(struct tty *t, struct file *f, u32 cmd, u64 arg, bool master)
{
    s32 id;
    switch (cmd) {
    case TIOCSCTTY: return take_by_force(t, f, arg == 1);
    case TIOCNOTTY: return give_up(t);
    case TIOCSPGRP: return foreground_set(t, arg);
    case TIOCGPGRP:
    case TIOCGSID:
        if (!master && terminal_of(proc_self()) != t)
            return -ENOTTY;
        id = cmd == TIOCGSID ? t->sid : t->pgid;
        if (cmd == TIOCGSID && !id)
            return -ENOTTY;
        return copy_out(arg, &id, sizeof id);
    default: return -ENOTTY;
    }
}
