// The root image: a read-only file system that is used in place, wherever in memory it lies.
//
// Built on the host by tools/xok (image.c), read by ExOS and by the host's inspector with the
// functions below. Little-endian, all offsets in bytes from the image's start unless a field says
// otherwise. The image is not trusted: every function checks what it follows, none reads outside
// [base, base + size), and none takes longer than its stated bound, whatever the bytes are.
//
// Layout: superblock, inodes, directory entries, names, extended attributes, symbolic-link targets,
// then the contents of regular files, each beginning at a page boundary and filled up with zero
// bytes to the next one, so that a page of a file can be mapped as it is.
#ifndef EXOS_ROOTIMG_H
#define EXOS_ROOTIMG_H
#include <stdbool.h>
#include <stddef.h>
#include <xok/types.h>

#define ROOTIMG_MAGIC 0x31544f4f524b4f58ul // "XOKROOT1"
#define ROOTIMG_VERSION 1
#define ROOTIMG_ROOT 1           // inode number of "/"
#define ROOTIMG_NAME_MAX 255     // bytes of a name, as Linux
#define ROOTIMG_TARGET_MAX 4095  // bytes of a symbolic link's target, as Linux
#define ROOTIMG_XATTRS_MAX 65536 // bytes of one inode's attributes: what listxattr(2) can return

struct rootimg_super {
    u64 magic;
    u32 version;
    u32 inode_count; // inodes are 1..inode_count
    u64 total_size;  // of the image, a multiple of XOK_PAGE_SIZE
    u64 inode_off;   // struct rootimg_inode [inode_count]; 64-byte aligned
    u64 dirent_off;  // struct rootimg_dirent [dirent_count]; 16-byte aligned
    u64 dirent_count;
    u64 name_off; // names area
    u64 name_size;
    u64 xattr_off; // attributes area; 4-byte aligned
    u64 xattr_size;
    u64 pad[6]; // zero
};

struct rootimg_inode {
    u32 mode; // S_IFMT and permission bits, as st_mode
    u32 uid, gid;
    u32 nlink;    // as stat(2) reports it: of a directory 2 + subdirectories
    u64 size;     // bytes: content, or the symbolic link's target; of a directory 0
    s64 mtime;    // seconds since 1970
    u32 mtime_ns; // below 10^9
    u32 rdev;     // device: minor & 0xff | major << 8 | (minor & 0xfff00) << 12
    u32 xattr;    // 0: none; else 1 + offset in the attributes area, a multiple of 4
    u32 parent;   // of a directory: inode number of "..", the root's is itself; else 0
    union {
        u64 data; // regular file: page-aligned offset; symbolic link: offset of the target
        struct {
            u32 first; // of a directory: index of its first entry
            u32 count; // entries, "." and ".." not among them
        };
    };
    u64 pad;
};

// The entries of a directory are adjacent and ordered by (hash, name); names are compared as bytes,
// a shorter one before a longer one that it begins.
struct rootimg_dirent {
    u32 hash; // ri_hash of the name
    u32 ino;
    u32 name; // offset in the names area; a NUL follows the name
    u8 name_len;
    u8 type; // DT_* as in getdents64(2)
    u16 pad;
};

// Attributes of an inode: a count, then that many of these, each padded with zero bytes to 4.
struct rootimg_xattr {
    u32 value_len;
    u32 name_len; // 1..255
    char bytes[]; // name, value
};

_Static_assert(sizeof(struct rootimg_super) == 128, "superblock");
_Static_assert(sizeof(struct rootimg_inode) == 64, "inode");
_Static_assert(sizeof(struct rootimg_dirent) == 16, "directory entry");

// An opened image. Filled by ri_open; constant afterwards, so readers need no lock.
struct rootimg {
    const u8 *base;
    u64 size;
    const struct rootimg_super *super;
    const struct rootimg_inode *inodes; // [0] is inode 1
    const struct rootimg_dirent *dirents;
    const char *names;
};

// Looks at the superblock of the image at base (8-byte aligned, size bytes readable) and fills
// *image. False if it is not an image, or a table lies outside it. Constant time.
bool ri_open(struct rootimg *image, const void *base, u64 size);

// 32-bit FNV-1a of the name's bytes.
static inline u32 ri_hash(const char *name, size_t len)
{
    u32 h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (u8)name[i]) * 16777619u;
    return h;
}

// Inode number ino, or NULL if there is none. Constant time.
const struct rootimg_inode *ri_inode(const struct rootimg *image, u32 ino);

// The number of an inode of this image.
static inline u32 ri_number(const struct rootimg *image, const struct rootimg_inode *inode)
{
    return (u32)(inode - image->inodes) + 1;
}

// The entry `name` of a directory, or NULL: no such name, not a directory, damaged. log2(entries)
// steps.
const struct rootimg_dirent *ri_lookup(const struct rootimg *image, const struct rootimg_inode *dir,
                                       const char *name, size_t len);

// Entry n (from 0) of a directory, in the order of the image, with its name checked; NULL past the
// end, if dir is not a directory, or if the entry is damaged. Constant time.
const struct rootimg_dirent *ri_entry(const struct rootimg *image, const struct rootimg_inode *dir,
                                      u64 n);

// Entries of a directory; 0 of anything else or if they would lie outside the table.
u32 ri_count(const struct rootimg *image, const struct rootimg_inode *dir);

// The name of an entry that ri_lookup or ri_entry returned: name_len bytes and a NUL.
static inline const char *ri_name(const struct rootimg *image, const struct rootimg_dirent *entry)
{
    return image->names + entry->name;
}

// Content of a regular file: page-aligned relative to base, size bytes then zeros up to a page
// boundary. NULL if it is not one or its content would lie outside the image; an empty file's is
// not NULL.
const void *ri_data(const struct rootimg *image, const struct rootimg_inode *inode);

// Target of a symbolic link: inode->size bytes (1..ROOTIMG_TARGET_MAX) and a NUL. NULL if it is not
// one or is damaged.
const char *ri_target(const struct rootimg *image, const struct rootimg_inode *inode);

// Extended attribute n (from 0) of an inode, NULL past the end or where damaged. n + 1 steps.
const struct rootimg_xattr *ri_xattr(const struct rootimg *image, const struct rootimg_inode *inode,
                                     u32 n);

#endif
