// /proc/PID's links to what a process has open, runs, and where it stands. They lead to the thing itself,
// whatever has become of its name.
#include "fs/procfs.h"

// A file that a process holds, referenced: descriptor n, or what it runs.
static s64 file_of(const struct ref *r, bool exe, struct file **out)
{
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    s64 err = !p ? -ESRCH : !trace_allowed(p) ? -EACCES : 0;
    if (!err) {
        *out = p->ending ? NULL : exe ? p->exe : files_get_file(p->files, r->n);
        if (!*out)
            err = -ENOENT;
        else if (exe)
            file_get(*out);
    }
    lock_drop(&proc_lock);
    return err;
}

static s64 file_target(const struct ref *r, bool exe, char *buf, u64 size)
{
    struct file *f;
    s64 n = file_of(r, exe, &f);
    if (n)
        return n;
    n = file_path(f, buf, size);
    file_put(f);
    return n;
}

static s64 file_follow(const struct ref *r, bool exe, struct path *to)
{
    struct file *f;
    s64 err = file_of(r, exe, &f);
    if (err)
        return err;
    if (f->dentry) {
        *to = (struct path){f->mnt, f->dentry};
        path_get(to);
    } else {
        err = -ENXIO;
    }
    file_put(f);
    return err;
}

s64 exe_target(const struct ref *r, char *buf, u64 size) { return file_target(r, true, buf, size); }
s64 exe_follow(const struct ref *r, struct path *to) { return file_follow(r, true, to); }
static s64 fd_target(const struct ref *r, char *buf, u64 size) { return file_target(r, false, buf, size); }
static s64 fd_follow(const struct ref *r, struct path *to) { return file_follow(r, false, to); }

static s64 place_follow(const struct ref *r, bool root, struct path *to)
{
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    s64 err = !p ? -ESRCH : !trace_allowed(p) ? -EACCES : p->ending ? -ENOENT : 0;
    if (!err) {
        lock_take(&ns_lock);
        *to = root ? p->fs->root : p->fs->cwd;
        path_get(to);
        lock_drop(&ns_lock);
    }
    lock_drop(&proc_lock);
    return err;
}

static s64 place_target(const struct ref *r, bool root, char *buf, u64 size)
{
    struct path at;
    s64 n = place_follow(r, root, &at);
    if (n)
        return n;
    n = path_text(&at, buf, size, NULL);
    path_put(&at);
    return n;
}

s64 cwd_target(const struct ref *r, char *buf, u64 size) { return place_target(r, false, buf, size); }
s64 cwd_follow(const struct ref *r, struct path *to) { return place_follow(r, false, to); }
s64 root_target(const struct ref *r, char *buf, u64 size) { return place_target(r, true, buf, size); }
s64 root_follow(const struct ref *r, struct path *to) { return place_follow(r, true, to); }

// ---- fd and fdinfo
static void fd_attr(const struct ref *r, struct inode *i)
{
    struct file *f;
    owner_attr(r, i);
    if (file_of(r, false, &f))
        return;
    i->mode = S_IFLNK | (f->mode & MAY_READ ? 0500 : 0) | (f->mode & MAY_WRITE ? 0300 : 0);
    i->size = 64;
    file_put(f);
}

static s64 fdinfo_show(struct text *t, const struct ref *r)
{
    struct file *f;
    s64 err = file_of(r, false, &f);
    if (err)
        return err;
    bool cloexec = false;
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    if (p && !p->ending) {
        lock_take(&p->files->lock);
        cloexec = r->n < p->files->cap && p->files->cloexec[r->n / 64] >> r->n % 64 & 1;
        lock_drop(&p->files->lock);
    }
    lock_drop(&proc_lock);
    text_add(t, "pos:\t%lu\nflags:\t0%o\nmnt_id:\t%u\nino:\t%lu\n", f->pos,
             f->flags | (f->mnt == pipe_mount ? 0 : O_LARGEFILE) | (cloexec ? O_CLOEXEC : 0), f->mnt ? f->mnt->id : 0, f->inode ? f->inode->ino : 0);
    file_put(f);
    return 0;
}

static const struct node fd_node = {.mode = S_IFLNK | 0700, .target = fd_target, .follow = fd_follow, .attr = fd_attr};
static const struct node fdinfo_node = {.mode = S_IFREG | 0400, .show = fdinfo_show, .attr = owner_attr};

static s64 find(const struct ref *r, const char *name, u32 len, struct ref *to, const struct node *kind)
{
    struct file *f;
    if (!number_parse(name, len, &to->n) || to->n > ~0u)
        return -ENOENT;
    to->node = kind;
    s64 err = file_of(to, false, &f);
    (void)r;
    if (!err)
        file_put(f);
    return err == -ESRCH ? -ENOENT : err;
}

static const struct node *next(const struct ref *r, u64 *n, char *name, struct ref *to, const struct node *kind)
{
    s64 fd = -1;
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    if (p && !p->ending && *n <= ~0u)
        fd = files_next(p->files, *n);
    lock_drop(&proc_lock);
    if (fd < 0)
        return NULL;
    *n = fd + 1;
    to->n = fd;
    snprintf(name, NAME_MAX + 1, "%ld", fd);
    return kind;
}

s64 fd_find(const struct ref *r, const char *name, u32 len, struct ref *to) { return find(r, name, len, to, &fd_node); }
s64 fdinfo_find(const struct ref *r, const char *name, u32 len, struct ref *to) { return find(r, name, len, to, &fdinfo_node); }
const struct node *fd_next(const struct ref *r, u64 *n, char *name, struct ref *to) { return next(r, n, name, to, &fd_node); }
const struct node *fdinfo_next(const struct ref *r, u64 *n, char *name, struct ref *to) { return next(r, n, name, to, &fdinfo_node); }

// ---- ns: a family is in one namespace of each kind, and cannot make others
static s64 ns_target(const struct ref *r, char *buf, u64 size)
{
    s64 err = trace_check(r);
    return err ? err : snprintf(buf, size, "%s", (const char *)r->node->arg);
}

#define NS(name, kind, number) {name, S_IFLNK | 0777, .target = ns_target, .attr = owner_attr, .arg = kind ":[" #number "]"}
const struct node ns_names[NS_COUNT] = {
    NS("cgroup", "cgroup", 4026531835), NS("ipc", "ipc", 4026531839), NS("mnt", "mnt", 4026531841),
    NS("net", "net", 4026531840), NS("pid", "pid", 4026531836), NS("time", "time", 4026531834),
    NS("user", "user", 4026531837), NS("uts", "uts", 4026531838),
};
