// mmap(2) and its family.
#include "vm/vm.h"
#include "core/calls.h"
#include "fs/fs.h"
#include "proc/proc.h"

enum { RLIMIT_DATA = 2, RLIMIT_AS = 9 };
enum { O_ACCMODE = 3, O_WRONLY = 1, O_RDONLY = 0 };

static bool limit_ok(struct vm *vm, u64 more)
{
    struct proc *p = thread_self()->proc;
    return !p || (vm->pages * PAGE + more <= p->rlim[RLIMIT_AS].cur && more < 1ul << 47);
}

// Where a mapping without a fixed address goes: the hint if it is free, else top down.
static u64 place(struct vm *vm, u64 hint, u64 len, u32 flags)
{
    if (flags & MAP_32BIT)
        return area_gap(vm, 0x40000000, 0x7e000000, len);
    hint = PAGE_DOWN(hint);
    if (hint && user_va(hint, len)) {
        u32 i = area_after(vm, hint);
        if (i == vm->count || vm->area[i].start >= hint + len)
            return hint;
    }
    u64 at = area_gap(vm, USER_HIGH, vm->mmap_top, len);
    return at ? at : area_gap(vm, USER_MIN, USER_MAX, len);
}

// Takes over nothing: the area holds a reference of its own to file.
static s64 map_locked(struct vm *vm, u64 addr, u64 len, u32 prot, u32 flags, struct file *file, u64 index)
{
    u64 gap = 0;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (addr & (PAGE - 1))
            return -EINVAL;
        if (!user_va(addr, len))
            return -ENOMEM;
        if (flags & MAP_FIXED_NOREPLACE) {
            u32 i = area_after(vm, addr);
            if (i < vm->count && vm->area[i].start < addr + len)
                return -EEXIST;
        } else {
            range_drop(vm, addr, addr + len);
            if (!area_cut(vm, addr, addr + len))
                return -ENOMEM;
        }
    } else {
        // A shared library's first mapping: leave a gap behind it for the stubs of its call sites.
        if (file && index == 0 && len > 2 * PAGE && flags & MAP_PRIVATE)
            gap = STUB_GAP;
        addr = place(vm, addr, len + gap, flags);
        if (!addr)
            return -ENOMEM;
    }
    struct area a = {addr, addr + len, prot, flags & (MAP_SHARED | MAP_PRIVATE | MAP_GROWSDOWN | MAP_NORESERVE |
                     AREA_STACK | AREA_HEAP), file ? file_get(file) : NULL, index};
    if (!area_insert(vm, &a)) {
        if (file)
            file_put(file);
        return -ENOMEM;
    }
    return addr;
}

static s64 file_rights(struct file *f, u32 prot, u32 flags, u64 off, u64 len)
{
    u32 mode = f->flags & O_ACCMODE;
    if (mode == O_WRONLY)
        return -EACCES;
    if (flags & MAP_SHARED && prot & PROT_WRITE && mode == O_RDONLY)
        return -EACCES;
    if (f->ops->mmap) {
        s64 r = f->ops->mmap(f, off, len, prot, flags);
        if (r)
            return r;
    }
    return f->ops->page ? 0 : -ENODEV;
}

s64 vm_map(struct vm *vm, u64 addr, u64 len, int prot, int flags, struct file *f, u64 off)
{
    if (!len || off & (PAGE - 1) || !(flags & MAP_SHARED_VALIDATE))
        return -EINVAL;
    len = PAGE_UP(len);
    if (!len || len >= 1ul << 47 || !limit_ok(vm, len))
        return -ENOMEM;
    if ((off + len) < off)
        return -EOVERFLOW;
    if ((flags & MAP_SHARED_VALIDATE) == MAP_SHARED_VALIDATE)
        flags &= ~MAP_PRIVATE;
    struct file *anon = NULL;
    if (flags & MAP_ANONYMOUS) {
        f = NULL, off = 0;
        if (flags & MAP_SHARED && !(f = anon = shared_anon_new()))
            return -ENOMEM;
    } else {
        s64 r = f ? file_rights(f, prot, flags, off, len) : -EBADF;
        if (r)
            return r;
    }
    lock_take(&vm->lock);
    s64 r = map_locked(vm, addr, len, prot & PROT_ALL, flags, f, off / PAGE);
    lock_drop(&vm->lock);
    if (anon)
        file_put(anon);
    if (r > 0 && flags & (MAP_POPULATE | MAP_LOCKED) && prot & (PROT_READ | PROT_WRITE))
        for (u64 va = r; va < (u64)r + len; va += PAGE)
            vm_fault(vm, va, prot & PROT_WRITE ? 2 : 0);
    return r;
}

