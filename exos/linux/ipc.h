// System V IPC (sysvipc(7)): what segments, semaphore sets and message queues have in common.
#ifndef EXOS_LINUX_IPC_H
#define EXOS_LINUX_IPC_H
#include "linux/misc.h"

enum { IPC_CREAT = 01000, IPC_EXCL = 02000, IPC_NOWAIT = 04000, IPC_RMID = 0, IPC_SET, IPC_STAT, IPC_INFO,
       IPC_READ = 0444, IPC_WRITE = 0222, IPC_MAX = 4096, IPC_HASH = 256, IPC_SEQ = 32768 };

struct ipc {
    s32 key, id;
    u32 uid, gid, cuid, cgid, mode;
    u32 refs;         // table->lock: the table's, and one of each call under way
    bool dead;        // table->lock; removed: who waits gets EIDRM
    struct ipc *next; // of the same hash
};
struct ipc_table {
    struct lock lock;
    struct ipc *slot[IPC_MAX], *hash[IPC_HASH]; // lock
    u32 seq, high, used;                        // lock; high: slots from here on were never used
    void (*free)(struct ipc *i);                // the last reference has gone
};
struct ipc_perm_native { // struct ipc64_perm
    s32 key;
    u32 uid, gid, cuid, cgid, mode;
    u16 seq, pad[3];
    u64 unused[2];
};
_Static_assert(sizeof(struct ipc_perm_native) == 48, "struct ipc64_perm");

// Finds or makes the object of key: make(arg) gives a new one, or NULL; check(i, arg) looks whether one that is there
// will do. Its id, or an error.
s64 ipc_get(struct ipc_table *t, s32 key, u32 flags, struct ipc *(*make)(u64 arg), s64 (*check)(struct ipc *, u64), u64 arg);
struct ipc *ipc_find(struct ipc_table *t, s32 id, u32 want, s64 *err); // with a reference; want: IPC_READ | IPC_WRITE or 0
struct ipc *ipc_at(struct ipc_table *t, u32 index, u32 want, s64 *err); // likewise, by place in the table
void ipc_put(struct ipc_table *t, struct ipc *i);
void ipc_unlink(struct ipc_table *t, struct ipc *i); // out of the table; lock held
void ipc_key_forget(struct ipc_table *t, struct ipc *i); // lock held
s64 ipc_may_change(const struct ipc *i);             // IPC_SET, IPC_RMID: 0 or -EPERM
void ipc_perm_out(const struct ipc *i, struct ipc_perm_native *p);
void ipc_perm_set(struct ipc *i, const struct ipc_perm_native *p);
s64 ipc_remove(struct ipc_table *t, struct ipc *i);  // IPC_RMID
#endif
