// Bytes in pages. Small pieces share pages: one page at a time is handed out from its beginning to its end,
// so that what one connection queues in a row lies in a row, and is one piece.
#include "net/stack.h"

enum { SPARES = 256, PAGE_BYTES = 4096 };

struct netref *ref_new(struct net *net)
{
    struct netref *r = net->ref_spare;
    if (r) {
        net->ref_spare = r->next;
        net->ref_spares--;
        r->next = NULL;
        return r;
    }
    return net_alloc(sizeof *r);
}

static void node_free(struct net *net, struct netref *r)
{
    if (net->ref_spares >= SPARES) {
        net_free(r);
        return;
    }
    r->next = net->ref_spare;
    net->ref_spare = r;
    net->ref_spares++;
}

void ref_free(struct net *net, struct netref *r)
{
    net_page_put(r->data);
    node_free(net, r);
}

void refs_free(struct net *net, struct netref *r)
{
    while (r) {
        struct netref *next = r->next;
        ref_free(net, r);
        r = next;
    }
}

u8 *frag_take(struct net *net, u32 *n)
{
    u32 left = net->frag_page ? PAGE_BYTES - net->frag_used : 0;
    if (!left) {
        u8 *page = net_page_get();
        if (!page)
            return NULL;
        if (net->frag_page)
            net_page_put(net->frag_page);
        net->frag_page = page;
        net->frag_used = 0;
        left = PAGE_BYTES;
    }
    *n = MIN(*n, left);
    u8 *p = net->frag_page + net->frag_used;
    net->frag_used += *n;
    net_page_ref(p);
    return p;
}

static bool same_page(const u8 *a, const u8 *b) { return !(((u64)a ^ (u64)b) & ~(u64)(PAGE_BYTES - 1)); }

bool refq_put(struct net *net, struct refq *q, u8 *data, u32 len)
{
    struct netref *r = q->last;
    if (r && r->data + r->len == data && same_page(r->data, data)) {
        r->len += len;
        net_page_put(data);
    } else {
        r = ref_new(net);
        if (!r) {
            net_page_put(data);
            return false;
        }
        r->data = data, r->len = len;
        *(q->last ? &q->last->next : &q->first) = r;
        q->last = r;
    }
    q->bytes += len;
    return true;
}

bool refq_copy(struct net *net, struct refq *q, const u8 *from, u32 len)
{
    while (len) {
        u32 n = len;
        u8 *to = frag_take(net, &n);
        if (!to)
            return false;
        memcpy(to, from, n);
        if (!refq_put(net, q, to, n))
            return false;
        from += n, len -= n;
    }
    return true;
}

void refq_drop(struct net *net, struct refq *q, u32 n)
{
    q->bytes -= n;
    while (n) {
        struct netref *r = q->first;
        if (r->len > n) {
            r->data += n, r->len -= n;
            return;
        }
        n -= r->len;
        q->first = r->next;
        if (!q->first)
            q->last = NULL;
        ref_free(net, r);
    }
}

void refq_free(struct net *net, struct refq *q)
{
    refs_free(net, q->first);
    q->first = q->last = NULL;
    q->bytes = 0;
}

bool refq_clone(struct net *net, struct refq *q, const struct netref *r, u32 off, u32 len)
{
    for (; r && off >= r->len; r = r->next)
        off -= r->len;
    for (; r && len; r = r->next, off = 0) {
        u32 n = MIN(r->len - off, len);
        net_page_ref(r->data);
        if (!refq_put(net, q, r->data + off, n))
            return false;
        len -= n;
    }
    return true;
}

bool refq_cut(struct net *net, struct refq *q, u32 n, struct refq *rest)
{
    struct netref *r = q->first, *last = NULL, *front = NULL;
    u32 left = n;
    for (; r && left >= r->len; r = r->next)
        left -= r->len, last = r;
    if (left) { // the cut goes through r
        front = ref_new(net);
        if (!front)
            return false;
        net_page_ref(r->data);
        front->data = r->data, front->len = left;
    }
    rest->first = r, rest->last = r ? q->last : NULL;
    rest->bytes = q->bytes - n;
    if (front) {
        r->data += left, r->len -= left;
        *(last ? &last->next : &q->first) = front;
        last = front;
    }
    *(last ? &last->next : &q->first) = NULL;
    q->last = last;
    q->bytes = n;
    return true;
}

void refs_read(const struct netref *r, u32 off, u8 *to, u32 len)
{
    for (; r && off >= r->len; r = r->next)
        off -= r->len;
    for (; r && len; r = r->next, off = 0) {
        u32 n = MIN(r->len - off, len);
        memcpy(to, r->data + off, n);
        to += n, len -= n;
    }
}
