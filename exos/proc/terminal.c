// Controlling terminals.
#include "proc/proc.h"
#include "proc/signal.h"

void proc_leaves_terminal(struct proc *p)
{
    p->tty = NULL;
}
