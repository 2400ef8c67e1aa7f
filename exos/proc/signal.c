// Signals: sent, queued, delivered, masked.
#include "core/calls.h"
#include "core/thread.h"
#include "fs/fs.h"
#include "proc/alarms.h"
#include "proc/signal.h"
#include "linux/linux.h"

enum { SIGKILL = 9, SIGSEGV = 11, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG,
       SIGWINCH = 28, SIGRT = 32 };
enum { SA_NOCLDSTOP = 1, SA_SIGINFO = 4, SA_ONSTACK = 0x08000000, SA_RESTART = 0x10000000,
       SA_NODEFER = 0x40000000, SA_RESETHAND = 0x80000000 };
enum { SI_TIMER = -2, QUEUE_MAX = 4096 }; // real-time signals waiting at one receiver and number
#define BIT(sig) (1ul << ((sig)-1))
#define UNMASKABLE (BIT(SIGKILL) | BIT(SIGSTOP))
#define STOPS (BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU))
#define IGNORED (BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH))
#define CALL(name) s64 sys_##name(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
#define UNUSED (void)a, (void)b, (void)c, (void)d, (void)e, (void)f

bool signal_pending(struct thread *t)
{
    if (t->pending & (THREAD_KILL | THREAD_STOP))
        return true;
    return (t->sigpend | (t->proc ? t->proc->sigpend : 0)) & ~t->sigmask;
}

void signal_queue_free(struct siginfo_node *queue[64], u64 pend)
{
    for (; pend; pend &= pend - 1)
        for (struct siginfo_node **q = &queue[__builtin_ctzl(pend)], *n; (n = *q);) {
            *q = n->next;
            heap_free(n);
        }
}

bool signal_ignored(struct proc *p, int sig)
{
    u64 h = p->action[sig - 1].handler;
    return h == 1 || (h == 0 && BIT(sig) & IGNORED);
}

// sig_lock held.
static void enqueue(u64 *pend, struct siginfo_node **queue, int sig, const struct siginfo_native *info)
{
    if (*pend & BIT(sig) && sig < SIGRT && (!info || info->code != SI_TIMER)) // a timer has one signal at a time
        return;
    *pend |= BIT(sig);
    struct siginfo_node **at = &queue[sig - 1], *n;
    int depth = 0;
    for (; *at; at = &(*at)->next)
        if (++depth >= QUEUE_MAX)
            return;
    n = heap_alloc(sizeof *n); // without memory the signal arrives without its details
    if (!n)
        return;
    if (info)
        n->info = *info;
    else
        n->info = (struct siginfo_native){.code = 0x80 /* SI_KERNEL */};
    n->info.signo = sig;
    *at = n;
}

static void forget_from(u64 *pend, struct siginfo_node **queue, u64 drop)
{
    drop &= *pend;
    *pend &= ~drop;
    signal_queue_free(queue, drop);
}

// Signals that wait are no more. sig_lock held.
static void forget(struct proc *p, u64 drop)
{
    forget_from(&p->sigpend, p->siginfo, drop);
    list_for(it, &p->threads) {
        struct thread *t = container_of(it, struct thread, proc_link);
        forget_from(&t->sigpend, t->siginfo, drop);
    }
}

// What stop and continue signals do to each other on arrival.
static void cross_cancel(struct proc *p, int sig)
{
    u64 drop = sig == SIGCONT ? STOPS : BIT(sig) & STOPS ? BIT(SIGCONT) : 0;
    if (drop)
        forget(p, drop);
}

s64 signal_proc(struct proc *p, int sig, const struct siginfo_native *info)
{
    struct thread *target = NULL;
    if (p->state == PROC_ZOMBIE || !sig)
        return 0;
    lock_take(&p->sig_lock);
    cross_cancel(p, sig);
    list_for(it, &p->threads) {
        struct thread *t = container_of(it, struct thread, proc_link);
        if (!(t->sigmask & BIT(sig)) && (!target || t == thread_self()))
            target = t;
    }
    // An ignored signal is dropped, unless it is blocked: it may be waited for, or its action may change.
    bool drop = signal_ignored(p, sig) && target;
    if (!drop)
        enqueue(&p->sigpend, p->siginfo, sig, info);
    lock_drop(&p->sig_lock);
    waitq_wake(&p->sigfd_wait, 1 << 30, POLLIN);
    if ((sig == SIGCONT || sig == SIGKILL) && p->state == PROC_STOPPED) {
        bool mine = lock_mine(&proc_lock);
        if (!mine)
            lock_take(&proc_lock);
        proc_continue(p);
        if (!mine)
            lock_drop(&proc_lock);
    }
    if (drop)
        return 0;
    if (target)
        thread_kick(target, THREAD_SIGNAL);
    else // somebody may be in sigtimedwait or read a signalfd
        list_for(it, &p->threads)
            thread_kick(container_of(it, struct thread, proc_link), THREAD_SIGNAL);
    return 0;
}

