// Writes what is derived from include/xok/syscalls.def: `gen stubs` the user-side stubs (xok/calls.h),
// `gen page` the reference page (docs/kernel-interface.md).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct call {
    int number;
    const char *name;
    int argc;
    const char *args, *cap, *bound, *text;
};
static const struct call calls[] = {
#define SYSCALL(number, name, argc, args, cap, bound, text) {number, #name, argc, args, cap, bound, text},
#include "xok/syscalls.def"
};
enum { CALLS = sizeof calls / sizeof calls[0], ARGS_MAX = 6 };

struct arg {
    char kind[8], name[24];
};

static int args_split(const struct call *c, struct arg *out)
{
    char list[256];
    int n = 0;
    snprintf(list, sizeof list, "%s", c->args);
    for (char *a = strtok(list, ","); a; a = strtok(NULL, ","), n++)
        if (n == ARGS_MAX || sscanf(a, "%7s %23s", out[n].kind, out[n].name) != 2) {
            fprintf(stderr, "gen: bad arguments of %s\n", c->name);
            exit(1);
        }
    if (n != c->argc) {
        fprintf(stderr, "gen: argument count of %s\n", c->name);
        exit(1);
    }
    return n;
}

static const char *c_type(const char *kind)
{
    return !strcmp(kind, "ptr") ? "const volatile void *" : "u64 "; // the kernel checks the width
}

static void stub(const struct call *c)
{
    static const char *const regs[] = {"rdi", "rsi", "rdx", "r10", "r8", "r9"};
    struct arg a[ARGS_MAX];
    int n = args_split(c, a);
    printf("// %s\nstatic inline s64 xok_%s(", c->text, c->name);
    for (int i = 0; i < n; i++)
        printf("%s%s%s", i ? ", " : "", c_type(a[i].kind), a[i].name);
    printf("%s)\n{\n    register s64 rax_ __asm__(\"rax\") = %d;\n", n ? "" : "void", c->number);
    for (int i = 0; i < n; i++)
        printf("    register u64 %s_ __asm__(\"%s\") = (u64)%s;\n", regs[i], regs[i], a[i].name);
    printf("    __asm__ volatile(\"syscall\" : \"+r\"(rax_)");
    for (int i = 0; i < n; i++)
        printf(", \"+r\"(%s_)", regs[i]);
    printf(" : : \"rcx\", \"r11\"");
    for (int i = n; i < ARGS_MAX; i++)
        printf(", \"%s\"", regs[i]);
    printf(", \"memory\", \"cc\");\n    return rax_;\n}\n\n");
}

static void stubs(void)
{
    printf("// Generated from include/xok/syscalls.def by tools/gen: one stub a call. The kernel keeps the\n"
           "// callee-saved registers and loses the others.\n"
           "#ifndef XOK_CALLS_H\n#define XOK_CALLS_H\n#include \"xok/types.h\"\n\n");
    for (int i = 0; i < CALLS; i++)
        stub(&calls[i]);
    printf("#endif\n");
}

static void page(void)
{
    printf("# The kernel interface\n\n"
           "Generated from `include/xok/syscalls.def` by `tools/gen`; the structures are in `include/xok/`.\n"
           "The number goes in rax, arguments in rdi, rsi, rdx, r10, r8, r9, the result comes in rax; rcx and\n"
           "r11 are lost, and so are the argument registers; rbx, rbp, rsp, r12-r15 are kept. Negative results\n"
           "are the errors of `include/xok/error.h`. `cap` is a slot of the caller's capability table, `env` an\n"
           "environment's id (0: the caller). A call that fails has changed nothing.\n");
    for (int i = 0; i < CALLS; i++) {
        const struct call *c = &calls[i];
        struct arg a[ARGS_MAX];
        int n = args_split(c, a);
        printf("\n## %d: %s(", c->number, c->name);
        for (int j = 0; j < n; j++)
            printf("%s%s %s", j ? ", " : "", a[j].kind, a[j].name);
        printf(")\n\n%s.\n\nRight: %s. Bound: %s.\n", c->text, c->cap, c->bound);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "stubs"))
        stubs();
    else if (argc == 2 && !strcmp(argv[1], "page"))
        page();
    else
        return fprintf(stderr, "usage: gen stubs|page\n"), 2;
    return 0;
}
