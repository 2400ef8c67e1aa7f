// XN on the host: the kernel's own code over simulated pages and disks, behind the calls of libxok,
// so that a file system library and its tests run here. Define XOK_DISK_HOST before including
// xok/disk.h.
//
// A disk is memory with a volatile cache in front. Requests complete when host_step or host_drain
// says so. All that happens to a disk is logged; crash_image builds what it can hold after power
// loss at any point of the log.
#ifndef XN_HOST_H
#define XN_HOST_H
#ifndef XOK_DISK_HOST
#define XOK_DISK_HOST
#endif
#include <stdbool.h>
#include <stddef.h>
#include "xok/cap.h"
#include "xok/disk.h"
#include "xok/error.h"

// ---- the machine
void host_start(u64 pages, u64 seed); // once a test, or again for a new machine: disks are gone
void host_cap(u32 slot, u32 rights, u32 depth, const u32 *component); // what capability slot holds
void *host_page(u32 ppn); // where a page of the machine lies
u64 host_pages_used(void);
struct xok_udf;
u64 host_native(s64 (*fn)(
    struct xok_udf *u)); // a C function as downloaded code: put its 8 bytes in a template's code

// ---- disks
struct host_disk_options {
    u64 blocks;
    const void *image;  // content, copied (with a log: not, keep it); NULL: zeros
    bool write_through; // no volatile cache
    bool in_order;      // requests complete in order
    u32 sector;         // 0: 512
    bool log;
};
u32 host_disk_add(const struct host_disk_options *o); // its number; state RAW
void host_fail(u32 disk, u32 reads, u32 writes);      // from now on 1 of so many fails; 0 never
u8 *host_disk_data(u32 disk);                         // what reads see now
u32 host_pending(void);
bool host_step(void); // completes one request; false: none
void host_drain(void);
void host_mount(u32 cap, u32 disk, bool format); // and drains; aborts the test on failure
s64 host_try_mount(u32 cap, u32 disk);
s64 host_io(u32 cap, u32 disk, const struct xok_io *ops,
            u32 n); // disk_io, waits; 0 or the first error or XOK_E_IO
s64 host_sync(u32 cap,
              u32 disk); // writes back all that is dirty, in rounds, as a syncer would; flushes

// ---- power loss
struct host_log;
struct host_log *host_log_take(u32 disk); // the log outlives the machine; host_log_drop frees it
void host_log_drop(struct host_log *log);
u64 host_log_length(u32 disk);
enum host_loss {
    LOSE_NOTHING,
    LOSE_ALL,
    LOSE_SOME /* each write or not */,
    LOSE_TORN /* each sector or not */
};
// What the disk can hold when power fails after `at` log entries. data: blocks * 4096 bytes.
void host_crash_image(u32 disk, u64 at, enum host_loss loss, u64 seed, u8 *data);
void host_log_image(const struct host_log *log, u64 at, enum host_loss loss, u64 seed, u8 *data);

// ---- the kernel's calls, as libxok has them
s64 xok_disk_format(u64 slot, u64 disk);
s64 xok_disk_mount(u64 slot, u64 disk);
s64 xok_disk_unmount(u64 slot, u64 disk);
s64 xok_disk_template(u64 slot, u64 disk, const volatile void *t);
s64 xok_disk_root(u64 slot, u64 disk, const volatile void *root);
s64 xok_disk_change(u64 slot, const volatile void *change);
s64 xok_disk_io(u64 slot, u64 disk, const volatile void *ops, u64 count, const volatile void *done);
s64 xok_page_alloc(u64 slot, u64 ppn, u64 count);
s64 xok_page_free(u64 slot, u64 ppn, u64 count);
#define XOK_PAGE_ANY (~0ul)
#endif