s64 signal_thread(struct thread *t, int sig, const struct siginfo_native *info)
{
    struct proc *p = t->proc;
    if (!sig || !p)
        return 0;
    lock_take(&p->sig_lock);
    cross_cancel(p, sig);
    bool drop = signal_ignored(p, sig) && !(t->sigmask & BIT(sig));
    if (!drop)
        enqueue(&t->sigpend, t->siginfo, sig, info);
    lock_drop(&p->sig_lock);
    waitq_wake(&p->sigfd_wait, 1 << 30, POLLIN);
    if (!drop)
        thread_kick(t, THREAD_SIGNAL);
    return 0;
}

s64 signal_group_locked(u32 pgid, int sig, const struct siginfo_native *info)
{
    s64 r = -ESRCH;
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        if (p->pgid == pgid && p->state != PROC_ZOMBIE)
            r = signal_proc(p, sig, info);
    }
    return r;
}

s64 signal_group(u32 pgid, int sig, const struct siginfo_native *info)
{
    lock_take(&proc_lock);
    s64 r = signal_group_locked(pgid, sig, info);
    lock_drop(&proc_lock);
    return r;
}

// ---- delivery ------------------------------------------------------------------------------------------------
static bool dequeue_from(u64 *pend, struct siginfo_node **queue, u64 set, struct siginfo_native *info)
{
    u64 ready = *pend & set;
    if (!ready)
        return false;
    // Synchronous ones first, as Linux: SEGV BUS ILL TRAP FPE SYS.
    u64 sync = ready & (BIT(11) | BIT(7) | BIT(4) | BIT(5) | BIT(8) | BIT(31));
    int sig = __builtin_ctzl(sync ? sync : ready) + 1;
    struct siginfo_node *n = queue[sig - 1];
    *info = n ? n->info : (struct siginfo_native){.signo = sig};
    if (n) {
        queue[sig - 1] = n->next;
        heap_free(n);
    }
    if (!queue[sig - 1])
        *pend &= ~BIT(sig);
    return true;
}

bool signal_dequeue(struct thread *t, u64 set, struct siginfo_native *info)
{
    struct proc *p = t->proc;
    lock_take(&p->sig_lock);
    bool got = dequeue_from(&t->sigpend, t->siginfo, set, info) || dequeue_from(&p->sigpend, p->siginfo, set, info);
    lock_drop(&p->sig_lock);
    if (got && info->code == SI_TIMER)
        alarm_delivered(p, info);
    return got;
}

// An interrupted call: restarted from its instruction, or ended with EINTR when a handler runs.
static void restart(struct uregs *r, bool handler, u64 sa_flags)
{
    s64 v = r->rax;
    if ((s64)r->orig_rax < 0 || v > -ERESTARTSYS || v < -ERESTART_RESTARTBLOCK)
        return;
    bool again = v == -ERESTARTNOINTR || (v == -ERESTARTSYS && (!handler || sa_flags & SA_RESTART)) ||
                 (!handler && (v == -ERESTARTNOHAND || v == -ERESTART_RESTARTBLOCK));
    if (!again) {
        r->rax = -EINTR;
        return;
    }
    r->rax = v == -ERESTART_RESTARTBLOCK ? 219 : r->orig_rax;
    r->rip -= 2;
    r->orig_rax = -1;
}

static void stop_here(struct thread *t, int sig)
{
    struct proc *p = t->proc;
    lock_take(&proc_lock);
    if (sig && p->state == PROC_RUNNING && !p->group_exit)
        proc_stop(p, sig);
    while (p->state == PROC_STOPPED && !p->group_exit) {
        lock_drop(&proc_lock);
        thread_sleep(0, false);
        lock_take(&proc_lock);
    }
    lock_drop(&proc_lock);
}

