// Handlers: downloaded code that decides about a frame when it arrives (thesis 3.6, ASHs).
#include "net/net.h"
#include "code/code.h"
#include "code/image.h"

enum { HANDLERS = 64, R_FRAME = 0, R_STATE, R_REPLY, REGIONS, FRAME_LEAST = 14, PINS_MAX = 0xff00 };
enum { IMAGE_PAGES = (sizeof(struct xok_code_image) + XOK_CODE_INSNS * 8 + XOK_CODE_RODATA + 4095) / 4096 };
static struct handler {
    struct code_program program; // text NULL: unused
    u64 state_ppn;
    u32 state_pages, fuel;
} handlers[HANDLERS];
static u8 image[IMAGE_PAGES * 4096] __attribute__((aligned(8))); // while one is loaded
static bool running; // a reply that comes back to a handler in this machine goes to its ring

void handler_drop(struct xok_filter_info *f)
{
    if (!f->handler)
        return;
    struct handler *h = &handlers[f->handler - 1];
    for (u32 i = 0; i < h->state_pages; i++)
        pages[h->state_ppn + i].pins--;
    code_remove(&h->program);
    f->handler = 0;
}

bool handler_run(struct nic *nic, struct xok_filter_info *f, const struct piece *p, u32 len)
{
    static u8 reply[XOK_REPLY_MAX] __attribute__((aligned(16)));
    static u32 wrote; // handler whose bytes are in reply: nobody else's business
    struct handler *h = &handlers[f->handler - 1];
    if (running)
        return false;
    if (wrote != f->id) {
        memset(reply, 0, sizeof reply);
        wrote = f->id;
    }
    struct code_region r[REGIONS] = {{(void *)p->at, MIN(MIN(p->len, len), (u32)XOK_PAGE_SIZE)},
                                     {phys_to_virt(h->state_ppn * XOK_PAGE_SIZE), h->state_pages * XOK_PAGE_SIZE},
                                     {reply, sizeof reply}};
    struct code_result x = code_call(&h->program, r, REGIONS, h->fuel);
    u32 verdict = x.status == CODE_OK ? x.value & 0xffff : 0, size = x.value >> 16 & 0xffff;
    if (x.status != CODE_OK || verdict > (XOK_VERDICT_DONE | XOK_VERDICT_REPLY | XOK_VERDICT_WAKE)) {
        f->failed++;
        return false;
    }
    if (verdict & XOK_VERDICT_WAKE)
        pred_touch_phys(h->state_ppn * XOK_PAGE_SIZE);
    if (verdict & XOK_VERDICT_REPLY) {
        struct cap c = {f->owner, XOK_W};
        running = true;
        s64 sent = size > sizeof reply ? XOK_E_ARG : frame_send(nic, &c, reply, size);
        running = false;
        if (sent) {
            f->failed++;
            return false;
        }
    } else if (!(verdict & XOK_VERDICT_DONE)) {
        return false;
    }
    f->handled++;
    return true;
}

// ---- the call ----------------------------------------------------------------------------------------------
static s64 state_ok(const struct cap *c, u64 ppn, u32 count)
{
    if (!count || count > XOK_HANDLER_PAGES)
        return XOK_E_ARG;
    if (ppn >= page_count || count > page_count - ppn)
        return XOK_E_CAP;
    for (u64 i = ppn; i < ppn + count; i++) {
        if (pages[i].type != XOK_PAGE_USER || !cap_dominates(c, pages[i].acl[0], XOK_W))
            return XOK_E_CAP;
        if (pages[i].pins > PINS_MAX)
            return XOK_E_BUSY;
    }
    return 0;
}

static s64 program_load(const struct xok_handler *in, struct code_program *program)
{
    struct code_abi theirs, abi = {
        .class = CODE_HANDLER,
        .region_count = REGIONS,
        .region = {
            [R_FRAME] = {.min_len = FRAME_LEAST, .max_len = XOK_PAGE_SIZE},
            [R_STATE] = {.min_len = XOK_PAGE_SIZE, .max_len = XOK_HANDLER_PAGES * XOK_PAGE_SIZE, .writable = true},
            [R_REPLY] = {.min_len = XOK_REPLY_MAX, .max_len = XOK_REPLY_MAX, .writable = true},
        },
    };
    struct code_source source;
    struct code_error error;
    if (in->code_len > sizeof image)
        return XOK_E_ARG;
    if (copy_in(image, in->code, in->code_len))
        return XOK_E_FAULT;
    if (code_image(image, in->code_len, &theirs, &source) || theirs.class != CODE_HANDLER)
        return XOK_E_ARG;
    return code_install(&abi, &source, program, &error);
}

s64 sys_filter_code(u64 slot, u64 id, u64 handler)
{
    struct cap c;
    struct xok_handler in;
    struct code_program program;
    u32 x = dpf_find(&dpf, id), i = 0;
    if (!x)
        return XOK_E_ARG;
    struct xok_filter_info *f = &dpf.filter[x];
    if (!cap_slot(this_cpu()->env, slot, &c) || !cap_over(&c, f->owner, XOK_W))
        return XOK_E_CAP;
    if (copy_in(&in, handler, sizeof in))
        return XOK_E_FAULT;
    if (!in.code) {
        handler_drop(f);
        return 0;
    }
    while (i < HANDLERS && handlers[i].program.text)
        i++;
    if (in.fuel > XOK_HANDLER_FUEL)
        return XOK_E_ARG;
    if (i == HANDLERS)
        return XOK_E_FULL;
    s64 r = state_ok(&c, in.state_ppn, in.state_pages);
    if (!r)
        r = program_load(&in, &program);
    if (r)
        return r;
    handler_drop(f);
    handlers[i] = (struct handler){program, in.state_ppn, in.state_pages, in.fuel};
    for (u32 k = 0; k < in.state_pages; k++)
        pages[in.state_ppn + k].pins++;
    f->handler = i + 1;
    return 0;
}
