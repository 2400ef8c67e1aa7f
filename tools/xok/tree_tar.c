// A tree from a tar archive: ustar, pax and GNU headers, plain or compressed, from a file or a
// pipe. Formats: POSIX.1-2017 pax "Extended Description"; the GNU tar manual, "Basic Tar Format".
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tree.h"

#define BLOCK 512ul
#define META_MAX                                                                                   \
    (1u << 20) // longest pax header or long name taken: attributes are at most 64 KiB each

struct header { // ustar; GNU has the same fields up to devminor
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6],
        version[2];
    char uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "tar header");

struct member { // one entry, with what extended headers said about it
    char *path, *link;
    u64 size;
    s64 mtime;
    u32 mtime_ns, uid, gid;
    bool has_size, has_mtime, has_uid, has_gid;
    struct item attributes; // only its xattrs
};

struct tar {
    struct tree *tree;
    int fd; // seekable
    u64 at;
    const char *name;
    struct member global;
};

static u32 header_sum(const struct header *h)
{
    u32 sum = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        bool in_sum = i >= offsetof(struct header, sum) && i < offsetof(struct header, sum) + 8;
        sum += in_sum ? ' ' : ((const u8 *)h)[i];
    }
    return sum;
}

// Octal text, or GNU's base 256 when the first bit is set.
static s64 field(const char *text, size_t len)
{
    const u8 *p = (const u8 *)text;
    u64 n = 0;
    if (p[0] & 0x80) {
        n = p[0] & 0x40 ? ~0ul : p[0] & 0x3f;
        for (size_t i = 1; i < len; i++)
            n = n << 8 | p[i];
        return n;
    }
    for (size_t i = 0; i < len && p[i]; i++)
        if (p[i] >= '0' && p[i] <= '7')
            n = n << 3 | (p[i] - '0');
    return n;
}

bool tar_looks_like(const u8 *block, size_t len)
{
    const struct header *h = (const void *)block;
    return len >= BLOCK && h->name[0] && (u32)field(h->sum, 8) == header_sum(h);
}

// Text of at most len bytes that a NUL may end.
static char *text_field(const char *p, size_t len)
{
    return format("%.*s", (int)strnlen(p, len), p);
}

static char *take_text(struct tar *tar, u64 len)
{
    if (len > META_MAX)
        die("%s: a header of %lu bytes", tar->name, len);
    char *text = make(len + 1);
    if (!pread_all(tar->fd, text, len, tar->at))
        die("%s: the archive ends in the middle", tar->name);
    return text;
}

static void take_record(struct tar *tar, struct member *m, const char *key, const char *value,
                        size_t len)
{
    char *end;
    if (!strcmp(key, "path")) {
        m->path = format("%s", value);
    } else if (!strcmp(key, "linkpath")) {
        m->link = format("%s", value);
    } else if (!strcmp(key, "size")) {
        m->size = strtoull(value, NULL, 10), m->has_size = true;
    } else if (!strcmp(key, "uid")) {
        m->uid = strtoul(value, NULL, 10), m->has_uid = true;
    } else if (!strcmp(key, "gid")) {
        m->gid = strtoul(value, NULL, 10), m->has_gid = true;
    } else if (!strcmp(key, "mtime")) {
        m->mtime = strtoll(value, &end, 10), m->has_mtime = true;
        m->mtime_ns = 0;
        u32 unit = 100000000;
        for (const char *p = *end == '.' ? end + 1 : ""; *p >= '0' && *p <= '9'; p++, unit /= 10)
            m->mtime_ns += (*p - '0') * unit;
        if (value[0] == '-' && m->mtime_ns)
            m->mtime--, m->mtime_ns = 1000000000 - m->mtime_ns;
    } else if (!strncmp(key, "SCHILY.xattr.", 13)) {
        item_xattr(&m->attributes, key + 13, value, len);
    } else if (!strncmp(key, "GNU.sparse.", 11)) {
        die("%s: sparse members are not supported", tar->name);
    }
}

// Records "LENGTH KEY=VALUE\n".
static void take_pax(struct tar *tar, struct member *m, u64 size)
{
    char *text = take_text(tar, size), *end = text + size;
    for (char *p = text; p < end;) {
        char *key, *equals;
        u64 len = strtoul(p, &key, 10);
        if (*key != ' ' || len > (u64)(end - p) || p + len <= key + 1 || p[len - 1] != '\n' ||
            !(equals = memchr(key, '=', p + len - key)))
            die("%s: a damaged pax header", tar->name);
        p += len;
        p[-1] = 0, *equals = 0;
        take_record(tar, m, key + 1, equals + 1, p - 1 - (equals + 1));
    }
    free(text);
}

static struct item *hard_link(struct tar *tar, const struct member *m)
{
    struct item *target = tree_lookup(tar->tree, m->link);
    if (!target || S_ISDIR(target->mode))
        die("%s: %s: a hard link to %s, which is not there", tar->name, m->path, m->link);
    return target;
}

