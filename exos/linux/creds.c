// Who a process is: credentials(7), capabilities(7). A family's processes keep one set each, not one a thread.
#include "linux/misc.h"

enum { ID_KEEP = ~0u, CAPS_V1 = 0x19980330, CAPS_V2 = 0x20071026, CAPS_V3 = 0x20080522 };

bool has_capability(int cap) { return proc_self()->cap_effective >> cap & 1; }
bool capable(void) { return has_capability(CAP_SYS_ADMIN); }

// What a change of user ids does to capabilities ("Effect of user ID changes", capabilities(7)).
static void caps_follow(struct proc *p, u32 ruid, u32 euid, u32 suid)
{
    bool was_root = !ruid || !euid || !suid, is_root = !p->ruid || !p->euid || !p->suid;
    if (was_root && !is_root) {
        if (!p->keep_caps)
            p->cap_permitted = p->cap_effective = 0;
        p->cap_ambient = 0;
    }
    if (!euid && p->euid)
        p->cap_effective = 0;
    if (euid && !p->euid)
        p->cap_effective = p->cap_permitted;
}

void caps_exec(struct proc *p)
{
    bool root = !p->ruid || !p->euid;
    p->cap_permitted = root ? p->cap_inheritable | p->cap_bounding : p->cap_ambient;
    p->cap_effective = root && p->euid ? 0 : p->cap_permitted;
    p->keep_caps = false;
}

CALL(getuid) { UNUSED; return proc_self()->ruid; }
CALL(geteuid) { UNUSED; return proc_self()->euid; }
CALL(getgid) { UNUSED; return proc_self()->rgid; }
CALL(getegid) { UNUSED; return proc_self()->egid; }

static void uids_set(struct proc *p, u32 r, u32 e, u32 s)
{
    u32 r0 = p->ruid, e0 = p->euid, s0 = p->suid;
    p->ruid = r, p->euid = p->fsuid = e, p->suid = s;
    if (e != e0)
        p->dumpable = false;
    caps_follow(p, r0, e0, s0);
}

static void gids_set(struct proc *p, u32 r, u32 e, u32 s)
{
    if (e != p->egid)
        p->dumpable = false;
    p->rgid = r, p->egid = p->fsgid = e, p->sgid = s;
}

CALL(setuid)
{
    UNUSED;
    struct proc *p = proc_self();
    u32 id = a;
    if (id == ID_KEEP)
        return -EINVAL;
    if (has_capability(CAP_SETUID))
        uids_set(p, id, id, id);
    else if (id == p->ruid || id == p->suid)
        uids_set(p, p->ruid, id, p->suid);
    else
        return -EPERM;
    return 0;
}

CALL(setgid)
{
    UNUSED;
    struct proc *p = proc_self();
    u32 id = a;
    if (id == ID_KEEP)
        return -EINVAL;
    if (has_capability(CAP_SETGID))
        gids_set(p, id, id, id);
    else if (id == p->rgid || id == p->sgid)
        gids_set(p, p->rgid, id, p->sgid);
    else
        return -EPERM;
    return 0;
}

CALL(setreuid)
{
    UNUSED;
    struct proc *p = proc_self();
    u32 r = a, eff = b;
    if (!has_capability(CAP_SETUID) && ((r != ID_KEEP && r != p->ruid && r != p->euid) ||
                                        (eff != ID_KEEP && eff != p->ruid && eff != p->euid && eff != p->suid)))
        return -EPERM;
    u32 ne = eff == ID_KEEP ? p->euid : eff;
    bool saved = r != ID_KEEP || (eff != ID_KEEP && eff != p->ruid);
    uids_set(p, r == ID_KEEP ? p->ruid : r, ne, saved ? ne : p->suid);
    return 0;
}

CALL(setregid)
{
    UNUSED;
    struct proc *p = proc_self();
    u32 r = a, eff = b;
    if (!has_capability(CAP_SETGID) && ((r != ID_KEEP && r != p->rgid && r != p->egid) ||
                                        (eff != ID_KEEP && eff != p->rgid && eff != p->egid && eff != p->sgid)))
        return -EPERM;
    u32 ne = eff == ID_KEEP ? p->egid : eff;
    bool saved = r != ID_KEEP || (eff != ID_KEEP && eff != p->rgid);
    gids_set(p, r == ID_KEEP ? p->rgid : r, ne, saved ? ne : p->sgid);
    return 0;
}

static bool among(u32 id, u32 r, u32 eff, u32 s) { return id == ID_KEEP || id == r || id == eff || id == s; }

CALL(setresuid)
{
    UNUSED;
    struct proc *p = proc_self();
    u32 r = a, eff = b, s = c;
    if (!has_capability(CAP_SETUID) &&
        !(among(r, p->ruid, p->euid, p->suid) && among(eff, p->ruid, p->euid, p->suid) && among(s, p->ruid, p->euid, p->suid)))
        return -EPERM;
    uids_set(p, r == ID_KEEP ? p->ruid : r, eff == ID_KEEP ? p->euid : eff, s == ID_KEEP ? p->suid : s);
    return 0;
}

