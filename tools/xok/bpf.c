// `xok bpf`: downloaded code on the host. Verifies, shows, links and runs programs.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "xok.h"
#include "../../kernel/code/host/native.h"
#include "../../kernel/code/host/object.h"
#include "../../kernel/code/image.h"

static const char usage[] =
    "usage: xok bpf verify FILE.o [FUNCTION]      every function, or one: what it costs, or why it "
    "is refused\n"
    "       xok bpf disasm FILE.o [FUNCTION]\n"
    "       xok bpf link FILE.o FUNCTION -o IMAGE the form that the kernel takes\n"
    "       xok bpf run [OPTION...] FILE.o [FUNCTION]\n"
    "       xok bpf run [OPTION...] --raw FILE    instructions alone, as bytes or in hexadecimal; "
    "-: standard input\n"
    "  --mem HEX       region 0: r1 = its address, r2 = its length (with --raw; also --region 0)\n"
    "  --region HEX|@FILE|zero:BYTES  the next region\n"
    "  --interpret     with the reference interpreter; --compile (the default) as machine code\n"
    "  --fuel N        instructions in loops and calls, default 100000000\n"
    "  --dump          the regions afterwards, in hexadecimal\n"
    "r0 is printed as 0xHEX. Status 0; 1 refused or failed, with one line why; 125 usage and "
    "files.\n";

static u8 *read_whole(const char *path, u64 *len)
{
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (fd < 0)
        die("%s: %s", path, strerror(errno));
    u8 *bytes = NULL;
    u64 room = 0;
    for (*len = 0;;) {
        if (*len == room)
            bytes = grow(bytes, room = room ? 2 * room : 65536);
        ssize_t n = read_some(fd, bytes + *len, room - *len);
        if (n < 0)
            die("%s: %s", path, strerror(errno));
        if (!n)
            break;
        *len += n;
    }
    if (fd != STDIN_FILENO)
        close(fd);
    return bytes;
}

