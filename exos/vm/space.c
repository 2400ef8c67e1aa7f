// A whole address space: made, copied by fork, emptied by exec and exit.
#include "vm/vm.h"
#include "core/calls.h"
#include "fs/vfs.h"

enum { BATCH = 32 };

struct vm *vm_new(void)
{
    struct vm *vm = heap_alloc(sizeof *vm);
    if (vm)
        vm->users = 1;
    return vm;
}

void vm_free(struct vm *vm)
{
    heap_free(vm->area);
    heap_free(vm);
}

void vm_clear(struct vm *vm)
{
    lock_take(&vm->lock);
    for (u32 i = 0; i < vm->count; i++) {
        struct area *a = &vm->area[i];
        for (u64 va = table_next(a->start, a->end); va < a->end; va = table_next(va, a->end)) {
            u64 stop = MIN(a->end, (va | ((1ul << 21) - 1)) + 1);
            volatile u64 *pte = XOK_PTE(va);
            for (; va < stop; va += PAGE, pte++)
                if (pte_holds(*pte))
                    page_put(XOK_PTE_PPN(*pte));
        }
        if (a->file)
            file_put(a->file);
    }
    vm->count = 0, vm->pages = vm->peak = 0, vm->rss = vm->peak_rss = 0;
    // The pages are free for others to take, and still mapped here until the next line; nothing of the
    // program runs any more.
    xok_space_clear(FAMILY, 0, 0, XOK_SELFMAP);
    xok_space_clear(FAMILY, 0, ARENA_END, (1ul << 47) - ARENA_END);
    lock_drop(&vm->lock);
}

struct copy {
    struct xok_pt_op op[BATCH];
    u32 n, entries, env;
};

static s64 copy_run(struct copy *c)
{
    s64 done = c->n ? xok_pt_batch(FAMILY, c->env, c->op, c->n) : 0;
    bool ok = done == (s64)c->n;
    c->n = c->entries = 0;
    return ok ? 0 : -ENOMEM;
}

// One area's present pages, a table at a time: private ones lose W in both spaces and are marked.
static s64 copy_area(struct vm *from, const struct area *a, struct copy *c)
{
    bool private = !(a->flags & MAP_SHARED);
    for (u64 va = table_next(a->start, a->end); va < a->end; va = table_next(va, a->end)) {
        u64 stop = MIN(a->end, (va | ((1ul << 21) - 1)) + 1), first = 0, last = 0;
        volatile u64 *pte = XOK_PTE(va);
        for (; va < stop; va += PAGE, pte++)
            if (pte_holds(*pte)) {
                page_ref(XOK_PTE_PPN(*pte));
                first = first ? first : va;
                last = va;
            }
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
    (void)from;
    return 0;
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
        r = copy_area(from, &area[i], &c);
    }
    if (!r)
        r = copy_run(&c);
    lock_drop(&from->lock);
    return r;
}

u64 vm_size_pages(struct vm *vm) { return vm->pages; }
u64 vm_rss_pages(struct vm *vm) { return vm->rss; }

// A copy that fork made and nobody ran: its space goes with its environment, its pages here. The pages
// are the parent's, so the parent's tables say which.
void vm_discard(struct vm *vm)
{
    for (u32 i = 0; i < vm->count; i++) {
        struct area *a = &vm->area[i];
        for (u64 va = table_next(a->start, a->end); va < a->end; va = table_next(va, a->end)) {
            u64 stop = MIN(a->end, (va | ((1ul << 21) - 1)) + 1);
            volatile u64 *pte = XOK_PTE(va);
            for (; va < stop; va += PAGE, pte++)
                if (pte_holds(*pte))
                    page_put(XOK_PTE_PPN(*pte));
        }
        if (a->file)
            file_put(a->file);
    }
    vm_free(vm);
}
