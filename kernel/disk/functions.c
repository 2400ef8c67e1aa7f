// Templates' functions as downloaded code. A program gets four regions: struct xok_udf, whose
// pointers are the program's addresses of the others; head; part; out.
#include "disk/xn.h"
#include "code/code.h"
#include "code/image.h"

enum { PROGRAMS = 256, FUEL_OWNS = 256, FUEL_BYTE = 16, FUEL = 65536 };
enum { R_UDF, R_HEAD, R_PART, R_OUT, REGIONS };
static struct code_program programs[PROGRAMS]; // text NULL: unused

static struct code_region_type region(u32 min, u32 max)
{
    return (struct code_region_type){.min_len = min, .max_len = max};
}

void *function_load(u32 kind, const u8 *code, u32 len, u32 head, u32 part)
{
    struct code_abi theirs, abi = {.class = CODE_DETERMINISTIC, .region_count = REGIONS};
    // What the fields of struct xok_udf hold, so that accesses through them need no search for the region.
    static const struct code_pointer pointers[] = {{R_UDF, R_HEAD, offsetof(struct xok_udf, head)},
                                                   {R_UDF, R_PART, offsetof(struct xok_udf, part)},
                                                   {R_UDF, R_OUT, offsetof(struct xok_udf, out)}};
    struct code_source source;
    struct code_error error;
    u32 i = 0;
    while (i < PROGRAMS && programs[i].text)
        i++;
    if (i == PROGRAMS || code_image(code, len, &theirs, &source) ||
        theirs.class != CODE_DETERMINISTIC)
        return NULL;
    u32 all = XOK_BLOCK_SIZE, whole = kind == XOK_UDF_ACL || kind == XOK_UDF_REFCNT;
    abi.region[R_UDF] = region(sizeof(struct xok_udf), sizeof(struct xok_udf));
    abi.region[R_HEAD] = whole ? region(all, all) : region(head, head);
    abi.region[R_PART] =
        kind == XOK_UDF_OWNS ? region(part, part) : region(0, kind == XOK_UDF_ACL ? all : 0);
    abi.region[R_OUT] =
        region(0, kind == XOK_UDF_OWNS ? XOK_OWNS_MAX * sizeof(struct xok_owns) : 0);
    abi.region[R_OUT].writable = abi.region[R_OUT].output = true;
    abi.pointers = pointers, abi.pointer_count = 3;
    return code_install(&abi, &source, &programs[i], &error) ? NULL : &programs[i];
}

void function_drop(void *fn)
{
    code_remove(fn);
}

bool function_call(void *fn, u32 kind, struct xok_udf *u, s64 *result)
{
    struct code_region r[REGIONS] = {{u, sizeof *u},
                                     {(void *)u->head, u->head_len},
                                     {(void *)u->part, u->part_len},
                                     {u->out, kind == XOK_UDF_OWNS ? u->room * sizeof *u->out : 0}};
    struct xok_udf seen = *u;
    seen.head = (void *)CODE_VA(R_HEAD + 1), seen.part = (void *)CODE_VA(R_PART + 1),
    seen.out = (void *)CODE_VA(R_OUT + 1);
    r[R_UDF].base = &seen;
    u64 fuel = kind == XOK_UDF_OWNS ? FUEL_OWNS + FUEL_BYTE * (u->head_len + u->part_len) : FUEL;
    struct code_result x = code_call(fn, r, REGIONS, fuel);
    *result = x.value;
    return x.status == CODE_OK;
}
