// The system as a program sees it: uname(2), getrandom(2), and calls that only its owner could make.
#include "linux/misc.h"
#include "linux/system.h"
#include "core/calls.h"
#include "proc/signal.h"

struct utsname_native linux_uts = {"Linux", "xok", "6.12.0-xok", "#1 SMP Xok", "x86_64", "(none)"};

CALL(uname) { UNUSED; return copy_out(a, &linux_uts, sizeof linux_uts); }

static s64 name_set(char *field, u64 from, s32 len)
{
    char name[UTS_LEN] = {0};
    if (!has_capability(CAP_SYS_ADMIN))
        return -EPERM;
    if (len < 0 || len > UTS_LEN - 1)
        return -EINVAL;
    if (copy_in(name, from, len))
        return -EFAULT;
    memcpy(field, name, UTS_LEN);
    return 0;
}

CALL(sethostname) { UNUSED; return name_set(linux_uts.nodename, a, b); }
CALL(setdomainname) { UNUSED; return name_set(linux_uts.domainname, a, b); }

enum { GRND_NONBLOCK = 1, GRND_RANDOM = 2, GRND_INSECURE = 4, ENTROPY_MAX = 256, RANDOM_MAX = 0x7fffffff };

CALL(getrandom)
{
    u8 bytes[ENTROPY_MAX];
    u64 done = 0;
    UNUSED;
    b = MIN(b, (u64)RANDOM_MAX);
    if (c & ~7ul || (c & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    while (done < b) {
        u64 n = MIN(b - done, sizeof bytes);
        random_bytes(bytes, n);
        if (copy_out(a + done, bytes, n))
            return done ? (s64)done : -EFAULT;
        done += n;
        if (signal_pending(thread_self()))
            break;
    }
    return done;
}

CALL(getcpu)
{
    u32 cpu = thread_self()->ctl->cpu, node = 0;
    UNUSED;
    return (a && copy_out(a, &cpu, 4)) || (b && copy_out(b, &node, 4)) ? -EFAULT : 0;
}

enum { PERSONALITY_ASK = ~0u };

CALL(personality)
{
    UNUSED;
    struct proc *p = proc_self();
    u32 old = p->personality;
    if ((u32)a != PERSONALITY_ASK)
        p->personality = a;
    return old;
}

// ---- for the machine's owner: there is nothing behind them for a program to change
static s64 privileged(int cap, s64 otherwise) { return has_capability(cap) ? otherwise : -EPERM; }

enum { CAP_SYS_MODULE = 16, CAP_SYS_RAWIO, CAP_SYS_PACCT = 20, CAP_SYS_BOOT = 22, CAP_SYS_TTY_CONFIG = 26,
       CAP_SYSLOG = 34, SYSLOG_READ_ALL = 3, SYSLOG_SIZE_BUFFER = 10 };

CALL(reboot) { UNUSED; return privileged(CAP_SYS_BOOT, -EPERM); }
CALL(acct) { UNUSED; return privileged(CAP_SYS_PACCT, -ENOSYS); }
CALL(swapon) { UNUSED; return privileged(CAP_SYS_ADMIN, -EINVAL); }
CALL(swapoff) { UNUSED; return privileged(CAP_SYS_ADMIN, -EINVAL); }
CALL(iopl) { UNUSED; return (u32)a > 3 ? -EINVAL : a ? -EPERM : 0; }
CALL(ioperm) { UNUSED; return a + b > 65536 || a + b < a ? -EINVAL : c ? -EPERM : 0; }
CALL(init_module) { UNUSED; return -EPERM; }
CALL(finit_module) { UNUSED; return -EPERM; }
CALL(delete_module) { UNUSED; return -EPERM; }
CALL(vhangup)
{
    UNUSED;
    s64 r = privileged(CAP_SYS_TTY_CONFIG, 0);
    if (!r)
        terminal_hangup();
    return r;
}
CALL(unshare) { UNUSED; return a & ~0x7e020f80ul ? -EINVAL : a & 0x7e020000 ? -EPERM : 0; }
CALL(setns) { UNUSED; return -EPERM; }
CALL(ptrace) { UNUSED; return -EPERM; }

// The machine's log is not a program's to read: an empty one.
CALL(syslog)
{
    UNUSED;
    if ((s32)a < 0 || (s32)a > SYSLOG_SIZE_BUFFER)
        return -EINVAL;
    if ((s32)a != SYSLOG_READ_ALL && (s32)a != SYSLOG_SIZE_BUFFER && !has_capability(CAP_SYSLOG))
        return -EPERM;
    return 0;
}

// ---- one memory node
enum { MPOL_DEFAULT, MPOL_LOCAL = 4, MPOL_F_NODE = 1, MPOL_F_ADDR = 2, MPOL_F_MEMS_ALLOWED = 4 };

CALL(get_mempolicy)
{
    UNUSED;
    u32 mode = 0;
    u64 nodes = e & MPOL_F_MEMS_ALLOWED ? 1 : 0;
    if (e & ~7ul || (e & MPOL_F_MEMS_ALLOWED && e & 3) || (!(e & MPOL_F_ADDR) && d))
        return -EINVAL;
    if (b && !c)
        return -EINVAL;
    if (a && copy_out(a, &mode, 4))
        return -EFAULT;
    for (u64 bit = 0; b && bit < c; bit += 64, nodes = 0)
        if (copy_out(b + bit / 8, &nodes, 8))
            return -EFAULT;
    return 0;
}

CALL(set_mempolicy) { UNUSED; return (u32)(a & 0xfff) > 6 ? -EINVAL : 0; }
CALL(mbind) { UNUSED; return a & (PAGE - 1) || (u32)(c & 0xfff) > 6 ? -EINVAL : 0; }
