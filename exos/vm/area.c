// Areas in a sorted array: found by halving, changed by moving the tail. Programs have tens of areas, the
// largest servers some thousands; the array's cost is then far below that of the page-table work beside it.
#include "vm/vm.h"
#ifndef AREA_HOST_TEST
#include "fs/fs.h"
#endif

enum { ROOM_FIRST = 32, ROOM_MAX = 16384 }; // 16384 areas are 768 KiB, within the heap's largest object

u32 area_after(const struct vm *vm, u64 addr)
{
    u32 lo = 0, hi = vm->count;
    while (lo < hi) {
        u32 mid = (lo + hi) / 2;
        if (vm->area[mid].end <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct area *area_at(struct vm *vm, u64 addr)
{
    u32 i = vm->last;
    if (i >= vm->count || addr < vm->area[i].start || addr >= vm->area[i].end)
        i = area_after(vm, addr);
    if (i >= vm->count || vm->area[i].start > addr)
        return NULL;
    vm->last = i;
    return &vm->area[i];
}

static bool room_for(struct vm *vm, u32 more)
{
    if (vm->count + more <= vm->room)
        return true;
    u32 room = vm->room ? vm->room * 2 : ROOM_FIRST;
    struct area *bigger = room <= ROOM_MAX ? heap_resize(vm->area, room * sizeof *bigger) : NULL;
    if (!bigger)
        return false;
    vm->area = bigger;
    vm->room = room;
    return true;
}

static void open_at(struct vm *vm, u32 i)
{
    memmove(&vm->area[i + 1], &vm->area[i], (vm->count - i) * sizeof *vm->area);
    vm->count++;
}

static void close_at(struct vm *vm, u32 i, u32 n)
{
    memmove(&vm->area[i], &vm->area[i + n], (vm->count - i - n) * sizeof *vm->area);
    vm->count -= n;
}

static bool joins(const struct area *a, const struct area *b)
{
    return a->end == b->start && a->prot == b->prot && a->flags == b->flags && a->file == b->file &&
           (!a->file || a->index + (a->end - a->start) / PAGE == b->index) && !(a->flags & AREA_STUBS);
}

static void join_at(struct vm *vm, u32 i)
{
    if (i + 1 >= vm->count || !joins(&vm->area[i], &vm->area[i + 1]))
        return;
    vm->area[i].end = vm->area[i + 1].end;
    if (vm->area[i + 1].file)
        file_put(vm->area[i + 1].file);
    close_at(vm, i + 1, 1);
}

bool area_insert(struct vm *vm, const struct area *a)
{
    if (!room_for(vm, 1))
        return false;
    u32 i = area_after(vm, a->start);
    open_at(vm, i);
    vm->area[i] = *a;
    vm->pages += (a->end - a->start) / PAGE;
    vm->peak = MAX(vm->peak, vm->pages);
    join_at(vm, i);
    if (i)
        join_at(vm, i - 1);
    return true;
}

bool area_split(struct vm *vm, u64 at)
{
    u32 i = area_after(vm, at);
    if (i >= vm->count || vm->area[i].start >= at)
        return true;
    if (!room_for(vm, 1))
        return false;
    open_at(vm, i);
    vm->area[i].end = at;
    vm->area[i + 1].start = at;
    if (vm->area[i].file) {
        vm->area[i + 1].index += (at - vm->area[i].start) / PAGE;
        file_get(vm->area[i].file);
    }
    return true;
}

bool area_cut(struct vm *vm, u64 start, u64 end)
{
    if (!area_split(vm, start) || !area_split(vm, end))
        return false;
    u32 from = area_after(vm, start), to = from;
    for (; to < vm->count && vm->area[to].start < end; to++) {
        vm->pages -= (vm->area[to].end - vm->area[to].start) / PAGE;
        if (vm->area[to].file)
            file_put(vm->area[to].file);
    }
    close_at(vm, from, to - from);
    return true;
}

bool area_covered(const struct vm *vm, u64 start, u64 end)
{
    for (u32 i = area_after(vm, start); start < end; i++) {
        if (i >= vm->count || vm->area[i].start > start)
            return false;
        start = vm->area[i].end;
    }
    return true;
}

bool area_protect(struct vm *vm, u64 start, u64 end, u32 prot)
{
    if (!area_split(vm, start) || !area_split(vm, end))
        return false;
    u32 i = area_after(vm, start);
    for (; i < vm->count && vm->area[i].start < end; i++)
        vm->area[i].prot = prot;
    while (i-- > 0) { // joining from the right keeps the indices to the left
        join_at(vm, i);
        if (vm->area[i].end <= start)
            break;
    }
    return true;
}

u64 area_gap(const struct vm *vm, u64 low, u64 high, u64 len)
{
    if (len > high - low)
        return 0;
    u32 i = area_after(vm, high - 1);
    if (i < vm->count && vm->area[i].start < high)
        high = vm->area[i].start;
    while (i > 0 && vm->area[i - 1].end > low) {
        if (high >= vm->area[i - 1].end && high - vm->area[i - 1].end >= len)
            return high - len;
        high = vm->area[--i].start;
    }
    return high > low && high - low >= len ? high - len : 0;
}
