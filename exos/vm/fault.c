// Page faults, and the few ways a page gets into or out of a program's address space.
#include "vm/vm.h"
#include "core/calls.h"
#include "fs/vfs.h"
#include "vm/tables.h"

enum { ERR_WRITE = 2, ERR_FETCH = 16, STACK_GUARD = 256 * 4096 };
#define AROUND 16ul // pages mapped by one fault where it is cheap

u64 pte_get(u64 va)
{
    if (!(*XOK_PML4E(va) & XOK_PTE_P) || !(*XOK_PDPTE(va) & XOK_PTE_P) || !(*XOK_PDE(va) & XOK_PTE_P))
        return 0;
    return *XOK_PTE(va);
}

s64 pte_put(u64 va, u64 pte)
{
    struct xok_pt_op op = {.va = va, .pte = pte, .count = 1, .kind = XOK_PT_SET, .level = 1, .flags = XOK_PT_CREATE};
    if (table_own(va))
        return -ENOMEM;
    return xok_pt_batch(FAMILY, 0, &op, 1) == 1 ? 0 : -ENOMEM;
}

u64 prot_bits(u32 prot)
{
    return XOK_PTE_P | XOK_PTE_U | (prot & PROT_WRITE ? XOK_PTE_W : 0) | (prot & PROT_EXEC ? 0 : XOK_PTE_NX);
}

void *page_contents(u64 ppn)
{
    u64 module = ppn - XOK_INFO->module_ppn;
    return module < XOK_INFO->module_pages ? (void *)(MODULE_VA + module * PAGE) : page_va(ppn);
}

// Copy on write at a present page.
static int fault_copy(struct area *a, u64 va, u64 pte)
{
    u64 ppn = XOK_PTE_PPN(pte);
    if (page_refs(ppn) == 1) {
        pte_put(va, ppn * PAGE | prot_bits(a->prot) | XOK_PTE_A | XOK_PTE_D);
        return 0;
    }
    u64 copy = page_get();
    if (!copy)
        return VM_NOMEM;
    page_copy(page_va(copy), page_contents(ppn));
    if (pte_put(va, copy * PAGE | prot_bits(a->prot) | XOK_PTE_A | XOK_PTE_D)) {
        page_put(copy);
        return VM_NOMEM;
    }
    page_put(ppn);
    return 0;
}

static int fault_anonymous(struct vm *vm, struct area *a, u64 va)
{
    u64 ppn = page_get_zero();
    if (!ppn)
        return VM_NOMEM;
    if (pte_put(va, ppn * PAGE | prot_bits(a->prot) | XOK_PTE_A | XOK_PTE_D)) {
        page_put(ppn);
        return VM_NOMEM;
    }
    vm->rss++;
    return 0;
}

// Maps, with the page at va, its neighbours in the same 64 KiB that cost nothing to find: pages of the root
// image, used in place. Programs touch most of what lies near. False: none was mapped.
static bool fault_around(struct vm *vm, struct area *a, u64 va, u64 bits, bool text)
{
    struct xok_pt_op op[AROUND];
    u64 start = MAX(a->start, va & -(AROUND * PAGE)), end = MIN(a->end, (va & -(AROUND * PAGE)) + AROUND * PAGE);
    u64 index = a->index + (start - a->start) / PAGE;
    u64 first = file_run(a->file, index, (end - start) / PAGE);
    u32 n = 0, mapped = 0;
    if (!first)
        return false;
    for (u64 at = start; at < end; at += PAGE) {
        if (pte_get(at))
            continue;
        u64 k = (at - start) / PAGE, patched = text ? text_patched(a->file, index + k) : 0;
        u64 pte = (patched ? patched : first + k) * PAGE | bits;
        mapped++;
        if (n && op[n - 1].va + op[n - 1].count * PAGE == at && op[n - 1].pte + op[n - 1].count * PAGE == pte)
            op[n - 1].count++;
        else
            op[n++] = (struct xok_pt_op){.va = at, .pte = pte, .count = 1, .kind = XOK_PT_SET, .level = 1,
                                         .flags = XOK_PT_CREATE};
    }
    s64 done = xok_pt_batch(FAMILY, 0, op, n);
    for (u32 i = MAX(done, 0); i < n; i++) { // not mapped: rare, so the reference goes the long way
        mapped -= op[i].count;
        page_put(XOK_PTE_PPN(op[i].pte));
    }
    vm->rss += mapped;
    return done == n;
}

