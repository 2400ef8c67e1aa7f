// `xok image`: builds root images and looks into them.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>
#include "tree.h"
#include "check.h"

static const char usage[] =
    "usage: xok image build FROM -o IMG [--owner UID:GID]  from a directory or a tar (plain, gzip, "
    "xz, zstd)\n"
    "       xok image boot [FROM] -o IMG                   the same with ExOS: what the machine "
    "boots\n"
    "       xok image ls IMG [PATH]                        like ls -lR, one path a line\n"
    "       xok image cat IMG PATH\n"
    "       xok image extract IMG DIR\n"
    "       xok image check IMG                            says what is wrong, status 1\n";

static void mode_text(u32 mode, char *text)
{
    static const char types[] = "?pc?d?b?-?l?s???";
    strcpy(text, "?rwxrwxrwx");
    text[0] = types[mode >> 12 & 15];
    for (int bit = 0; bit < 9; bit++)
        if (!(mode >> (8 - bit) & 1))
            text[1 + bit] = '-';
    if (mode & S_ISUID)
        text[3] = mode & 0100 ? 's' : 'S';
    if (mode & S_ISGID)
        text[6] = mode & 010 ? 's' : 'S';
    if (mode & S_ISVTX)
        text[9] = mode & 1 ? 't' : 'T';
}

static void list_one(const struct rootimg *image, const struct rootimg_inode *inode,
                     const char *path)
{
    char mode[11], when[32], size[32];
    time_t t = inode->mtime;
    mode_text(inode->mode, mode);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", gmtime(&t));
    if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
        snprintf(size, sizeof size, "%u,%u", inode->rdev >> 8 & 0xfff,
                 (inode->rdev & 0xff) | (inode->rdev >> 12 & 0xfff00));
    else
        snprintf(size, sizeof size, "%lu", inode->size);
    const char *target = ri_target(image, inode);
    printf("%s %u %u %u %s %s %s%s%s\n", mode, inode->nlink, inode->uid, inode->gid, size, when,
           path, target ? " -> " : "", target ? target : "");
}

typedef void visit(const struct rootimg *image, const struct rootimg_inode *inode, const char *path,
                   void *arg);

static int entry_order(const void *a, const void *b, void *names)
{
    const struct rootimg_dirent *x = *(void *const *)a, *y = *(void *const *)b;
    return strcmp((const char *)names + x->name, (const char *)names + y->name);
}

// Everything below dir in the order of names. Depth is bounded, so that a loop in a bad image ends.
static void each(const struct rootimg *image, const struct rootimg_inode *dir, const char *path,
                 visit *fn, void *arg, int depth)
{
    u32 count = ri_count(image, dir), n = 0;
    const struct rootimg_dirent **list = make((count + 1ul) * sizeof *list);
    for (u32 i = 0; i < count; i++)
        if ((list[n] = ri_entry(image, dir, i)))
            n++;
    qsort_r(list, n, sizeof *list, entry_order, (void *)image->names);
    for (u32 i = 0; i < n; i++) {
        char *name = path_join(path, ri_name(image, list[i]));
        const struct rootimg_inode *inode = ri_inode(image, list[i]->ino);
        fn(image, inode, name, arg);
        if (S_ISDIR(inode->mode)) {
            if (depth >= 256)
                die("%s: directories nest too deep", name);
            each(image, inode, name, fn, arg, depth + 1);
        }
        free(name);
    }
    free(list);
}

static void visit_list(const struct rootimg *image, const struct rootimg_inode *inode,
                       const char *path, void *arg)
{
    (void)arg;
    list_one(image, inode, path);
}

static const struct rootimg_inode *find(const struct rootimg *image, const char *path)
{
    int error;
    const struct rootimg_inode *inode = walk(image, "/", path, true, &error);
    if (!inode)
        die("%s: %s", path, strerror(error));
    return inode;
}

static int image_ls(const struct rootimg *image, const char *path)
{
    const struct rootimg_inode *inode = find(image, path);
    list_one(image, inode, path);
    if (S_ISDIR(inode->mode))
        each(image, inode, path, visit_list, NULL, 0);
    return 0;
}

static int image_cat(const struct rootimg *image, const char *path)
{
    const struct rootimg_inode *inode = find(image, path);
    const void *data = ri_data(image, inode);
    if (!data)
        die("%s: not a regular file", path);
    if (!write_all(STDOUT_FILENO, data, inode->size))
        die("standard output: %s", strerror(errno));
    return 0;
}

struct extract {
    const char *to;
    char **made; // by inode number: the first path, for hard links
};

static void must(int result, const char *path)
{
    if (result < 0)
        die("%s: %s", path, strerror(errno));
}

static void extract_content(const struct rootimg *image, const struct rootimg_inode *inode,
                            const char *path)
{
    const void *data = ri_data(image, inode);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    must(fd, path);
    if (!data || !write_all(fd, data, inode->size))
        die("%s: %s", path, data ? strerror(errno) : "damaged");
    close(fd);
}