s64 vm_unmap(struct vm *vm, u64 addr, u64 len)
{
    if (addr & (PAGE - 1) || !len)
        return -EINVAL;
    len = PAGE_UP(len);
    if (!user_va(addr, len))
        return -EINVAL;
    lock_take(&vm->lock);
    range_drop(vm, addr, addr + len);
    bool ok = area_cut(vm, addr, addr + len);
    lock_drop(&vm->lock);
    return ok ? 0 : -ENOMEM;
}

// Rights that go away are taken from the page table at once; new ones come by fault, or at once where no
// copy can be owed.
static s64 protect_present(u64 start, u64 end, u32 prot)
{
    for (u64 va = table_next(start, end); va < end; va = table_next(va, end)) {
        u64 stop = MIN(end, (va | ((1ul << 21) - 1)) + 1);
        struct xok_pt_op op[2] = {{.va = va, .count = (stop - va) / PAGE, .kind = XOK_PT_MOD, .level = 1}};
        if (prot & PROT_EXEC)
            op[0].clear |= XOK_PTE_NX;
        else
            op[0].pte |= XOK_PTE_NX;
        if (!(prot & PROT_WRITE)) {
            op[0].clear |= XOK_PTE_W;
            op[0].pte |= PTE_COW; // a later PROT_WRITE faults, and finds out whether the page is its own
        }
        if (table_own(va))
            return -ENOMEM;
        xok_pt_batch(FAMILY, 0, op, 1);
        va = stop;
    }
    return 0;
}

// PROT_NONE: the pages stay, behind entries that are not present but keep everything else.
static s64 protect_none(u64 start, u64 end)
{
    for (u64 va = table_next(start, end); va < end; va = table_next(va + PAGE, end)) {
        u64 pte = pte_get(va);
        if (pte & XOK_PTE_P && pte_put(va, (pte & ~(XOK_PTE_P | XOK_PTE_W)) | PTE_COW | PTE_HELD))
            return -ENOMEM;
    }
    return 0;
}

s64 vm_protect(struct vm *vm, u64 addr, u64 len, int prot)
{
    if (addr & (PAGE - 1) || prot & ~(PROT_ALL | 0x3000000))
        return -EINVAL;
    len = PAGE_UP(len);
    if (!len)
        return 0;
    if (!user_va(addr, len))
        return -ENOMEM;
    lock_take(&vm->lock);
    u64 end = addr; // where a hole is, or what may not be written, the part before it has changed
    s64 r = 0;
    for (u32 i = area_after(vm, addr); !r && end < addr + len; i++) {
        struct area *a = i < vm->count && vm->area[i].start <= end ? &vm->area[i] : NULL;
        if (!a)
            r = -ENOMEM;
        else if (prot & PROT_WRITE && a->flags & MAP_SHARED && a->file && (a->file->flags & O_ACCMODE) == O_RDONLY)
            r = -EACCES;
        else
            end = MIN(a->end, addr + len);
    }
    if (end > addr) {
        s64 done = !area_protect(vm, addr, end, prot & PROT_ALL) ? -ENOMEM
                   : prot & PROT_ALL ? protect_present(addr, end, prot) : protect_none(addr, end);
        r = done ? done : r;
    }
    lock_drop(&vm->lock);
    return r;
}

