// The table of calls, from include/xok/syscalls.def, and the few calls that are only doors to a driver.
#include "kernel.h"
#include "cpu/offsets.h"

static bool root_cap(u64 slot, u32 rights)
{
    struct cap c;
    return cap_slot(this_cpu()->env, slot, &c) && c.name == XOK_NAME_ROOT && (c.rights & rights) == rights;
}

s64 sys_con_write(u64 slot, u64 port, u64 buf, u64 len)
{
    if (!root_cap(slot, XOK_W))
        return XOK_E_CAP;
    if (port >= XOK_CON_PORTS || len > 65536)
        return XOK_E_ARG;
    return user_range(buf, len) ? console_write(port, buf, len) : XOK_E_FAULT;
}

s64 sys_con_read(u64 slot, u64 port, u64 buf, u64 len)
{
    if (!root_cap(slot, XOK_R))
        return XOK_E_CAP;
    if (port >= XOK_CON_PORTS || len > 65536)
        return XOK_E_ARG;
    return user_range(buf, len) ? console_read(port, buf, len) : XOK_E_FAULT;
}

s64 sys_entropy(u64 buf, u64 len)
{
    u8 bytes[256];
    if (len > sizeof bytes)
        return XOK_E_ARG;
    entropy_get(bytes, len);
    return copy_out(buf, bytes, len);
}

s64 sys_log(u64 text, u64 len)
{
    char line[513];
    if (len > 512)
        return XOK_E_ARG;
    if (copy_in(line, text, len))
        return XOK_E_FAULT;
    line[len] = 0;
    klog("%s", line);
    return 0;
}

s64 sys_halt(u64 slot, u64 code)
{
    if (!root_cap(slot, XOK_W))
        return XOK_E_CAP;
    console_drain();
    debug_exit(code);
}

// Protected control transfers do not come this way: cpu/pct.S.
s64 sys_pct_call(u64 a, u64 b, u64 c, u64 target) { return (void)a, (void)b, (void)c, (void)target, XOK_E_CALL; }
s64 sys_pct_post(u64 a, u64 b, u64 c, u64 target) { return (void)a, (void)b, (void)c, (void)target, XOK_E_CALL; }
s64 sys_pct_reply(void) { return XOK_E_CALL; }

// Every call takes its arguments as u64 in order; a wrapper holds the lock around it.
#define ARGS0
#define ARGS1 a
#define ARGS2 a, b
#define ARGS3 a, b, c
#define ARGS4 a, b, c, d
#define ARGS5 a, b, c, d, e
#define TYPES0 void
#define TYPES1 u64
#define TYPES2 u64, u64
#define TYPES3 u64, u64, u64
#define TYPES4 u64, u64, u64, u64
#define TYPES5 u64, u64, u64, u64, u64
#define SYSCALL(number, name, argc, args, cap, bound, text)                                 \
    s64 sys_##name(TYPES##argc);                                                            \
    static s64 call_##name(u64 a, u64 b, u64 c, u64 d, u64 e)                               \
    {                                                                                       \
        (void)a, (void)b, (void)c, (void)d, (void)e;                                        \
        kernel_lock();                                                                      \
        this_cpu()->info->entries[XOK_ENTRY_CALL]++;                                        \
        s64 r = sys_##name(ARGS##argc);                                                     \
        kernel_unlock();                                                                    \
        return r;                                                                           \
    }
#include "xok/syscalls.def"
#undef SYSCALL

typedef s64 call_fn(u64, u64, u64, u64, u64);
call_fn *const call_table[CALL_MAX + 3] = { // NULL: no such call
#define SYSCALL(number, name, argc, args, cap, bound, text) [number] = call_##name,
#include "xok/syscalls.def"
};
