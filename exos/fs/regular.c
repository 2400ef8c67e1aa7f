// Regular files in memory. A page is in the tree, or (never written) in the root image's module, or a hole.
//
// Content changes under inode->lock. The page tree also changes under map_lock, which is all that the
// fault path takes (regular_page).
#include "fs/vfs.h"

enum { SIGXFSZ = 25 };
#define SIZE_MAX_FILE 0x7ffffffffffff000ul // largest offset a signed 64-bit position can name, by pages

// The bytes of a page for reading, NULL for a hole. Under inode->lock.
static inline const void *page_data(struct inode *i, u64 index)
{
    u64 ppn = tree_get(i->tree, index);
    if (ppn)
        return page_va(ppn);
    return index < i->lower_pages ? lower_data(i->lower, index) : NULL;
}

u8 *inode_bytes(struct inode *i, u64 off, u64 *n)
{
    if (off >= i->size)
        return NULL;
    *n = MIN(MIN(*n, i->size - off), PAGE - off % PAGE);
    const u8 *p = page_data(i, off / PAGE);
    if (!p)
        return NULL;
    u64 ppn = tree_get(i->tree, off / PAGE);
    if (ppn)
        page_ref(ppn);
    return (u8 *)p + off % PAGE;
}

static inline s64 out_page(struct inode *i, u64 to, u64 off, u64 n)
{
    const char *from = page_data(i, off / PAGE);
    return from ? copy_out(to, from + off % PAGE, n) : zero_out(to, n);
}

static s64 regular_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct inode *i = f->inode;
    u64 off = *pos, done = 0;
    s64 r = 0;
    lock_take(&i->lock);
    if (off < i->size) {
        len = MIN(len, i->size - off);
        do { // mostly once
            u64 n = MIN(PAGE - off % PAGE, len - done);
            r = out_page(i, buf + done, off, n);
            if (r)
                break;
            done += n, off += n;
        } while (done < len);
    }
    lock_drop(&i->lock);
    if (!done)
        return r;
    *pos = off;
    if (notify_on)
        notify_file(f, IN_ACCESS);
    return done;
}

s64 inode_read_kernel(struct inode *i, void *to, u64 len, u64 off)
{
    u64 done = 0;
    lock_take(&i->lock);
    if (off < i->size)
        for (len = MIN(len, i->size - off); done < len;) {
            u64 n = MIN(PAGE - off % PAGE, len - done);
            const char *from = page_data(i, off / PAGE);
            if (from)
                memcpy((char *)to + done, from + off % PAGE, n);
            else
                memset((char *)to + done, 0, n);
            done += n, off += n;
        }
    lock_drop(&i->lock);
    return done;
}

// Puts a page that the tree does not have yet; takes over its reference.
static bool page_add(struct inode *i, u64 index, u64 ppn)
{
    if (!tree_set(&i->tree, index, ppn)) {
        page_put(ppn);
        return false;
    }
    i->pages++;
    __atomic_add_fetch(&i->sb->pages, 1, __ATOMIC_RELAXED);
    return true;
}

// A private page with the content that index has now. Under map_lock. 0: out of memory.
static u64 page_own(struct inode *i, u64 index)
{
    u64 ppn = tree_get(i->tree, index);
    if (ppn)
        return ppn;
    ppn = index < i->lower_pages ? page_get() : page_get_zero();
    if (!ppn)
        return 0;
    if (index < i->lower_pages)
        page_copy(page_va(ppn), lower_data(i->lower, index));
    return page_add(i, index, ppn) ? ppn : 0;
}

// n bytes at off, within one page, from program memory.
static s64 in_page(struct inode *i, u64 from, u64 off, u64 n)
{
    u64 index = off / PAGE, ppn = tree_get(i->tree, index);
    if (!ppn && n == PAGE) { // no old content is needed: filled before anybody sees it
        ppn = page_get();
        if (!ppn)
            return -ENOSPC;
        s64 r = copy_in(page_va(ppn), from, n);
        if (r) {
            page_put(ppn);
            return r;
        }
        lock_take(&i->map_lock);
        u64 raced = tree_get(i->tree, index);
        bool ok = raced || page_add(i, index, ppn);
        lock_drop(&i->map_lock);
        if (raced) { // a fault made it meanwhile
            page_copy(page_va(raced), page_va(ppn));
            page_put(ppn);
        }
        return ok ? 0 : -ENOSPC;
    }
    if (!ppn) {
        lock_take(&i->map_lock);
        ppn = page_own(i, index);
        lock_drop(&i->map_lock);
        if (!ppn)
            return -ENOSPC;
    }
    return copy_in((char *)page_va(ppn) + off % PAGE, from, n);
}

