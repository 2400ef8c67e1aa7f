// Inside exos/fs: inodes, names, mounts and walks. Other rooms use fs.h.
//
// Locks, outermost first: inode->lock, pipe and socket locks > ns_lock > inode->map_lock.
// ns_lock guards the whole tree of names: dentries, directory contents, mounts. It is held for one walk
// or one change of names, never while program memory is touched or anything sleeps.
#ifndef EXOS_VFS_H
#define EXOS_VFS_H
#include "fs/abi.h"
#include "fs/fs.h"
#include "proc/proc.h"

struct rootimg_inode;
struct extra;

// A file system: where inodes come from.
struct super {
    const char *type;
    u64 dev;
    u64 next_ino;
    u32 magic;
    u32 flags;    // SUPER_*
    u64 inodes;   // alive, for statfs
    u64 pages;    // of data that this file system took from the family's pool
    const char *source;
};
enum { PROC_MAGIC = 0x9fa0 };
enum { SUPER_SYNTHETIC = 1 }; // names are made up by lookup(): none can be made, removed or renamed

struct mount {
    struct list link;      // in mounts
    struct mount *parent;
    struct dentry *point;  // covered directory, in parent
    struct dentry *root;
    struct super *sb;
    u32 id;
    u32 refs;              // files and directories in use: umount's EBUSY
    u32 flags;             // MS_*
};
enum { MS_RDONLY = 1, MS_NOSUID = 2, MS_NODEV = 4, MS_NOEXEC = 8, MS_REMOUNT = 32, MS_NOATIME = 1024, MS_BIND = 4096,
       MS_MOVE = 8192, MS_REC = 16384, MS_PRIVATE = 1 << 18, MS_SLAVE = 1 << 19, MS_SHARED = 1 << 20 };

struct path {
    struct mount *mnt;
    struct dentry *d;
};

// A name. In a memory file system the tree of dentries is the directory: an entry of an upper directory
// is a dentry with one reference of its own; the root image's entries become dentries when first seen.
struct dentry {
    struct dentry *hash_next; // ns_lock
    struct dentry *parent;    // with a reference; the root's is NULL
    struct inode *inode;      // NULL: a whiteout, hides an entry of the root image
    struct list children;     // of a directory
    struct list sibling;
    u64 cookie;               // grows along the parent's children: the position for getdents
    u32 refs;                 // atomic
    u32 hash;
    u16 name_len;
    u16 room;                 // bytes of small[]
    u8 flags;                 // DENTRY_*
    char *name;               // NUL-terminated: small[], or the heap's after a rename to a longer one; ns_lock
    char small[];
};
enum {
    DENTRY_HASHED = 1,
    DENTRY_LOWER = 2,   // stands where the root image has it: getdents lists it from there
    DENTRY_MOUNT = 4,   // something is mounted here
    DENTRY_CURSOR = 8,  // not a name: an open directory's place in the list
};

struct inode {
    u32 refs;   // atomic
    u32 nlink;  // ns_lock
    u32 mode, uid, gid;
    u32 flags;  // INODE_*
    u64 ino, rdev;
    u64 size;   // lock; a directory: names in it, ns_lock
    u64 pages;  // pages allocated: map_lock
    u64 atime, mtime, ctime; // nanoseconds since 1970
    struct super *sb;
    const struct inode_ops *ops;
    struct lock lock;     // size and content against each other
    struct lock map_lock; // page tree: innermost but the pools
    u64 tree;             // see pagetree.c
    const struct rootimg_inode *lower; // of the root image: content that was never changed, NULL if none
    u64 lower_pages;      // of a regular file: pages of lower that still count; lock
    union {
        u64 next_cookie;  // directory
        char *target;     // symbolic link made here
        void *priv;       // special files: pipe, socket; synthetic files: theirs
    };
    s32 writers;          // opens for writing; below 0: being executed (ETXTBSY)
    u32 seals;
    struct extra *extra;  // what few files have, NULL
};
enum {
    INODE_COPYUP = 1,  // a shared mapping exists: pages of the root image are copied before they are mapped
    INODE_WATCHED = 2, // inotify looks at it
    INODE_MAPPED = 32, // has been mapped, and may be
    INODE_SEALABLE = 4,
    INODE_TABLE = 16,  // lower.c keeps it findable (and referenced) for its other names
    INODE_LINKABLE = 8, // O_TMPFILE: linkat may give it its first name
};

// What few inodes have: extended attributes, locks, watches.
struct extra {
    u64 patched; // page tree: text with patched call sites (vm/patch.c) instead of the content; inode's map_lock
    struct list xattrs, locks, watches;
    struct waitq lock_wait;
    bool own_xattrs; // the list has them all: the root image's were copied
};

