// ELF objects: sections of code, relocations between functions, read-only data. Licence and version are
// ignored.
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include "object.h"
#include "../insn.h"

enum { EM_BPF_ = 247, R_BPF_64_64_ = 1, R_BPF_64_32_ = 10 };

struct object {
    const u8 *bytes;
    u64 len;
    const Elf64_Ehdr *head;
    const Elf64_Shdr *sections;
    const Elf64_Sym *symbols;
    u64 symbol_count;
    const char *names; // of symbols
    u64 names_len;
    const char *section_names;
    u64 section_names_len;
};

static const void *span(const struct object *o, u64 off, u64 len)
{
    return off <= o->len && len <= o->len - off ? o->bytes + off : NULL;
}

static const Elf64_Shdr *section(const struct object *o, u32 n)
{
    return n < o->head->e_shnum ? &o->sections[n] : NULL;
}

static const char *text_at(const char *strings, u64 len, u64 at)
{
    return at < len && memchr(strings + at, 0, len - at) ? strings + at : "";
}

static const char *symbol_name(const struct object *o, const Elf64_Sym *s)
{
    return text_at(o->names, o->names_len, s->st_name);
}
static const char *section_name(const struct object *o, const Elf64_Shdr *s)
{
    return text_at(o->section_names, o->section_names_len, s->sh_name);
}

struct object *object_open(const void *bytes, u64 len, const char **error)
{
    struct object *o = calloc(1, sizeof *o);
    o->bytes = bytes, o->len = len;
    o->head = span(o, 0, sizeof *o->head);
    *error = "not a 64-bit ELF object for BPF";
    if (!o->head || memcmp(o->head->e_ident, ELFMAG, SELFMAG) || o->head->e_ident[EI_CLASS] != ELFCLASS64 ||
        o->head->e_ident[EI_DATA] != ELFDATA2LSB || o->head->e_machine != EM_BPF_ ||
        o->head->e_type != ET_REL)
        goto bad;
    *error = "the object's section table is damaged";
    o->sections = span(o, o->head->e_shoff, (u64)o->head->e_shnum * sizeof *o->sections);
    if (!o->sections || o->head->e_shentsize != sizeof *o->sections || o->head->e_shoff % 8)
        goto bad;
    for (u32 n = 0; n < o->head->e_shnum; n++) {
        const Elf64_Shdr *s = &o->sections[n], *strings;
        if (s->sh_type != SHT_NOBITS && !span(o, s->sh_offset, s->sh_size))
            goto bad;
        if (s->sh_type != SHT_SYMTAB)
            continue;
        strings = section(o, s->sh_link);
        if (!strings || strings->sh_type != SHT_STRTAB || s->sh_offset % 8)
            goto bad;
        o->symbols = span(o, s->sh_offset, s->sh_size);
        o->symbol_count = s->sh_size / sizeof *o->symbols;
        o->names = span(o, strings->sh_offset, strings->sh_size), o->names_len = strings->sh_size;
    }
    const Elf64_Shdr *names = section(o, o->head->e_shstrndx);
    if (!o->symbols || !names || names->sh_type != SHT_STRTAB)
        goto bad;
    o->section_names = span(o, names->sh_offset, names->sh_size), o->section_names_len = names->sh_size;
    return o;
bad:
    free(o);
    return NULL;
}

void object_close(struct object *o)
{
    free(o);
}

static bool is_code(const Elf64_Shdr *s)
{
    return s && s->sh_type == SHT_PROGBITS && s->sh_flags & SHF_EXECINSTR;
}

static bool is_function(const struct object *o, const Elf64_Sym *s)
{
    const Elf64_Shdr *in = section(o, s->st_shndx);
    return ELF64_ST_TYPE(s->st_info) == STT_FUNC && is_code(in) && s->st_size && s->st_value % 8 == 0 &&
           s->st_size % 8 == 0 && s->st_value <= in->sh_size && s->st_size <= in->sh_size - s->st_value;
}

const char *object_entry(const struct object *o, u32 n)
{
    for (u64 k = 0; k < o->symbol_count; k++)
        if (is_function(o, &o->symbols[k]) && ELF64_ST_BIND(o->symbols[k].st_info) == STB_GLOBAL && n-- == 0)
            return symbol_name(o, &o->symbols[k]);
    return NULL;
}

static const Elf64_Sym *function_at(const struct object *o, u32 shndx, u64 value)
{
    for (u64 k = 0; k < o->symbol_count; k++) {
        const Elf64_Sym *s = &o->symbols[k];
        if (is_function(o, s) && s->st_shndx == shndx && s->st_value == value)
            return s;
    }
    return NULL;
}

