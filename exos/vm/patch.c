// System-call sites. A site that has bounced becomes `int $0x7e`, which ExOS's own page handles in ring 3
// with no kernel entry: two bytes in place of `syscall`, in a private copy of the page.
#include "vm/vm.h"
#include "fs/fs.h"

enum { INT_0X7E = 0x7ecd, SYSCALL_BYTES = 0x050f };

bool vm_patch_site(struct vm *vm, u64 rip, u64 nr)
{
    u64 site = rip - 2, va = PAGE_DOWN(site);
    (void)nr;
    if (!user_va(va, PAGE) || (site & (PAGE - 1)) == PAGE - 1)
        return false;
    lock_take(&vm->lock);
    struct area *a = area_at(vm, site);
    bool done = false;
    // Only private mappings are copied, and only ones the program cannot be rewriting itself.
    if (a && !(a->flags & MAP_SHARED) && a->prot & PROT_EXEC && !(a->prot & PROT_WRITE)) {
        u64 pte = table_own(va) ? 0 : pte_get(va), ppn = XOK_PTE_PPN(pte), copy = 0;
        if (pte & XOK_PTE_P && page_refs(ppn) == 1)
            copy = ppn;
        else if (pte & XOK_PTE_P)
            copy = page_get();
        u16 *at = copy ? (u16 *)((u8 *)page_va(copy) + (site & (PAGE - 1))) : NULL;
        if (copy && copy != ppn) {
            page_copy(page_va(copy), page_contents(ppn));
            if (*at == SYSCALL_BYTES) {
                *at = INT_0X7E;
                if (pte_put(va, copy * PAGE | (pte & (XOK_PTE_P | XOK_PTE_U | XOK_PTE_NX | XOK_PTE_A | PTE_COW))))
                    page_put(copy);
                else
                    page_put(ppn), done = true;
            } else {
                page_put(copy);
            }
        } else if (copy && *at == SYSCALL_BYTES) {
            *at = INT_0X7E;
            done = true;
        }
    }
    lock_drop(&vm->lock);
    return done;
}