struct inode_ops {
    // SUPER_SYNTHETIC: a new unhashed dentry with one reference, or NULL and *err. Called without ns_lock.
    struct dentry *(*lookup)(struct dentry *dir, const char *name, u32 len, s64 *err);
    // Entry number pos (0..) of a synthetic directory: fills name and type, returns ino, 0 at the end.
    u64 (*entry)(struct dentry *dir, u64 *pos, char *name, u8 *type);
    s64 (*readlink)(struct inode *i, char *buf, size_t size); // length without NUL
    s64 (*follow)(struct inode *i, struct path *to);          // magic links: reference taken
    s64 (*open)(struct inode *i, struct file *f);             // sets f->ops and f->priv
    void (*getattr)(struct inode *i, struct stat_native *st);
    void (*evict)(struct inode *i);
};

extern struct lock ns_lock;
extern struct list mounts;
extern struct mount *root_mount;
extern u64 ns_generation; // changes when a cached walk may have become wrong

// dcache.c
u32 name_hash(const char *name, u32 len);
static inline u64 name_mix(u64 h, u64 word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15ul;
    return h ^ h >> 32;
}
// The bytes after the last whole word, zeroes above them.
static inline u32 name_mix_last(u64 h, u64 tail, u32 len)
{
    return (h ^ tail ^ (u64)len << 56) * 0x9e3779b97f4a7c15ul >> 32;
}
struct dentry **dentry_bucket(const struct dentry *parent, u32 hash); // NULL: the table is empty
struct dentry *dentry_new(struct dentry *parent, const char *name, u32 len, u32 hash); // one reference
struct dentry *dentry_find(struct dentry *parent, const char *name, u32 len, u32 hash);
void dentry_hash(struct dentry *d);     // into the table and its parent's children; takes a reference
void dentry_unhash(struct dentry *d);   // the reverse
void dentry_free(struct dentry *d);
static inline struct dentry *dentry_get(struct dentry *d)
{
    __atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
    return d;
}
static inline void dentry_put(struct dentry *d)
{
    if (!__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL))
        dentry_free(d);
}
static inline void path_get(struct path *p)
{
    dentry_get(p->d);
    __atomic_add_fetch(&p->mnt->refs, 1, __ATOMIC_RELAXED);
}
static inline void path_put(struct path *p)
{
    __atomic_sub_fetch(&p->mnt->refs, 1, __ATOMIC_RELAXED);
    dentry_put(p->d);
}

// inode.c
struct inode *inode_new(struct super *sb, u32 mode); // one reference, nlink 1, times now, owner by caller's ids
void inode_free(struct inode *i);
static inline struct inode *inode_get(struct inode *i)
{
    __atomic_add_fetch(&i->refs, 1, __ATOMIC_RELAXED);
    return i;
}
static inline void inode_put(struct inode *i)
{
    if (!__atomic_sub_fetch(&i->refs, 1, __ATOMIC_ACQ_REL))
        inode_free(i);
}
struct extra *inode_extra(struct inode *i); // made on demand, NULL when out of memory
void inode_stat(struct inode *i, struct stat_native *st);
s64 inode_permission(struct inode *i, u32 may);              // with the file-system ids
s64 creds_permission(struct inode *i, u32 may, u32 uid, u32 gid);
bool in_group(u32 gid);
static inline bool inode_owner(struct inode *i) { return proc_self()->fsuid == i->uid || !proc_self()->fsuid; }
u8 mode_to_dt(u32 mode);

// walk.c
enum {
    WALK_FOLLOW = 1, // a symbolic link at the end is followed
    WALK_PARENT = 2, // stop before the last component
    WALK_EMPTY = 4,  // "" is the start itself
    WALK_DIR = 8,    // the end must be a directory
    WALK_RESOLVE = 16, // RESOLVE_* << WALK_RESOLVE_SHIFT
    WALK_RESOLVE_SHIFT = 8,
};
enum { LAST_NORM, LAST_DOT, LAST_DOTDOT, LAST_ROOT };
struct walk {
    struct path path;    // referenced
    struct path root;    // where ".." and "/" stop: not referenced, see walk.c
    struct path start;   // for RESOLVE_BENEATH
    const char *at;      // rest of the text
    char *text;          // heap copy after a symbolic link, else NULL
    const char *last;    // WALK_PARENT: the last component
    u32 last_len, last_hash;
    u8 last_kind;        // LAST_*
    bool slash;          // a slash follows the last component
    bool open_search;    // every directory passed lets anybody search: the result may be cached
    u32 links, flags;
};
s64 path_lookup(int dirfd, const char *name, u32 flags, struct path *out);
// The common walk (walk_fast.c). 1: *out is where the name leads, nothing referenced, ns_lock held; 0: only
// path_lookup can tell; else an error.
s64 path_peek(int dirfd, const char *name, u32 flags, struct path *out);
// With ns_lock held on success and w filled; walk_end() drops both.
s64 walk_parent(int dirfd, const char *name, u32 flags, struct walk *w);
s64 walk_last(struct walk *w, struct dentry **out); // w->last in w->path.d: referenced, NULL if absent
s64 walk_link(struct walk *w, struct dentry *link); // goes on through a link found by walk_last, to the new parent
void walk_end(struct walk *w);
void walk_cross(struct path *p); // to what is mounted here
int path_text(const struct path *p, char *buf, size_t size, bool *reachable); // absolute name; length or -ENAMETOOLONG
struct mount *mount_at(struct mount *parent, struct dentry *point);
struct mount *mount_add(struct mount *parent, struct dentry *point, struct dentry *root, struct super *sb, u32 flags);
extern struct mount *pipe_mount;
s64 anon_path(struct mount *m, struct inode *i, struct path *out); // takes over i, unless it fails