static int digit(int c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

// Bytes of a text of hexadecimal digits with blanks between; NULL if it is none.
static u8 *from_hex(const char *text, u64 text_len, u64 *len)
{
    u8 *bytes = make(text_len / 2 + 1);
    int high = -1;
    *len = 0;
    for (u64 n = 0; n < text_len; n++) {
        int d = digit(text[n]);
        if (text[n] == '0' && n + 1 < text_len && (text[n + 1] | 32) == 'x' && high < 0) {
            n++;
            continue;
        }
        if (d < 0 && high < 0 && strchr(" \t\r\n,", text[n]) && text[n])
            continue;
        if (d < 0)
            goto bad;
        if (high < 0)
            high = d;
        else
            bytes[(*len)++] = high << 4 | d, high = -1;
    }
    if (high < 0)
        return bytes;
bad:
    free(bytes);
    return NULL;
}

static struct object *open_object(const char *path)
{
    const char *error;
    u64 len;
    u8 *bytes = read_whole(path, &len);
    struct object *o = object_open(bytes, len, &error);
    if (!o)
        die("%s: %s", path, error);
    return o;
}

static const char *only_function(const struct object *o, const char *path)
{
    const char *name = object_entry(o, 0);
    if (!name)
        die("%s: no global function", path);
    if (object_entry(o, 1))
        die("%s: several functions: say which (%s, %s, ...)", path, name, object_entry(o, 1));
    return name;
}

// Function and offset of a slot.
static const struct object_name *name_of(const struct object_program *p, u32 at)
{
    const struct object_name *best = NULL;
    for (u32 k = 0; k < p->name_count; k++)
        if (p->names[k].first <= at && (!best || p->names[k].first >= best->first))
            best = &p->names[k];
    return best;
}

static void explain(const char *path, const struct object_program *p, u32 at, const char *reason)
{
    char line[160] = "";
    const struct object_name *in = name_of(p, at);
    if (at < p->source.count)
        code_disasm(&p->source, at, line, sizeof line);
    if (in)
        fprintf(stderr, "%s: %s, instruction %u: %s: %s\n", path, in->name, at - in->first, line,
                reason);
    else
        fprintf(stderr, "%s: instruction %u: %s: %s\n", path, at, line, reason);
}

static void link_or_die(const struct object *o, const char *path, const char *function,
                        struct object_program *p)
{
    const char *error;
    if (!object_link(o, function, p, &error))
        die_status(1, "%s: %s: %s", path, function, error);
}

static bool verify_one(const struct object *o, const char *path, const char *function)
{
    static const char *const class_name[] = {"deterministic", "handler", "predicate"};
    struct object_program p;
    struct code_program c;
    struct code_error e;
    const char *error;
    if (!object_link(o, function, &p, &error)) {
        fprintf(stderr, "%s: %s: %s\n", path, function, error);
        return false;
    }
    u64 need = code_work_size(&p.source);
    void *work = make(need + 1);
    bool ok = !code_load(&p.abi, &p.source, work, need, &c, &e);
    if (ok)
        printf("%s: %s, %u instructions, %u bytes of machine code, stack %u, %u accesses to "
               "memory, %u checked at "
               "run time\n",
               function, class_name[p.abi.class], p.source.count, c.size, c.stack, c.accesses,
               c.checks);
    else
        explain(path, &p, e.insn, e.reason);
    free(work);
    object_program_free(&p);
    return ok;
}

static int verify_command(int argc, char **argv)
{
    if (argc < 1 || argc > 2)
        die("%s", usage);
    struct object *o = open_object(argv[0]);
    if (argc == 2)
        return !verify_one(o, argv[0], argv[1]);
    bool ok = true;
    const char *name = object_entry(o, 0);
    if (!name)
        die("%s: no global function", argv[0]);
    for (u32 n = 0; (name = object_entry(o, n)); n++)
        ok &= verify_one(o, argv[0], name);
    return !ok;
}

static void disasm_one(const struct object *o, const char *path, const char *function)
{
    struct object_program p;
    char line[160];
    link_or_die(o, path, function, &p);
    for (u32 at = 0; at < p.source.count;) {
        const struct object_name *in = name_of(&p, at);
        if (in && in->first == at)
            printf("%s:\n", in->name);
        u32 n = code_disasm(&p.source, at, line, sizeof line);
        printf("%6u: %016lx  %s\n", at, __builtin_bswap64(p.source.insns[at]), line);
        if (n == 2)
            printf("        %016lx\n", __builtin_bswap64(p.source.insns[at + 1]));
        at += n;
    }
    for (u32 at = 0; at < p.source.rodata_len; at += 16) {
        printf("rodata%6u:", at);
        for (u32 k = at; k < at + 16 && k < p.source.rodata_len; k++)
            printf(" %02x", ((const u8 *)p.source.rodata)[k]);
        printf("\n");
    }
    object_program_free(&p);
}

static int disasm_command(int argc, char **argv)
{
    if (argc < 1 || argc > 2)
        die("%s", usage);
    struct object *o = open_object(argv[0]);
    const char *name = object_entry(o, 0);
    for (u32 n = 0; argc == 1 && (name = object_entry(o, n)); n++)
        disasm_one(o, argv[0], name);
    if (argc == 2)
        disasm_one(o, argv[0], argv[1]);
    return 0;
}

static int link_command(int argc, char **argv)
{
    if (argc != 4 || strcmp(argv[2], "-o"))
        die("%s", usage);
    struct object *o = open_object(argv[0]);
    struct object_program p;
    if (!verify_one(o, argv[0], argv[1]))
        return 1;
    link_or_die(o, argv[0], argv[1], &p);
    struct xok_code_image head = {.magic = XOK_CODE_MAGIC,
                                  .class = p.abi.class,
                                  .insn_count = p.source.count,
                                  .rodata_len = p.source.rodata_len,
                                  .region_count = p.abi.region_count};
    for (u32 k = 0; k < p.abi.region_count; k++) {
        const struct code_region_type *t = &p.abi.region[k];
        head.region[k] = (struct xok_code_region){t->min_len, t->max_len,
                                                  (t->writable ? XOK_REGION_WRITE : 0) |
                                                      (t->output ? XOK_REGION_OUTPUT : 0)};
    }
    int fd = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || !write_all(fd, &head, sizeof head) ||
        !write_all(fd, p.source.insns, 8ul * p.source.count) ||
        !write_all(fd, p.source.rodata, p.source.rodata_len) || close(fd))
        die("%s: %s", argv[3], strerror(errno));
    return 0;
}

// ---- running
struct bpf_run {
    bool raw, interpret, dump;
    u64 fuel;
    struct code_region regions[CODE_REGIONS_MAX];
    u32 count;
    const char *path, *function;
};

static void add_region(struct bpf_run *r, const char *text)
{
    struct code_region *region = &r->regions[r->count++];
    if (r->count > CODE_REGIONS_MAX)
        die("more than 8 regions");
    if (*text == '@') {
        region->base = read_whole(text + 1, &region->len);
    } else if (!strncmp(text, "zero:", 5)) {
        if (!parse_number(text + 5, CODE_REGION_MAX, &region->len))
            die("%s: not a number of bytes", text);
        region->base = make(region->len + 1);
    } else {
        region->base = from_hex(text, strlen(text), &region->len);
        if (!region->base)
            die("%s: not hexadecimal", text);
    }
}