static void extract_one(const struct rootimg *image, const struct rootimg_inode *inode,
                        const char *path, void *arg)
{
    struct extract *x = arg;
    const char *name = strrchr(path, '/') + 1;
    if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || strlen(name) != strcspn(name, "/"))
        die("%s: an unsafe name", path);
    char *to = format("%s%s", x->to, path), **first = &x->made[ri_number(image, inode)];
    if (*first && !S_ISDIR(inode->mode)) {
        must(link(*first, to), to);
        free(to);
        return;
    }
    const char *target = ri_target(image, inode);
    u32 major_nr = inode->rdev >> 8 & 0xfff,
        minor_nr = (inode->rdev & 0xff) | (inode->rdev >> 12 & 0xfff00);
    if (S_ISDIR(inode->mode))
        must(mkdir(to, 0700), to);
    else if (S_ISREG(inode->mode))
        extract_content(image, inode, to);
    else if (target)
        must(symlink(target, to), to);
    else
        must(mknod(to, inode->mode, makedev(major_nr, minor_nr)), to);
    *first = to;
    if (geteuid() == 0)
        must(lchown(to, inode->uid, inode->gid), to);
    if (!target)
        must(chmod(to, inode->mode & 07777), to);
}

static void set_time(const struct rootimg *image, const struct rootimg_inode *inode,
                     const char *path, void *arg)
{
    (void)image;
    char *to = format("%s%s", ((struct extract *)arg)->to, path);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {inode->mtime, inode->mtime_ns}};
    must(utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW), to);
    free(to);
}

static int image_extract(const struct rootimg *image, const char *to)
{
    if (mkdir(to, 0755) < 0 && errno != EEXIST)
        die("%s: %s", to, strerror(errno));
    struct extract x = {.to = to, .made = make((image->super->inode_count + 1ul) * sizeof *x.made)};
    const struct rootimg_inode *root = ri_inode(image, ROOTIMG_ROOT);
    each(image, root, "", extract_one, &x, 0);
    each(image, root, "", set_time, &x, 0); // afterwards: making a name changes its directory's
    return 0;
}

// Puts what `write` writes in place of `to`, whole or not at all.
static int output_open(const char *to, char **temporary)
{
    *temporary = format("%s.new.%d", to, getpid());
    int fd = open(*temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        die("%s: %s", *temporary, strerror(errno));
    return fd;
}

static void output_close(int fd, const char *temporary, const char *to)
{
    if (close(fd) < 0 || rename(temporary, to) < 0)
        die("%s: %s", to, strerror(errno));
}

struct build {
    const char *from, *to;
    bool owned;
    u64 uid, gid;
};

static bool parse_owner(struct build *b, const char *text)
{
    char *copy = format("%s", text), *colon = strchr(copy, ':');
    if (!colon)
        return false;
    *colon = 0;
    b->owned = parse_number(copy, UINT32_MAX - 1, &b->uid) &&
               parse_number(colon + 1, UINT32_MAX - 1, &b->gid);
    return b->owned;
}

static bool parse_build(struct build *b, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "-o") && i + 1 < argc)
            b->to = argv[++i];
        else if (!strcmp(argv[i], "--owner") && i + 1 < argc && parse_owner(b, argv[i + 1]))
            i++;
        else if (argv[i][0] != '-' && !b->from)
            b->from = argv[i];
        else
            return false;
    }
    return b->to;
}

static int image_build(const struct build *b)
{
    struct stat st;
    struct tree tree;
    tree_init(&tree);
    if (stat(b->from, &st) == 0 && S_ISDIR(st.st_mode)) {
        tree_add_directory(&tree, b->from);
    } else {
        int fd = strcmp(b->from, "-") ? open(b->from, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
        if (fd < 0)
            die("%s: %s", b->from, strerror(errno));
        tree_add_tar(&tree, fd, b->from);
    }
    if (b->owned)
        tree_own(&tree, b->uid, b->gid);
    char *temporary;
    int fd = output_open(b->to, &temporary);
    tree_write(&tree, fd);
    output_close(fd, temporary, b->to);
    return 0;
}

static int image_boot(const struct build *b)
{
    struct root root;
    struct stat st;
    char *temporary;
    root_open(&root, b->from);
    int from = boot_image(&root), to = output_open(b->to, &temporary);
    if (fstat(from, &st) < 0 || !copy_bytes(from, 0, to, st.st_size))
        die("the boot image ended early");
    output_close(to, temporary, b->to);
    return 0;
}

static void image_only(struct root *root, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        die("%s: not a root image", path);
    root_open(root, path);
}

int command_image(int argc, char **argv)
{
    const char *verb = argc > 0 ? argv[0] : "";
    struct build b = {0};
    struct root root;
    if (!strcmp(verb, "build") && parse_build(&b, argc - 1, argv + 1) && b.from)
        return image_build(&b);
    if (!strcmp(verb, "boot") && parse_build(&b, argc - 1, argv + 1) && !b.owned)
        return image_boot(&b);
    if (argc >= 2) {
        image_only(&root, argv[1]);
        if (!strcmp(verb, "ls") && argc <= 3)
            return image_ls(&root.image, argc == 3 ? argv[2] : "/");
        if (!strcmp(verb, "cat") && argc == 3)
            return image_cat(&root.image, argv[2]);
        if (!strcmp(verb, "extract") && argc == 3)
            return image_extract(&root.image, argv[2]);
        if (!strcmp(verb, "check") && argc == 2)
            return image_check(&root.image, stdout) ? 1 : 0;
    }
    fputs(usage, stderr);
    return STATUS_XOK;
}
