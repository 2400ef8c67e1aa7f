// Downloaded code: programs in the eBPF instruction set (RFC 9669), verified, bounded and compiled to x86-64.
// Freestanding: the kernel and the host tool compile the same files. docs/downloaded-code.md tells the story.
//
// A program never sees an address of the machine. Each region it is given lies at a fixed *program address*,
// CODE_VA(k + 1) for region k, whatever memory backs it; the compiled code adds the difference. So a pointer
// is an ordinary number: it may be stored, compared, returned, and says nothing about the kernel; and the
// same bytes in give the same bytes out on any machine. An access that the verifier proved costs one
// instruction; any other is checked when it runs.
#ifndef XOK_CODE_H
#define XOK_CODE_H
#include <stdbool.h>
#include "xok/types.h"

enum {
    CODE_INSNS_MAX = 65536,    // instruction slots of a program
    CODE_REGIONS_MAX = 8,      // regions of a call
    CODE_REGION_MAX = 1 << 24, // bytes of a region
    CODE_FRAME = 512,          // stack bytes of a function
    CODE_DEPTH_MAX = 8,        // functions active at once
    CODE_RODATA_MAX = 1 << 20,
};

// What a program may do, and how it is called.
enum code_class {
    CODE_DETERMINISTIC, // no helper, no input but the regions: owns, size, refcount functions
    CODE_HANDLER,       // may call the helpers of its abi
    CODE_PREDICATE,     // deterministic, and no region is writable
};

// A region as the code's user declares it when loading. Accesses below min_len need no check at run time;
// with min_len == max_len the others are compared with a constant.
struct code_region_type {
    u32 min_len, max_len; // bytes; every call's region must lie between
    bool writable;
    bool output; // running off its end is CODE_E_FULL, not CODE_E_MEMORY
};

// A function of the kernel that a handler may call: `call id` with src 0. Arguments beyond `args` are not
// read. An argument that is memory is checked and arrives as an address of the machine; its length is the
// next one. Both may be 0.
enum code_arg { CODE_ARG_NONE, CODE_ARG_VALUE, CODE_ARG_READ, CODE_ARG_WRITE };
struct code_helper {
    const char *name;
    u64 (*fn)(u64 a, u64 b, u64 c, u64 d, u64 e);
    u32 id;
    u8 arg[5]; // enum code_arg
};

// Whoever runs the program promises that 8 bytes of a read-only region always hold the program address of a
// region: CODE_VA(to + 1). Then what a program loads from there is known to point to it. Believed, not
// checked.
struct code_pointer {
    u8 in, to;  // regions
    u16 offset; // in `in`
};

// How a program is called: r1, r2 = program address and length of region 0; r3, r4 = those of region 1 (0, 0
// if there is none); r5 = a read-only table of all, struct { u64 address, length; } each. r0 is the result.
struct code_abi {
    enum code_class class;
    u32 region_count;
    struct code_region_type region[CODE_REGIONS_MAX];
    const struct code_helper *helpers; // CODE_HANDLER only
    u32 helper_count;
    const struct code_pointer *pointers;
    u32 pointer_count;
    bool dead_code_ok; // accept instructions that nothing leads to (conformance suites have them)
};

struct code_source {
    const u64 *insns; // RFC 9669 encoding, little endian
    u32 count;        // slots: a 64-bit load takes two
    const void
        *rodata; // constants: `lddw` with src 6, imm 0 is their program address + next imm. May be NULL
    u32 rodata_len;
};

// Why a program was refused: the instruction slot and a sentence (static storage).
struct code_error {
    u32 insn;
    const char *reason;
};

// A compiled program. The machine code is position-independent unless helpers are called.
struct code_program {
    const void *text;          // set by the loader's user: where the machine code lies when it runs
    u32 size;                  // bytes of machine code, read-only data included
    u32 rodata_at, rodata_len; // in text
    u32 insns, stack;          // slots; bytes of stack in use at most
    u32 accesses, checks;      // of memory; checks of them that are left for run time
    u32 region_count;
    struct code_region_type region[CODE_REGIONS_MAX];
    bool tables; // needs all of struct code_frame's tables
    // In the working memory of code_load, by slot: the region index that an access is known to be of, 0:
    // unknown.
    const u8 *origins;
};