// Default action, or nothing for an ignored one.
static void act_default(struct thread *t, int sig)
{
    struct proc *p = t->proc;
    if (p->action[sig - 1].handler == 1 || BIT(sig) & IGNORED)
        return;
    if (BIT(sig) & STOPS) {
        stop_here(t, sig);
        return;
    }
    proc_exit_group(sig);
}

static void act_handler(struct thread *t, struct uregs *r, const struct siginfo_native *info, struct sigaction_native *sa)
{
    int sig = info->signo;
    restart(r, true, sa->flags);
    r->orig_rax = -1;
    u64 mask = t->sigmask_restore ? t->sigmask_saved : t->sigmask;
    t->sigmask_restore = false;
    if (frame_push(r, sig, info, sa, mask)) {
        if (sig == SIGSEGV)
            proc_exit_group(SIGSEGV);
        t->proc->action[SIGSEGV - 1].handler = 0;
        signal_thread(t, SIGSEGV, NULL);
        return;
    }
    t->sigmask = (t->sigmask | sa->mask | (sa->flags & SA_NODEFER ? 0 : BIT(sig))) & ~UNMASKABLE;
    if (sa->flags & SA_RESETHAND)
        t->proc->action[sig - 1].handler = 0;
}

void thread_return_work(struct uregs *r)
{
    struct thread *t = thread_self();
    struct siginfo_native info;
    while (__atomic_exchange_n(&t->pending, 0, __ATOMIC_SEQ_CST)) {
        if (t->set_child_tid) {
            copy_out(t->set_child_tid, &t->tid, 4);
            t->set_child_tid = 0;
        }
        if (t->proc->group_exit)
            thread_killed();
        vm_refresh(t->proc->vm);
        if (t->proc->state == PROC_STOPPED)
            stop_here(t, 0);
        bool handled = false;
        while (!handled && signal_dequeue(t, ~t->sigmask, &info)) {
            struct sigaction_native sa = t->proc->action[info.signo - 1];
            if (sa.handler > 1) {
                act_handler(t, r, &info, &sa);
                handled = true;
            } else {
                act_default(t, info.signo);
            }
            if (t->proc->group_exit)
                thread_killed();
        }
        if (handled)
            __atomic_or_fetch(&t->pending, signal_pending(t) ? THREAD_SIGNAL : 0, __ATOMIC_SEQ_CST);
    }
    restart(r, false, 0);
    if (t->sigmask_restore) {
        t->sigmask_restore = false;
        t->sigmask = t->sigmask_saved;
        if (signal_pending(t))
            t->pending |= THREAD_SIGNAL;
    }
}

void signal_fault(struct uregs *r, int sig, int code, u64 addr)
{
    struct thread *t = thread_self();
    struct proc *p = t->proc;
    struct siginfo_native info = {.signo = sig, .code = code, .field = {addr}};
    (void)r;
    if (linux_slow)
        debug("[pid %u] fault: signal %d code %d addr %lx rip %lx", p->pid, sig, code, addr, r->rip);
    lock_take(&p->sig_lock);
    // A fault cannot wait: blocked or ignored, it kills.
    if (t->sigmask & BIT(sig) || p->action[sig - 1].handler == 1) {
        p->action[sig - 1].handler = 0;
        t->sigmask &= ~BIT(sig);
    }
    enqueue(&t->sigpend, t->siginfo, sig, &info);
    lock_drop(&p->sig_lock);
    t->pending |= THREAD_SIGNAL;
}

void signal_exec(struct proc *p)
{
    struct thread *t = thread_self();
    for (int i = 0; i < 64; i++) {
        bool ignore = p->action[i].handler == 1;
        p->action[i] = (struct sigaction_native){.handler = ignore};
    }
    t->sigalt_sp = t->sigalt_size = t->sigalt_flags = 0;
    t->clear_child_tid = t->robust_list = 0;
}

// ---- calls ------------------------------------------------------------------------------------------------------
bool may_signal(struct proc *p, int sig)
{
    struct proc *me = proc_self();
    return capable() || me->euid == p->suid || me->euid == p->ruid || me->ruid == p->suid || me->ruid == p->ruid ||
           (sig == SIGCONT && me->sid == p->sid);
}