static void parse_run(struct bpf_run *r, int argc, char **argv)
{
    *r = (struct bpf_run){.fuel = 100000000};
    for (int n = 0; n < argc; n++) {
        const char *a = argv[n], *next = n + 1 < argc ? argv[n + 1] : NULL;
        if (!strcmp(a, "--raw"))
            r->raw = true;
        else if (!strcmp(a, "--interpret"))
            r->interpret = true;
        else if (!strcmp(a, "--compile"))
            r->interpret = false;
        else if (!strcmp(a, "--dump"))
            r->dump = true;
        else if ((!strcmp(a, "--mem") || !strcmp(a, "--region")) && next)
            add_region(r, next), n++;
        else if (!strcmp(a, "--fuel") && next) {
            if (!parse_number(next, ~0ul >> 1, &r->fuel))
                die("%s: not a number", next);
            n++;
        } else if (a[0] == '-' && a[1]) {
            die("%s", usage);
        } else if (!r->path) {
            r->path = a;
        } else if (!r->function && !r->raw) {
            r->function = a;
        } else {
            die("%s", usage);
        }
    }
    if (!r->path)
        die("%s", usage);
}

static void load_raw(struct bpf_run *r, struct object_program *p)
{
    u64 len, hex_len;
    u8 *bytes = read_whole(r->path, &len), *hex = from_hex((char *)bytes, len, &hex_len);
    if (hex && hex_len)
        bytes = hex, len = hex_len;
    if (len % 8 || !len || len / 8 > CODE_INSNS_MAX)
        die("%s: not a whole number of instructions", r->path);
    *p = (struct object_program){.source = {.insns = (u64 *)bytes, .count = len / 8}};
    // A memory of no bytes is no memory: r1 = 0.
    while (r->count && !r->regions[r->count - 1].len)
        r->count--;
    p->abi = (struct code_abi){
        .class = CODE_DETERMINISTIC, .region_count = r->count, .dead_code_ok = true};
    for (u32 k = 0; k < r->count; k++)
        p->abi.region[k] =
            (struct code_region_type){r->regions[k].len, r->regions[k].len, true, false};
}

static struct code_result interpret(const struct object_program *p, const struct bpf_run *r,
                                    struct code_error *e, bool *ok)
{
    struct code_program c;
    struct code_frame *frame = aligned_alloc(16, sizeof *frame);
    u64 need = code_work_size(&p->source);
    void *work = make(need + 1);
    *ok = !code_load(&p->abi, &p->source, work, need, &c, e);
    struct code_result result = {0};
    if (*ok)
        result = code_interpret(&c, &p->abi, &p->source, r->regions, r->count, r->fuel, frame);
    free(work);
    free(frame);
    return result;
}

static struct code_result compiled(const struct object_program *p, const struct bpf_run *r,
                                   struct code_error *e, bool *ok)
{
    struct code_program c;
    struct code_frame *frame = aligned_alloc(16, sizeof *frame);
    struct code_result result = {0};
    *ok = native_load(&p->abi, &p->source, &c, e);
    if (*ok) {
        result = code_run(&c, r->regions, r->count, r->fuel, frame);
        native_free(&c);
    }
    free(frame);
    return result;
}

static int run_command(int argc, char **argv)
{
    struct bpf_run r;
    struct object_program p;
    struct code_error e;
    bool ok;
    parse_run(&r, argc, argv);
    if (r.raw) {
        load_raw(&r, &p);
    } else {
        struct object *o = open_object(r.path);
        link_or_die(o, r.path, r.function ? r.function : only_function(o, r.path), &p);
    }
    struct code_result result =
        r.interpret ? interpret(&p, &r, &e, &ok) : compiled(&p, &r, &e, &ok);
    if (!ok) {
        explain(r.path, &p, e.insn, e.reason);
        return 1;
    }
    if (result.status == CODE_E_REGION) {
        for (u32 k = 0; k < p.abi.region_count; k++)
            fprintf(stderr, "%s: region %u: %u to %u bytes, %s\n", r.path, k,
                    p.abi.region[k].min_len, p.abi.region[k].max_len,
                    p.abi.region[k].writable ? "writable" : "read-only");
        complain("%s: the program wants other regions", r.path);
        return 1;
    }
    if (result.status) {
        explain(r.path, &p, result.insn, code_status_text(result.status));
        return 1;
    }
    printf("0x%lx\n", result.value);
    for (u32 k = 0; k < r.count && r.dump; k++) {
        printf("region %u:", k);
        for (u64 n = 0; n < r.regions[k].len; n++)
            printf("%s%02x", n % 8 ? "" : " ", ((u8 *)r.regions[k].base)[n]);
        printf("\n");
    }
    return 0;
}

int cmd_bpf(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (!strcmp(command, "verify"))
        return verify_command(argc - 2, argv + 2);
    if (!strcmp(command, "disasm"))
        return disasm_command(argc - 2, argv + 2);
    if (!strcmp(command, "link"))
        return link_command(argc - 2, argv + 2);
    if (!strcmp(command, "run"))
        return run_command(argc - 2, argv + 2);
    bool help = !strcmp(command, "--help") || !strcmp(command, "help");
    fputs(usage, help ? stdout : stderr);
    return help ? 0 : STATUS_XOK;
}
