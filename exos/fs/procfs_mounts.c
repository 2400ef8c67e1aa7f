// /proc/PID/mounts, mountinfo, mountstats.
#include "fs/procfs.h"

enum { MOUNTS_MAX = 512 };

// Mount records are never freed: a list of them is taken under the lock and gone through without it.
static u32 mounts_take(struct mount **m)
{
    u32 n = 0;
    lock_take(&ns_lock);
    list_for(it, &mounts) {
        struct mount *mnt = container_of(it, struct mount, link);
        if ((mnt->parent || mnt == root_mount) && n < MOUNTS_MAX)
            m[n++] = mnt;
    }
    lock_drop(&ns_lock);
    return n;
}

static void escaped(struct text *t, const char *s)
{
    for (; *s; s++) {
        if (strchr(" \t\n\\", *s))
            text_add(t, "\\%03o", *s);
        else
            text_bytes(t, s, 1);
    }
}

static void options(struct text *t, const struct mount *m)
{
    text_add(t, "%s%s%s%s%s", m->flags & MS_RDONLY ? "ro" : "rw", m->flags & MS_NOSUID ? ",nosuid" : "",
             m->flags & MS_NODEV ? ",nodev" : "", m->flags & MS_NOEXEC ? ",noexec" : "",
             m->flags & MS_NOATIME ? ",noatime" : ",relatime");
}

enum kind { MOUNTS, INFO, STATS };
static void row(struct text *t, const struct mount *m, const char *path, enum kind kind)
{
    if (kind == STATS) {
        text_add(t, "device ");
        escaped(t, m->sb->source);
        text_add(t, " mounted on ");
        escaped(t, path);
        text_add(t, " with fstype %s\n", m->sb->type);
        return;
    }
    if (kind == INFO) {
        text_add(t, "%u %u %u:%u / ", m->id, m->parent ? m->parent->id : 1, MAJOR(m->sb->dev), MINOR(m->sb->dev));
    } else {
        escaped(t, m->sb->source);
        text_add(t, " ");
    }
    escaped(t, path);
    text_add(t, " ");
    if (kind == INFO) {
        options(t, m);
        text_add(t, " - %s ", m->sb->type);
        escaped(t, m->sb->source);
        text_add(t, " rw\n");
    } else {
        text_add(t, "%s ", m->sb->type);
        options(t, m);
        text_add(t, " 0 0\n");
    }
}

static s64 show(struct text *t, enum kind kind)
{
    struct mount **m = heap_alloc(MOUNTS_MAX * sizeof *m);
    char *path = heap_alloc(PATH_MAX);
    u32 count = m && path ? mounts_take(m) : 0;
    for (u32 n = 0; n < count; n++) {
        bool reachable;
        struct path top = {m[n], m[n]->root};
        if (path_text(&top, path, PATH_MAX, &reachable) >= 0 && reachable)
            row(t, m[n], path, kind);
    }
    heap_free(m);
    heap_free(path);
    return count ? 0 : -ENOMEM;
}

s64 mounts_show(struct text *t, const struct ref *r) { (void)r; return show(t, MOUNTS); }
s64 mountinfo_show(struct text *t, const struct ref *r) { (void)r; return show(t, INFO); }
s64 mountstats_show(struct text *t, const struct ref *r) { (void)r; return show(t, STATS); }
