// Pages of protected regions: include/xok/region.h. Descriptions lie in the page itself, before the data.
#include "kernel.h"
#include "xok/region.h"

struct region {
    u16 offset, length; // length 0: no region
    u32 reader, writer; // names, 0 for nobody
};
_Static_assert(XOK_REGIONS * sizeof(struct region) <= XOK_REGION_DATA, "descriptions before the data");

static struct region *regions_of(u64 ppn) { return phys_to_virt(ppn * XOK_PAGE_SIZE); }

// The page, if slot's capability owns it with W.
static bool owned(u64 slot, u64 ppn, u8 type)
{
    struct cap c;
    return cap_slot(this_cpu()->env, slot, &c) && ppn < page_count && pages[ppn].type == type &&
           cap_dominates(&c, pages[ppn].acl[0], XOK_W);
}

static void region_end(struct region *r)
{
    if (r->reader)
        name_drop(r->reader);
    if (r->writer)
        name_drop(r->writer);
    *r = (struct region){0};
}

s64 sys_region_page(u64 slot, u64 ppn, u64 make)
{
    if (make > 1)
        return XOK_E_ARG;
    if (!owned(slot, ppn, make ? XOK_PAGE_USER : XOK_PAGE_REGION))
        return XOK_E_CAP;
    struct xok_page_info *p = &pages[ppn];
    if (p->refs || p->pins || p->flags & XOK_PAGE_KEPT)
        return XOK_E_BUSY;
    for (int i = 0; !make && i < XOK_REGIONS; i++)
        region_end(&regions_of(ppn)[i]);
    memset(regions_of(ppn), 0, XOK_PAGE_SIZE);
    p->type = make ? XOK_PAGE_REGION : XOK_PAGE_USER;
    return 0;
}

static bool name_ok(u64 name) { return !name || (name < info.name_high && KNAMES[name].refs); }

s64 sys_region_make(u64 slot, u64 ppn, u64 index, u64 range, u64 names)
{
    u64 offset = range >> 16, length = range & 0xffff, reader = names & ~0u, writer = names >> 32;
    if (!owned(slot, ppn, XOK_PAGE_REGION))
        return XOK_E_CAP;
    if (index >= XOK_REGIONS || !name_ok(reader) || !name_ok(writer) ||
        (length && (offset < XOK_REGION_DATA || offset > XOK_PAGE_SIZE || length > XOK_PAGE_SIZE - offset)))
        return XOK_E_ARG;
    if (length && reader)
        name_ref(reader);
    if (length && writer)
        name_ref(writer);
    region_end(&regions_of(ppn)[index]);
    if (length)
        regions_of(ppn)[index] = (struct region){offset, length, reader, writer};
    return 0;
}

// Where the bytes of `range` of a region are, if slot may read or write them. NULL: *err.
static u8 *bytes_of(u64 slot, u64 ppn, u64 index, u64 range, u32 right, s64 *err)
{
    u64 offset = range >> 16, length = range & 0xffff;
    struct cap c;
    *err = XOK_E_CAP;
    if (!cap_slot(this_cpu()->env, slot, &c))
        return NULL;
    if (ppn >= page_count || index >= XOK_REGIONS || pages[ppn].type != XOK_PAGE_REGION)
        return NULL;
    struct region *r = &regions_of(ppn)[index];
    if (!r->length || !cap_over(&c, right == XOK_R ? r->reader : r->writer, right))
        return NULL;
    *err = XOK_E_ARG;
    if (offset > r->length || length > r->length - offset)
        return NULL;
    return (u8 *)regions_of(ppn) + r->offset + offset;
}

s64 sys_region_read(u64 slot, u64 ppn, u64 index, u64 buf, u64 range)
{
    s64 err;
    u8 *from = bytes_of(slot, ppn, index, range, XOK_R, &err);
    return from ? copy_out(buf, from, range & 0xffff) : err;
}

s64 sys_region_write(u64 slot, u64 ppn, u64 index, u64 buf, u64 range)
{
    u8 bytes[XOK_PAGE_SIZE]; // all of it or nothing
    s64 err;
    u8 *to = bytes_of(slot, ppn, index, range, XOK_W, &err);
    if (!to)
        return err;
    if (copy_in(bytes, buf, range & 0xffff))
        return XOK_E_FAULT;
    memcpy(to, bytes, range & 0xffff);
    return 0;
}