static struct siginfo_native user_info(int sig, int code)
{
    struct proc *me = proc_self();
    return (struct siginfo_native){.signo = sig, .code = code, .field = {me->pid | (u64)me->ruid << 32}};
}

static s64 kill_many(u32 pgid, int sig, const struct siginfo_native *info)
{
    s64 r = -ESRCH;
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        if (p->state == PROC_ZOMBIE ? pgid == 0 || p->pgid != pgid
                                    : pgid ? p->pgid != pgid : p->pid == 1 || p == proc_self())
            continue;
        s64 one = may_signal(p, sig) ? signal_proc(p, sig, info) : -EPERM;
        r = r == 0 ? 0 : one;
    }
    return r;
}

CALL(kill)
{
    UNUSED;
    s32 pid = a, sig = b;
    if (sig < 0 || sig > 64)
        return -EINVAL;
    struct siginfo_native info = user_info(sig, 0);
    struct proc *me = proc_self();
    if (pid == (s32)me->pid)
        return signal_proc(me, sig, &info);
    lock_take(&proc_lock);
    struct proc *p = pid > 0 ? proc_find(pid) : NULL;
    s64 r = pid > 0 ? !p ? -ESRCH : may_signal(p, sig) ? signal_proc(p, sig, &info) : -EPERM
                    : kill_many(pid == 0 ? me->pgid : pid == -1 ? 0 : (u32)-pid, sig, &info);
    lock_drop(&proc_lock);
    return r;
}

static s64 thread_send(u32 tgid, u32 tid, int sig, struct siginfo_native *info)
{
    if (sig < 0 || sig > 64 || (s32)tid <= 0)
        return -EINVAL;
    lock_take(&proc_lock);
    struct thread *t = tid == thread_self()->tid ? thread_self() : thread_find(tid);
    s64 r = !t || (tgid && t->proc->pid != tgid) ? -ESRCH : !may_signal(t->proc, sig) ? -EPERM : signal_thread(t, sig, info);
    lock_drop(&proc_lock);
    return r;
}

CALL(tgkill)
{
    UNUSED;
    struct siginfo_native info = user_info(c, -6 /* SI_TKILL */);
    return (s32)a <= 0 ? -EINVAL : thread_send(a, b, c, &info);
}

CALL(tkill)
{
    UNUSED;
    struct siginfo_native info = user_info(b, -6);
    return thread_send(0, a, b, &info);
}

CALL(rt_sigqueueinfo)
{
    struct siginfo_native info;
    UNUSED;
    if (copy_in(&info, c, sizeof info))
        return -EFAULT;
    if (b > 64)
        return -EINVAL;
    if (info.code >= 0 && (u32)a != proc_self()->pid)
        return -EPERM;
    lock_take(&proc_lock);
    struct proc *p = proc_find(a);
    s64 r = !p ? -ESRCH : !may_signal(p, b) ? -EPERM : b ? signal_proc(p, b, &info) : 0;
    lock_drop(&proc_lock);
    return r;
}

CALL(rt_tgsigqueueinfo)
{
    struct siginfo_native info;
    UNUSED;
    return copy_in(&info, d, sizeof info) ? -EFAULT : thread_send(a, b, c, &info);
}

CALL(rt_sigaction)
{
    UNUSED;
    struct proc *p = proc_self();
    struct sigaction_native new, old;
    if (d != 8 || a < 1 || a > 64 || (b && (a == SIGKILL || a == SIGSTOP)))
        return -EINVAL;
    struct {
        u64 handler, flags, restorer, mask;
    } user;
    if (b && copy_in(&user, b, sizeof user))
        return -EFAULT;
    lock_take(&p->sig_lock);
    old = p->action[a - 1];
    if (b) {
        new = (struct sigaction_native){user.handler, user.flags, user.restorer, user.mask & ~UNMASKABLE};
        p->action[a - 1] = new;
        if (signal_ignored(p, a)) // what waits is forgotten
            forget(p, BIT(a));
    }
    lock_drop(&p->sig_lock);
    return c ? copy_out(c, &old, sizeof old) : 0;
}

static void mask_set(struct thread *t, u64 mask)
{
    t->sigmask = mask & ~UNMASKABLE;
    if (signal_pending(t))
        __atomic_or_fetch(&t->pending, THREAD_SIGNAL, __ATOMIC_SEQ_CST);
}

