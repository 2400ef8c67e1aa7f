// Taking pages back (thesis 3.2, "visible revocation" and "abort protocol"): include/xok/revoke.h.
#include "mem/table.h"
#include "xok/revoke.h"

// May a table owned by `name` map the page with these bits by today's access list?
static bool still_allowed(u32 name, u64 ppn, u64 pte)
{
    struct cap c = {.name = name, .rights = XOK_ALL};
    return name && page_may(&c, ppn, pte & XOK_PTE_W ? XOK_R | XOK_W : XOK_R);
}

static bool leaf_of(u64 pte, int level, u64 ppn)
{
    return pte & XOK_PTE_P && is_leaf(pte, level) && ppn - XOK_PTE_PPN(pte) < leaf_pages(level);
}

// Removes the page's mappings in tables first..first+n-1: all, or those that are no longer allowed.
static bool strip(u64 ppn, u64 first, u64 n, bool all)
{
    bool any = false;
    for (u64 t = first; t < first + n && pages[ppn].refs; t++) {
        struct xok_page_info *table = &pages[t];
        if (table->type < XOK_PAGE_PT1 || table->type > XOK_PAGE_PT3 || !table->next)
            continue;
        int level = table->type - XOK_PAGE_PT1 + 1;
        u64 *e = phys_to_virt(t * XOK_PAGE_SIZE);
        for (u32 i = table->prev & 0xffff; i <= table->prev >> 16; i++) {
            if (!leaf_of(e[i], level, ppn) || (!all && still_allowed(XOK_ACL_NAME(table->acl[0]), ppn, e[i])))
                continue;
            u64 old = __atomic_exchange_n(&e[i], 0, __ATOMIC_RELAXED);
            leaf_refs(old, level, -1);
            table->next--;
            any = true;
        }
    }
    if (any) {
        tlb_flush_all();
        tlb_shootdown(0, 0, true);
    }
    return any;
}

static bool tables_ok(u64 ppn, u64 first, u64 n)
{
    return ppn < page_count && n <= XOK_STRIP_MAX && first <= page_count && n <= page_count - first;
}

s64 sys_page_strip(u64 slot, u64 ppn, u64 first, u64 n)
{
    struct cap c;
    if (!cap_slot(this_cpu()->env, slot, &c))
        return XOK_E_CAP;
    if (!tables_ok(ppn, first, n))
        return XOK_E_ARG;
    if (pages[ppn].type != XOK_PAGE_USER || !cap_dominates(&c, pages[ppn].acl[0], XOK_W))
        return XOK_E_CAP;
    strip(ppn, first, n, false);
    return pages[ppn].refs;
}

// ---- the guaranteed set ---------------------------------------------------------------------------------
static void keep_end(struct env *e, u64 ppn)
{
    pages[ppn].flags &= ~XOK_PAGE_KEPT;
    quota_refund(e->name, XOK_RES_KEPT, 1);
}

static bool save_unlink(struct env *e, u64 ppn)
{
    u64 at = e->save_pages, before = 0;
    for (; at && at != ppn; before = at, at = pages[at].next)
        ;
    if (!at)
        return false;
    if (before)
        pages[before].next = pages[at].next;
    else
        e->save_pages = pages[at].next;
    pages[at].next = 0;
    pages[at].pins--;
    return true;
}

void keep_drop(struct env *e)
{
    while (e->save_pages) {
        u64 ppn = e->save_pages;
        save_unlink(e, ppn);
        keep_end(e, ppn);
    }
}

