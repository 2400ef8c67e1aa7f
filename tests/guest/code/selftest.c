// Downloaded code in the machine: linked into a kernel of its own, runs at boot and stops the machine.
#include "kernel.h"
#include "code/code.h"
#include "code/insn.h"

static u32 failures;

static void check(bool ok, const char *what)
{
    klog("%s code: %s", ok ? "ok" : "not ok", what);
    failures += !ok;
}

static u64 slot(u8 op, u8 dst, u8 src, s16 off, s32 imm)
{
    struct insn i = {op, dst, src, off, imm};
    u64 n;
    memcpy(&n, &i, 8);
    return n;
}

static bool present(u64 va)
{
    return *kernel_entry(va & ~4095ul, 1) & XOK_PTE_P;
}
static bool executable_only(u64 va)
{
    u64 e = *kernel_entry(va & ~4095ul, 1);
    return e & XOK_PTE_P && !(e & XOK_PTE_W) && !(e & XOK_PTE_NX);
}

static u64 twice(u64 a, u64 b, u64 c, u64 d, u64 e)
{
    return 2 * a + 0 * (b + c + d + e);
}

static u8 memory[64];
static const struct code_region region = {memory, sizeof memory};

static s64 install(const u64 *insns, u32 n, struct code_program *p, struct code_error *e)
{
    static const struct code_helper helper = {"twice", twice, 7, {CODE_ARG_VALUE}};
    struct code_abi abi = {.class = CODE_HANDLER,
                           .region_count = 1,
                           .region = {{64, 64, true, false}},
                           .helpers = &helper,
                           .helper_count = 1};
    return code_install(&abi, &(struct code_source){insns, n, NULL, 0}, p, e);
}

void kernel_selftest(void)
{
    struct code_program p, q, many[40];
    struct code_error e;
    u64 free = info.pages_free;
    const u64 sum[] = {// adds up the region's words; the loop's end is unknown to the verifier
                       slot(ALU64 | MOV, 0, 0, 0, 0),      slot(ALU64 | ADD | X, 2, 1, 0, 0),
                       slot(LDX | MEM | W, 3, 1, 0, 0),    slot(ALU64 | ADD | X, 0, 3, 0, 0),
                       slot(ALU64 | ADD, 1, 0, 0, 4),      slot(JMP | JNE | X, 1, 2, -4, 0),
                       slot(STX | MEM | DW, 1, 0, -64, 0), slot(JMP | EXIT, 0, 0, 0, 0)};
    for (u32 k = 0; k < 16; k++)
        ((u32 *)memory)[k] = k + 1;
    check(!install(sum, countof(sum), &p, &e), "a program is installed");
    check(executable_only((u64)p.text), "its page is executable and read-only");
    check(!*kernel_entry(DIRECT + text_pool, 2), "the direct map does not have the pool");
    struct code_result r = code_call(&p, &region, 1, 1000);
    check(r.status == CODE_OK && r.value == 136 && *(u64 *)memory == 136, "it runs and writes its region");
    r = code_call(&p, &region, 1, 3);
    check(r.status == CODE_E_FUEL, "it runs out of fuel");
    const u64 wild[] = {slot(LDX | MEM | DW, 1, 1, 0, 0), slot(LDX | MEM | DW, 0, 1, 0, 0),
                        slot(JMP | EXIT, 0, 0, 0, 0)};
    check(!install(wild, countof(wild), &q, &e), "a second program");
    u64 targets[] = {0,           8,    DIRECT,   KERNEL_BASE + 0x200000, (u64)&info, XOK_INFO_VA,
                     (u64)q.text, ~0ul, 1ul << 47};
    u32 caught = 0;
    for (u32 k = 0; k < countof(targets); k++) {
        *(u64 *)memory = targets[k];
        caught += code_call(&q, &region, 1, 0).status == CODE_E_MEMORY;
    }
    check(caught == countof(targets), "it cannot read the kernel");
    const u64 call[] = {slot(ALU64 | MOV, 1, 0, 0, 21), slot(JMP | CALL, 0, 0, 0, 7),
                        slot(JMP | EXIT, 0, 0, 0, 0)};
    struct code_program h;
    check(!install(call, countof(call), &h, &e) && code_call(&h, &region, 1, 0).value == 42,
          "a helper is called");
    const u64 bad[] = {slot(ALU64 | MOV | X, 0, 4, 0, 0), slot(JMP | JA, 0, 0, 5, 0)};
    check(install(bad, countof(bad), &q, &e) == XOK_E_ARG && e.insn == 1, "a bad program is refused");
    u32 installed = 0;
    for (u32 k = 0; k < countof(many); k++)
        installed += !install(sum, countof(sum), &many[k], &e);
    check(installed == countof(many) && (u64)many[1].text - (u64)many[0].text < 1024,
          "small programs share pages");
    memory[0] = 1;
    check(code_call(&p, &region, 1, 1000).status == CODE_OK &&
              code_call(&many[39], &region, 1, 1000).status == CODE_OK,
          "and still run");
    for (u32 k = 0; k < countof(many); k++)
        code_remove(&many[k]);
    check(present((u64)p.text), "others stay");
    check(free - info.pages_free < 20, "working memory is given back"); // tables of the area stay
    klog("done");
    for (;;)
        outb(0xf4, 0);
}
