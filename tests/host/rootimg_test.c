// The root image: written by the tool, read back, and read when damaged (under AddressSanitizer).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../../tools/xok/check.h"
#include "../../tools/xok/tree.h"

// Trees live as long as the process, as in the tool.
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static u8 *bytes; // the image, in a heap block of its own size: ASan sees every byte too far
static u64 size;

static struct item *add(struct tree *tree, const char *path, u32 mode, const char *text)
{
    const char *last;
    size_t len;
    struct item *dir = tree_parent(tree, path, &last, &len), *item = item_new(tree, mode);
    assert_non_null(dir);
    if (S_ISLNK(mode))
        item->target = format("%s", text);
    if (S_ISREG(mode) && text) {
        item->source_fd = temp_file();
        item->size = strlen(text);
        assert_true(write_all(item->source_fd, text, item->size));
    }
    return tree_put(tree, dir, last, len, item);
}

static void load(struct tree *tree)
{
    int fd = temp_file();
    tree_write(tree, fd);
    size = lseek(fd, 0, SEEK_END);
    free(bytes);
    bytes = malloc(size);
    assert_true(pread_all(fd, bytes, size, 0));
    close(fd);
}

static void sample(struct tree *tree)
{
    tree_init(tree);
    add(tree, "/etc/passwd", S_IFREG | 0644, "root:x:0:0\n");
    struct item *tool = add(tree, "/usr/bin/tool", S_IFREG | 04755, "#!/bin/sh\n");
    tool->mtime = -5, tool->mtime_ns = 999999999, tool->uid = 7, tool->gid = 8;
    item_xattr(tool, "user.a", "1", 1);
    item_xattr(tool, "security.capability", "\1\0\2", 3);
    tree_put(tree, tree_lookup(tree, "usr/bin"), "tool2", 5, tool);
    add(tree, "/bin", S_IFLNK | 0777, "usr/bin");
    add(tree, "/bin/through", S_IFREG | 0600, NULL);
    struct item *device = add(tree, "/dev/null", S_IFCHR | 0666, NULL);
    device->rdev = rdev_encode(1, 3);
    for (int i = 0; i < 1000; i++) {
        char *name = format("/many/name%d", i);
        add(tree, name, S_IFREG | 0644, NULL);
        free(name);
    }
    load(tree);
}

static const struct rootimg_inode *at(const struct rootimg *image, const char *path)
{
    int error;
    return walk(image, "/", path, true, &error);
}

static void contents(void **state)
{
    (void)state;
    struct tree tree;
    struct rootimg image;
    sample(&tree);
    assert_true(ri_open(&image, bytes, size));
    assert_int_equal(image_check(&image, stderr), 0);
    const struct rootimg_inode *tool = at(&image, "/bin/tool2");
    assert_ptr_equal(tool, at(&image, "/usr/bin/../bin/./tool"));
    assert_int_equal(tool->nlink, 2);
    assert_int_equal(tool->mode, S_IFREG | 04755);
    assert_int_equal(tool->uid, 7);
    assert_int_equal(tool->gid, 8);
    assert_int_equal(tool->mtime, -5);
    assert_int_equal(tool->mtime_ns, 999999999);
    assert_memory_equal(ri_data(&image, tool), "#!/bin/sh\n", tool->size);
    assert_int_equal(((const u8 *)ri_data(&image, tool) - bytes) % XOK_PAGE_SIZE, 0);
    assert_non_null(at(&image, "/usr/bin/through"));
    assert_int_equal(at(&image, "/dev/null")->rdev, 1 << 8 | 3);
    assert_int_equal(at(&image, "/")->nlink, 2 + 4);
    assert_null(at(&image, "/etc/passwd/x"));
    assert_null(at(&image, "/etc/passw"));
    int error;
    const struct rootimg_inode *link = walk(&image, "/", "bin", false, &error);
    assert_string_equal(ri_target(&image, link), "usr/bin");
    assert_null(ri_data(&image, link));
    assert_null(ri_target(&image, tool));
}

static void lookup_finds_every_name_and_no_other(void **state)
{
    (void)state;
    struct tree tree;
    struct rootimg image;
    sample(&tree);
    assert_true(ri_open(&image, bytes, size));
    const struct rootimg_inode *many = at(&image, "/many");
    assert_int_equal(ri_count(&image, many), 1000);
    for (int i = 0; i < 2000; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "name%d", i);
        const struct rootimg_dirent *e = ri_lookup(&image, many, name, len);
        assert_int_equal(e != NULL, i < 1000);
        if (e)
            assert_string_equal(ri_name(&image, e), name);
    }
    assert_null(ri_lookup(&image, many, "", 0));
    assert_null(ri_entry(&image, many, 1000));
    assert_null(ri_lookup(&image, at(&image, "/etc/passwd"), "x", 1));
}

static void attributes(void **state)
{
    (void)state;
    struct tree tree;
    struct rootimg image;
    sample(&tree);
    assert_true(ri_open(&image, bytes, size));
    const struct rootimg_inode *tool = at(&image, "/bin/tool");
    const struct rootimg_xattr *x = ri_xattr(&image, tool, 1);
    assert_non_null(x);
    assert_int_equal(x->name_len, strlen("security.capability"));
    assert_memory_equal(x->bytes, "security.capability\1\0\2", x->name_len + 3);
    assert_non_null(ri_xattr(&image, tool, 0));
    assert_null(ri_xattr(&image, tool, 2));
    assert_null(ri_xattr(&image, at(&image, "/etc"), 0));
}

