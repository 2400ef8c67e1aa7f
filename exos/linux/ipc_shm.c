// Shared memory segments: shmget(2), shmop(2), shmctl(2). A segment is a file without a name that areas map.
#include "linux/ipc.h"
#include "fs/fs.h"
#include "vm/vm.h"

enum { SHM_RDONLY = 010000, SHM_RND = 020000, SHM_REMAP = 040000, SHM_EXEC = 0100000, SHM_DEST = 01000,
       SHM_LOCK = 11, SHM_UNLOCK, SHM_STAT, SHM_INFO, SHM_STAT_ANY };
#define SHM_MAX (1ul << 40)

struct segment {
    struct ipc ipc;
    struct file *file; // the table's reference, until IPC_RMID; then what maps it keeps it
    u64 size;
    s64 atime, dtime, ctime; // seconds
    u32 cpid, lpid;
};
struct shmid_native { // struct shmid64_ds
    struct ipc_perm_native perm;
    u64 size;
    s64 atime, dtime, ctime;
    u32 cpid, lpid;
    u64 nattch, unused[2];
};
_Static_assert(sizeof(struct shmid_native) == 112, "struct shmid64_ds");

static void segment_free(struct ipc *i);
static struct ipc_table segments = {.free = segment_free};
static struct segment *segment_of(struct ipc *i) { return container_of(i, struct segment, ipc); }
static s64 now(void) { return clock_real_ns() / SECOND; }

// Nothing maps a removed segment any more. Called wherever the last area went: takes no lock but the table's.
static void segment_gone(void *arg)
{
    struct segment *s = arg;
    lock_take(&segments.lock);
    s->file = NULL;
    if (!s->ipc.dead && s->ipc.mode & SHM_DEST)
        ipc_unlink(&segments, &s->ipc);
    bool last = s->ipc.dead && !--s->ipc.refs;
    lock_drop(&segments.lock);
    if (last)
        heap_free(s);
}

static void segment_free(struct ipc *i)
{
    struct segment *s = segment_of(i);
    if (s->file) { // never linked
        shared_anon_on_release(s->file, NULL, NULL);
        file_put(s->file);
    }
    heap_free(s);
}

static struct ipc *segment_make(u64 size)
{
    struct segment *s = heap_alloc(sizeof *s);
    if (s && size && size <= SHM_MAX && (s->file = shared_anon_new())) {
        shared_anon_on_release(s->file, segment_gone, s);
        s->size = size;
        s->ctime = now();
        s->cpid = proc_self()->pid;
        return &s->ipc;
    }
    heap_free(s);
    return NULL;
}

static s64 segment_check(struct ipc *i, u64 size) { return size > segment_of(i)->size ? -EINVAL : 0; }

CALL(shmget)
{
    UNUSED;
    if ((!a && (!b || b > SHM_MAX)) || b > SHM_MAX)
        return -EINVAL;
    s64 r = ipc_get(&segments, a, c, segment_make, segment_check, b);
    return r == -ENOMEM && !b ? -EINVAL : r;
}

