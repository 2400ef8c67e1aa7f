#include "apps/tiny/tiny.h"
#include "xok/native.h"
#include "xok/pct.h"

enum { STACK = 16384, POOL = 64 };

struct xok_ctl tiny_ctl;
u64 tiny_preemptions;
int (*tiny_fault)(u64, u64, struct xok_frame *);

static u8 upcall_stack[PAGE] __attribute__((aligned(PAGE)));
static u8 exception_stack[PAGE] __attribute__((aligned(PAGE)));
static u32 parent;
static volatile u64 heap_top = TINY_HEAP; // read by faults: written before what it makes valid is touched
static struct tiny_thread first = {.next = &first}, *volatile current = &first;
static volatile u32 threads = 1;

extern u8 text_begin[], text_end[];
extern u8 fault_entry[], end_entry[], begin_entry[];

#define SAVE                                                                                        \
    "push %rax\n push %rbx\n push %rcx\n push %rdx\n push %rsi\n push %rdi\n push %rbp\n push %r8\n" \
    "push %r9\n push %r10\n push %r11\n push %r12\n push %r13\n push %r14\n push %r15\n"
#define RESTORE                                                                                  \
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %r11\n pop %r10\n pop %r9\n pop %r8\n"       \
    "pop %rbp\n pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %rbx\n pop %rax\n"

// A fault: only what a C function may change need be kept. The end of a slice: the thread's whole context
// goes to its own stack. Unmasking and iretq come last, on the thread's stack, so that the end of a slice may
// come between them.
__asm__("fault_entry:\n"
        "  push %rax\n push %rcx\n push %rdx\n push %rsi\n push %rdi\n push %r8\n push %r9\n push %r10\n push %r11\n"
        "  lea 72(%rsp), %rdi\n"
        "  cld\n"
        "  call fault\n"
        "  pop %r11\n pop %r10\n pop %r9\n pop %r8\n pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %rax\n"
        "  lea 24(%rsp), %rsp\n"
        "  iretq\n"
        "end_entry:\n" SAVE
        "  mov %rsp, %rdi\n"
        "  cld\n"
        "  call slice_end\n"
        "begin_entry:\n"
        "  call thread_next\n"
        "tiny_resume:\n"
        "  mov %rax, %rsp\n" RESTORE
        "  movq $0, tiny_ctl+112(%rip)\n"
        "  iretq\n"
        ".globl tiny_yield\n"
        "tiny_yield:\n" // the same context, made by a call
        "  mov %rsp, %rax\n"
        "  pushq $0x2b\n"
        "  lea 8(%rax), %rcx\n  push %rcx\n"
        "  pushfq\n"
        "  pushq $0x33\n"
        "  push (%rax)\n" SAVE
        "  mov %rsp, %rdi\n"
        "  movq $1, tiny_ctl+112(%rip)\n" // no end of slice while no thread is current
        "  call thread_yields\n"
        "  jmp tiny_resume\n");
_Static_assert(__builtin_offsetof(struct xok_ctl, upcall_mask) == 112, "asm above");

static u64 strings(char *at, u64 room, const char *s)
{
    u64 n = 0;
    while (n < room && s[n])
        at[n] = s[n], n++;
    return n;
}

static u64 number(char *at, u64 v)
{
    char digits[24];
    u64 n = 0, k = 0;
    do
        digits[n++] = '0' + v % 10;
    while (v /= 10);
    while (n)
        at[k++] = digits[--n];
    return k;
}

// To whoever started it, message by message; a machine of its own has the log.
static void write(const char *text, u64 n)
{
    if (!parent)
        xok_log(text, n - 1); // the log adds the end of the line
    for (u64 at = 0; parent && at < n;) {
        u64 word[XOK_RING_WORDS] = {0}, k = 0;
        for (; k < sizeof word && at + k < n; k++)
            ((char *)word)[k] = text[at + k];
        s64 r = xok_ring_send(parent, word, XOK_RING_WORDS);
        if (r == XOK_E_FULL)
            xok_yield(parent);
        else if (r)
            return;
        else
            at += k;
    }
}

void tiny_say(const char *text, u64 a, u64 b)
{
    char line[200];
    u64 n = strings(line, 140, text);
    line[n++] = ' ';
    n += number(line + n, a);
    line[n++] = ' ';
    n += number(line + n, b);
    line[n++] = '\n';
    write(line, n);
}

void tiny_exit(int ok)
{
    write(ok ? "done\n" : "failed\n", ok ? 5 : 7);
    if (!parent)
        xok_halt(TINY_CAP, !ok);
    xok_env_app(0, 0, XOK_NATIVE_EXIT + !ok);
    for (;;)
        xok_sleep(0, 0);
}

// ---- memory ---------------------------------------------------------------------------------------------
s64 tiny_map(u64 va, u64 ppn, u64 bits)
{
    struct xok_pt_op op = {.va = va, .pte = ppn << 12 | XOK_PTE_P | bits, .count = 1, .kind = XOK_PT_SET, .level = 1,
                           .flags = XOK_PT_CREATE};
    return xok_pt_batch(TINY_CAP, 0, &op, 1);
}

u64 tiny_page(void) { return xok_page_alloc(TINY_CAP, XOK_PAGE_ANY, 1); }

void *tiny_alloc(u64 bytes)
{
    u64 at = heap_top;
    heap_top += (bytes + 15) & ~15ul;
    __asm__ volatile("" : : : "memory"); // a fault on it must find it allocated
    return (void *)at;
}

