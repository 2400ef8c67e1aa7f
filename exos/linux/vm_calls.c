// Linux calls about memory, and execve.
#include "fs/fs.h"
#include "proc/proc.h"
#include "vm/vm.h"
#include "core/calls.h"
#include "linux/linux.h"

#define CALL(name) s64 sys_##name(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
#define UNUSED (void)a, (void)b, (void)c, (void)d, (void)e, (void)f
enum { MADV_DONTNEED = 4, MADV_FREE = 8, MADV_LAST = 25, MADV_HWPOISON = 100 };
s64 vm_remap(struct vm *vm, u64 addr, u64 old, u64 new, u32 flags, u64 to);

static struct vm *vm_self(void) { return thread_self()->proc->vm; }

CALL(mmap)
{
    struct file *file = d & MAP_ANONYMOUS ? NULL : fd_file((int)e);
    if (!(d & MAP_ANONYMOUS) && !file)
        return -EBADF;
    s64 r = vm_map(vm_self(), a, b, (int)c, (int)d, file, f);
    if (file)
        file_put(file);
    return r;
}

CALL(munmap) { UNUSED; return vm_unmap(vm_self(), a, b); }
CALL(mprotect) { UNUSED; return vm_protect(vm_self(), a, b, (int)c); }
CALL(brk) { UNUSED; return vm_brk(vm_self(), a); }
CALL(mremap) { UNUSED; return vm_remap(vm_self(), a, b, c, d, e); }

// Pages are the file's own: there is nothing to carry over. With a disk the file's fsync does the rest.
CALL(msync)
{
    UNUSED;
    if (a & (PAGE - 1) || c & ~7ul || (c & 5) == 5)
        return -EINVAL;
    return area_covered(vm_self(), a, PAGE_UP(a + b)) ? 0 : -ENOMEM;
}

CALL(mincore)
{
    UNUSED;
    if (a & (PAGE - 1))
        return -EINVAL;
    if (!b)
        return 0;
    u64 end = a + PAGE_UP(b);
    if (!user_va(a, end - a) || !area_covered(vm_self(), a, end))
        return -ENOMEM;
    for (u64 va = a; va < end; va += PAGE, c++) {
        u8 in = pte_get(va) & XOK_PTE_P;
        if (copy_out(c, &in, 1))
            return -EFAULT;
    }
    return 0;
}

CALL(madvise)
{
    UNUSED;
    u64 len = PAGE_UP(b);
    if (a & (PAGE - 1) || (c > MADV_LAST && c != MADV_HWPOISON) || (len && !user_va(a, len)))
        return -EINVAL;
    struct vm *vm = vm_self();
    lock_take(&vm->lock);
    s64 r = area_covered(vm, a, a + len) ? 0 : -ENOMEM;
    if (c == MADV_DONTNEED || c == MADV_FREE)
        range_drop(vm, a, a + len);
    lock_drop(&vm->lock);
    return r;
}

CALL(mlock) { UNUSED; return area_covered(vm_self(), PAGE_DOWN(a), PAGE_UP(a + b)) ? 0 : -ENOMEM; }
CALL(mlock2) { UNUSED; return c & ~1ul ? -EINVAL : sys_mlock(a, b, 0, 0, 0, 0); }
CALL(munlock) { return sys_mlock(a, b, c, d, e, f); }
CALL(mlockall) { UNUSED; return a & ~7ul || !a ? -EINVAL : 0; } // nothing is ever swapped
CALL(munlockall) { UNUSED; return 0; }

// Every thread that runs has passed a kernel entry or a locked instruction since; a barrier of our own
// suffices for MEMBARRIER_CMD_GLOBAL only with all processors told, so only the query is answered.
CALL(membarrier) { UNUSED; return a == 0 ? 0 : -EINVAL; }

// ---- execve ------------------------------------------------------------------------------------------
enum { ARG_MAX = 2 << 20, STRING_MAX = 128 << 10 };

// A vector of strings from program memory into the heap; both ends by NULL.
static s64 strings_in(u64 from, char ***out, u64 *bytes)
{
    u64 room = 16, n = 0;
    char **v = heap_alloc((room + 1) * sizeof *v), *buf = heap_alloc_raw(STRING_MAX);
    s64 r = v && buf ? 0 : -ENOMEM;
    for (u64 p = 1; !r && from; from += 8) {
        r = copy_in(&p, from, 8);
        if (r || !p)
            break;
        s64 len = copy_in_str(buf, p, STRING_MAX);
        if (len < 0) {
            r = len == -ENAMETOOLONG ? -E2BIG : len;
            break;
        }
        if ((*bytes += len + 9) > ARG_MAX) {
            r = -E2BIG;
            break;
        }
        if (n == room) {
            char **w = heap_resize(v, ((room *= 2) + 1) * sizeof *v);
            if (!w) {
                r = -ENOMEM;
                break;
            }
            v = w;
        }
        if (!(v[n] = heap_alloc_raw(len + 1))) {
            r = -ENOMEM;
            break;
        }
        memcpy(v[n++], buf, len + 1);
    }
    heap_free(buf);
    *out = v;
    return r;
}

static void strings_free(char **v)
{
    for (int i = 0; v && v[i]; i++)
        heap_free(v[i]);
    heap_free(v);
}

// Takes over path, a heap string.
static s64 exec_path(char *path, u64 argv, u64 envp)
{
    char **av = NULL, **ev = NULL;
    u64 bytes = 0;
    s64 r = strings_in(argv, &av, &bytes);
    if (!r)
        r = strings_in(envp, &ev, &bytes);
    if (!r)
        r = proc_exec(path, av, ev, thread_self()->regs);
    strings_free(av);
    strings_free(ev);
    heap_free(path);
    if (r == EXEC_MOVED)
        thread_exit_self();
    return r;
}

CALL(execve)
{
    UNUSED;
    char *path = heap_alloc_raw(4096);
    s64 r = path ? copy_in_str(path, a, 4096) : -ENOMEM;
    if (r > 0)
        return exec_path(path, b, c);
    heap_free(path);
    return r ? r : -ENOENT;
}

CALL(execveat)
{
    UNUSED;
    char *path = heap_alloc_raw(8192);
    s64 r = path ? copy_in_str(path + 4096, b, 4096) : -ENOMEM;
    if (r >= 0 && (path[4096] == '/' || ((int)a == -100 && r))) {
        memcpy(path, path + 4096, r + 1);
        return exec_path(path, c, d);
    } else if (r >= 0) {
        struct file *f = fd_file((int)a);
        int n = f ? file_path(f, path, 4000) : 0;
        if (f)
            file_put(f);
        if (!f)
            r = -EBADF;
        else if (!r && !(e & 0x1000))
            r = -ENOENT;
        else {
            if (path[4096])
                snprintf(path + n, 4096 - n, "/%s", path + 4096);
            return exec_path(path, c, d);
        }
    }
    heap_free(path);
    return r;
}