// Names with equal hashes lie side by side and are told apart by their bytes.
static void equal_hashes(void **state)
{
    (void)state;
    // Two pairs of names that 32-bit FNV-1a maps to one number each.
    static const char *const names[] = {"costarring", "liquid", "declinate", "macallums"};
    struct tree tree;
    struct rootimg image;
    assert_int_equal(ri_hash(names[0], strlen(names[0])), ri_hash(names[1], strlen(names[1])));
    assert_int_equal(ri_hash(names[2], strlen(names[2])), ri_hash(names[3], strlen(names[3])));
    tree_init(&tree);
    for (int i = 0; i < 4; i++)
        add(&tree, names[i], S_IFREG | 0644, NULL);
    load(&tree);
    assert_true(ri_open(&image, bytes, size));
    assert_int_equal(image_check(&image, stderr), 0);
    for (int i = 0; i < 4; i++)
        assert_string_equal(
            ri_name(&image, ri_lookup(&image, image.inodes, names[i], strlen(names[i]))), names[i]);
    assert_null(ri_lookup(&image, image.inodes, "liqui", 5));
}

static void same_tree_same_bytes(void **state)
{
    (void)state;
    struct tree tree;
    sample(&tree);
    u8 *first = bytes;
    u64 first_size = size;
    bytes = NULL;
    sample(&tree);
    assert_int_equal(first_size, size);
    assert_memory_equal(first, bytes, size);
    free(first);
}

static void no_image_at_all(void **state)
{
    (void)state;
    struct tree tree;
    struct rootimg image;
    sample(&tree);
    for (u64 n = 0; n < 4096; n += 8) {
        u8 *cut = malloc(n ? n : 1);
        memcpy(cut, bytes, n);
        assert_false(ri_open(&image, cut, n));
        free(cut);
    }
    assert_false(ri_open(&image, bytes, size - 1));
    u8 *zero = calloc(1, 4096);
    assert_false(ri_open(&image, zero, 4096));
    free(zero);
}

// Uses every reader on everything that can be reached.
static u64 touch_all(const struct rootimg *image)
{
    u64 sum = 0;
    for (u32 ino = 1; ino <= image->super->inode_count && ino < 2000; ino++) {
        const struct rootimg_inode *inode = ri_inode(image, ino);
        for (u64 i = 0; i < ri_count(image, inode) && i < 1200; i++) {
            const struct rootimg_dirent *e = ri_entry(image, inode, i);
            if (e)
                sum += strlen(ri_name(image, e)) +
                       (ri_lookup(image, inode, ri_name(image, e), e->name_len) != NULL);
        }
        const u8 *data = ri_data(image, inode);
        for (u64 i = 0; data && i < inode->size; i += 4095)
            sum += data[i];
        const char *target = ri_target(image, inode);
        sum += target ? strlen(target) : 0;
        for (u32 i = 0; i < 4; i++) {
            const struct rootimg_xattr *x = ri_xattr(image, inode, i);
            for (u32 b = 0; x && b < x->name_len + x->value_len; b++)
                sum += (u8)x->bytes[b];
        }
    }
    return sum;
}

static u64 next_random(u64 *seed)
{
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return *seed;
}

// A field of the tables set to a value that is wrong in an interesting way.
static void damage(u64 *seed)
{
    static const u64 values[] = {0,          1,    ~0ul, 1ul << 63,         0xffffffff,
                                 0x80000000, 4096, 4095, 0x7ffffffffffff000};
    struct rootimg_super *s = (void *)bytes;
    u64 tables = sizeof *s + 200 * 64, value = values[next_random(seed) % 9];
    if (next_random(seed) % 4 == 0)
        value = next_random(seed) % (size * 2);
    u64 where = next_random(seed) % 3 ? next_random(seed) % tables
                                      : s->dirent_off + next_random(seed) % 20000;
    u64 width = 1ul << next_random(seed) % 4;
    where &= ~(width - 1);
    if (where + width <= size)
        memcpy(bytes + where, &value, width);
}

static void hostile_images(void **state)
{
    (void)state;
    struct tree tree;
    struct rootimg image;
    u64 seed = 0x5eed, opened = 0, noticed = 0;
    FILE *null = fopen("/dev/null", "w");
    sample(&tree);
    u8 *good = malloc(size);
    memcpy(good, bytes, size);
    for (int round = 0; round < 400; round++) {
        memcpy(bytes, good, size);
        for (u64 n = next_random(&seed) % 8 + 1; n; n--)
            damage(&seed);
        if (!ri_open(&image, bytes, size))
            continue;
        opened++;
        touch_all(&image);
        // A count of inodes that the checker would have to believe takes memory, not safety.
        noticed += image.super->inode_count < 100000 && image_check(&image, null) > 0;
    }
    assert_true(opened > 50 && noticed > opened / 2);
    fclose(null);
    free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents),        cmocka_unit_test(lookup_finds_every_name_and_no_other),
        cmocka_unit_test(attributes),      cmocka_unit_test(equal_hashes),
        cmocka_unit_test(no_image_at_all), cmocka_unit_test(same_tree_same_bytes),
        cmocka_unit_test(hostile_images),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(bytes);
    return failed;
}