// tmpfs.c
struct super *super_new(const char *type, u32 magic, u32 flags);
struct dentry *tmpfs_mount_root(struct super *sb, u32 mode);
s64 tmpfs_lookup(struct dentry *dir, const char *name, u32 len, u32 hash, struct dentry **out); // ns_lock; not referenced
s64 tmpfs_create(struct dentry *dir, const char *name, u32 len, u32 hash, struct inode *i, struct dentry **out);
s64 tmpfs_remove(struct dentry *d);
bool tmpfs_dir_empty(struct inode *i);
s64 tmpfs_rename(struct dentry *from, struct dentry *dir, const char *name, u32 len, u32 hash, struct dentry *over,
                 bool exchange);
const char *tmpfs_target(struct inode *i, u32 *len);
extern const struct inode_ops tmpfs_ops;

// regular.c, pagetree.c
extern const struct file_ops regular_ops, directory_ops;
enum { TREE_BITS = 6, TREE_HEIGHT = 15 };
static inline u64 tree_get(u64 root, u64 index) // ppn or 0
{
    u32 shift = (root & TREE_HEIGHT) * TREE_BITS;
    if (shift < 64 && index >> shift)
        return 0;
    if (!shift)
        return root >> 4;
    const u64 *slot = (const u64 *)(root & ~(u64)TREE_HEIGHT);
    while (slot && (shift -= TREE_BITS))
        slot = (const u64 *)slot[index >> shift & ((1 << TREE_BITS) - 1)];
    return slot ? slot[index & ((1 << TREE_BITS) - 1)] : 0;
}
bool tree_set(u64 *root, u64 index, u64 ppn);        // false: out of memory
u64 tree_cut(u64 *root, u64 from);                   // drops pages index >= from; returns how many
u64 tree_next(u64 root, u64 index);                  // next index >= index with a page; ~0 if none
s64 inode_truncate(struct inode *i, u64 size);
s64 inode_read_kernel(struct inode *i, void *to, u64 len, u64 off);
// Bytes at `off` as they lie in one page, at most *n of them, the page referenced (the root image's pages need
// no reference, they stay); NULL: beyond the end, or a hole. Under inode->lock.
u8 *inode_bytes(struct inode *i, u64 off, u64 *n);
s64 regular_fallocate(struct file *f, int mode, u64 off, u64 len);

// Text as programs run it, its system-call sites patched by vm/patch.c; reads still see the file.
// Page `index` of a file and the n-1 after it, where they are pages of the root image that nobody has changed:
// the first ppn, the others follow. 0: ask for each by itself.
u64 file_run(struct file *f, u64 index, u64 n);
u64 text_patched(struct file *f, u64 index);            // ppn with a reference; 0: no site was patched there
void text_patch(struct file *f, u64 index, u64 old, u64 new); // a newer version, unless old (0: none) is the newest no more

// lower.c: the root image
void lower_start(const void *image, u64 size);
const struct rootimg_inode *lower_root(void);
void lower_attach(struct inode *root); // the image's root is what lies below this directory
const struct rootimg_inode *lower_find(const struct rootimg_inode *dir, const char *name, u32 len);
struct inode *lower_inode(struct super *sb, const struct rootimg_inode *r); // referenced; the same for hard links
u64 lower_page(const struct rootimg_inode *r, u64 index); // ppn; index below the size
const void *lower_data(const struct rootimg_inode *r, u64 index); // where it is mapped
const char *lower_target(const struct rootimg_inode *r, u32 *len);
u64 lower_count(const struct rootimg_inode *dir); // entries
// Entry n of a directory. Returns its inode number.
u64 lower_entry(const struct rootimg_inode *dir, u64 n, const char **name, u32 *len, u8 *type);
u64 lower_inodes(void);
void lower_forget(struct inode *i); // its last name has gone
bool lower_xattr(struct inode *i, u32 n, const char **name, u32 *name_len, const char **value, u32 *len);