// The segment's file with a reference, unless it is going just now.
static struct file *segment_file(struct segment *s)
{
    lock_take(&segments.lock);
    struct file *f = s->file;
    u32 refs = f ? __atomic_load_n(&f->refs, __ATOMIC_RELAXED) : 0;
    while (refs && !__atomic_compare_exchange_n(&f->refs, &refs, refs + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        ;
    lock_drop(&segments.lock);
    return refs ? f : NULL;
}

static s64 attach(struct segment *s, u64 addr, u32 flags)
{
    struct vm *vm = proc_self()->vm;
    u32 prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
    if (addr & (PAGE - 1) && !(flags & SHM_RND))
        return -EINVAL;
    if (flags & SHM_REMAP && !addr)
        return -EINVAL;
    addr = PAGE_DOWN(addr);
    u32 map = MAP_SHARED | (!addr ? 0 : flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE);
    struct file *f = segment_file(s);
    if (!f)
        return -EIDRM;
    s64 r = vm_map(vm, addr, s->size, prot, map, f, 0);
    file_put(f);
    if (r >= 0)
        s->atime = now(), s->lpid = proc_self()->pid;
    return r == -EEXIST ? -EINVAL : r;
}

CALL(shmat)
{
    s64 err;
    UNUSED;
    struct ipc *i = ipc_find(&segments, a, c & SHM_RDONLY ? IPC_READ : IPC_READ | IPC_WRITE, &err);
    if (!i)
        return err;
    err = attach(segment_of(i), b, c);
    ipc_put(&segments, i);
    return err;
}

CALL(shmdt)
{
    UNUSED;
    struct vm *vm = proc_self()->vm;
    if (a & (PAGE - 1))
        return -EINVAL;
    lock_take(&vm->lock);
    struct area *at = area_at(vm, a);
    struct segment *s = at && at->start == a && !at->index ? shared_anon_owner(at->file, segment_gone) : NULL;
    u64 size = s ? s->size : 0;
    if (s)
        s->dtime = now(), s->lpid = proc_self()->pid;
    lock_drop(&vm->lock);
    return s ? vm_unmap(vm, a, size) : -EINVAL;
}

static s64 stat_out(struct segment *s, u64 to, s64 r)
{
    struct shmid_native d = {.size = s->size, .atime = s->atime, .dtime = s->dtime, .ctime = s->ctime, .cpid = s->cpid,
                             .lpid = s->lpid};
    ipc_perm_out(&s->ipc, &d.perm);
    lock_take(&segments.lock);
    if (s->file)
        d.nattch = s->file->refs - !(s->ipc.mode & SHM_DEST);
    lock_drop(&segments.lock);
    return copy_out(to, &d, sizeof d) ? -EFAULT : r;
}

// The name goes at once, the memory with the last area. The caller's reference stays.
static s64 segment_remove(struct segment *s)
{
    s64 r = ipc_may_change(&s->ipc);
    if (r)
        return r;
    lock_take(&segments.lock);
    struct file *f = s->ipc.mode & SHM_DEST ? NULL : s->file;
    s->ipc.mode |= SHM_DEST;
    ipc_key_forget(&segments, &s->ipc);
    lock_drop(&segments.lock);
    if (f)
        file_put(f);
    return 0;
}

static s64 change(struct segment *s, u32 cmd, u64 from)
{
    struct shmid_native d;
    if (cmd == IPC_RMID)
        return segment_remove(s);
    if (cmd != IPC_SET) // SHM_LOCK, SHM_UNLOCK: nothing is ever swapped
        return ipc_may_change(&s->ipc);
    if (copy_in(&d, from, sizeof d))
        return -EFAULT;
    s64 r = ipc_may_change(&s->ipc);
    if (!r) {
        ipc_perm_set(&s->ipc, &d.perm);
        s->ctime = now();
    }
    return r;
}

static s64 highest(void) { return segments.high ? segments.high - 1 : 0; }

CALL(shmctl)
{
    s64 err;
    UNUSED;
    u32 cmd = b & ~0x100u; // IPC_64 is all there is
    if ((s32)a < 0 || (cmd > IPC_INFO && (cmd < SHM_LOCK || cmd > SHM_STAT_ANY)))
        return -EINVAL;
    if (cmd == IPC_INFO) {
        u64 info[9] = {SHM_MAX, 1, IPC_MAX, IPC_MAX, SHM_MAX / PAGE};
        return copy_out(c, info, sizeof info) ? -EFAULT : highest();
    }
    if (cmd == SHM_INFO) {
        u64 info[6] = {segments.used};
        return copy_out(c, info, 48) ? -EFAULT : highest();
    }
    bool by_index = cmd == SHM_STAT || cmd == SHM_STAT_ANY, stat = cmd == IPC_STAT || by_index;
    u32 want = cmd == IPC_STAT || cmd == SHM_STAT ? IPC_READ : 0;
    struct ipc *i = by_index ? ipc_at(&segments, a, want, &err) : ipc_find(&segments, a, want, &err);
    if (!i)
        return err;
    err = stat ? stat_out(segment_of(i), c, by_index ? i->id : 0) : change(segment_of(i), cmd, c);
    ipc_put(&segments, i);
    return err;
}
