// A plugin for QEMU's TCG that counts how often each translated block runs: `xok run --profile FILE`.
//
// Counts live in a file mapped shared, so that they are there however QEMU ends. Only the few
// declarations of QEMU's plugin interface (version 1) that are used stand here: Debian ships no header.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "profile.h"

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { QEMU_PLUGIN_INLINE_ADD_U64 = 0 };
typedef void (*tb_trans_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *ptr, uint64_t imm);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static struct profile *profile;

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    uint64_t n = __atomic_fetch_add(&profile->blocks, 1, __ATOMIC_RELAXED);
    if (n >= PROFILE_BLOCKS) {
        profile->lost++;
        return;
    }
    struct profile_block *b = &profile->block[n];
    b->address = qemu_plugin_tb_vaddr(tb);
    b->instructions = qemu_plugin_tb_n_insns(tb);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &b->runs, 1);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
                                                               char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "to=", 3)) {
        fprintf(stderr, "profile plugin: to=PATH is wanted\n");
        return -1;
    }
    int fd = open(argv[0] + 3, O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || ftruncate(fd, sizeof *profile) < 0 ||
        (profile = mmap(NULL, sizeof *profile, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
        perror(argv[0] + 3);
        return -1;
    }
    profile->magic = PROFILE_MAGIC;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
