// A whole address space: made, copied by fork, emptied by exec and exit.
#include "vm/vm.h"
#include "core/calls.h"
#include "fs/vfs.h"
#include "vm/tables.h"

enum { BATCH = 32 };

struct vm *vm_new(void)
{
    struct vm *vm = heap_alloc(sizeof *vm);
    if (vm)
        vm->users = 1;
    return vm;
}

struct vm *vm_share(struct vm *vm)
{
    __atomic_add_fetch(&vm->users, 1, __ATOMIC_RELAXED);
    return vm;
}

bool vm_shared(struct vm *vm)
{
    return __atomic_load_n(&vm->users, __ATOMIC_ACQUIRE) > 1;
}

void vm_put(struct vm *vm)
{
    if (__atomic_sub_fetch(&vm->users, 1, __ATOMIC_ACQ_REL))
        return;
    if (vm->count)
        vm_clear(vm);
    heap_free(vm->area);
    heap_free(vm);
}

// Gives back what the space's tables hold; tables that others share are only let go.
static void pages_release(struct vm *vm)
{
    u64 done = 0;
    for (u32 i = 0; i < vm->count; i++) {
        u64 end = vm->area[i].end;
        for (u64 va = table_next(MAX(vm->area[i].start, done), end); va < end; va = table_next(done, end)) {
            done = (va | (TABLE_SPAN - 1)) + 1;
            if (table_unlink(va))
                continue;
            volatile u64 *pte = table_first(va);
            for (u32 left = table_entries(va); left; pte++) {
                left -= *pte != 0;
                if (pte_holds(*pte))
                    page_put(XOK_PTE_PPN(*pte));
            }
        }
    }
}

void vm_clear(struct vm *vm)
{
    lock_take(&vm->lock);
    pages_release(vm);
    for (u32 i = 0; i < vm->count; i++)
        if (vm->area[i].file)
            file_put(vm->area[i].file);
    vm->pages = vm->peak = 0, vm->rss = vm->peak_rss = 0;
    // The pages are free for others to take, and still mapped here until the next line; nothing of the
    // program runs any more.
    for (u64 i = 0, from = 0; i < vm->count; i++) {
        from = MAX(from, vm->area[i].start & -ROOT_SPAN);
        u64 to = (vm->area[i].end + ROOT_SPAN - 1) & -ROOT_SPAN;
        if (from < to)
            xok_space_clear(FAMILY, 0, from, to - from);
        from = MAX(from, to);
    }
    vm->count = 0;
    lock_drop(&vm->lock);
}

struct copy {
    struct xok_pt_op op[BATCH];
    u32 n, entries, env;
    u64 linked; // end of the last table that the child was given a link to
    u64 counted; // below it, every page that is to be the child's too has been counted for it
};

static s64 copy_run(struct copy *c)
{
    s64 done = c->n ? xok_pt_batch(FAMILY, c->env, c->op, c->n) : 0;
    bool ok = done == (s64)c->n;
    c->n = c->entries = 0;
    return ok ? 0 : -ENOMEM;
}

// One area's present pages, a table at a time: full tables are shared; of others, private pages lose W in
// both spaces and are marked.
static s64 copy_area(const struct area *a, struct copy *c)
{
    bool private = !(a->flags & MAP_SHARED);
    for (u64 va = table_next(a->start, a->end); va < a->end; va = table_next(va, a->end)) {
        u64 stop = MIN(a->end, (va | (TABLE_SPAN - 1)) + 1), first = 0, last = 0;
        if (stop <= c->linked || table_entries(va) >= TABLE_SHARE_MIN || table_linked(va)) {
            if (stop > c->linked && table_link(va, c->env))
                return -ENOMEM;
            c->linked = MAX(c->linked, (va | (TABLE_SPAN - 1)) + 1);
            va = stop;
            continue;
        }
        volatile u64 *pte = XOK_PTE(va);
        for (; va < stop; va += PAGE, pte++)
            if (pte_holds(*pte)) {
                page_ref(XOK_PTE_PPN(*pte));
                first = first ? first : va;
                last = va;
            }
        c->counted = stop;
        if (!first)
            continue;
        u32 count = (last - first) / PAGE + 1;
        c->op[c->n++] = (struct xok_pt_op){.va = first, .count = count, .kind = XOK_PT_COPY, .level = 1,
                                           .flags = XOK_PT_CREATE, .pte = private ? PTE_COW : 0,
                                           .clear = private ? XOK_PTE_W : 0};
        c->entries += count;
        if ((c->n == BATCH || c->entries > XOK_PT_OP_MAX - 512) && copy_run(c))
            return -ENOMEM;
    }
    return 0;
}

// The child comes to nothing: its space goes with its environment, what was counted of an area for it here.
static void copy_undo(const struct area *a, u64 counted)
{
    u64 end = MIN(a->end, counted);
    for (u64 va = table_next(a->start, end); va < end; va = table_next(va, end)) {
        u64 stop = MIN(end, (va | (TABLE_SPAN - 1)) + 1);
        bool linked = table_linked(va);
        for (volatile u64 *pte = XOK_PTE(va); va < stop; va += PAGE, pte++)
            if (!linked && pte_holds(*pte))
                page_put(XOK_PTE_PPN(*pte));
    }
}

s64 vm_fork(struct vm *from, struct vm *to, struct thread *child)
{
    struct copy c = {.env = child->env};
    s64 r = 0;
    lock_take(&from->lock);
    struct area *area = heap_alloc(from->room * sizeof *area);
    if (!area) {
        lock_drop(&from->lock);
        return -ENOMEM;
    }
    struct lock unlocked = LOCK_INIT;
    u32 users = to->users;
    *to = *from;
    to->lock = unlocked, to->users = users, to->area = area, to->count = 0;
    for (u32 i = 0; i < from->count && !r; i++) {
        area[i] = from->area[i];
        if (area[i].file)
            file_get(area[i].file);
        to->count++;
        r = copy_area(&area[i], &c);
    }
    if (!r)
        r = copy_run(&c);
    if (r) {
        for (u32 i = 0; i < to->count; i++) {
            copy_undo(&area[i], c.counted);
            if (area[i].file)
                file_put(area[i].file);
        }
        to->count = 0;
    }
    lock_drop(&from->lock);
    return r;
}

u64 vm_size_pages(struct vm *vm) { return vm->pages; }
u64 vm_rss_pages(struct vm *vm) { return vm->rss; }
