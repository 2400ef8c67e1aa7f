// Where a root comes from, and the boot image made of it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xok/info.h>
#include "tree.h"

static bool map_image(struct root *root)
{
    struct stat st;
    if (fstat(root->fd, &st) < 0 || (u64)st.st_size <= root->off)
        return false;
    u64 size = st.st_size - root->off;
    void *base = mmap(NULL, size, PROT_READ, MAP_SHARED, root->fd, root->off);
    return base != MAP_FAILED && ri_open(&root->image, base, size);
}

static void build(struct root *root, struct tree *tree)
{
    root->fd = temp_file();
    tree_write(tree, root->fd);
    if (!map_image(root))
        die("the image that was built cannot be read back");
}

// A boot image holds a root image behind its header page.
static bool open_image(struct root *root, const u8 *first, size_t len)
{
    u64 magic = 0;
    if (len >= sizeof magic)
        memcpy(&magic, first, sizeof magic);
    if (magic == XOK_BOOT_MAGIC && len >= sizeof(struct xok_boot_header)) {
        struct xok_boot_header header;
        memcpy(&header, first, sizeof header);
        root->off = header.data_off;
    } else if (magic != ROOTIMG_MAGIC) {
        return false;
    }
    return root->off % XOK_PAGE_SIZE == 0;
}

void root_open(struct root *root, const char *from)
{
    struct stat st;
    *root = (struct root){.fd = -1};
    if (!from) {
        from = path_join(program_dir(), "root.img");
        if (access(from, R_OK) < 0)
            die("%s: %s: the built-in root has not been made; run make", from, strerror(errno));
    }
    if (stat(from, &st) < 0)
        die("%s: no such root file system (%s)", from, strerror(errno));
    if (S_ISDIR(st.st_mode)) {
        struct tree tree;
        tree_init(&tree);
        tree_add_directory(&tree, from);
        build(root, &tree);
        return;
    }
    root->fd = open(from, O_RDONLY | O_CLOEXEC);
    if (root->fd < 0)
        die("%s: %s", from, strerror(errno));
    u8 first[512];
    ssize_t n = S_ISREG(st.st_mode) ? pread(root->fd, first, sizeof first, 0) : 0;
    if (open_image(root, first, n < 0 ? 0 : n)) {
        if (!map_image(root))
            die("%s: the root image is damaged", from);
        return;
    }
    struct tree tree;
    tree_init(&tree);
    tree_add_tar(&tree, root->fd, from);
    build(root, &tree);
}

int boot_image(struct root *root)
{
    char *exos = path_join(program_dir(), "exos/exos.elf");
    int from = open(exos, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (from < 0 || fstat(from, &st) < 0)
        die("%s: %s; run make", exos, strerror(errno));
    u64 exec_end = XOK_PAGE_SIZE + st.st_size;
    struct xok_boot_header header = {
        .magic = XOK_BOOT_MAGIC,
        .exec_off = XOK_PAGE_SIZE,
        .exec_size = st.st_size,
        .data_off = (exec_end + XOK_PAGE_SIZE - 1) & ~(XOK_PAGE_SIZE - 1),
        .data_size = root->image.size,
    };
    int fd = temp_file();
    if (!write_all(fd, &header, sizeof header))
        die("writing the boot image: %s", strerror(errno));
    pad_to(fd, sizeof header, XOK_PAGE_SIZE);
    if (!copy_bytes(from, 0, fd, st.st_size))
        die("%s: ended early", exos);
    pad_to(fd, exec_end, header.data_off);
    if (!copy_bytes(root->fd, root->off, fd, root->image.size))
        die("the root image ended early");
    close(from);
    return fd;
}