static int fault_file(struct vm *vm, struct area *a, u64 va, bool write)
{
    bool shared = a->flags & MAP_SHARED;
    s64 err = 0;
    u64 index = a->index + (va - a->start) / PAGE;
    bool text = !shared && !write && (a->prot & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC;
    u64 usual = prot_bits(a->prot) | (text ? PTE_TEXT : 0);
    if (!shared && !write &&
        fault_around(vm, a, va, (usual & XOK_PTE_W ? (usual & ~XOK_PTE_W) | PTE_COW : usual) | XOK_PTE_A, text))
        return 0;
    u64 ppn = text ? text_patched(a->file, index) : 0;
    if (!ppn)
        ppn = a->file->ops->page(a->file, index, write && shared, &err);
    if (!ppn)
        return err == -ENOMEM ? VM_NOMEM : VM_BUS;
    u64 bits = usual;
    if (!shared && write) {
        u64 copy = page_get();
        if (!copy) {
            page_put(ppn);
            return VM_NOMEM;
        }
        page_copy(page_va(copy), page_contents(ppn));
        page_put(ppn);
        ppn = copy;
    } else if (!write && bits & XOK_PTE_W) {
        bits = (bits & ~XOK_PTE_W) | PTE_COW; // shared: the first write is to be seen by the file
    }
    if (pte_put(va, ppn * PAGE | bits | XOK_PTE_A)) {
        page_put(ppn);
        return VM_NOMEM;
    }
    vm->rss++;
    return 0;
}

static struct area *stack_grow(struct vm *vm, u64 va)
{
    u32 i = area_after(vm, va);
    struct area *a = i < vm->count ? &vm->area[i] : NULL;
    if (!a || !(a->flags & MAP_GROWSDOWN) || a->end - va > vm->stack_limit)
        return NULL;
    if (i && va - vm->area[i - 1].end < STACK_GUARD)
        return NULL;
    vm->pages += (a->start - va) / PAGE;
    vm->peak = MAX(vm->peak, vm->pages);
    a->start = va;
    return a;
}

static int fault_locked(struct vm *vm, u64 va, u64 error)
{
    bool write = error & ERR_WRITE;
    struct area *a = area_at(vm, va);
    if (!a)
        a = stack_grow(vm, va);
    if (!a)
        return VM_SEGV_MAPERR;
    u32 need = error & ERR_FETCH ? PROT_EXEC : write ? PROT_WRITE : PROT_READ | PROT_EXEC | PROT_WRITE;
    if (!(a->prot & need))
        return VM_SEGV_ACCERR;
    if (table_own(va)) // also where the entry is there: what it says of W is not true while others share it
        return VM_NOMEM;
    u64 pte = pte_get(va);
    if (pte & PTE_HELD && !(pte & XOK_PTE_P)) { // it was PROT_NONE for a while
        pte = (XOK_PTE_PPN(pte) * PAGE) | (prot_bits(a->prot) & ~XOK_PTE_W) | PTE_COW | XOK_PTE_A;
        pte_put(va, pte);
    }
    if (pte & XOK_PTE_P) {
        if (!write || pte & XOK_PTE_W) // another thread was here first
            return 0;
        if (a->flags & MAP_SHARED) {
            int r = fault_file(vm, a, va, true);
            if (!r)
                page_put(XOK_PTE_PPN(pte)), vm->rss--;
            return r;
        }
        return fault_copy(a, va, pte);
    }
    return a->file ? fault_file(vm, a, va, write) : fault_anonymous(vm, a, va);
}

int vm_fault(struct vm *vm, u64 addr, u64 error)
{
    u64 va = PAGE_DOWN(addr);
    if (!user_va(va, PAGE))
        return VM_SEGV_MAPERR;
    lock_take(&vm->lock);
    int r = fault_locked(vm, va, error);
    lock_drop(&vm->lock);
    return r;
}

// ---- leaving ------------------------------------------------------------------------------------------
enum { DROP_MAX = 512 };

static void drop_batch(u64 start, u64 end, const u64 *ppn, u32 n)
{
    struct xok_pt_op op = {.va = start, .count = (end - start) / PAGE, .kind = XOK_PT_CLEAR, .level = 1};
    xok_pt_batch(FAMILY, 0, &op, 1);
    for (u32 i = 0; i < n; i++)
        page_put(ppn[i]);
}

u64 table_next(u64 va, u64 end)
{
    while (va < end) {
        if (!(*XOK_PML4E(va) & XOK_PTE_P))
            va = (va | ((1ul << 39) - 1)) + 1;
        else if (!(*XOK_PDPTE(va) & XOK_PTE_P))
            va = (va | ((1ul << 30) - 1)) + 1;
        else if (!(*XOK_PDE(va) & XOK_PTE_P))
            va = (va | ((1ul << 21) - 1)) + 1;
        else
            return va;
    }
    return end;
}

void range_drop(struct vm *vm, u64 start, u64 end)
{
    u64 ppn[DROP_MAX];
    for (u64 va = table_next(start, end); va < end; va = table_next(va, end)) {
        u64 stop = MIN(end, (va | ((1ul << 21) - 1)) + 1), from = va;
        volatile u64 *pte = XOK_PTE(va);
        u32 n = stop - va == TABLE_SPAN ? table_unlink(va) : 0;
        if (n) {
            va = stop;
        } else {
            if (table_own(va))
                panic("no memory to give memory back");
            for (; va < stop; va += PAGE, pte++)
                if (pte_holds(*pte))
                    ppn[n++] = XOK_PTE_PPN(*pte);
            drop_batch(from, stop, ppn, n);
        }
        vm->peak_rss = MAX(vm->peak_rss, vm->rss);
        vm->rss -= n;
    }
}

// ---- MAP_SHARED | MAP_ANONYMOUS --------------------------------------------------------------------------
struct shared_anon {
    struct lock lock;
    u64 count; // of leaves
    u64 **leaf; // 512 page numbers each
    void (*gone)(void *); // told when the last reference has gone, NULL if nobody wants to know
    void *owner;
};

static u64 shared_page(struct file *f, u64 index, bool write, s64 *err)
{
    struct shared_anon *s = f->priv;
    u64 l = index / 512;
    (void)write;
    lock_take(&s->lock);
    u64 ppn = 0;
    if (l >= s->count) {
        u64 count = MAX(l + 1, s->count * 2);
        u64 **leaf = heap_resize(s->leaf, count * sizeof *leaf);
        if (leaf)
            s->leaf = leaf, s->count = count;
    }
    if (l < s->count && !s->leaf[l])
        s->leaf[l] = heap_alloc(512 * sizeof(u64));
    if (l < s->count && s->leaf[l]) {
        u64 *slot = &s->leaf[l][index % 512];
        if (!*slot)
            *slot = page_get_zero();
        ppn = *slot;
        if (ppn)
            page_ref(ppn);
    }
    lock_drop(&s->lock);
    *err = -ENOMEM;
    return ppn;
}

static void shared_release(struct file *f)
{
    struct shared_anon *s = f->priv;
    for (u64 l = 0; l < s->count; l++) {
        for (int i = 0; s->leaf[l] && i < 512; i++)
            if (s->leaf[l][i])
                page_put(s->leaf[l][i]);
        heap_free(s->leaf[l]);
    }
    if (s->gone)
        s->gone(s->owner);
    heap_free(s->leaf);
    heap_free(s);
}

static const struct file_ops shared_ops = {.page = shared_page, .release = shared_release, .name = "dev/zero"};

void shared_anon_on_release(struct file *f, void (*gone)(void *), void *owner)
{
    struct shared_anon *s = f->priv;
    s->gone = gone;
    s->owner = owner;
}

void *shared_anon_owner(struct file *f, void (*gone)(void *))
{
    struct shared_anon *s = f && f->ops == &shared_ops ? f->priv : NULL;
    return s && s->gone == gone ? s->owner : NULL;
}

struct file *shared_anon_new(void)
{
    struct shared_anon *s = heap_alloc(sizeof *s);
    struct file *f = s ? file_new(&shared_ops, 2 /* O_RDWR */) : NULL;
    if (!f) {
        heap_free(s);
        return NULL;
    }
    f->priv = s;
    return f;
}
