// File descriptors: a growing table; the lowest free one is found through two levels of bitmap.
#include "fs/vfs.h"

struct files *files_new(void)
{
    struct files *fs = heap_alloc(sizeof *fs);
    if (!fs)
        return NULL;
    fs->refs = 1;
    fs->cap = countof(fs->table0);
    fs->table = fs->table0;
    fs->open = &fs->bits0[0];
    fs->cloexec = &fs->bits0[1];
    return fs;
}

struct files *files_share(struct files *fs)
{
    __atomic_add_fetch(&fs->refs, 1, __ATOMIC_RELAXED);
    return fs;
}

static void files_free_tables(struct files *fs)
{
    if (fs->table == fs->table0)
        return;
    heap_free(fs->table);
    heap_free(fs->open);
    heap_free(fs->cloexec);
}

static bool files_enlarge(struct files *fs, u32 need)
{
    u32 cap = fs->cap;
    while (cap < need)
        cap *= 2;
    struct file **table = heap_alloc(cap * sizeof *table);
    u64 *open = heap_alloc(cap / 8), *cloexec = heap_alloc(cap / 8);
    if (!table || !open || !cloexec) {
        heap_free(table);
        heap_free(open);
        heap_free(cloexec);
        return false;
    }
    memcpy(table, fs->table, fs->cap * sizeof *table);
    memcpy(open, fs->open, fs->cap / 8);
    memcpy(cloexec, fs->cloexec, fs->cap / 8);
    files_free_tables(fs);
    fs->table = table, fs->open = open, fs->cloexec = cloexec, fs->cap = cap;
    return true;
}

// To at least `need` descriptors. Under fs->lock.
static inline bool files_grow(struct files *fs, u32 need)
{
    return need <= fs->cap || files_enlarge(fs, need);
}

static void bit_set(u64 *map, u32 n) { map[n / 64] |= 1ul << n % 64; }
static void bit_clear(u64 *map, u32 n) { map[n / 64] &= ~(1ul << n % 64); }
static bool bit_test(const u64 *map, u32 n) { return map[n / 64] >> n % 64 & 1; }

// The lowest free descriptor at or above from; may be fs->cap or more.
static inline u32 fd_free(struct files *fs, u32 from)
{
    if (from >= fs->cap)
        return from;
    u64 word = ~fs->open[from / 64] >> from % 64;
    if (word)
        return from + __builtin_ctzl(word);
    for (u32 w = from / 64 + 1; w < fs->cap / 64;) {
        u64 spare = ~fs->full[w / 64] >> w % 64;
        if (!spare) {
            w = (w / 64 + 1) * 64;
            continue;
        }
        w += __builtin_ctzl(spare);
        return w < fs->cap / 64 ? w * 64 + (u32)__builtin_ctzl(~fs->open[w]) : fs->cap;
    }
    return fs->cap;
}

static inline void fd_put(struct files *fs, u32 fd, struct file *f, bool cloexec)
{
    fs->table[fd] = f;
    bit_set(fs->open, fd);
    if (fs->open[fd / 64] == ~0ul)
        bit_set(fs->full, fd / 64);
    if (cloexec)
        bit_set(fs->cloexec, fd);
    else
        bit_clear(fs->cloexec, fd);
}

static inline struct file *fd_take(struct files *fs, u32 fd)
{
    struct file *f = fd < fs->cap ? fs->table[fd] : NULL;
    if (!f)
        return NULL;
    fs->table[fd] = NULL;
    bit_clear(fs->open, fd);
    bit_clear(fs->full, fd / 64);
    return f;
}

static u32 fd_limit(void)
{
    return MIN(proc_self()->rlim[RLIMIT_NOFILE_].cur, FILES_MAX);
}

s64 fd_install(struct file *f, u32 cloexec, int from)
{
    struct files *fs = proc_self()->files;
    lock_take(&fs->lock);
    u32 fd = fd_free(fs, from);
    bool ok = fd < fd_limit() && files_grow(fs, fd + 1);
    if (ok)
        fd_put(fs, fd, f, cloexec);
    lock_drop(&fs->lock);
    if (ok)
        return fd;
    s64 r = fd < fd_limit() ? -ENOMEM : -EMFILE;
    file_put(f);
    return r;
}