// Bytes of working memory that code_load wants for this program (16-byte aligned); 0: count out of range.
u64 code_work_size(const struct code_source *source);

// Verifies a program and finds the size of its machine code; what that takes stays in `work` for code_emit.
// 0, or -1 and *error. Time: linear, at most CODE_VISITS_MAX visits of an instruction by the verifier and 6
// by the rest.
#define CODE_VISITS_MAX 40
s32 code_load(const struct code_abi *abi, const struct code_source *source, void *work, u64 work_len,
              struct code_program *program, struct code_error *error);
// Writes the machine code, program->size bytes, to out; `where`: the address at which it will run (only calls
// of helpers depend on it). work and all arguments of code_load must be as it left them. 0, or -1 and *error.
s32 code_emit(void *work, const struct code_source *source, void *out, u64 out_len, u64 where,
              struct code_program *program, struct code_error *error);

// ---- running
struct code_region {
    void *base;
    u64 len;
};

enum code_status {
    CODE_OK,
    CODE_E_MEMORY, // an access outside of the regions, or a write to a read-only one
    CODE_E_FULL,   // a write past the end of an output region
    CODE_E_FUEL,
    CODE_E_DEPTH,  // more than CODE_DEPTH_MAX functions active
    CODE_E_DEAD,   // code that the verifier proved unreachable was reached (never)
    CODE_E_REGION, // a region given is not of the declared length, or the number differs
};

// The program addresses: index << 24. Index 0 is never mapped.
#define CODE_VA(index) ((u64)(index) << 24)
enum { CODE_STACK_INDEX = CODE_REGIONS_MAX + 1, CODE_TABLE_INDEX, CODE_RODATA_INDEX, CODE_INDICES };

// Memory of one run, the caller's: one a processor is enough (a run does not sleep). Nothing in it survives.
struct code_frame {
    u64 status;              // enum code_status | instruction << 8
    s64 fuel;                // left
    u64 rsp;                 // of the compiled code, to leave from any depth
    u64 delta[CODE_INDICES]; // machine address - program address
    u64 len[CODE_INDICES];
    u64 end[CODE_INDICES];  // machine address of the end, 0: no such index
    u64 wend[CODE_INDICES]; // the same for writes, 0: read-only
    u64 table[CODE_REGIONS_MAX][2];
    u64 saved[8];
    u8 stack[CODE_DEPTH_MAX * CODE_FRAME] __attribute__((aligned(16)));
};

struct code_result {
    enum code_status status;
    u32 insn;  // where it failed
    u64 value; // r0
    u64 fuel;  // left
};

// Runs compiled code. Executes at most insns + fuel instructions. After any status but CODE_OK the writable
// regions hold whatever was written so far: they must be the caller's scratch until then.
struct code_result code_run(const struct code_program *program, const struct code_region *regions, u32 count,
                            u64 fuel, struct code_frame *frame);

// The reference, for the host only: interprets the source as code_load's verifier accepted it.
struct code_result code_interpret(const struct code_program *program, const struct code_abi *abi,
                                  const struct code_source *source, const struct code_region *regions,
                                  u32 count, u64 fuel, struct code_frame *frame);

const char *code_status_text(enum code_status status);
// One line of assembly for the instruction at `at` (the format is clang's). Returns slots taken (1 or 2).
u32 code_disasm(const struct code_source *source, u32 at, char *line, u32 room);

// ---- in the kernel only: mem/text.c. Under the BKL
// code_load into pages of the kernel's own that are writable while it runs and executable afterwards, never
// both. 0; XOK_E_ARG and *error; XOK_E_NOMEM. The source is copied first, so it may be memory of an
// environment's.
s64 code_install(const struct code_abi *abi, const struct code_source *source, struct code_program *program,
                 struct code_error *error);
void code_remove(struct code_program *program);
// code_run with the frame of this processor.
struct code_result code_call(const struct code_program *program, const struct code_region *regions, u32 count,
                             u64 fuel);
#define CODE_KERNEL_INSNS_MAX 4096 // what code_install takes
#endif
