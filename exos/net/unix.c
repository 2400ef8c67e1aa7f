// Unix-domain names (unix(7)): paths, and abstract names in a table.
#include "net/sock.h"

enum { BUCKETS = 1024, PATH_ROOM = 108 };
static struct sock *abstract[BUCKETS]; // net_lock

static struct sock **bucket(const struct address *a, u32 type)
{
    u32 h = type * 31;
    for (u32 n = 2; n < a->len; n++)
        h = h * 31 + a->bytes[n - 2];
    return &abstract[(h ^ h >> 10) % BUCKETS];
}

static struct sock *abstract_find(const struct address *a, u32 type)
{
    for (struct sock *s = *bucket(a, type); s; s = s->hash_next)
        if (s->type == type && s->name.len == a->len && !memcmp(s->name.bytes, a->bytes, a->len - 2))
            return s;
    return NULL;
}

static void abstract_add(struct sock *s)
{
    struct sock **b = bucket(&s->name, s->type);
    s->hash_next = *b;
    *b = s;
    s->hashed = true;
}

// Five hexadecimal digits that nobody has.
static s64 autobind(struct sock *s)
{
    static u32 next;
    struct address a = {.len = 8, .family = AF_UNIX};
    for (u32 tries = 0; tries < 1 << 20; tries++) {
        char text[8];
        snprintf(text, sizeof text, "%05x", next++ & 0xfffff);
        memcpy(a.bytes + 1, text, 5);
        if (!abstract_find(&a, s->type)) {
            s->name = a;
            abstract_add(s);
            return 0;
        }
    }
    return -ENOSPC;
}

static s64 path_of(const struct address *a, char *path)
{
    if (a->len <= 2 || a->len > 2 + PATH_ROOM || a->family != AF_UNIX)
        return -EINVAL;
    memcpy(path, a->bytes, a->len - 2);
    path[a->len - 2] = 0;
    return 0;
}

static s64 bind_path(struct sock *s, const struct address *a)
{
    char path[PATH_ROOM + 1];
    struct walk w;
    struct dentry *d;
    s64 r = path_of(a, path);
    if (r)
        return r;
    r = walk_parent(AT_FDCWD, path, 0, &w);
    if (r)
        return r;
    r = w.last_kind != LAST_NORM ? -EADDRINUSE : walk_last(&w, &d);
    if (!r) {
        dentry_put(d);
        r = -EADDRINUSE;
    } else if (r == -ENOENT) {
        r = s->inode || s->hashed ? -EINVAL : w.slash ? -ENOENT : name_make(&w, S_IFSOCK | (0777 & ~proc_self()->fs->umask), 0, NULL, &d);
        if (!r)
            s->inode = inode_get(d->inode);
    }
    walk_end(&w);
    if (r)
        return r;
    lock_take(&net_lock);
    s->inode->priv = s;
    s->name = *a;
    s->name.len = 2 + strlen(path) + 1;
    lock_drop(&net_lock);
    return 0;
}

static s64 unix_bind(struct sock *s, const struct address *a)
{
    if (a->len < 2 || a->family != AF_UNIX)
        return -EINVAL;
    if (a->len > 2 && a->bytes[0])
        return bind_path(s, a);
    if (s->inode || s->hashed)
        return -EINVAL;
    lock_take(&net_lock);
    s64 r = 0;
    if (a->len <= 2) {
        r = autobind(s);
    } else if (abstract_find(a, s->type)) {
        r = -EADDRINUSE;
    } else {
        s->name = *a;
        abstract_add(s);
    }
    lock_drop(&net_lock);
    return r;
}

static void unix_unbind(struct sock *s)
{
    if (s->hashed) {
        struct sock **b = bucket(&s->name, s->type);
        while (*b != s)
            b = &(*b)->hash_next;
        *b = s->hash_next;
        s->hashed = false;
    }
    if (s->inode) {
        s->inode->priv = NULL;
        inode_put(s->inode);
        s->inode = NULL;
    }
}

// Who has that name, referenced. net_lock is held on success.
static s64 find(const struct address *a, u32 type, struct sock **out)
{
    char path[PATH_ROOM + 1];
    struct path p;
    if (a->len > 2 && a->family == AF_UNIX && !a->bytes[0]) {
        lock_take(&net_lock);
        *out = abstract_find(a, type);
        if (*out) {
            sock_get(*out);
            return 0;
        }
        lock_drop(&net_lock);
        return -ECONNREFUSED;
    }
    s64 r = path_of(a, path);
    if (!r)
        r = path_lookup(AT_FDCWD, path, WALK_FOLLOW, &p);
    if (r)
        return r;
    struct inode *i = p.d->inode;
    r = inode_permission(i, MAY_WRITE);
    if (!r && (!S_ISSOCK(i->mode) || i->ops != &tmpfs_ops))
        r = -ECONNREFUSED;
    if (!r) {
        lock_take(&net_lock);
        struct sock *s = i->priv;
        r = !s ? -ECONNREFUSED : s->type != type ? -EPROTOTYPE : 0;
        if (r)
            lock_drop(&net_lock);
        else
            *out = sock_get(s);
    }
    path_put(&p);
    return r;
}

static s64 unix_connect(struct sock *s, const struct address *a, bool block)
{
    struct sock *to;
    if (s->type == SOCK_DGRAM && a->len >= 2 && a->family == AF_UNSPEC) {
        lock_take(&net_lock);
        struct sock *old = s->peer;
        s->peer = NULL;
        s->state = SOCK_IDLE;
        lock_drop(&net_lock);
        if (old)
            sock_put(old);
        return 0;
    }
    if (s->type != SOCK_DGRAM && s->state != SOCK_IDLE)
        return s->state == SOCK_CONNECTED ? -EISCONN : -EINVAL;
    s64 r = find(a, s->type, &to);
    if (r)
        return r;
    struct sock *old = NULL;
    if (s->type == SOCK_DGRAM) {
        old = s->peer;
        s->peer = sock_get(to);
        s->state = SOCK_CONNECTED;
        s->peer_name = to->name;
    } else if (to->state != SOCK_LISTENING) {
        r = -ECONNREFUSED;
    } else {
        r = sock_connect_local(s, to, block);
        if (!r)
            s->peer_name = to->name;
    }
    lock_drop(&net_lock);
    sock_put(to);
    if (old)
        sock_put(old);
    return r;
}

static s64 unix_target(struct sock *s, const struct address *a, struct sock **to)
{
    s64 r = find(a, s->type, to);
    if (!r)
        lock_drop(&net_lock);
    return r;
}

const struct family unix_family = {.bind = unix_bind, .connect = unix_connect, .target = unix_target, .unbind = unix_unbind};
