// Wakeup predicates: sums of products over words, found by the words that can make them true.
#include "kernel.h"

struct term {
    const volatile u64 *word; // kernel address of the word; its page is pinned unless exposed state
    u64 value, va;            // va: as the environment named it
    u32 tag;
    u8 op, last;
    bool pinned;
    struct env *env;
    struct term *next, **link; // chain of the word's bucket
};
struct pred {
    u32 count;
    struct term terms[XOK_PRED_MAX];
};
_Static_assert(sizeof(struct pred) <= XOK_PAGE_SIZE, "a predicate is a page");

enum { BUCKETS = 1024 };
static struct term *buckets[BUCKETS];

static struct term **bucket_of(const volatile void *word)
{
    u64 pa = virt_to_phys((const void *)word) / 8;
    return &buckets[(pa ^ pa >> 10 ^ pa >> 20) % BUCKETS];
}

static bool term_true(const struct term *t)
{
    u64 w = *t->word;
    switch (t->op) {
    case XOK_PRED_EQ: return w == t->value;
    case XOK_PRED_NE: return w != t->value;
    case XOK_PRED_GE: return w >= t->value;
    case XOK_PRED_LT: return w < t->value;
    default: return w & t->value;
    }
}

bool pred_true(struct env *e)
{
    struct pred *p = e->pred;
    bool product = true;
    for (u32 i = 0; p && i < p->count; i++) {
        product = product && term_true(&p->terms[i]);
        if (!p->terms[i].last)
            continue;
        if (product) {
            e->ctl->pred_tag = p->terms[i].tag;
            return true;
        }
        product = true;
    }
    return false;
}

static void terms_release(struct pred *p)
{
    for (u32 i = 0; i < p->count; i++) {
        struct term *t = &p->terms[i];
        *t->link = t->next;
        if (t->next)
            t->next->link = t->link;
        if (t->pinned)
            pages[virt_to_phys((const void *)t->word) / XOK_PAGE_SIZE].pins--;
    }
    p->count = 0;
}

void pred_drop(struct env *e)
{
    if (!e->pred)
        return;
    terms_release(e->pred);
    kpage_free(virt_to_phys(e->pred));
    quota_refund(e->name, XOK_RES_PREDS, 1);
    e->pred = NULL;
}

void pred_touch_phys(u64 pa)
{
    struct term *next;
    for (struct term *t = *bucket_of(phys_to_virt(pa)); t; t = next) {
        next = t->next;
        if (virt_to_phys((const void *)t->word) == pa && t->env->ctl)
            env_wake_check(t->env);
    }
}

void pred_touch_info(const volatile void *word)
{
    pred_touch_phys(virt_to_phys((const void *)word));
}

static bool exposed(u64 va) { return va >= XOK_INFO_VA && va < XOK_INFO_VA + (1ul << 39); }

// A sleeper asks again about the same words most often. Then only values change: the words of exposed state
// are where they were, and so are the others if their pages are mapped as they were.
static bool values_change(struct env *e, const struct xok_pred_term *in, u64 count)
{
    struct pred *p = e->pred;
    u64 ppn;
    if (!p || p->count != count)
        return false;
    for (u64 i = 0; i < count; i++) {
        const struct term *t = &p->terms[i];
        if (t->va != in[i].addr || t->op != in[i].op || t->tag != in[i].tag ||
            t->last != (in[i].last || i + 1 == count) ||
            (t->pinned && (!user_page(e->space, t->va, false, &ppn) ||
                           ppn != virt_to_phys((const void *)t->word) / XOK_PAGE_SIZE)))
            return false;
    }
    for (u64 i = 0; i < count; i++)
        p->terms[i].value = in[i].value;
    return true;
}

s64 sys_pred_set(u64 terms, u64 count)
{
    struct env *e = this_cpu()->env;
    struct xok_pred_term in[XOK_PRED_MAX];
    u64 ppn[XOK_PRED_MAX];
    if (count > XOK_PRED_MAX || !e->ctl)
        return XOK_E_ARG;
    if (copy_in(in, terms, count * sizeof in[0]))
        return XOK_E_FAULT;
    if (count && values_change(e, in, count))
        return 0;
    for (u64 i = 0; i < count; i++) {
        if (in[i].addr & 7 || in[i].op > XOK_PRED_ANY || (!exposed(in[i].addr) && !user_range(in[i].addr, 8)))
            return XOK_E_ARG;
        if (!user_page(e->space, in[i].addr, false, &ppn[i]))
            return XOK_E_FAULT;
        if (!exposed(in[i].addr) && pages[ppn[i]].pins > 0xffff - XOK_PRED_MAX)
            return XOK_E_BUSY;
    }
    if (count && !e->pred) {
        s64 r = quota_charge(e->name, XOK_RES_PREDS, 1);
        if (r)
            return r;
        u64 pa = kpage_alloc();
        if (!pa) {
            quota_refund(e->name, XOK_RES_PREDS, 1);
            return XOK_E_NOMEM;
        }
        e->pred = phys_to_virt(pa);
    }
    if (!count) {
        pred_drop(e);
        return 0;
    }
    terms_release(e->pred);
    for (u64 i = 0; i < count; i++) {
        struct term *t = &e->pred->terms[i];
        u64 pa = ppn[i] * XOK_PAGE_SIZE + in[i].addr % XOK_PAGE_SIZE;
        *t = (struct term){.word = phys_to_virt(pa), .va = in[i].addr, .value = in[i].value, .tag = in[i].tag, .op = in[i].op,
                           .last = in[i].last || i + 1 == count, .env = e, .pinned = !exposed(in[i].addr)};
        if (t->pinned)
            pages[ppn[i]].pins++;
        t->link = bucket_of(t->word);
        t->next = *t->link;
        if (t->next)
            t->next->link = &t->next;
        *t->link = t;
    }
    e->pred->count = count;
    return 0;
}

s64 sys_pred_touch(u64 addr)
{
    u64 ppn;
    if (addr & 7 || !user_range(addr, 8))
        return XOK_E_ARG;
    if (!user_page(this_cpu()->env->space, addr, false, &ppn))
        return XOK_E_FAULT;
    pred_touch_phys(ppn * XOK_PAGE_SIZE + addr % XOK_PAGE_SIZE);
    return 0;
}