CALL(setresgid)
{
    UNUSED;
    struct proc *p = proc_self();
    u32 r = a, eff = b, s = c;
    if (!has_capability(CAP_SETGID) &&
        !(among(r, p->rgid, p->egid, p->sgid) && among(eff, p->rgid, p->egid, p->sgid) && among(s, p->rgid, p->egid, p->sgid)))
        return -EPERM;
    gids_set(p, r == ID_KEEP ? p->rgid : r, eff == ID_KEEP ? p->egid : eff, s == ID_KEEP ? p->sgid : s);
    return 0;
}

CALL(getresuid)
{
    UNUSED;
    struct proc *p = proc_self();
    return copy_out(a, &p->ruid, 4) || copy_out(b, &p->euid, 4) || copy_out(c, &p->suid, 4) ? -EFAULT : 0;
}

CALL(getresgid)
{
    UNUSED;
    struct proc *p = proc_self();
    return copy_out(a, &p->rgid, 4) || copy_out(b, &p->egid, 4) || copy_out(c, &p->sgid, 4) ? -EFAULT : 0;
}

// Both return the old id and cannot fail.
CALL(setfsuid)
{
    UNUSED;
    struct proc *p = proc_self();
    u32 old = p->fsuid, id = a;
    if (id != ID_KEEP && (among(id, p->ruid, p->euid, p->suid) || id == old || has_capability(CAP_SETUID)))
        p->fsuid = id;
    return old;
}

CALL(setfsgid)
{
    UNUSED;
    struct proc *p = proc_self();
    u32 old = p->fsgid, id = a;
    if (id != ID_KEEP && (among(id, p->rgid, p->egid, p->sgid) || id == old || has_capability(CAP_SETGID)))
        p->fsgid = id;
    return old;
}

CALL(getgroups)
{
    UNUSED;
    struct proc *p = proc_self();
    s32 room = a;
    if (room < 0 || (room && (u32)room < p->ngroups))
        return -EINVAL;
    return room && copy_out(b, p->groups, p->ngroups * 4) ? -EFAULT : (s64)p->ngroups;
}

CALL(setgroups)
{
    UNUSED;
    struct proc *p = proc_self();
    u32 n = a, groups[countof(p->groups)];
    if (!has_capability(CAP_SETGID))
        return -EPERM;
    if (n > countof(groups))
        return -EINVAL;
    if (copy_in(groups, b, n * 4))
        return -EFAULT;
    memcpy(p->groups, groups, n * 4);
    p->ngroups = n;
    return 0;
}

// ---- capget(2), capset(2)
struct cap_header {
    u32 version;
    s32 pid;
};
struct cap_data {
    u32 effective, permitted, inheritable;
};

// How many 32-bit halves the caller's version has; the preferred version is told to who asks with another.
static s64 cap_version(u64 from, struct cap_header *h)
{
    if (copy_in(h, from, sizeof *h))
        return -EFAULT;
    if (h->version == CAPS_V1)
        return 1;
    if (h->version == CAPS_V2 || h->version == CAPS_V3)
        return 2;
    u32 v = CAPS_V3;
    return copy_out(from, &v, 4) ? -EFAULT : -EINVAL;
}

CALL(capget)
{
    UNUSED;
    struct cap_header h;
    struct cap_data data[2] = {0};
    s64 n = cap_version(a, &h);
    if (n < 0)
        return n == -EINVAL && !b ? 0 : n;
    if (h.pid < 0)
        return -EINVAL;
    lock_take(&proc_lock);
    struct proc *p = proc_named(h.pid);
    for (int i = 0; p && i < 2; i++)
        data[i] = (struct cap_data){p->cap_effective >> 32 * i, p->cap_permitted >> 32 * i, p->cap_inheritable >> 32 * i};
    lock_drop(&proc_lock);
    if (!p)
        return -ESRCH;
    return b && copy_out(b, data, n * sizeof *data) ? -EFAULT : 0;
}

CALL(capset)
{
    UNUSED;
    struct proc *p = proc_self();
    struct cap_header h;
    struct cap_data data[2] = {0};
    s64 n = cap_version(a, &h);
    if (n < 0)
        return n;
    if (h.pid && h.pid != (s32)p->pid)
        return -EPERM;
    if (copy_in(data, b, n * sizeof *data))
        return -EFAULT;
    u64 effective = data[0].effective | (u64)data[1].effective << 32;
    u64 permitted = data[0].permitted | (u64)data[1].permitted << 32;
    u64 inheritable = data[0].inheritable | (u64)data[1].inheritable << 32;
    effective &= CAP_FULL, permitted &= CAP_FULL, inheritable &= CAP_FULL;
    u64 may_inherit = p->cap_inheritable | (has_capability(CAP_SETPCAP) ? ~0ul : p->cap_permitted);
    if (inheritable & ~may_inherit || inheritable & ~(p->cap_inheritable | p->cap_bounding) ||
        permitted & ~p->cap_permitted || effective & ~permitted)
        return -EPERM;
    p->cap_effective = effective, p->cap_permitted = permitted, p->cap_inheritable = inheritable;
    p->cap_ambient &= permitted & inheritable;
    return 0;
}
