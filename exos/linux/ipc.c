// Keys, ids and permissions of System V IPC.
#include "linux/ipc.h"
#include "fs/vfs.h"

enum { CAP_IPC_OWNER = 15 };

static u32 hash_of(s32 key) { return ((u32)key * 0x9e3779b1u) >> 24; }

static bool permitted(const struct ipc *i, u32 want)
{
    struct proc *p = proc_self();
    u32 asked = (want >> 6 | want >> 3 | want) & 7, granted = i->mode;
    if (p->euid == i->cuid || p->euid == i->uid)
        granted >>= 6;
    else if (in_group(i->cgid) || in_group(i->gid))
        granted >>= 3;
    return !(asked & ~granted) || has_capability(CAP_IPC_OWNER);
}

s64 ipc_may_change(const struct ipc *i)
{
    u32 me = proc_self()->euid;
    return me == i->cuid || me == i->uid || has_capability(CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static s64 link_new(struct ipc_table *t, struct ipc *i, s32 key, u32 flags)
{
    u32 at = 0;
    while (at < t->high && t->slot[at])
        at++;
    if (at == IPC_MAX)
        return -ENOSPC;
    struct proc *p = proc_self();
    t->high = MAX(t->high, at + 1);
    t->used++;
    t->slot[at] = i;
    i->key = key;
    i->id = t->seq++ % 65535 * IPC_SEQ + at;
    i->uid = i->cuid = p->euid, i->gid = i->cgid = p->egid;
    i->mode = flags & 0777;
    i->refs = 1;
    if (key) {
        i->next = t->hash[hash_of(key)];
        t->hash[hash_of(key)] = i;
    }
    return i->id;
}

s64 ipc_get(struct ipc_table *t, s32 key, u32 flags, struct ipc *(*make)(u64), s64 (*check)(struct ipc *, u64), u64 arg)
{
    struct ipc *fresh = !key || flags & IPC_CREAT ? make(arg) : NULL; // memory first: no lock is held
    lock_take(&t->lock);
    struct ipc *i = key ? t->hash[hash_of(key)] : NULL;
    while (i && i->key != key)
        i = i->next;
    s64 r;
    if (i)
        r = (flags & IPC_CREAT && flags & IPC_EXCL) ? -EEXIST : !permitted(i, flags & 0777) ? -EACCES : check(i, arg);
    else if (key && !(flags & IPC_CREAT))
        r = -ENOENT;
    else
        r = fresh ? link_new(t, fresh, key, flags) : -ENOMEM;
    if (i && !r)
        r = i->id;
    bool used = !i && r >= 0;
    lock_drop(&t->lock);
    if (fresh && !used)
        t->free(fresh);
    return r;
}

struct ipc *ipc_at(struct ipc_table *t, u32 index, u32 want, s64 *err)
{
    lock_take(&t->lock);
    struct ipc *i = index < t->high ? t->slot[index] : NULL;
    *err = !i ? -EINVAL : want && !permitted(i, want) ? -EACCES : 0;
    if (*err)
        i = NULL;
    else
        i->refs++;
    lock_drop(&t->lock);
    return i;
}

struct ipc *ipc_find(struct ipc_table *t, s32 id, u32 want, s64 *err)
{
    *err = -EINVAL;
    struct ipc *i = id < 0 ? NULL : ipc_at(t, id % IPC_SEQ, 0, err);
    if (i && (i->id != id || (want && !permitted(i, want)))) {
        *err = i->id != id ? -EINVAL : -EACCES;
        ipc_put(t, i);
        i = NULL;
    }
    return i;
}

void ipc_put(struct ipc_table *t, struct ipc *i)
{
    lock_take(&t->lock);
    bool last = !--i->refs;
    lock_drop(&t->lock);
    if (last)
        t->free(i);
}

void ipc_key_forget(struct ipc_table *t, struct ipc *i)
{
    struct ipc **at = &t->hash[hash_of(i->key)];
    while (i->key && *at != i)
        at = &(*at)->next;
    if (i->key)
        *at = i->next;
    i->key = 0;
}

void ipc_unlink(struct ipc_table *t, struct ipc *i)
{
    ipc_key_forget(t, i);
    t->slot[i->id % IPC_SEQ] = NULL;
    t->used--;
    i->dead = true;
}

s64 ipc_remove(struct ipc_table *t, struct ipc *i)
{
    s64 r = ipc_may_change(i);
    if (r)
        return r;
    lock_take(&t->lock);
    r = i->dead ? -EIDRM : 0;
    if (!r) {
        ipc_unlink(t, i);
        i->refs--; // the caller still has one
    }
    lock_drop(&t->lock);
    return r;
}

void ipc_perm_out(const struct ipc *i, struct ipc_perm_native *p)
{
    *p = (struct ipc_perm_native){i->key, i->uid, i->gid, i->cuid, i->cgid, i->mode, .seq = i->id / IPC_SEQ};
}

void ipc_perm_set(struct ipc *i, const struct ipc_perm_native *p)
{
    i->uid = p->uid, i->gid = p->gid;
    i->mode = (i->mode & ~0777u) | (p->mode & 0777);
}