static inline void closed(struct files *fs, struct file *f)
{
    if (f->inode && f->inode->extra)
        locks_close(f->inode, fs, NULL);
    file_put(f);
}

s64 fd_close(struct files *fs, u32 fd)
{
    lock_take(&fs->lock);
    struct file *f = fd_take(fs, fd);
    lock_drop(&fs->lock);
    if (!f)
        return -EBADF;
    closed(fs, f);
    return 0;
}

// dup2: fd becomes f, whose reference is taken over.
s64 fd_replace(u32 fd, struct file *f, bool cloexec)
{
    struct files *fs = proc_self()->files;
    lock_take(&fs->lock);
    bool ok = fd < fd_limit() && files_grow(fs, fd + 1);
    struct file *old = ok ? fd_take(fs, fd) : NULL;
    s64 r = ok ? (s64)fd : fd < fd_limit() ? -ENOMEM : -EBADF;
    if (ok)
        fd_put(fs, fd, f, cloexec);
    lock_drop(&fs->lock);
    if (old)
        closed(fs, old);
    if (!ok)
        file_put(f);
    return r;
}

s64 fd_cloexec(int fd, int set) // set: 0, 1, or -1 to read it
{
    struct files *fs = proc_self()->files;
    s64 r = -EBADF;
    lock_take(&fs->lock);
    if ((u32)fd < fs->cap && fs->table[fd]) {
        r = bit_test(fs->cloexec, fd);
        if (set == 1)
            bit_set(fs->cloexec, fd);
        else if (!set)
            bit_clear(fs->cloexec, fd);
    }
    lock_drop(&fs->lock);
    return set < 0 || r < 0 ? r : 0;
}

struct file *files_get_file(struct files *fs, u32 fd)
{
    lock_take(&fs->lock);
    struct file *f = fd < fs->cap ? fs->table[fd] : NULL;
    if (f)
        file_get(f);
    lock_drop(&fs->lock);
    return f;
}

// The next open descriptor at or above fd, or -1.
s64 files_next(struct files *fs, u32 fd)
{
    s64 r = -1;
    lock_take(&fs->lock);
    for (; fd < fs->cap; fd = (fd / 64 + 1) * 64) {
        u64 word = fs->open[fd / 64] >> fd % 64;
        if (word) {
            r = fd + __builtin_ctzl(word);
            break;
        }
    }
    lock_drop(&fs->lock);
    return r;
}

struct file *fd_file(int fd)
{
    return files_get_file(proc_self()->files, fd);
}

struct files *files_fork(struct files *from)
{
    struct files *to = files_new();
    if (!to)
        return NULL;
    lock_take(&from->lock);
    u32 words = from->cap / 64;
    while (words > 1 && !from->open[words - 1])
        words--;
    if (!files_grow(to, words * 64)) {
        lock_drop(&from->lock);
        files_put(to);
        return NULL;
    }
    for (u32 w = 0; w < words; w++) {
        for (u64 bits = from->open[w]; bits; bits &= bits - 1) {
            u32 fd = w * 64 + __builtin_ctzl(bits);
            to->table[fd] = file_get(from->table[fd]);
        }
        to->open[w] = from->open[w];
        to->cloexec[w] = from->cloexec[w];
    }
    memcpy(to->full, from->full, sizeof to->full);
    lock_drop(&from->lock);
    return to;
}

static void close_where(struct files *fs, bool cloexec_only)
{
    for (u32 w = 0; w < fs->cap / 64; w++)
        for (u64 bits = fs->open[w] & (cloexec_only ? fs->cloexec[w] : ~0ul); bits; bits &= bits - 1)
            fd_close(fs, w * 64 + __builtin_ctzl(bits));
}

void files_exec(struct files *fs)
{
    close_where(fs, true);
}

void files_put(struct files *fs)
{
    if (__atomic_sub_fetch(&fs->refs, 1, __ATOMIC_ACQ_REL))
        return;
    close_where(fs, false);
    files_free_tables(fs);
    heap_free(fs);
}