static struct item *member_item(struct tar *tar, const struct header *h, const struct member *m)
{
    static const u32 types[] = {['0'] = S_IFREG, ['2'] = S_IFLNK, ['3'] = S_IFCHR, ['4'] = S_IFBLK,
                                ['5'] = S_IFDIR, ['6'] = S_IFIFO, ['7'] = S_IFREG};
    u32 type = (u8)h->type < sizeof types / sizeof *types ? types[(u8)h->type] : 0;
    if (!h->type)
        type = m->path[0] && m->path[strlen(m->path) - 1] == '/' ? S_IFDIR : S_IFREG;
    if (h->type == '1')
        return hard_link(tar, m);
    if (!type)
        die("%s: %s: members of type '%c' are not supported", tar->name, m->path, h->type);
    struct item *item = item_new(tar->tree, type | (field(h->mode, 8) & 07777));
    item->uid = m->uid, item->gid = m->gid;
    item->mtime = m->mtime, item->mtime_ns = m->mtime_ns;
    item->xattrs = m->attributes.xattrs, item->xattr_count = m->attributes.xattr_count;
    if (type == S_IFREG)
        item->size = m->size, item->source_fd = tar->fd, item->source_off = tar->at;
    if (type == S_IFLNK)
        item->target = m->link;
    if (type == S_IFCHR || type == S_IFBLK)
        item->rdev = rdev_encode(field(h->major, 8), field(h->minor, 8));
    return item;
}

static void complete(struct member *m, const struct member *global, const struct header *h)
{
    bool ustar = !memcmp(h->magic, "ustar", 6); // GNU's is "ustar " and has other things in prefix
    if (!m->path && global->path)
        m->path = global->path;
    if (!m->path) {
        char *name = text_field(h->name, sizeof h->name),
             *prefix = text_field(h->prefix, sizeof h->prefix);
        m->path = ustar && prefix[0] ? path_join(prefix, name) : name;
    }
    if (!m->link)
        m->link = text_field(h->link, sizeof h->link);
    if (!m->has_size)
        m->size = field(h->size, 12);
    if (!m->has_uid)
        m->uid = global->has_uid ? global->uid : (u32)field(h->uid, 8);
    if (!m->has_gid)
        m->gid = global->has_gid ? global->gid : (u32)field(h->gid, 8);
    if (!m->has_mtime && global->has_mtime)
        m->mtime = global->mtime, m->mtime_ns = global->mtime_ns;
    else if (!m->has_mtime)
        m->mtime = field(h->mtime, 12);
}

static void add_member(struct tar *tar, const struct header *h, const struct member *m)
{
    const char *last;
    size_t len;
    struct item *dir = tree_parent(tar->tree, m->path, &last, &len);
    if (!dir)
        die("%s: %s: the path leads out of the archive or through a file", tar->name, m->path);
    struct item *item = member_item(tar, h, m);
    if (len) {
        tree_put(tar->tree, dir, last, len, item);
    } else if (S_ISDIR(item->mode)) {
        struct item *root = tar->tree->root;
        root->mode = item->mode, root->uid = item->uid, root->gid = item->gid;
        root->mtime = item->mtime, root->mtime_ns = item->mtime_ns;
        root->xattrs = item->xattrs, root->xattr_count = item->xattr_count;
    }
}

static void take_members(struct tar *tar)
{
    struct member m = {0};
    struct header h;
    while (pread_all(tar->fd, &h, BLOCK, tar->at)) {
        tar->at += BLOCK;
        if (!h.name[0] && header_sum(&h) == 8 * ' ')
            return;
        if ((u32)field(h.sum, 8) != header_sum(&h))
            die("%s: a damaged tar header at byte %lu", tar->name, tar->at - BLOCK);
        u64 size = field(h.size, 12);
        if (h.type == 'x') {
            take_pax(tar, &m, size);
        } else if (h.type == 'g') {
            take_pax(tar, &tar->global, size);
        } else if (h.type == 'L') {
            m.path = take_text(tar, size);
        } else if (h.type == 'K') {
            m.link = take_text(tar, size);
        } else {
            complete(&m, &tar->global, &h);
            bool has_data = h.type == '0' || h.type == '7' || !h.type;
            size = has_data ? m.size : h.type == '1' ? 0 : size;
            add_member(tar, &h, &m);
            m = (struct member){0};
        }
        tar->at += (size + BLOCK - 1) / BLOCK * BLOCK;
    }
}

// The archive as a seekable file: itself, or what `program -dc` (or a copy) makes of it.
static int seekable(int fd, const char *program, const char *name)
{
    if (!program && lseek(fd, 0, SEEK_CUR) >= 0)
        return fd;
    int out = temp_file();
    pid_t child = fork();
    if (child < 0)
        die("fork: %s", strerror(errno));
    if (!child) {
        dup2(fd, 0), dup2(out, 1);
        execlp(program ? program : "cat", program ? program : "cat", program ? "-dc" : NULL, NULL);
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (status)
        die(WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "%s: %s is needed to read it"
                                                            : "%s: %s could not read it",
            name, program ? program : "cat");
    return out;
}

static const char *compressor(const u8 *first)
{
    if (!memcmp(first, "\x1f\x8b", 2))
        return "gzip";
    if (!memcmp(first,
                "\xfd"
                "7zXZ",
                5))
        return "xz";
    return memcmp(first, "\x28\xb5\x2f\xfd", 4) ? NULL : "zstd";
}

void tree_add_tar(struct tree *tree, int fd, const char *name)
{
    u8 first[BLOCK] = {0};
    fd = seekable(fd, NULL, name);
    ssize_t n = pread(fd, first, sizeof first, 0);
    const char *program = n < 6 ? NULL : compressor(first);
    if (program) {
        lseek(fd, 0, SEEK_SET);
        fd = seekable(fd, program, name);
        n = pread(fd, first, sizeof first, 0);
    }
    if (!tar_looks_like(first, n < 0 ? 0 : n))
        die("%s: not a tar archive", name);
    struct tar tar = {.tree = tree, .fd = fd, .name = name};
    take_members(&tar);
}
