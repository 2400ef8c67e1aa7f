// Program memory as ExOS touches it: checked to be the program's, faults served on the way.
#include "vm/vm.h"
#include "core/thread.h"

bool avx_ok; // set at start from the exposed processor features
s64 uaccess_zero(void *to, u64 n);
s64 uaccess_cas(u32 *addr, u32 old, u32 new, u32 *seen);

static bool touchable(u64 va, size_t n)
{
    return user_va(va, n) || (thread_self()->arena_io && va >= ARENA && va + n <= ARENA_END && va + n >= va);
}

s64 copy_in_other(void *to, u64 from, size_t n)
{
    return !n ? 0 : touchable(from, n) ? uaccess_copy(to, (void *)from, n) : -EFAULT;
}

s64 copy_out_other(u64 to, const void *from, size_t n)
{
    return !n ? 0 : touchable(to, n) ? uaccess_copy((void *)to, from, n) : -EFAULT;
}

s64 zero_out(u64 to, size_t n)
{
    return !n ? 0 : touchable(to, n) ? uaccess_zero((void *)to, n) : -EFAULT;
}

s64 copy_in_str_end(char *to, u64 from, size_t size)
{
    u64 room = from < USER_MAX ? USER_MAX - from : from < USER_HIGH_END ? USER_HIGH_END - from : 0;
    if (from < USER_MIN || (from >= USER_MAX && from < USER_HIGH) || !room)
        return -EFAULT;
    u64 n = MIN(size, room);
    s64 len = uaccess_str(to, (const char *)from, n);
    return len == (s64)n ? (n < size ? -EFAULT : -ENAMETOOLONG) : len;
}

s64 user_get32(u64 addr, u32 *v)
{
    return copy_in(v, addr, sizeof *v);
}

s64 user_cas32(u64 addr, u32 old, u32 new, u32 *seen)
{
    return addr & 3 || !user_va(addr, 4) ? -EFAULT : uaccess_cas((u32 *)addr, old, new, seen);
}
