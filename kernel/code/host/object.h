// Programs out of ELF objects as clang -target bpf makes them.
#ifndef XOK_OBJECT_H
#define XOK_OBJECT_H
#include "../code.h"

struct object;
struct object_name {
    u32 first; // slot
    const char *name;
};
// One function and all it calls, linked.
struct object_program {
    struct code_source source;
    struct code_abi
        abi; // as the object declares it; without a declaration two writable regions of any length
    struct object_name *names; // of the functions, by slot
    u32 name_count;
};

// The file's content must stay. NULL: *error is a sentence (static, or of the object's strings).
struct object *object_open(const void *bytes, u64 len, const char **error);
const char *object_entry(const struct object *o, u32 n); // n-th global function, NULL after the last
bool object_link(const struct object *o, const char *entry, struct object_program *p, const char **error);
void object_program_free(struct object_program *p);
void object_close(struct object *o);
#endif
