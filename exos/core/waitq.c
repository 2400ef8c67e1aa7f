// Blocking: queues of waiters, and the one place where a thread sleeps.
#include "core/exos.h"
#include "core/calls.h"
#include "proc/proc.h"

void waitq_init(struct waitq *q)
{
    q->lock.owner = 0;
    list_init(&q->waiters);
}

void waitq_add(struct waitq *q, struct waiter *w)
{
    w->q = q;
    lock_take(&q->lock);
    list_add_tail(&q->waiters, &w->link);
    lock_drop(&q->lock);
}

void waitq_del(struct waiter *w)
{
    if (!w->q)
        return;
    lock_take(&w->q->lock);
    list_del(&w->link);
    lock_drop(&w->q->lock);
    w->q = NULL;
}

int waitq_wake(struct waitq *q, int n, u64 key)
{
    int woken = 0;
    if (list_empty(&q->waiters)) // a waiter adds itself before it looks at the condition
        return 0;
    lock_take(&q->lock);
    list_for_safe(it, next, &q->waiters) {
        struct waiter *w = container_of(it, struct waiter, link);
        if (w->exclusive && n-- <= 0)
            continue;
        if (w->fn)
            w->fn(w, key);
        else
            thread_wake(w->thread);
        woken++;
    }
    lock_drop(&q->lock);
    return woken;
}

static bool processor_idle(void)
{
    u32 n = XOK_INFO->cpu_count;
    for (u32 i = 0; n > 1 && i < n; i++)
        if (!XOK_INFO->cpu[i].env)
            return true;
    return false;
}

// Leaves the wake-up in the control page where nobody else could run anyway; the kernel finds it there
// when this thread sleeps or loses its processor.
static bool doorbell_ring(struct xok_ctl *ctl, u32 env)
{
    for (int i = 0; i < XOK_WAKES; i++) {
        u32 id = __atomic_load_n(&ctl->wake[i], __ATOMIC_RELAXED);
        if (id && id != env)
            continue;
        __atomic_store_n(&ctl->wake[i], env, __ATOMIC_RELEASE);
        __atomic_store_n(&ctl->wakes, 1, __ATOMIC_RELEASE);
        return true;
    }
    return false;
}

void thread_wake(struct thread *t)
{
    struct thread *self = thread_self();
    __atomic_store_n(&t->ctl->event, 1, __ATOMIC_SEQ_CST);
    if (t == self || XOK_ENVS[XOK_ENV_INDEX(t->env)].state != XOK_ENV_ASLEEP)
        return;
    if (processor_idle() || !doorbell_ring(self->ctl, t->env))
        xok_wake(t->env);
}

s64 thread_sleep(u64 deadline_ns, bool interruptible)
{
    struct thread *t = thread_self();
    if (interruptible && t->pending && signal_pending(t))
        return -EINTR;
    // The doorbell's first name is whoever waits for what this thread has just done: it gets the slice.
    s64 r = xok_sleep(deadline_ns, t->ctl->wake[0]);
    bool woken = __atomic_exchange_n(&t->ctl->event, 0, __ATOMIC_SEQ_CST);
    if (interruptible && t->pending && signal_pending(t))
        return -EINTR;
    return r == 1 && !woken ? -ETIMEDOUT : 0;
}