// file.c, fd.c
s64 file_seek_none(struct file *f, s64 off, int whence); // for what has no position: always 0
struct file *file_new_path(const struct file_ops *ops, u32 flags, struct path *p); // takes over the path
static inline bool file_readable(struct file *f) { return f->mode & MAY_READ; }
static inline bool file_writable(struct file *f) { return f->mode & MAY_WRITE; }
struct files {
    u32 refs;
    struct lock lock;
    u32 cap;
    u32 exiting;
    struct file **table;
    u64 *open;           // a bit a descriptor
    u64 *cloexec;
    u64 full[FILES_MAX / 64 / 64];  // a bit a word of `open`: all set
    struct file *table0[64];
    u64 bits0[2];
};
// The file of fd without a reference where nobody else can close it, else with one (*owned).
struct file *files_get_file(struct files *fs, u32 fd); // with a reference, of any process
static inline struct file *fd_borrow(int fd, bool *owned)
{
    struct proc *p = proc_self();
    struct files *fs = p->files;
    *owned = fs->refs != 1 || p->nthreads != 1;
    if (!*owned)
        return (u32)fd < fs->cap ? fs->table[fd] : NULL;
    return files_get_file(fs, fd);
}
static inline void fd_return(struct file *f, bool owned)
{
    if (owned)
        file_put(f);
}
s64 fd_close(struct files *fs, u32 fd);
struct fsctx {
    u32 refs;
    struct lock lock;
    u32 umask;
    struct path cwd, root;
};
s64 open_path(int dirfd, const char *name, u32 flags, u32 mode, u32 resolve, struct file **out);
s64 open_inode(struct path *p, u32 flags, bool made, struct file **out); // takes over the path
// A new name in w's directory (ns_lock held): of inode `given` or of a new one of `mode`. *out: not referenced.
s64 name_make(struct walk *w, u32 mode, u64 rdev, struct inode *given, struct dentry **out);
s64 fd_replace(u32 fd, struct file *f, bool cloexec);
s64 fd_cloexec(int fd, int set); // set: 0, 1, or -1 to read it
s64 files_next(struct files *fs, u32 fd);
s64 directory_getdents_old(struct file *f, u64 buf, u64 len);
void fsctx_move(struct path *which, struct path *to);
void epoll_forget(struct file *f);
// file->mode beside MAY_READ and MAY_WRITE:
enum { FILE_EXEC = 8, FILE_WRITER = 16, FILE_SEEKS = 32 }; // counted in inode->writers; has a position

// A path argument copied in: short ones on the stack, long ones in the heap.
struct name_buf {
    char *s;
    char small[248];
};
s64 name_in_long(struct name_buf *b, u64 from);
static inline s64 name_in(struct name_buf *b, u64 from)
{
    b->s = b->small;
    s64 r = copy_in_str(b->small, from, sizeof b->small);
    return r >= 0 ? 0 : r == -ENAMETOOLONG ? name_in_long(b, from) : r;
}
static inline void name_done(struct name_buf *b)
{
    if (b->s != b->small)
        heap_free(b->s);
}

// pipe.c
struct pipe *pipe_new(void);
s64 fifo_open(struct inode *i, struct file *f);
void fifo_evict(struct inode *i);
s64 pipe_pair(u32 flags, struct file *out[2]);
extern const struct file_ops pipe_ops;

// dev.c, console.c
s64 device_open(struct inode *i, struct file *f);
void dev_populate(struct dentry *dev);

// notify.c
extern u32 notify_on; // watches there are
void notify_event(struct inode *i, u32 mask, u32 cookie, const char *name);
void notify_name(struct dentry *dir, u32 mask, u32 cookie, const char *name, struct inode *child);
enum { IN_ACCESS = 1, IN_MODIFY = 2, IN_ATTRIB = 4, IN_CLOSE_WRITE = 8, IN_CLOSE_NOWRITE = 16, IN_OPEN = 32,
       IN_MOVED_FROM = 64, IN_MOVED_TO = 128, IN_CREATE = 256, IN_DELETE = 512, IN_DELETE_SELF = 1024,
       IN_MOVE_SELF = 2048, IN_ISDIR = 0x40000000 };

// locks.c: see locks.h
void locks_close(struct inode *i, struct files *owner, struct file *f);

// start.c, memfd
extern struct mount *shm_mount;
// mount.c
s64 mount_remove(struct mount *m, bool detach); // ns_lock held
// proc's, sys's: made by their own files
void procfs_start(struct mount *root, struct dentry *dir), sysfs_start(struct mount *root, struct dentry *dir);
struct dentry *populate(struct dentry *dir, const char *name, u32 mode, u64 rdev, const char *target);
s64 terminal_open(u64 rdev, struct file *f); // tty.c
// The file's own inode and, with its name, the directory that holds it.
void notify_file(struct file *f, u32 mask);
#endif
