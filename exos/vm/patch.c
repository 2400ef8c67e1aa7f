// System-call sites. A site that has bounced becomes `int $0x7e`, which ExOS's own page handles in ring 3
// with no kernel entry: two bytes in place of `syscall`. Text of a file is patched once for the family: in a
// copy of the page that hangs on the inode and that every later mapping gets. Reads still see the file.
//
// A page that somebody may be running is never written: a processor may fetch the two bytes apart. Each patch
// makes a new version of the page; who runs an older one gets the newest when he bounces.
#include "vm/vm.h"
#include "fs/vfs.h"

enum { INT_0X7E = 0x7ecd, SYSCALL_BYTES = 0x050f };

static u16 site_bytes(u64 ppn, u64 offset)
{
    return *(const u16 *)((const u8 *)page_contents(ppn) + offset);
}

// A new page: from's content, the site patched. 0: no memory, or there is no site.
static u64 version_new(u64 from, u64 offset)
{
    u16 old = site_bytes(from, offset);
    u64 copy = old == SYSCALL_BYTES || old == INT_0X7E ? page_get() : 0;
    if (!copy)
        return 0;
    page_copy(page_va(copy), page_contents(from));
    *(u16 *)((u8 *)page_va(copy) + offset) = INT_0X7E;
    return copy;
}

static bool patch_locked(struct vm *vm, u64 site)
{
    u64 va = PAGE_DOWN(site), offset = site & (PAGE - 1);
    struct area *a = area_at(vm, site);
    // Only private mappings are copied, and only ones the program cannot be rewriting itself.
    if (!a || a->flags & MAP_SHARED || (a->prot & (PROT_EXEC | PROT_WRITE)) != PROT_EXEC || table_own(va))
        return false;
    u64 pte = pte_get(va), ppn = XOK_PTE_PPN(pte), index = a->index + (va - a->start) / PAGE;
    if (!(pte & XOK_PTE_P))
        return false;
    s64 err;
    u64 newest = a->file ? text_patched(a->file, index) : 0;
    u64 content = a->file ? a->file->ops->page(a->file, index, false, &err) : 0;
    bool text = ppn == content || pte & PTE_TEXT; // not the program's own, changed copy
    u64 from = text && newest ? newest : ppn, map = newest;
    if (!(text && newest && site_bytes(newest, offset) == INT_0X7E)) {
        map = version_new(from, offset);
        if (map && text)
            text_patch(a->file, index, newest, map);
        if (newest)
            page_put(newest);
    }
    if (content)
        page_put(content);
    if (!map)
        return false;
    if (pte_put(va, map * PAGE | (pte & (XOK_PTE_P | XOK_PTE_U | XOK_PTE_NX | XOK_PTE_A | PTE_TEXT)) | PTE_COW)) {
        page_put(map);
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
