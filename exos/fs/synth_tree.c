// The part of a made-up file system that is always there: a tree of names, put up when the family starts.
#include "fs/synth.h"

static s64 dir_open(struct inode *i, struct file *f)
{
    (void)i;
    f->ops = &directory_ops;
    return 0;
}
const struct inode_ops synth_tree_ops = {.open = dir_open, .getattr = synth_getattr};

struct super *synth_mount(struct mount *root, struct dentry *point, const char *type, u32 magic)
{
    struct super *sb = super_new(type, magic, SUPER_SYNTHETIC);
    struct dentry *d = sb ? tmpfs_mount_root(sb, 0555) : NULL;
    if (!d || !mount_add(root, point, d, sb, MS_NOSUID | MS_NODEV | MS_NOEXEC))
        panic("no memory for %s", type);
    d->inode->ops = &synth_tree_ops;
    return sb;
}

struct dentry *synth_root(struct super *sb)
{
    list_for(it, &mounts) {
        struct mount *m = container_of(it, struct mount, link);
        if (m->sb == sb)
            return m->root;
    }
    return NULL;
}

static struct dentry *dir_child(struct dentry *dir, const char *name, u32 len)
{
    struct dentry *d = dentry_find(dir, name, len, name_hash(name, len));
    if (d)
        return d;
    char text[NAME_MAX + 1];
    memcpy(text, name, len);
    text[len] = 0;
    d = populate(dir, text, S_IFDIR | 0555, 0, NULL);
    d->inode->uid = d->inode->gid = 0;
    d->inode->ops = &synth_tree_ops;
    return d;
}

struct dentry *synth_dir(struct dentry *dir, const char *path)
{
    for (const char *end; *path; path = *end ? end + 1 : end) {
        end = path;
        while (*end && *end != '/')
            end++;
        dir = dir_child(dir, path, end - path);
    }
    return dir;
}

void synth_tree(struct dentry *top, const struct node *nodes, u32 count)
{
    for (u32 n = 0; n < count; n++) {
        const struct node *node = &nodes[n];
        const char *last = strrchr(node->name, '/');
        struct dentry *dir = top, *d;
        char path[256];
        if (last) {
            snprintf(path, sizeof path, "%.*s", (int)(last - node->name), node->name);
            dir = synth_dir(top, path);
        }
        const char *name = last ? last + 1 : node->name;
        u32 len = strlen(name);
        struct ref r = {.node = node};
        s64 err;
        struct inode *i = synth_inode(top->inode->sb, &r, &err);
        if (!i || tmpfs_create(dir, name, len, name_hash(name, len), i, &d))
            panic("no memory for %s", node->name);
    }
}

bool number_parse(const char *s, u32 len, u64 *v)
{
    if (!len || len > 10 || (s[0] == '0' && len > 1))
        return false;
    for (*v = 0; len; len--, s++) {
        if (*s < '0' || *s > '9')
            return false;
        *v = *v * 10 + (*s - '0');
    }
    return true;
}

s64 number_store(const char *s, s64 low, s64 high, s64 *out)
{
    bool negative;
    s64 v = 0;
    while (*s == ' ' || *s == '\t' || *s == '\n')
        s++;
    negative = *s == '-';
    s += negative;
    if (*s < '0' || *s > '9')
        return -EINVAL;
    for (; *s >= '0' && *s <= '9'; s++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v))
            return -EINVAL;
    while (*s == ' ' || *s == '\t' || *s == '\n')
        s++;
    if (negative)
        v = -v;
    if (*s || v < low || v > high)
        return -EINVAL;
    *out = v;
    return 0;
}
