// Small draws of random bytes come out of a pool that one kernel call fills; what is taken is erased.
#include "core/calls.h"
#include "core/exos.h"

enum { POOL = 256 }; // the most that one call of the kernel gives

static struct lock lock;
static u8 pool[POOL];
static u32 left; // bytes at the end of the pool that nobody has had

void random_bytes(void *to, size_t n)
{
    for (u8 *at = to; n;) {
        lock_take(&lock);
        if (!left) {
            xok_entropy(pool, POOL);
            left = POOL;
        }
        u32 take = MIN(n, left);
        memcpy(at, pool + POOL - left, take);
        memset(pool + POOL - left, 0, take);
        left -= take;
        lock_drop(&lock);
        at += take, n -= take;
    }
}