static s64 write_limit(struct inode *i, u64 off, u64 *len)
{
    u64 limit = MIN(proc_self()->rlim[RLIMIT_FSIZE_].cur, SIZE_MAX_FILE);
    if (off >= limit) {
        if (off < SIZE_MAX_FILE)
            signal_thread(thread_self(), SIGXFSZ, NULL);
        return -EFBIG;
    }
    *len = MIN(*len, limit - off);
    if (i->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if ((i->seals & F_SEAL_GROW) && off + *len > i->size) {
        if (off >= i->size)
            return -EPERM;
        *len = i->size - off;
    }
    return 0;
}

u64 file_run(struct file *f, u64 index, u64 n)
{
    struct inode *i = f->inode;
    bool clean = i && f->ops == &regular_ops && !i->tree && !(i->flags & INODE_COPYUP) && index + n <= i->lower_pages &&
                 index + n <= PAGE_UP(i->size) / PAGE;
    return clean ? lower_page(i->lower, index) : 0;
}

u64 text_patched(struct file *f, u64 index)
{
    struct inode *i = f->inode;
    struct extra *x = i && f->ops == &regular_ops ? __atomic_load_n(&i->extra, __ATOMIC_ACQUIRE) : NULL;
    if (!x || !x->patched)
        return 0;
    lock_take(&i->map_lock);
    u64 ppn = tree_get(x->patched, index);
    if (ppn)
        page_ref(ppn);
    lock_drop(&i->map_lock);
    return ppn;
}

void text_patch(struct file *f, u64 index, u64 old, u64 new)
{
    struct inode *i = f->inode;
    struct extra *x = i && f->ops == &regular_ops ? inode_extra(i) : NULL;
    if (!x)
        return;
    lock_take(&i->map_lock);
    if (tree_get(x->patched, index) == old && tree_set(&x->patched, index, new)) {
        page_ref(new);
        if (old)
            page_put(old);
    }
    lock_drop(&i->map_lock);
}

static void written(struct inode *i)
{
    if (i->extra && i->extra->patched) {
        lock_take(&i->map_lock);
        tree_cut(&i->extra->patched, 0);
        lock_drop(&i->map_lock);
    }
    i->mtime = i->ctime = clock_real_ns();
    if ((i->mode & (S_ISUID | S_ISGID)) && proc_self()->fsuid)
        i->mode &= i->mode & 010 ? ~(S_ISUID | S_ISGID) : ~S_ISUID;
}

static s64 regular_write(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct inode *i = f->inode;
    u64 done = 0;
    if (!len)
        return 0;
    lock_take(&i->lock);
    u64 off = f->flags & O_APPEND ? i->size : *pos;
    s64 r = write_limit(i, off, &len);
    while (!r && done < len) {
        u64 n = MIN(PAGE - off % PAGE, len - done);
        r = in_page(i, buf + done, off, n);
        if (r)
            break;
        done += n, off += n;
        if (off > i->size)
            i->size = off;
    }
    if (done)
        written(i);
    lock_drop(&i->lock);
    if (!done)
        return r;
    *pos = off;
    if (notify_on)
        notify_file(f, IN_MODIFY);
    return done;
}

static bool has_data(struct inode *i, u64 index)
{
    return index < i->lower_pages || tree_get(i->tree, index);
}

static s64 seek_data(struct inode *i, u64 off, bool data)
{
    if (off >= i->size)
        return -ENXIO;
    u64 index = off / PAGE, end = (i->size + PAGE - 1) / PAGE;
    if (data && !has_data(i, index))
        index = tree_next(i->tree, index);
    else if (!data)
        while (index < end && has_data(i, index))
            index++;
    if (index >= end)
        return data ? -ENXIO : (s64)i->size;
    return MIN(MAX(off, index * PAGE), i->size);
}

static s64 regular_seek(struct file *f, s64 off, int whence)
{
    struct inode *i = f->inode;
    s64 base = 0;
    switch (whence) {
    case SEEK_SET: break;
    case SEEK_CUR: base = f->pos; break;
    case SEEK_END: base = i->size; break;
    case SEEK_DATA: case SEEK_HOLE:
        if (off < 0)
            return -ENXIO;
        lock_take(&i->lock);
        off = seek_data(i, off, whence == SEEK_DATA);
        lock_drop(&i->lock);
        if (off < 0)
            return off;
        break;
    default: return -EINVAL;
    }
    if (__builtin_add_overflow(base, off, &off))
        return -EOVERFLOW;
    if (off < 0)
        return -EINVAL;
    f->pos = off;
    return off;
}

enum { MAP_SHARED = 1, PROT_WRITE = 2 };

static s64 regular_mmap(struct file *f, u64 off, u64 len, int prot, int flags)
{
    struct inode *i = f->inode;
    (void)off, (void)len;
    if (!(f->mode & MAY_READ))
        return -EACCES;
    if (!(i->flags & INODE_MAPPED))
        __atomic_or_fetch(&i->flags, INODE_MAPPED, __ATOMIC_RELAXED);
    if (!(flags & MAP_SHARED))
        return 0;
    if ((prot & PROT_WRITE) && !file_writable(f))
        return -EACCES;
    if ((prot & PROT_WRITE) && (i->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
        return -EPERM;
    __atomic_or_fetch(&i->flags, INODE_COPYUP, __ATOMIC_RELAXED);
    return 0;
}

static u64 regular_page(struct file *f, u64 index, bool write, s64 *err)
{
    struct inode *i = f->inode;
    u64 ppn = 0;
    lock_take(&i->map_lock);
    if (index >= PAGE_UP(i->size) / PAGE) {
        *err = -EFAULT; // past the end: SIGBUS
    } else {
        ppn = tree_get(i->tree, index);
        if (!ppn && !write && !(i->flags & INODE_COPYUP) && index < i->lower_pages)
            ppn = lower_page(i->lower, index);
        else if (!ppn)
            ppn = page_own(i, index);
        if (ppn)
            page_ref(ppn);
        else
            *err = -ENOMEM;
    }
    lock_drop(&i->map_lock);
    return ppn;
}

// Zeroes what is after `size` in its page, so that growing again shows zeroes.
static s64 tail_clear(struct inode *i, u64 size)
{
    u64 index = size / PAGE;
    if (!(size % PAGE) || !has_data(i, index))
        return 0;
    u64 ppn = page_own(i, index);
    if (!ppn)
        return -ENOSPC;
    memset((char *)page_va(ppn) + size % PAGE, 0, PAGE - size % PAGE);
    return 0;
}

s64 inode_truncate(struct inode *i, u64 size)
{
    s64 r = 0;
    if (size > SIZE_MAX_FILE)
        return -EFBIG;
    lock_take(&i->lock);
    bool shorter = size < i->size;
    if (((i->seals & F_SEAL_SHRINK) && size < i->size) || ((i->seals & F_SEAL_GROW) && size > i->size))
        r = -EPERM;
    lock_take(&i->map_lock);
    if (!r && size < i->size)
        r = tail_clear(i, size);
    if (!r) {
        if (size < i->size) {
            u64 dropped = tree_cut(&i->tree, PAGE_UP(size) / PAGE);
            i->pages -= dropped;
            __atomic_sub_fetch(&i->sb->pages, dropped, __ATOMIC_RELAXED);
            i->lower_pages = MIN(i->lower_pages, PAGE_UP(size) / PAGE);
        }
        i->size = size;
    }
    lock_drop(&i->map_lock);
    if (!r)
        written(i);
    lock_drop(&i->lock);
    if (!r && shorter && (i->flags & INODE_MAPPED))
        vm_shortened(i);
    if (!r && (i->flags & INODE_WATCHED))
        notify_event(i, IN_MODIFY, 0, NULL);
    return r;
}

enum { FALLOC_KEEP_SIZE = 1, FALLOC_PUNCH_HOLE = 2, FALLOC_ZERO_RANGE = 16 };

static s64 range_zero(struct inode *i, u64 off, u64 end)
{
    for (u64 at = off; at < end;) {
        u64 index = at / PAGE, n = MIN(PAGE - at % PAGE, end - at);
        if (!has_data(i, index)) { // straight to the next page there is
            u64 next = tree_next(i->tree, index);
            at = next == ~0ul ? end : MAX(at + n, next * PAGE);
            continue;
        }
        u64 ppn = tree_get(i->tree, index);
        if (n == PAGE && ppn && index >= i->lower_pages && !(i->flags & INODE_MAPPED)) {
            tree_set(&i->tree, index, 0);
            page_put(ppn);
            i->pages--;
            __atomic_sub_fetch(&i->sb->pages, 1, __ATOMIC_RELAXED);
        } else {
            ppn = page_own(i, index);
            if (!ppn)
                return -ENOSPC;
            memset((char *)page_va(ppn) + at % PAGE, 0, n);
        }
        at += n;
    }
    return 0;
}

s64 regular_fallocate(struct file *f, int mode, u64 off, u64 len)
{
    struct inode *i = f->inode;
    s64 r = 0;
    bool zero = mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE);
    if ((mode & ~(FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE)) ||
        ((mode & FALLOC_PUNCH_HOLE) && !(mode & FALLOC_KEEP_SIZE)))
        return -EOPNOTSUPP;
    if (off + len > SIZE_MAX_FILE)
        return -EFBIG;
    if (!(mode & FALLOC_KEEP_SIZE) && off + len > i->size && off + len > proc_self()->rlim[RLIMIT_FSIZE_].cur) {
        signal_thread(thread_self(), SIGXFSZ, NULL);
        return -EFBIG;
    }
    lock_take(&i->lock);
    if ((zero && (i->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))) ||
        (!(mode & FALLOC_KEEP_SIZE) && (i->seals & F_SEAL_GROW) && off + len > i->size))
        r = -EPERM;
    lock_take(&i->map_lock);
    if (!r && zero)
        r = range_zero(i, off, MIN(off + len, PAGE_UP(i->size)));
    else if (!r && pages_free() < len / PAGE)
        r = -ENOSPC;
    for (u64 at = off / PAGE; !r && !zero && at < PAGE_UP(off + len) / PAGE; at++)
        if (!has_data(i, at) && !page_own(i, at))
            r = -ENOSPC;
    if (!r && !(mode & FALLOC_KEEP_SIZE) && off + len > i->size)
        i->size = off + len;
    lock_drop(&i->map_lock);
    if (!r)
        written(i);
    lock_drop(&i->lock);
    return r;
}

const struct file_ops regular_ops = {
    .read = regular_read, .write = regular_write, .seek = regular_seek, .mmap = regular_mmap,
    .page = regular_page,
};