CALL(rt_sigprocmask)
{
    UNUSED;
    struct thread *t = thread_self();
    u64 old = t->sigmask, set;
    if (d != 8)
        return -EINVAL;
    if (b && copy_in(&set, b, 8))
        return -EFAULT;
    if (b && a > 2)
        return -EINVAL;
    if (b)
        mask_set(t, a == 0 ? old | set : a == 1 ? old & ~set : set);
    return c ? copy_out(c, &old, 8) : 0;
}

CALL(rt_sigpending)
{
    UNUSED;
    struct thread *t = thread_self();
    u64 set = (t->sigpend | t->proc->sigpend) & t->sigmask;
    return b > 8 ? -EINVAL : copy_out(a, &set, b);
}

// Replaces the mask until a handler has run (rt_sigsuspend, ppoll, pselect6, epoll_pwait).
void sigmask_replace(u64 mask)
{
    struct thread *t = thread_self();
    t->sigmask_saved = t->sigmask;
    t->sigmask_restore = true;
    mask_set(t, mask);
    // The exit path puts the old mask back even if no signal comes.
    __atomic_or_fetch(&t->pending, THREAD_SIGNAL, __ATOMIC_SEQ_CST);
}

static s64 signal_wait(void)
{
    struct thread *t = thread_self();
    while (!signal_pending(t))
        thread_sleep(0, true);
    return -ERESTARTNOHAND;
}

CALL(rt_sigsuspend)
{
    u64 mask;
    UNUSED;
    if (b != 8)
        return -EINVAL;
    if (copy_in(&mask, a, 8))
        return -EFAULT;
    sigmask_replace(mask);
    return signal_wait();
}

CALL(pause) { UNUSED; return signal_wait(); }

CALL(rt_sigtimedwait)
{
    struct thread *t = thread_self();
    struct siginfo_native info;
    u64 set, ts[2], deadline = 0;
    UNUSED;
    if (d != 8)
        return -EINVAL;
    if (copy_in(&set, a, 8) || (c && copy_in(ts, c, 16)))
        return -EFAULT;
    if (c && (ts[1] >= 1000000000 || (s64)ts[0] < 0))
        return -EINVAL;
    if (c)
        deadline = clock_mono_ns() + ts[0] * 1000000000 + ts[1];
    set &= ~UNMASKABLE;
    // Unblocked for the wait, so that senders choose this thread; delivery itself happens here.
    u64 old = t->sigmask;
    t->sigmask = old & ~set;
    bool got;
    s64 r = 0;
    while (!(got = signal_dequeue(t, set, &info)) && !r)
        r = c && deadline <= clock_mono_ns() ? -EAGAIN : thread_sleep(deadline, true);
    t->sigmask = old;
    if (!got)
        return r == -ETIMEDOUT || r == -EAGAIN ? -EAGAIN : -EINTR;
    return b && copy_out(b, &info, sizeof info) ? -EFAULT : info.signo;
}

CALL(rt_sigreturn)
{
    UNUSED;
    struct uregs *r = thread_self()->regs;
    if (frame_pop(r))
        signal_fault(r, SIGSEGV, 1, r->rsp);
    thread_full_return(r);
}

CALL(sigaltstack)
{
    UNUSED;
    struct thread *t = thread_self();
    struct {
        u64 sp;
        s32 flags, pad;
        u64 size;
    } ss, old = {t->sigalt_sp, 0, 0, t->sigalt_size};
    bool on = t->regs->rsp - t->sigalt_sp - 1 < t->sigalt_size;
    old.flags = !t->sigalt_size ? 2 : on ? 1 : 0;
    if (a) {
        if (copy_in(&ss, a, sizeof ss))
            return -EFAULT;
        if (on)
            return -EPERM;
        if (ss.flags & ~(2 | 1 | (1 << 31)))
            return -EINVAL;
        if (!(ss.flags & 2) && ss.size < 2048)
            return -ENOMEM;
        t->sigalt_sp = ss.flags & 2 ? 0 : ss.sp;
        t->sigalt_size = ss.flags & 2 ? 0 : ss.size;
        t->sigalt_flags = ss.flags;
    }
    return b ? copy_out(b, &old, sizeof old) : 0;
}