// ---- linking
struct link {
    const struct object *o;
    struct object_program *p;
    u64 *insns;
    u8 *rodata;
    const Elf64_Sym **function; // in the order they lie in the program
    u32 *first;
    u32 functions, room;
    u64 *section_at; // where a read-only section lies in rodata, ~0: not yet
    const char *error;
};

static bool no(struct link *l, const char *error)
{
    l->error = error;
    return false;
}

// The place of a function in the program, which is put at its end if it is new.
static bool place(struct link *l, const Elf64_Sym *s, u32 *first)
{
    for (u32 k = 0; k < l->functions; k++)
        if (l->function[k] == s) {
            *first = l->first[k];
            return true;
        }
    u64 count = s->st_size / 8;
    if (l->p->source.count + count > CODE_INSNS_MAX)
        return no(l, "the program is longer than 65536 instructions");
    if (l->functions == l->room) {
        l->room = l->room ? 2 * l->room : 16;
        l->function = realloc(l->function, l->room * sizeof *l->function);
        l->first = realloc(l->first, l->room * sizeof *l->first);
    }
    *first = l->p->source.count;
    l->function[l->functions] = s, l->first[l->functions++] = *first;
    l->insns = realloc(l->insns, (*first + count) * 8);
    memcpy(l->insns + *first, l->o->bytes + l->o->sections[s->st_shndx].sh_offset + s->st_value, count * 8);
    l->p->source.count += count;
    return true;
}

static bool place_rodata(struct link *l, u32 shndx, u64 *at)
{
    const Elf64_Shdr *s = section(l->o, shndx);
    if (!s || is_code(s))
        return no(l, "the address of a function is not supported");
    if (s->sh_flags & SHF_WRITE)
        return no(l, "variables with static storage are not supported: use a region");
    if (s->sh_type != SHT_PROGBITS)
        return no(l, "a relocation to what is not in the object");
    for (u32 n = 0; n < l->o->head->e_shnum; n++)
        if (l->o->sections[n].sh_type == SHT_REL && l->o->sections[n].sh_info == shndx &&
            l->o->sections[n].sh_size)
            return no(l, "addresses in read-only data are not supported");
    if (l->section_at[shndx] == ~0ul) {
        u64 start = (l->p->source.rodata_len + 15) & ~15ul;
        if (start + s->sh_size > CODE_RODATA_MAX)
            return no(l, "more than 1 MiB of read-only data");
        l->rodata = realloc(l->rodata, start + s->sh_size + 1);
        memset(l->rodata + l->p->source.rodata_len, 0, start - l->p->source.rodata_len);
        memcpy(l->rodata + start, l->o->bytes + s->sh_offset, s->sh_size);
        l->p->source.rodata_len = start + s->sh_size;
        l->section_at[shndx] = start;
    }
    *at = l->section_at[shndx];
    return true;
}

static bool call_to(struct link *l, u32 at, u32 shndx, u64 value)
{
    struct insn *i = (struct insn *)l->insns + at;
    const Elf64_Sym *s = function_at(l->o, shndx, value);
    u32 first;
    if (!s)
        return no(l, "a call to what is not a function of the object");
    if (!place(l, s, &first))
        return false;
    i = (struct insn *)l->insns + at; // place may have moved it
    i->src = CALL_LOCAL;
    i->imm = (s32)first - (s32)at - 1;
    return true;
}

static bool relocate(struct link *l, u32 at, const Elf64_Rel *r)
{
    u64 n = ELF64_R_SYM(r->r_info), base;
    struct insn *i = (struct insn *)l->insns + at;
    if (n >= l->o->symbol_count)
        return no(l, "a damaged relocation");
    const Elf64_Sym *s = &l->o->symbols[n];
    switch (ELF64_R_TYPE(r->r_info)) {
    case R_BPF_64_32_:
        if (i->op != (JMP | CALL))
            return no(l, "a damaged relocation");
        if (s->st_shndx == SHN_UNDEF)
            return no(l, "a call to a function that the object does not have");
        return call_to(l, at, s->st_shndx,
                       ELF64_ST_TYPE(s->st_info) == STT_SECTION ? (u64)(i->imm + 1l) * 8 : s->st_value);
    case R_BPF_64_64_:
        if (i->op != LDDW || at + 1 >= l->p->source.count)
            return no(l, "a damaged relocation");
        if (!place_rodata(l, s->st_shndx, &base))
            return false;
        i->src = LDDW_RODATA;
        i[1].imm = base + s->st_value + i->imm;
        i->imm = 0;
        return true;
    default: return no(l, "a kind of relocation that is not supported");
    }
}