s64 vm_brk(struct vm *vm, u64 to)
{
    lock_take(&vm->lock);
    u64 old = PAGE_UP(vm->brk), new = PAGE_UP(to);
    if (to < vm->brk_start || !user_va(vm->brk_start, MAX(new - vm->brk_start, PAGE))) {
        to = vm->brk;
    } else if (new > old) {
        u32 i = area_after(vm, old);
        struct area a = {old, new, PROT_READ | PROT_WRITE, MAP_PRIVATE | AREA_HEAP, NULL, 0};
        if ((i < vm->count && vm->area[i].start < new + PAGE) || !limit_ok(vm, new - old) || !area_insert(vm, &a))
            to = vm->brk;
    } else if (new < old) {
        range_drop(vm, new, old);
        if (!area_cut(vm, new, old))
            to = vm->brk;
    }
    vm->brk = to;
    lock_drop(&vm->lock);
    return to;
}

// ---- mremap ---------------------------------------------------------------------------------------------
enum { MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2, MREMAP_DONTUNMAP = 4 };

// Moves the mapped pages of [from, from + len) to `to`, one entry at a time: the pages keep their counts.
static s64 move_pages(u64 from, u64 to, u64 len)
{
    for (u64 va = table_next(from, from + len); va < from + len; va = table_next(va + PAGE, from + len)) {
        u64 pte = pte_get(va);
        if (!pte_holds(pte))
            continue;
        if (table_own(va) || table_own(to + (va - from)))
            return -ENOMEM;
        pte = pte_get(va);
        struct xok_pt_op op[2] = {
            {.va = to + (va - from), .pte = pte, .count = 1, .kind = XOK_PT_SET, .level = 1, .flags = XOK_PT_CREATE},
            {.va = va, .count = 1, .kind = XOK_PT_CLEAR, .level = 1}};
        if (xok_pt_batch(FAMILY, 0, op, 2) != 2)
            return -ENOMEM;
    }
    return 0;
}

static s64 remap_locked(struct vm *vm, u64 addr, u64 old, u64 new, u32 flags, u64 to)
{
    struct area *a = area_at(vm, addr);
    if (!a || addr + old > a->end)
        return -EFAULT;
    if (new < old && !(flags & MREMAP_FIXED)) {
        range_drop(vm, addr + new, addr + old);
        return area_cut(vm, addr + new, addr + old) ? (s64)addr : -ENOMEM;
    }
    if (new == old && !(flags & MREMAP_FIXED))
        return addr;
    if (!limit_ok(vm, new - MIN(old, new)))
        return -ENOMEM;
    u32 i = a - vm->area;
    if (!(flags & MREMAP_FIXED) && addr + old == a->end && user_va(addr, new) &&
        (i + 1 == vm->count || vm->area[i + 1].start >= addr + new)) {
        a->end = addr + new;
        vm->pages += (new - old) / PAGE;
        vm->peak = MAX(vm->peak, vm->pages);
        return addr;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    struct area old_area = *a;
    u64 index = a->index + (addr - a->start) / PAGE;
    u32 map_flags = a->flags & ~AREA_HEAP;
    s64 r = map_locked(vm, to, new, a->prot, map_flags | (flags & MREMAP_FIXED ? MAP_FIXED : 0), old_area.file, index);
    if (r < 0)
        return r;
    if (move_pages(addr, r, MIN(old, new)))
        return -ENOMEM;
    range_drop(vm, addr, addr + old);
    area_cut(vm, addr, addr + old);
    return r;
}

s64 vm_remap(struct vm *vm, u64 addr, u64 old, u64 new, u32 flags, u64 to)
{
    if (addr & (PAGE - 1) || flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) || !PAGE_UP(new) || !old ||
        (flags & MREMAP_FIXED && !(flags & MREMAP_MAYMOVE)))
        return -EINVAL;
    old = PAGE_UP(old), new = PAGE_UP(new);
    if (flags & MREMAP_FIXED && (to & (PAGE - 1) || !user_va(to, new) || (to < addr + old && addr < to + new)))
        return -EINVAL;
    if (!user_va(addr, old))
        return -EFAULT;
    lock_take(&vm->lock);
    s64 r = remap_locked(vm, addr, old, new, flags, to);
    lock_drop(&vm->lock);
    return r;
}