s64 sys_page_keep(u64 slot, u64 ppn, u64 mode)
{
    struct env *e = this_cpu()->env;
    struct cap c;
    if (!cap_slot(e, slot, &c))
        return XOK_E_CAP;
    if (ppn >= page_count || mode > XOK_KEEP_SAVE)
        return XOK_E_ARG;
    struct xok_page_info *p = &pages[ppn];
    if (p->type != XOK_PAGE_USER || XOK_ACL_NAME(p->acl[0]) != e->name || !cap_dominates(&c, p->acl[0], XOK_W))
        return XOK_E_CAP;
    if (mode == XOK_KEEP_NOT) {
        if (!(p->flags & XOK_PAGE_KEPT))
            return XOK_E_ARG;
        if (!save_unlink(e, ppn) && p->pins) // another environment's save page, perhaps
            return XOK_E_BUSY;
        keep_end(e, ppn);
        return 0;
    }
    if (p->flags & XOK_PAGE_KEPT || p->pins == 0xffff)
        return XOK_E_BUSY;
    s64 r = quota_charge(e->name, XOK_RES_KEPT, 1);
    if (r)
        return r;
    p->flags |= XOK_PAGE_KEPT;
    if (mode == XOK_KEEP_SAVE) {
        p->pins++;
        p->next = e->save_pages;
        e->save_pages = ppn;
    }
    return 0;
}

// ---- asking, and taking ------------------------------------------------------------------------------------
// The environment hears of it as soon as it runs and its mask allows.
static void revoke_raise(struct env *e)
{
    if (!e->entry[XOK_UP_REVOKE] || !e->ctl)
        return;
    e->pending |= 1ul << (32 + XOK_UP_REVOKE);
    if (e->info->state == XOK_ENV_ASLEEP) {
        e->regs.rax = 0;
        env_ready(e);
    } else if (e->running_on && e != this_cpu()->env) {
        apic_ipi(cpus[e->running_on - 1].apic_id, VECTOR_KICK);
    }
}

static s64 revokee_find(u64 slot, u64 target, struct cap *c, struct env **e)
{
    *e = env_find(target);
    if (!*e || (*e)->info->state == XOK_ENV_DEAD)
        return XOK_E_ENV;
    bool above = cap_slot(this_cpu()->env, slot, c) && cap_over(c, (*e)->name, XOK_V) && c->name != (*e)->name;
    return above ? 0 : XOK_E_CAP;
}

s64 sys_env_ask(u64 slot, u64 target, u64 resource, u64 count)
{
    struct env *e;
    struct cap c;
    s64 r = revokee_find(slot, target, &c, &e);
    if (r)
        return r;
    if (resource >= XOK_RES_COUNT || !count || count > ~0u)
        return XOK_E_ARG;
    if (!e->entry[XOK_UP_REVOKE] || !e->ctl)
        return XOK_E_AGAIN;
    e->asked_resource = resource;
    e->asked = count;
    revoke_raise(e);
    return 0;
}

static void seizure_end(struct env *e, u64 ppn)
{
    u64 saved = e->save_pages;
    if (saved) {
        save_unlink(e, saved);
        keep_end(e, saved);
        memcpy(phys_to_virt(saved * XOK_PAGE_SIZE), phys_to_virt(ppn * XOK_PAGE_SIZE), XOK_PAGE_SIZE);
    }
    if (e->ctl) {
        u32 n = e->ctl->lost; // the library's memory: the index is cut, whatever it says
        e->ctl->lost_pages[n % XOK_LOST] = (struct xok_lost){ppn, saved};
        e->ctl->lost = n + 1;
    }
    pages[ppn].type = XOK_PAGE_USER;
    quota_refund(XOK_ACL_NAME(pages[ppn].acl[0]), XOK_RES_PAGES, 1);
    page_release(ppn);
    revoke_raise(e);
}

s64 sys_page_seize(u64 slot, u64 target, u64 ppn, u64 first, u64 n)
{
    struct env *e;
    struct cap c;
    s64 r = revokee_find(slot, target, &c, &e);
    if (r)
        return r;
    if (!tables_ok(ppn, first, n))
        return XOK_E_ARG;
    struct xok_page_info *p = &pages[ppn];
    if ((p->type != XOK_PAGE_USER && p->type != XOK_PAGE_SEIZED) || XOK_ACL_NAME(p->acl[0]) != e->name)
        return XOK_E_CAP;
    if (p->pins || p->flags & XOK_PAGE_KEPT)
        return XOK_E_BUSY;
    p->type = XOK_PAGE_SEIZED;
    strip(ppn, first, n, true);
    if (p->refs)
        return p->refs;
    seizure_end(e, ppn);
    return 0;
}
