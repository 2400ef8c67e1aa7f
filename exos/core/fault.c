// Page faults and exceptions become repaired mappings, or signals.
#include "core/exos.h"
#include "core/thread.h"
#include "proc/proc.h"

enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGSEGV = 11 };

enum { PATIENCE = 2000 }; // milliseconds that an ended process has to give its memory back

// Out of memory: whoever has most is ended, but not the first process, with which all would end. True if
// that is somebody else, or somebody is on the way out: the page may be there now.
static bool memory_wait(void)
{
    struct proc *most = NULL;
    bool leaving = false;
    lock_take(&proc_lock);
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        if (p->pid == 1 || p->state == PROC_ZOMBIE || p->ending || !p->vm)
            continue;
        leaving |= p->group_exit || p->sigpend >> (SIGKILL - 1) & 1;
        if (!most || vm_rss_pages(p->vm) > vm_rss_pages(most->vm))
            most = p;
    }
    bool other = most && most != proc_self();
    if (other && !leaving)
        signal_proc(most, SIGKILL, NULL);
    lock_drop(&proc_lock);
    if (other || leaving)
        thread_sleep(clock_mono_ns() + 1000000, false);
    return (other || leaving) && !(thread_self()->pending & THREAD_KILL);
}

static void fault_signal(struct uregs *r, u64 addr, int why)
{
    if (why == VM_NOMEM)
        signal_fault(r, SIGKILL, 0, addr);
    else if (why == VM_BUS)
        signal_fault(r, SIGBUS, 2 /* BUS_ADRERR */, addr);
    else
        signal_fault(r, SIGSEGV, why, addr);
}

void fault_program(struct uregs *r, u64 addr, u64 error)
{
    int why = vm_fault(proc_self()->vm, addr, error);
    for (int i = 0; why == VM_NOMEM && i < PATIENCE && memory_wait(); i++)
        why = vm_fault(proc_self()->vm, addr, error);
    if (!why)
        return;
    struct thread *t = thread_self();
    t->trap = 14, t->trap_error = error, t->trap_addr = addr;
    fault_signal(r, addr, why);
}

void fault_library(struct uregs *r, u64 addr, u64 error)
{
    bool access = r->rip - (u64)uaccess_begin < (u64)(uaccess_end - uaccess_begin);
    struct proc *p = thread_self()->proc;
    if (!access || !p)
        panic("fault at %lx in ExOS, rip %lx, error %lx, rsp %lx", addr, r->rip, error, r->rsp);
    if (vm_fault(p->vm, addr, error))
        r->rip = (u64)uaccess_fail;
}

// vector -> signal and si_code, as Linux's x86 traps.
void exception_program(struct uregs *r, u64 vector, u64 error)
{
    thread_self()->trap = vector;
    thread_self()->trap_error = error;
    switch (vector) {
    case 0: signal_fault(r, SIGFPE, 1 /* FPE_INTDIV */, r->rip); break;
    case 1: signal_fault(r, SIGTRAP, 2 /* TRAP_TRACE */, r->rip); break;
    case 3: signal_fault(r, SIGTRAP, 0x80 /* SI_KERNEL */, 0); break;
    case 6: signal_fault(r, SIGILL, 2 /* ILL_ILLOPN */, r->rip); break;
    case 16: case 19: signal_fault(r, SIGFPE, 7 /* FPE_FLTINV */, r->rip); break;
    case 17: signal_fault(r, SIGBUS, 1 /* BUS_ADRALN */, 0); break;
    default: signal_fault(r, SIGSEGV, 0x80 /* SI_KERNEL */, 0); break;
    }
}

void exception_library(u64 vector, u64 rip, u64 rsp)
{
    panic("exception %lu in ExOS at %lx, rsp %lx", vector, rip, rsp);
}