// Relocations of section shndx, NULL if it has none.
static const Elf64_Rel *relocations(const struct object *o, u32 shndx, u64 *count)
{
    for (u32 n = 0; n < o->head->e_shnum; n++) {
        const Elf64_Shdr *s = &o->sections[n];
        if (s->sh_type == SHT_REL && s->sh_info == shndx && s->sh_offset % 8 == 0) {
            *count = s->sh_size / sizeof(Elf64_Rel);
            return span(o, s->sh_offset, s->sh_size);
        }
    }
    *count = 0;
    return NULL;
}

static bool link_function(struct link *l, u32 k)
{
    const Elf64_Sym *f = l->function[k];
    u32 first = l->first[k], count = f->st_size / 8;
    u64 rel_count;
    const Elf64_Rel *rel = relocations(l->o, f->st_shndx, &rel_count);
    u8 *done = calloc(1, count);
    bool ok = true;
    for (u64 n = 0; n < rel_count && ok; n++)
        if (rel[n].r_offset >= f->st_value && rel[n].r_offset < f->st_value + f->st_size) {
            u32 at = (rel[n].r_offset - f->st_value) / 8;
            done[at] = 1;
            ok = relocate(l, first + at, &rel[n]);
        }
    for (u32 at = 0; at < count && ok; at++) { // calls within the section need no relocation
        struct insn i = ((struct insn *)l->insns)[first + at];
        if (i.op == LDDW)
            at++;
        else if (insn_is_local_call(i) && !done[at])
            ok = call_to(l, first + at, f->st_shndx, f->st_value + ((s64)at + 1 + i.imm) * 8);
    }
    free(done);
    return ok;
}

// ---- the declaration of the regions, struct xok_regions of include/xok/bpf.h
struct declared {
    char function[64];
    u32 count;
    u32 region[8][3];
};

static void declare(const struct object *o, const Elf64_Sym *f, struct code_abi *abi)
{
    const char *in = section_name(o, &o->sections[f->st_shndx]);
    *abi = (struct code_abi){.region_count = 2};
    abi->class = !strcmp(in, "handler")     ? CODE_HANDLER
                 : !strcmp(in, "predicate") ? CODE_PREDICATE
                                            : CODE_DETERMINISTIC;
    for (u32 k = 0; k < 2; k++)
        abi->region[k] = (struct code_region_type){0, CODE_REGION_MAX, abi->class != CODE_PREDICATE, k == 1};
    for (u32 n = 0; n < o->head->e_shnum; n++) {
        const Elf64_Shdr *s = &o->sections[n];
        if (strcmp(section_name(o, s), ".xok.regions") || s->sh_type != SHT_PROGBITS)
            continue;
        for (u64 at = 0; at + sizeof(struct declared) <= s->sh_size; at += sizeof(struct declared)) {
            struct declared d;
            memcpy(&d, o->bytes + s->sh_offset + at, sizeof d);
            if (strncmp(d.function, symbol_name(o, f), sizeof d.function) || d.count > CODE_REGIONS_MAX)
                continue;
            abi->region_count = d.count;
            for (u32 k = 0; k < d.count; k++)
                abi->region[k] = (struct code_region_type){d.region[k][0], d.region[k][1], d.region[k][2] & 3,
                                                           d.region[k][2] & 2};
        }
    }
}

bool object_link(const struct object *o, const char *entry, struct object_program *p, const char **error)
{
    struct link l = {.o = o, .p = p};
    const Elf64_Sym *f = NULL;
    u32 first;
    bool ok;
    memset(p, 0, sizeof *p);
    for (u64 k = 0; k < o->symbol_count && !f; k++)
        if (is_function(o, &o->symbols[k]) && !strcmp(symbol_name(o, &o->symbols[k]), entry))
            f = &o->symbols[k];
    if (!f) {
        *error = "no such function";
        return false;
    }
    l.section_at = malloc(o->head->e_shnum * sizeof *l.section_at);
    memset(l.section_at, 0xff, o->head->e_shnum * sizeof *l.section_at);
    ok = place(&l, f, &first);
    for (u32 k = 0; k < l.functions && ok; k++) // grows while it runs
        ok = link_function(&l, k);
    p->source.insns = l.insns, p->source.rodata = l.rodata;
    p->names = calloc(l.functions, sizeof *p->names);
    for (u32 k = 0; k < l.functions; k++)
        p->names[k] = (struct object_name){l.first[k], symbol_name(o, l.function[k])};
    p->name_count = l.functions;
    declare(o, f, &p->abi);
    free(l.section_at);
    free(l.function);
    free(l.first);
    *error = l.error;
    if (!ok)
        object_program_free(p);
    return ok;
}

void object_program_free(struct object_program *p)
{
    free((void *)p->source.insns);
    free((void *)p->source.rodata);
    free(p->names);
    memset(p, 0, sizeof *p);
}
