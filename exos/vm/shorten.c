// Files that become shorter while they are mapped: a touch behind the end is SIGBUS, and what is written there
// later is seen. A process changes its own tables only; the others are told to, and do before their programs
// run on.
#include "fs/vfs.h"
#include "vm/vm.h"

// vm->lock held: what area a maps behind its file's end.
static void area_shorten(struct vm *vm, struct area *a)
{
    u64 pages = PAGE_UP(__atomic_load_n(&a->file->inode->size, __ATOMIC_ACQUIRE)) / PAGE;
    u64 start = a->start + (pages > a->index ? pages - a->index : 0) * PAGE;
    if (start < a->end)
        range_drop(vm, start, a->end);
}

static bool of_regular(const struct area *a)
{
    return a->file && a->file->inode && a->file->ops == &regular_ops;
}

void vm_refresh(struct vm *vm)
{
    if (!vm || !__atomic_load_n(&vm->stale, __ATOMIC_ACQUIRE))
        return;
    lock_take(&vm->lock);
    vm->stale = false;
    for (u32 n = 0; n < vm->count; n++)
        if (of_regular(&vm->area[n]))
            area_shorten(vm, &vm->area[n]);
    lock_drop(&vm->lock);
}

static bool maps_file(struct vm *vm, const struct inode *i)
{
    bool found = false;
    lock_take(&vm->lock);
    for (u32 n = 0; n < vm->count && !found; n++)
        found = of_regular(&vm->area[n]) && vm->area[n].file->inode == i;
    if (found)
        __atomic_store_n(&vm->stale, true, __ATOMIC_RELEASE);
    lock_drop(&vm->lock);
    return found;
}

void vm_shortened(struct inode *i)
{
    lock_take(&proc_lock);
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        if (p->ending || !p->vm || !maps_file(p->vm, i))
            continue;
        list_for(jt, &p->threads)
            thread_kick(container_of(jt, struct thread, proc_link), THREAD_SHORT);
    }
    lock_drop(&proc_lock);
    vm_refresh(proc_self()->vm);
}
