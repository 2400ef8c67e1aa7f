// Made-up file systems, /proc and /sys: what a name stands for is written in tables, what a file says is
// made when it is read.
#ifndef EXOS_FS_SYNTH_H
#define EXOS_FS_SYNTH_H
#include "fs/vfs.h"

// A growing text, kept in pages.
struct text {
    u64 *page; // ppn
    u64 count, room, len;
    s64 err;
};
void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_bytes(struct text *t, const void *bytes, u64 n);
void text_free(struct text *t);

struct node;
// What one inode stands for. pid 0: nothing to do with a process.
struct ref {
    const struct node *node;
    u32 pid, tid;
    u64 start; // of the process, so that the next one of this pid is another
    u64 n;     // descriptor, processor: the node's own
};

struct proc *ref_proc(const struct ref *r); // under proc_lock: who is meant, NULL when gone

// A name of a table, or one of the kind that a directory makes up.
struct node {
    const char *name; // in a tree: its path
    u32 mode;
    s64 (*show)(struct text *t, const struct ref *r);        // a file's content
    s64 (*store)(const struct ref *r, char *text, u64 len);  // what was written, NUL-terminated
    s64 (*target)(const struct ref *r, char *buf, u64 size); // a link's text: its length
    s64 (*follow)(const struct ref *r, struct path *to);     // a magic link: referenced
    s64 (*allowed)(const struct ref *r);                     // more than the mode asks for, at open
    const struct node *sub;                                  // a directory's fixed names
    u32 subs;
    // A directory's other names. find fills *to, which starts as a copy of r. next: the first at or after
    // n (then *n is past it), NULL at the end.
    s64 (*find)(const struct ref *r, const char *name, u32 len, struct ref *to);
    const struct node *(*next)(const struct ref *r, u64 *n, char *name, struct ref *to);
    void (*attr)(const struct ref *r, struct inode *i); // mode and owner where they depend on what it is
    const void *arg;
};

struct super *synth_mount(struct mount *root, struct dentry *point, const char *type, u32 magic);
struct dentry *synth_root(struct super *sb); // of a file system that synth_mount made
// Puts nodes in the tree below dir, with the directories on their way.
void synth_tree(struct dentry *dir, const struct node *nodes, u32 count);
struct dentry *synth_dir(struct dentry *dir, const char *path); // a directory below dir, made if missing
struct inode *synth_inode(struct super *sb, const struct ref *r, s64 *err);
s64 synth_dentry(struct dentry *dir, const char *name, u32 len, const struct ref *r, struct dentry **out);
u64 synth_ino(const struct ref *r);
bool number_parse(const char *s, u32 len, u64 *v); // decimal, no sign, no leading zero
s64 number_store(const char *text, s64 low, s64 high, s64 *v); // what sysctl files take: -EINVAL
void synth_getattr(struct inode *i, struct stat_native *st);
extern const struct inode_ops synth_dir_ops, synth_tree_ops;
#endif
