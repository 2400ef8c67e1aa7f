// System-call sites. A site that has bounced becomes `int $0x7e`, which ExOS's own page handles in ring 3
// with no kernel entry: two bytes in place of `syscall`. Text of a file is patched once for the family: in a
// copy of the page that hangs on the inode and that every later mapping gets. Reads still see the file.
#include "vm/vm.h"
#include "fs/vfs.h"

enum { INT_0X7E = 0x7ecd, SYSCALL_BYTES = 0x050f, LINE = 64 };

// Others may be running over the bytes: one store, and never across a cache line.
static bool patch_at(u64 ppn, u64 offset)
{
    u16 *at = (u16 *)((u8 *)page_va(ppn) + offset);
    if (offset % LINE == LINE - 1 || (*at != SYSCALL_BYTES && *at != INT_0X7E))
        return false;
    __atomic_store_n(at, INT_0X7E, __ATOMIC_RELEASE);
    return true;
}

// The page to map instead of ppn, with a reference; 0: none. It is ppn's content, the site patched.
static u64 patched_copy(struct area *a, u64 va, u64 ppn, u64 offset)
{
    u64 index = a->index + (va - a->start) / PAGE, holds = 0;
    s64 err;
    u64 copy = page_get();
    if (!copy)
        return 0;
    page_copy(page_va(copy), page_contents(ppn));
    u64 content = a->file ? a->file->ops->page(a->file, index, false, &err) : 0;
    if (content && content == ppn) // not the program's own, changed copy
        holds = text_patch(a->file, index, copy);
    if (content)
        page_put(content);
    if (holds)
        page_put(copy); // the inode has it, or somebody else's
    else
        holds = copy;
    if (patch_at(holds, offset))
        return holds;
    page_put(holds);
    return 0;
}

static bool patch_locked(struct vm *vm, u64 site)
{
    u64 va = PAGE_DOWN(site), offset = site & (PAGE - 1);
    struct area *a = area_at(vm, site);
    // Only private mappings are copied, and only ones the program cannot be rewriting itself.
    if (!a || a->flags & MAP_SHARED || (a->prot & (PROT_EXEC | PROT_WRITE)) != PROT_EXEC || table_own(va))
        return false;
    u64 pte = pte_get(va), ppn = XOK_PTE_PPN(pte);
    if (!(pte & XOK_PTE_P))
        return false;
    u64 known = a->file ? text_patched(a->file, a->index + (va - a->start) / PAGE) : 0;
    if (known)
        page_put(known);
    if (ppn == known || page_refs(ppn) == 1)
        return patch_at(ppn, offset);
    u64 copy = patched_copy(a, va, ppn, offset);
    if (!copy)
        return false;
    if (pte_put(va, copy * PAGE | (pte & (XOK_PTE_P | XOK_PTE_U | XOK_PTE_NX | XOK_PTE_A)) | PTE_COW)) {
        page_put(copy);
        return false;
    }
    page_put(ppn);
    return true;
}

bool vm_patch_site(struct vm *vm, u64 rip, u64 nr)
{
    u64 site = rip - 2;
    (void)nr;
    if (!user_va(PAGE_DOWN(site), PAGE) || (site & (PAGE - 1)) == PAGE - 1)
        return false;
    lock_take(&vm->lock);
    bool done = patch_locked(vm, site);
    lock_drop(&vm->lock);
    return done;
}
