// /proc/PID/maps, smaps, smaps_rollup: the areas of an address space.
#include "fs/procfs.h"
#include "linux/vdso.h"
#include "vm/vm.h"

// Under proc_lock, vm->lock held: the line of one area.
static void area_line(struct text *t, struct area *a)
{
    char line[640], path[512] = "";
    struct stat_native st = {0};
    bool vdso = a->file && a->file == vdso_file;
    if (a->file && a->file->inode && !vdso)
        inode_stat(a->file->inode, &st);
    if (a->file && file_path(a->file, path, sizeof path) < 0)
        path[0] = 0;
    const char *name = a->flags & AREA_STACK ? "[stack]" : a->flags & AREA_HEAP ? "[heap]" : vdso ? "[vdso]" : path;
    int n = snprintf(line, sizeof line, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu", a->start, a->end,
                     a->prot & PROT_READ ? 'r' : '-', a->prot & PROT_WRITE ? 'w' : '-', a->prot & PROT_EXEC ? 'x' : '-',
                     a->flags & MAP_SHARED ? 's' : 'p', a->file ? a->index * PAGE : 0ul, MAJOR(st.dev), MINOR(st.dev), st.ino);
    text_bytes(t, line, n);
    text_add(t, " %*s%s\n", *name ? MAX(1, 72 - n) : 0, "", name);
}

struct usage {
    u64 size, rss, pss, shared, private_clean, private_dirty, referenced, anonymous;
};

// What is present of an area: known of the caller's own space, whose tables it can read. Of others only the
// sum is (statm).
static struct usage area_usage(struct area *a, bool own)
{
    struct usage u = {.size = (a->end - a->start) / PAGE};
    for (u64 va = own ? table_next(a->start, a->end) : a->end; va < a->end; va = table_next(va, a->end)) {
        u64 stop = MIN(a->end, (va | ((1ul << 21) - 1)) + 1);
        for (volatile u64 *pte = XOK_PTE(va); va < stop; va += PAGE, pte++) {
            u64 e = *pte;
            if (!pte_holds(e))
                continue;
            u32 refs = page_refs(XOK_PTE_PPN(e));
            u.rss++;
            u.pss += 4096 / refs;
            if (refs > 1)
                u.shared++;
            else if (e & XOK_PTE_D)
                u.private_dirty++;
            else
                u.private_clean++;
            u.referenced += e & XOK_PTE_A ? 1 : 0;
            u.anonymous += !a->file || (!(a->flags & MAP_SHARED) && e & XOK_PTE_D);
        }
    }
    return u;
}

static void usage_rows(struct text *t, const struct usage *u, bool sizes)
{
    if (sizes)
        text_add(t, "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n", u->size * 4);
    text_add(t, "Rss:            %8lu kB\nPss:            %8lu kB\nPss_Dirty:      %8lu kB\n", u->rss * 4, u->pss / 1024,
             u->private_dirty * 4);
    text_add(t, "Shared_Clean:   %8lu kB\nShared_Dirty:   %8lu kB\nPrivate_Clean:  %8lu kB\nPrivate_Dirty:  %8lu kB\n",
             u->shared * 4, 0ul, u->private_clean * 4, u->private_dirty * 4);
    text_add(t, "Referenced:     %8lu kB\nAnonymous:      %8lu kB\n", u->referenced * 4, u->anonymous * 4);
    static const char *const none[] = {"KSM:", "LazyFree:", "AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:", "Shared_Hugetlb:",
                                       "Private_Hugetlb:", "Swap:", "SwapPss:", "Locked:"};
    for (u32 n = 0; n < countof(none); n++)
        text_add(t, "%-15s %8u kB\n", none[n], 0);
}

static void flags_row(struct text *t, const struct area *a)
{
    text_add(t, "THPeligible:           0\nVmFlags: %s%s%s%smr mw me %s\n", a->prot & PROT_READ ? "rd " : "",
             a->prot & PROT_WRITE ? "wr " : "", a->prot & PROT_EXEC ? "ex " : "", a->flags & MAP_SHARED ? "sh " : "",
             a->flags & MAP_GROWSDOWN ? "gd ac " : "ac ");
}

enum kind { MAPS, SMAPS, ROLLUP };
static s64 areas_show(struct text *t, const struct ref *r, enum kind kind)
{
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    struct vm *vm = p && !p->ending ? p->vm : NULL;
    struct usage sum = {0};
    bool own = p == proc_self();
    if (vm) {
        lock_take(&vm->lock);
        u64 first = vm->count ? vm->area[0].start : 0, last = vm->count ? vm->area[vm->count - 1].end : 0;
        if (kind == ROLLUP)
            text_add(t, "%08lx-%08lx ---p 00000000 00:00 0 %*s[rollup]\n", first, last, 26, "");
        for (u32 i = 0; i < vm->count; i++) {
            struct area *a = &vm->area[i];
            if (kind != ROLLUP)
                area_line(t, a);
            if (kind == MAPS)
                continue;
            struct usage u = area_usage(a, own);
            if (kind == SMAPS) {
                usage_rows(t, &u, true);
                flags_row(t, a);
            }
            sum.rss += u.rss, sum.pss += u.pss, sum.shared += u.shared, sum.private_clean += u.private_clean;
            sum.private_dirty += u.private_dirty, sum.referenced += u.referenced, sum.anonymous += u.anonymous;
        }
        if (kind == ROLLUP && !own)
            sum.rss = vm->rss, sum.pss = vm->rss * 4096;
        lock_drop(&vm->lock);
        if (kind == ROLLUP)
            usage_rows(t, &sum, false);
    }
    lock_drop(&proc_lock);
    return p ? 0 : -ESRCH;
}

s64 maps_show(struct text *t, const struct ref *r) { return areas_show(t, r, MAPS); }
s64 smaps_show(struct text *t, const struct ref *r) { return areas_show(t, r, SMAPS); }
s64 smaps_rollup_show(struct text *t, const struct ref *r) { return areas_show(t, r, ROLLUP); }
