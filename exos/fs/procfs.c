// /proc (proc(5)): its first level. Processes are found by number; the rest is a fixed tree.
#include "fs/procfs.h"
#include "proc/signal.h"

enum { FIRST_PID = 1 << 20 }; // positions: fixed names by cookie, then FIRST_PID + pid

static s64 self_target(const struct ref *r, char *buf, u64 size)
{
    (void)r;
    return snprintf(buf, size, "%u", proc_self()->pid);
}

static s64 thread_self_target(const struct ref *r, char *buf, u64 size)
{
    (void)r;
    return snprintf(buf, size, "%u/task/%u", proc_self()->pid, thread_self()->tid);
}

static s64 text_target(const struct ref *r, char *buf, u64 size)
{
    return snprintf(buf, size, "%s", (const char *)r->node->arg);
}

static const struct node links[] = {
    {"self", S_IFLNK | 0777, .target = self_target},
    {"thread-self", S_IFLNK | 0777, .target = thread_self_target},
    {"mounts", S_IFLNK | 0777, .target = text_target, .arg = "self/mounts"},
    {"net", S_IFLNK | 0777, .target = text_target, .arg = "self/net"},
};

struct proc *ref_proc(const struct ref *r)
{
    struct proc *p = proc_find(r->pid);
    return p && p->start_ns == r->start ? p : NULL;
}

struct thread *ref_thread(const struct ref *r, struct proc *p)
{
    if (!r->tid)
        return list_empty(&p->threads) ? NULL : container_of(p->threads.next, struct thread, proc_link);
    list_for(it, &p->threads) {
        struct thread *t = container_of(it, struct thread, proc_link);
        if (t->tid == r->tid)
            return t;
    }
    return NULL;
}

bool trace_allowed(const struct proc *p)
{
    const struct proc *me = proc_self();
    if (p == me || !me->fsuid)
        return true;
    return me->fsuid == p->ruid && me->fsuid == p->euid && me->fsuid == p->suid && me->fsgid == p->rgid &&
           me->fsgid == p->egid && me->fsgid == p->sgid && p->dumpable;
}

s64 trace_check(const struct ref *r)
{
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    s64 err = !p ? -ESRCH : trace_allowed(p) ? 0 : -EACCES;
    lock_drop(&proc_lock);
    return err;
}

void owner_attr(const struct ref *r, struct inode *i)
{
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    if (p && p->dumpable)
        i->uid = p->euid, i->gid = p->egid;
    lock_drop(&proc_lock);
}

// What a process has open it may always list, whoever it has become.
void self_attr(const struct ref *r, struct inode *i)
{
    owner_attr(r, i);
    if (r->pid == proc_self()->pid)
        i->uid = proc_self()->fsuid;
}

// A process, or a thread that is not listed here but can be named.
static bool pid_find(u32 pid, struct ref *r)
{
    lock_take(&proc_lock);
    struct proc *p = proc_find(pid);
    if (!p && pid_taken(pid)) {
        struct thread *t = thread_find(pid);
        p = t ? t->proc : NULL;
    }
    if (p)
        *r = (struct ref){.node = &pid_node, .pid = p->pid, .start = p->start_ns};
    lock_drop(&proc_lock);
    return p;
}

static struct dentry *root_lookup(struct dentry *dir, const char *name, u32 len, s64 *err)
{
    struct dentry *d = NULL;
    struct ref r;
    u64 pid;
    *err = 0;
    if (number_parse(name, len, &pid)) {
        *err = pid <= ~0u && pid_find(pid, &r) ? synth_dentry(dir, name, len, &r, &d) : -ENOENT;
        return d;
    }
    lock_take(&ns_lock);
    *err = tmpfs_lookup(dir, name, len, name_hash(name, len), &d);
    if (d)
        dentry_get(d);
    lock_drop(&ns_lock);
    return d;
}

static u64 fixed_entry(struct dentry *dir, u64 *pos, char *name, u8 *type)
{
    u64 ino = 0;
    lock_take(&ns_lock);
    list_for(it, &dir->children) {
        struct dentry *d = container_of(it, struct dentry, sibling);
        if ((d->flags & DENTRY_CURSOR) || !d->inode || d->cookie < *pos)
            continue;
        *pos = d->cookie + 1;
        *type = mode_to_dt(d->inode->mode);
        snprintf(name, NAME_MAX + 1, "%s", d->name);
        ino = d->inode->ino;
        break;
    }
    lock_drop(&ns_lock);
    return ino;
}

static u64 root_entry(struct dentry *dir, u64 *pos, char *name, u8 *type)
{
    if (*pos < FIRST_PID) {
        u64 ino = fixed_entry(dir, pos, name, type);
        if (ino)
            return ino;
        *pos = FIRST_PID;
    }
    lock_take(&proc_lock);
    struct proc *p = *pos - FIRST_PID < ~0u ? proc_next(*pos - FIRST_PID) : NULL;
    struct ref r = {.node = &pid_node};
    if (p)
        r.pid = p->pid, r.start = p->start_ns;
    lock_drop(&proc_lock);
    if (!p)
        return 0;
    *pos = FIRST_PID + (u64)r.pid + 1;
    *type = DT_DIR;
    snprintf(name, NAME_MAX + 1, "%u", r.pid);
    return synth_ino(&r);
}

static s64 root_open(struct inode *i, struct file *f)
{
    (void)i;
    f->ops = &directory_ops;
    return 0;
}

static const struct inode_ops root_ops = {
    .lookup = root_lookup, .entry = root_entry, .open = root_open, .getattr = synth_getattr,
};

void procfs_start(struct mount *root, struct dentry *dir)
{
    struct dentry *top = synth_root(synth_mount(root, dir, "proc", PROC_MAGIC));
    top->inode->ino = 1;
    top->inode->ops = &root_ops;
    synth_tree(top, links, countof(links));
    procfs_system(top);
    procfs_sys(top);
}
