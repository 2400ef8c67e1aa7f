// A native program (include/xok/native.h) run by a process: an environment that ExOS knows nothing of, with a
// name and quotas of its own. The process carries what it writes to its standard output, waits for its end,
// and takes everything back.
#include "proc/native.h"
#include "core/calls.h"
#include "core/thread.h"
#include "fs/vfs.h"
#include "proc/proc.h"
#include "xok/native.h"
#include "xok/pct.h"

enum { SLOT = 9 /* of its name, while it runs */, POLL_NS = 5000000, STDOUT = 1, SIGTERM = 15 };

struct native {
    u32 env, name, next; // next message of the ring
    u64 component;
    struct xok_message *ring;
    u64 *page, pages; // the family's, mapped there
};

static const u32 quotas[] = {[XOK_RES_PAGES] = 16384, [XOK_RES_PTPAGES] = 256, [XOK_RES_ENVS] = 16, [XOK_RES_SLOTS] = 16,
                             [XOK_RES_NAMES] = 16, [XOK_RES_PREDS] = 16, [XOK_RES_FILTERS] = 16, [XOK_RES_RINGS] = 16};

static s64 segment_load(struct native *n, struct file *f, const struct native_segment *s)
{
    for (u64 at = 0; at < s->memsz; at += PAGE) {
        u64 ppn = page_get_zero(), bytes = at < s->filesz ? MIN(PAGE, s->filesz - at) : 0;
        if (!ppn)
            return -ENOMEM;
        n->page[n->pages++] = ppn;
        if (bytes && file_pread_kernel(f, page_va(ppn), bytes, s->offset + at) != (s64)bytes)
            return -EIO;
        struct xok_pt_op op = {.va = s->vaddr + at, .count = 1, .kind = XOK_PT_SET, .level = 1, .flags = XOK_PT_CREATE};
        op.pte = ppn << 12 | XOK_PTE_P | (s->write ? XOK_PTE_W : 0) | (s->exec ? 0 : XOK_PTE_NX);
        if (xok_pt_batch(FAMILY, n->env, &op, 1) != 1)
            return -ENOEXEC;
    }
    return 0;
}

// Its name: a child of the family's that nobody else has.
static bool capability_make(struct native *n)
{
    static u32 number;
    n->component = 0x6e000000 + (__atomic_add_fetch(&number, 1, __ATOMIC_RELAXED) & 0xffffff);
    if (xok_cap_forge(FAMILY, n->component, XOK_ALL, SLOT))
        return false;
    for (u32 i = 0; i < countof(quotas); i++)
        xok_cap_quota(FAMILY, n->component, i, quotas[i]);
    return true;
}

static s64 start(struct native *n, struct file *f, const struct native_segment *s, u32 count, u64 entry)
{
    u64 total = 0, ring = page_get_zero();
    for (u32 i = 0; i < count; i++)
        total += (s[i].memsz + PAGE - 1) / PAGE;
    if (!ring)
        return -ENOMEM;
    n->ring = page_va(ring);
    n->page = total <= quotas[XOK_RES_PAGES] ? heap_alloc(total * sizeof *n->page) : NULL;
    s64 e = n->page && capability_make(n) ? xok_env_alloc(SLOT, 0) : -1;
    if (e < 0)
        return -ENOMEM;
    n->env = e;
    n->name = XOK_ENVS[XOK_ENV_INDEX(e)].name;
    for (u32 i = 0; i < count; i++) {
        s64 r = segment_load(n, f, &s[i]);
        if (r)
            return r;
    }
    struct xok_regs regs = {.rip = entry, .rdi = thread_self()->env, .rflags = 2};
    if (xok_ring_set((u64)n->ring) || xok_pct_gate(SLOT, 1) || xok_env_regs(FAMILY, n->env, &regs, 1) ||
        xok_cap_copy(SLOT, FAMILY, n->env, XOK_ALL, 0) || xok_slot_alloc(FAMILY, n->env, thread_self()->ctl->cpu, XOK_SLOT_ANY) < 0 ||
        xok_env_run(FAMILY, n->env))
        return -ENOMEM;
    return 0;
}

// What it has sent goes to the standard output.
static void output_carry(struct native *n)
{
    struct thread *t = thread_self();
    struct file *out = files_get_file(proc_self()->files, STDOUT);
    for (;; n->next++) {
        struct xok_message *m = &n->ring[n->next % XOK_RING_SLOTS];
        if (!__atomic_load_n(&m->from, __ATOMIC_ACQUIRE))
            break;
        u64 length = strnlen((const char *)m->word, sizeof m->word);
        if (out && out->mode & MAY_WRITE && out->ops->write) {
            t->arena_io = true;
            out->ops->write(out, (u64)m->word, length, &out->pos);
            t->arena_io = false;
        }
        __atomic_store_n(&m->from, 0, __ATOMIC_RELEASE);
    }
    if (out)
        file_put(out);
}

// Everything of its name, and of names below, goes.
static bool its(const struct native *n, u32 name)
{
    for (; name; name = XOK_NAMES[name].parent)
        if (name == n->name)
            return true;
    return false;
}

static void take_back(struct native *n)
{
    for (u32 i = 1; n->name && i < XOK_INFO->env_high; i++)
        if (XOK_ENVS[i].id && its(n, XOK_ENVS[i].name))
            xok_env_free(FAMILY, XOK_ENVS[i].id);
    for (u64 p = 0; n->name && XOK_NAMES[n->name].used[XOK_RES_PAGES] && p < XOK_INFO->page_count; p++)
        if (XOK_PAGES[p].type >= XOK_PAGE_USER && its(n, XOK_ACL_NAME(XOK_PAGES[p].acl[0]))) {
            xok_region_page(FAMILY, p, 0);
            xok_page_free(FAMILY, p, 1);
        }
    xok_ring_set(0);
    xok_pct_gate(FAMILY, 0);
    if (n->component)
        xok_cap_drop(SLOT);
    for (u64 i = 0; i < n->pages; i++)
        page_put(n->page[i]);
    heap_free(n->page);
    if (n->ring)
        page_put(page_of(n->ring));
}

s64 native_run(struct file *f, const struct native_segment *segments, u32 count, u64 entry)
{
    struct native n = {0};
    s64 r = start(&n, f, segments, count, entry);
    const volatile struct xok_env_info *e = &XOK_ENVS[XOK_ENV_INDEX(n.env)];
    while (!r) {
        u64 app = e->app[0];
        bool gone = e->id != n.env, dead = e->state == XOK_ENV_DEAD;
        output_carry(&n);
        if (gone || dead || app >= XOK_NATIVE_EXIT) {
            r = gone ? 0 : dead ? SIGTERM : (s64)(app & 0xff) << 8;
            break;
        }
        if (thread_sleep(clock_mono_ns() + POLL_NS, true) == -EINTR && signal_pending(thread_self())) {
            r = SIGTERM;
            break;
        }
    }
    take_back(&n);
    return r;
}
