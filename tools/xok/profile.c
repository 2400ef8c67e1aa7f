// `xok profile FILE [PROGRAM...]`: where the instructions of a run went, by system part and
// function.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../profile/profile.h"
#include "xok.h"

static const char usage[] = "usage: xok profile FILE [--lines N] [--addresses] [PROGRAM...]\n"
                            "  FILE       what xok run --profile FILE left\n"
                            "  PROGRAM    ELF files at fixed addresses whose symbols to use beside "
                            "the kernel's and ExOS's\n"
                            "  --lines N  functions shown (default 40)\n"
                            "  --addresses  blocks instead of functions\n";

struct symbol {
    u64 start, end;
    const char *name, *part;
    u64 instructions;
};

struct table {
    struct symbol *s;
    size_t n, room;
};

static void *map_file(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        die("%s: %s", path, strerror(errno));
    void *p = st.st_size ? mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (p == MAP_FAILED)
        die("%s: it cannot be read", path);
    close(fd);
    *size = st.st_size;
    return p;
}

static void table_add(struct table *t, struct symbol s)
{
    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 4096;
        t->s = grow(t->s, t->room * sizeof *t->s);
    }
    t->s[t->n++] = s;
}

// Functions and labels of code. The file is ours or the user's own: only sizes are checked.
static void symbols_read(struct table *t, const char *path, const char *part)
{
    size_t size;
    const char *file = map_file(path, &size);
    const Elf64_Ehdr *e = (const void *)file;
    if (size < sizeof *e || memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_shoff > size ||
        e->e_shnum > (size - e->e_shoff) / sizeof(Elf64_Shdr))
        die("%s: not an ELF file with sections", path);
    const Elf64_Shdr *sh = (const void *)(file + e->e_shoff);
    for (int i = 0; i < e->e_shnum; i++) {
        if (sh[i].sh_type != SHT_SYMTAB || sh[i].sh_link >= e->e_shnum || sh[i].sh_offset > size ||
            sh[i].sh_size > size - sh[i].sh_offset)
            continue;
        const Elf64_Sym *sym = (const void *)(file + sh[i].sh_offset);
        const char *names = file + sh[sh[i].sh_link].sh_offset;
        for (size_t k = 0; k < sh[i].sh_size / sizeof *sym; k++) {
            int type = ELF64_ST_TYPE(sym[k].st_info);
            bool code =
                sym[k].st_shndx < e->e_shnum && sh[sym[k].st_shndx].sh_flags & SHF_EXECINSTR;
            if (code && (type == STT_FUNC || type == STT_NOTYPE) && names[sym[k].st_name])
                table_add(t, (struct symbol){sym[k].st_value, sym[k].st_value + sym[k].st_size,
                                             names + sym[k].st_name, part, 0});
        }
    }
}

static int by_address(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    return x->start != y->start ? (x->start < y->start ? -1 : 1)
           : x->end < y->end    ? -1
                                : x->end > y->end;
}

static int by_cost(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    return x->instructions > y->instructions ? -1 : x->instructions < y->instructions;
}

static const char *part_of(u64 address)
{
    return address >> 47                                           ? "kernel"
           : address >= 0x600000000000 && address < 0x608000000000 ? "exos"
                                                                   : "program";
}

static struct symbol *find(struct table *t, u64 address)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (t->s[mid].start <= address)
            low = mid + 1;
        else
            high = mid;
    }
    return low && !strcmp(t->s[low - 1].part, part_of(address)) ? &t->s[low - 1] : NULL;
}

static void print_share(const char *part, const char *name, u64 n, u64 total)
{
    printf("%14lu %5.1f%%  %-8s %s\n", n, total ? 100.0 * n / total : 0, part, name);
}

int command_profile(int argc, char **argv)
{
    const char *path = NULL;
    u64 lines = 40;
    bool addresses = false;
    struct table t = {0}, rest = {0};
    symbols_read(&t, path_join(program_dir(), "kernel/xok.elf"), "kernel");
    symbols_read(&t, path_join(program_dir(), "exos/exos.elf"), "exos");
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) {
            fputs(usage, stdout);
            return 0;
        } else if (!strcmp(argv[i], "--addresses")) {
            addresses = true;
        } else if (!strcmp(argv[i], "--lines") && i + 1 < argc) {
            if (!parse_number(argv[++i], 1u << 20, &lines))
                die("--lines %s: a number is wanted", argv[i]);
        } else if (!path) {
            path = argv[i];
        } else {
            symbols_read(&t, argv[i], "program");
        }
    }
    if (!path)
        die("no file; xok profile --help");
    size_t size;
    const struct profile *p = map_file(path, &size);
    if (size < sizeof *p || p->magic != PROFILE_MAGIC)
        die("%s: not made by xok run --profile", path);
    qsort(t.s, t.n, sizeof *t.s, by_address);
    u64 total = 0, part[3] = {0};
    const char *const parts[] = {"kernel", "exos", "program"};
    u64 n = p->blocks < PROFILE_BLOCKS ? p->blocks : PROFILE_BLOCKS;
    for (u64 i = 0; i < n; i++) {
        const struct profile_block *b = &p->block[i];
        u64 cost = b->instructions * b->runs;
        struct symbol *s = find(&t, b->address);
        total += cost;
        for (int k = 0; k < 3; k++)
            part[k] += strcmp(part_of(b->address), parts[k]) ? 0 : cost;
        if (addresses || !s)
            table_add(&rest, (struct symbol){
                                 b->address, b->address,
                                 format("%lx %s+%lx: %lu x %lu", b->address, s ? s->name : "?",
                                        s ? b->address - s->start : 0, b->runs, b->instructions),
                                 part_of(b->address), cost});
        else
            s->instructions += cost;
    }
    printf("%14lu instructions%s\n", total, p->lost ? " (and blocks that were not counted)" : "");
    for (int k = 0; k < 3; k++)
        print_share(parts[k], "", part[k], total);
    puts("");
    if (!addresses)
        for (size_t i = 0; i < t.n; i++)
            if (t.s[i].instructions)
                table_add(&rest, t.s[i]);
    if (rest.n)
        qsort(rest.s, rest.n, sizeof *rest.s, by_cost);
    for (u64 i = 0; i < rest.n && i < lines; i++)
        print_share(rest.s[i].part, rest.s[i].name, rest.s[i].instructions, total);
    return 0;
}
