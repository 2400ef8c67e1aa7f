// Page faults and exceptions become repaired mappings, or signals.
#include "core/exos.h"
#include "core/thread.h"
#include "proc/proc.h"

enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGSEGV = 11 };

static void fault_signal(struct uregs *r, u64 addr, int why)
{
    if (why == VM_NOMEM) // as Linux's out-of-memory killer
        signal_fault(r, SIGKILL, 0, addr);
    else if (why == VM_BUS)
        signal_fault(r, SIGBUS, 2 /* BUS_ADRERR */, addr);
    else
        signal_fault(r, SIGSEGV, why, addr);
}

void fault_program(struct uregs *r, u64 addr, u64 error)
{
    int why = vm_fault(proc_self()->vm, addr, error);
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
