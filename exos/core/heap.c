// Objects of up to 1 MiB in the arena: size classes for small ones, page blocks for the rest.
// A class page begins with its header; a block's order is remembered by the class byte of its header.
#include "core/exos.h"
#include "core/pages.h"

enum { CLASSES = 13, LARGE = 255 };
static const u16 class_size[CLASSES] = {16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 672, 1008, 2032};
enum { SMALL_MAX = 2032 };
static u8 class_of[SMALL_MAX / 16 + 1]; // by sizes of 16 bytes

struct slab {
    struct list link; // in partial[class] while it has free objects
    void *free;
    u16 used, total;
    u8 class, order;
    u64 size; // LARGE: as asked for
};
struct object {
    void *next;
};

static struct lock lock;
static struct list partial[CLASSES];

static struct slab *slab_of(void *p)
{
    return (struct slab *)PAGE_DOWN((u64)p);
}

void heap_start(void)
{
    for (int i = 0; i < CLASSES; i++)
        list_init(&partial[i]);
    for (int i = 0, class = 0; i <= SMALL_MAX / 16; i++) {
        class += i * 16 > class_size[class];
        class_of[i] = class;
    }
}

static struct slab *slab_new(int class)
{
    u64 ppn = block_get(0);
    if (!ppn)
        return NULL;
    struct slab *s = page_va(ppn);
    u32 size = class_size[class];
    *s = (struct slab){.class = class, .total = (PAGE - sizeof *s) / size};
    char *at = (char *)s + PAGE - (u64)s->total * size;
    for (int i = 0; i < s->total; i++, at += size) {
        ((struct object *)at)->next = s->free;
        s->free = at;
    }
    list_add_tail(&partial[class], &s->link);
    return s;
}

static void *small_alloc(int class)
{
    lock_take(&lock);
    struct slab *s = list_empty(&partial[class]) ? slab_new(class)
                                                 : container_of(partial[class].next, struct slab, link);
    struct object *o = s ? s->free : NULL;
    if (o) {
        s->free = o->next;
        if (++s->used == s->total)
            list_del(&s->link);
    }
    lock_drop(&lock);
    return o;
}

// Large objects start 64 bytes into their block, behind the header: never at a page boundary, where a
// slab header would be looked for.
enum { LARGE_OFFSET = 64 };

static void *large_alloc(size_t size)
{
    int order = 0;
    while (order <= BLOCK_ORDER_MAX && (PAGE << order) < size + LARGE_OFFSET)
        order++;
    if (order > BLOCK_ORDER_MAX)
        return NULL;
    u64 ppn = block_get(order);
    if (!ppn)
        return NULL;
    struct slab *s = page_va(ppn);
    *s = (struct slab){.class = LARGE, .order = order, .size = size};
    return (char *)s + LARGE_OFFSET;
}

static size_t room_of(void *p)
{
    struct slab *s = slab_of(p);
    return s->class == LARGE ? s->size : class_size[s->class];
}

void *heap_alloc_raw(size_t size)
{
    return size <= SMALL_MAX ? small_alloc(class_of[(size + 15) / 16]) : large_alloc(size);
}

void *heap_alloc(size_t size)
{
    void *p = heap_alloc_raw(size);
    if (p)
        memset(p, 0, room_of(p));
    return p;
}

void *heap_resize(void *p, size_t size)
{
    if (!p)
        return heap_alloc(size);
    size_t room = room_of(p);
    void *q = heap_alloc(size);
    if (!q)
        return NULL;
    memcpy(q, p, MIN(room, size));
    heap_free(p);
    return q;
}

void heap_free(void *p)
{
    if (!p)
        return;
    struct slab *s = slab_of(p);
    if (s->class == LARGE) {
        block_put(page_of(s), s->order);
        return;
    }
    lock_take(&lock);
    if (s->used-- == s->total)
        list_add_tail(&partial[s->class], &s->link);
    ((struct object *)p)->next = s->free;
    s->free = p;
    bool empty = !s->used && (partial[s->class].next != &s->link || partial[s->class].prev != &s->link);
    if (empty) // keep one page a class: no thrashing at the edge
        list_del(&s->link);
    lock_drop(&lock);
    if (empty)
        block_put(page_of(s), 0);
}