// On the upcall stack. Untouched heap: a page of zeros appears.
__attribute__((used)) static void fault(struct xok_frame *f)
{
    if (tiny_fault && tiny_fault(f->addr, f->error, f))
        return;
    u64 va = f->addr & ~(PAGE - 1);
    s64 ppn = f->addr >= TINY_HEAP && f->addr < heap_top && !(f->error & 1) ? (s64)tiny_page() : -1;
    if (ppn < 0 || tiny_map(va, ppn, XOK_PTE_W | XOK_PTE_NX) != 1) {
        tiny_say("not ok tiny: fault at, from", f->addr, f->rip);
        tiny_exit(0);
    }
    if (XOK_PAGES[ppn].flags & XOK_PAGE_ZEROED)
        return;
    void *to = (void *)va;
    u64 n = PAGE / 8;
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(0) : "memory");
}

// ---- threads -----------------------------------------------------------------------------------------------
__attribute__((used)) static u64 thread_next(void)
{
    current = current->next;
    current->turns++;
    return current->rsp;
}

__attribute__((used)) static u64 thread_yields(u64 rsp)
{
    current->rsp = rsp;
    return thread_next();
}

// Moves the context of the interrupted thread to its own stack, below its red zone, and gives the rest of
// the grace time away. The next slice begins at begin_entry.
__attribute__((used)) static void slice_end(struct tiny_context *c)
{
    struct xok_frame *f = (struct xok_frame *)&c->rip; // kind, addr, error lie where the context has its frame
    u64 rip = f->rip, cs = f->cs, rflags = f->rflags, rsp = f->rsp, ss = f->ss;
    struct tiny_context *to = (struct tiny_context *)((rsp - 128 - sizeof *to) & ~15ul);
    *to = *c;
    to->rip = rip, to->cs = cs, to->rflags = rflags, to->rsp = rsp, to->ss = ss;
    current->rsp = (u64)to;
    tiny_preemptions++;
    xok_yield(0);
}

void tiny_thread_start(void (*fn)(u64), u64 arg)
{
    struct tiny_thread *t = tiny_alloc(sizeof *t);
    u64 top = (u64)tiny_alloc(STACK) + STACK - 64;
    struct tiny_context *c = (struct tiny_context *)((top - sizeof *c) & ~15ul);
    *(u64 *)top = (u64)tiny_thread_end; // where fn returns to
    *c = (struct tiny_context){.rdi = arg, .rip = (u64)fn, .cs = XOK_USER_CS, .rflags = 0x202, .rsp = top, .ss = XOK_USER_SS};
    t->rsp = (u64)c;
    tiny_ctl.upcall_mask = 1;
    t->next = current->next;
    current->next = t;
    threads++;
    tiny_ctl.upcall_mask = 0;
}

void tiny_thread_end(void)
{
    tiny_ctl.upcall_mask = 1;
    struct tiny_thread *before = current;
    while (before->next != current)
        before = before->next;
    before->next = current->next;
    current = before;
    threads--;
    __asm__ volatile("call thread_next\n jmp tiny_resume" : : : "memory");
    __builtin_unreachable();
}

u32 tiny_threads(void) { return threads; }

// ---- environments --------------------------------------------------------------------------------------------
u32 tiny_spawn(void (*fn)(u64), u64 arg)
{
    u64 kit = (u64)tiny_alloc(4 * PAGE + STACK);
    kit = (kit + PAGE - 1) & ~(PAGE - 1);
    for (int i = 0; i < 2; i++)
        *(volatile u64 *)(kit + i * PAGE) = 0;
    struct xok_env_setup s = {.ctl = kit, .upcall_stack = kit + PAGE, .text_lo = (u64)text_begin, .text_hi = (u64)text_end,
                              .entry = {[XOK_UP_FAULT] = (u64)fault_entry}, .flags = XOK_ENV_KSAVE};
    struct xok_regs r = {.rip = (u64)fn, .rdi = arg, .rsp = kit + 2 * PAGE + STACK - 8, .rflags = 2};
    s64 e = xok_env_alloc(TINY_CAP, XOK_ENVS[XOK_ENV_INDEX(tiny_ctl.id)].id);
    if (e < 0 || xok_env_setup(TINY_CAP, e, &s) || xok_env_regs(TINY_CAP, e, &r, 1) ||
        xok_cap_copy(TINY_CAP, TINY_CAP, e, XOK_ALL, TINY_CAP) || xok_env_run(TINY_CAP, e))
        return 0;
    return e;
}

__attribute__((used, noreturn)) void tiny_begin(u64 from, u64 module_pages)
{
    parent = module_pages ? 0 : from;
    struct xok_env_setup s = {.ctl = (u64)&tiny_ctl, .upcall_stack = (u64)upcall_stack, .exc_stack = (u64)exception_stack,
                              .text_lo = (u64)text_begin, .text_hi = (u64)text_end,
                              .entry = {[XOK_UP_FAULT] = (u64)fault_entry, [XOK_UP_SLICE_END] = (u64)end_entry,
                                        [XOK_UP_SLICE_BEGIN] = (u64)begin_entry}};
    if (xok_env_setup(TINY_CAP, 0, &s))
        tiny_exit(0);
    tiny_main();
    tiny_exit(1);
}
