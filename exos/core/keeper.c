// The keeper: the family's first thread, which runs no program. It sleeps on one predicate over the
// exposed words of the console and on the earliest timer, and does what nobody else may be awake to do.
#include "core/calls.h"
#include "core/control.h"
#include "core/thread.h"
#include "fs/console.h"
#include "fs/fs.h"
#include "net/keep.h"
#include "proc/proc.h"

struct thread *keeper;
static u64 rx_seen[XOK_CON_PORTS], tx_seen[XOK_CON_PORTS];

// Looks at every port, and returns with a predicate set that fires on the next change.
static void console_look(void)
{
    struct xok_pred_term terms[2 * XOK_CON_PORTS + 1];
    int n = 0;
    for (int i = 0; i < XOK_CON_PORTS; i++) {
        u64 rx = XOK_INFO->con[i].rx_seq, tx = XOK_INFO->con[i].tx_seq;
        bool changed = rx != rx_seen[i] || tx != tx_seen[i];
        rx_seen[i] = rx, tx_seen[i] = tx;
        terms[n++] = (struct xok_pred_term){.addr = (u64)&XOK_INFO->con[i].rx_seq, .value = rx,
                                            .op = XOK_PRED_NE, .last = 1, .tag = i + 1};
        terms[n++] = (struct xok_pred_term){.addr = (u64)&XOK_INFO->con[i].tx_seq, .value = tx,
                                            .op = XOK_PRED_NE, .last = 1, .tag = i + 1};
        if (!changed)
            continue;
        if (i == CONTROL_PORT)
            control_event();
        else
            console_event(i);
    }
    const volatile u64 *word = card_word();
    if (word)
        terms[n++] = (struct xok_pred_term){.addr = (u64)word, .value = *word, .op = XOK_PRED_NE, .last = 1, .tag = n};
    xok_pred_set(terms, n);
}

void keeper_kick(void)
{
    // It must set its own alarm: it gets the processor at once rather than when this thread leaves it.
    __atomic_store_n(&keeper->ctl->event, 1, __ATOMIC_SEQ_CST);
    if (XOK_ENVS[XOK_ENV_INDEX(keeper->env)].state == XOK_ENV_ASLEEP)
        xok_yield(keeper->env);
}

void keeper_run(void)
{
    for (;;) {
        console_look();
        u64 next = timers_run(clock_mono_ns()), net = stack_keep(clock_mono_ns());
        if (net && (!next || net < next))
            next = net;
        thread_sleep(next, false);
    }
}
