// Looks the program and the user up in the root image, so that a mistake costs no boot.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "run.h"

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const char *env_get(const struct run *run, const char *name)
{
    size_t len = strlen(name);
    for (u32 i = run->env_count; i-- > 0;)
        if (!strncmp(run->env[i], name, len) && run->env[i][len] == '=')
            return run->env[i] + len + 1;
    return NULL;
}

static void env_default(struct run *run, const char *name, const char *value)
{
    if (env_get(run, name))
        return;
    run->env = grow(run->env, (run->env_count + 1) * sizeof *run->env);
    run->env[run->env_count++] = format("%s=%s", name, value);
}

void env_defaults(struct run *run, const struct identity *id, bool terminal)
{
    env_default(run, "PATH", default_path);
    env_default(run, "HOME", id->home);
    if (terminal)
        env_default(run, "TERM", getenv("TERM") ? getenv("TERM") : "linux");
}

// Field n of a line whose fields a colon parts; allocated, NULL if there are fewer.
static char *colon_field(const char *line, size_t len, int n)
{
    const char *end = line + len;
    for (; n; n--) {
        line = memchr(line, ':', end - line);
        if (!line++)
            return NULL;
    }
    const char *colon = memchr(line, ':', end - line);
    return format("%.*s", (int)((colon ? colon : end) - line), line);
}

// The line of a passwd(5) or group(5) text whose field n is `value`.
static const char *colon_line(const char *text, int n, const char *value, size_t *len)
{
    for (const char *line = text; line && *line; line += *len + (line[*len] == '\n')) {
        *len = strcspn(line, "\n");
        char *f = colon_field(line, *len, n);
        bool same = f && !strcmp(f, value);
        free(f);
        if (same)
            return line;
    }
    return NULL;
}

static bool member_of(const char *members, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = members; *p; p += strcspn(p, ",")) {
        p += *p == ',';
        if (strcspn(p, ",") == len && !strncmp(p, name, len))
            return true;
    }
    return false;
}

static void add_groups(const char *groups, struct identity *id)
{
    u64 gid;
    for (const char *line = groups; line && *line && id->ngroups < 16;) {
        size_t len = strcspn(line, "\n");
        char *number = colon_field(line, len, 2), *members = colon_field(line, len, 3);
        if (members && member_of(members, id->name) && parse_number(number, UINT32_MAX - 1, &gid) &&
            gid != id->gid)
            id->groups[id->ngroups++] = gid;
        free(number), free(members);
        line += len + (line[len] == '\n');
    }
}

static void find_group(const struct rootimg *image, const char *group, struct identity *id)
{
    size_t len;
    u64 gid;
    char *groups = read_text(image, "/etc/group");
    const char *line = colon_line(groups, 0, group, &len);
    char *number = line ? colon_field(line, len, 2) : NULL;
    if (!parse_number(number ? number : group, UINT32_MAX - 1, &gid))
        die("--user: there is no group %s in the root's /etc/group", group);
    id->gid = gid;
    id->ngroups = 0;
}

void identity_find(const struct rootimg *image, const char *user, struct identity *id)
{
    char *name = format("%s", user ? user : "0"), *group = strchr(name, ':');
    size_t len;
    u64 n;
    if (group)
        *group++ = 0;
    *id = (struct identity){.home = "/"};
    char *passwd = read_text(image, "/etc/passwd");
    bool number = parse_number(name, UINT32_MAX - 1, &n);
    const char *line = colon_line(passwd, number ? 2 : 0, name, &len);
    if (!line && !number)
        die("--user: there is no user %s in the root's /etc/passwd", name);
    if (number)
        id->uid = n;
    if (line) {
        char *uid = colon_field(line, len, 2), *gid = colon_field(line, len, 3),
             *home = colon_field(line, len, 5);
        if (!uid || !gid || !home || !parse_number(uid, UINT32_MAX - 1, &n))
            die("--user: the root's /etc/passwd has a damaged line for %s", name);
        id->uid = n;
        if (!parse_number(gid, UINT32_MAX - 1, &n))
            die("--user: the root's /etc/passwd has a damaged line for %s", name);
        id->gid = n;
        id->name = colon_field(line, len, 0);
        id->home = home;
        add_groups(read_text(image, "/etc/group"), id);
    }
    if (group)
        find_group(image, group, id);
    if (!*id->home)
        id->home = "/";
}

static bool in_group(const struct identity *id, u32 gid)
{
    for (u32 i = 0; i < id->ngroups; i++)
        if (id->groups[i] == gid)
            return true;
    return id->gid == gid;
}

static bool may_execute(const struct rootimg_inode *inode, const struct identity *id)
{
    if (!id->uid)
        return inode->mode & 0111;
    if (inode->uid == id->uid)
        return inode->mode & 0100;
    return inode->mode & (in_group(id, inode->gid) ? 010 : 01);
}

// The loader that an ELF file names, or NULL. die()s where the file is not for this machine.
static char *check_elf(const char *path, const u8 *data, u64 size)
{
    const Elf64_Ehdr *h = (const void *)data;
    if (size < sizeof *h || memcmp(h->e_ident, ELFMAG, SELFMAG))
        die("%s: not an ELF program", path);
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
        h->e_machine != EM_X86_64)
        die("%s: an ELF program of another architecture: x86-64 is needed", path);
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        die("%s: an ELF file, but not a program", path);
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phoff > size || h->e_phoff % 8 ||
        h->e_phnum * sizeof(Elf64_Phdr) > size - h->e_phoff)
        die("%s: a damaged ELF program", path);
    const Elf64_Phdr *p = (const void *)(data + h->e_phoff);
    for (int i = 0; i < h->e_phnum; i++) {
        if (p[i].p_type != PT_INTERP)
            continue;
        if (p[i].p_offset > size || p[i].p_filesz > size - p[i].p_offset || p[i].p_filesz > 4096)
            die("%s: a damaged ELF program", path);
        return format("%.*s", (int)p[i].p_filesz, data + p[i].p_offset);
    }
    return NULL;
}

// What the first line "#!INTERPRETER ..." names.
static char *script_interpreter(const u8 *data, u64 size)
{
    const char *p = (const char *)data + 2, *end = (const char *)data + (size < 256 ? size : 256);
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    const char *start = p;
    while (p < end && *p && !strchr(" \t\n", *p))
        p++;
    return format("%.*s", (int)(p - start), start);
}

static void check_program(const struct rootimg *image, const char *cwd, const char *path,
                          const struct identity *id, int depth)
{
    int error;
    const struct rootimg_inode *inode = walk(image, cwd, path, true, &error);
    if (!inode)
        die_status(error == ENOENT || error == ENOTDIR ? STATUS_NOT_FOUND : STATUS_CANNOT_EXEC,
                   "%s: no such program in the root (%s)", path, strerror(error));
    if (!S_ISREG(inode->mode))
        die_status(STATUS_CANNOT_EXEC, "%s: not a program but a %s", path,
                   S_ISDIR(inode->mode) ? "directory" : "special file");
    if (!may_execute(inode, id))
        die_status(STATUS_CANNOT_EXEC, "%s: permission denied: not executable", path);
    const u8 *data = ri_data(image, inode);
    if (!data)
        die("the root image is damaged at %s", path);
    bool script = inode->size >= 2 && !memcmp(data, "#!", 2);
    char *loader =
        script ? script_interpreter(data, inode->size) : check_elf(path, data, inode->size);
    if (!loader)
        return;
    if (!walk(image, cwd, loader, true, &error))
        die_status(STATUS_NOT_FOUND, "%s: needs %s, which is not in the root", path, loader);
    if (script && depth < 4)
        check_program(image, cwd, loader, id, depth + 1);
    free(loader);
}

static char *search_path(const struct rootimg *image, const struct run *run,
                         const struct identity *id)
{
    const char *name = run->argv[0], *dirs = env_get(run, "PATH");
    if (strchr(name, '/'))
        return format("%s", name);
    for (const char *p = dirs ? dirs : default_path;; p++) {
        size_t len = strcspn(p, ":");
        char *path = len ? format("%.*s/%s", (int)len, p, name) : format("./%s", name);
        int error;
        const struct rootimg_inode *inode = walk(image, run->cwd, path, true, &error);
        if (inode && S_ISREG(inode->mode) && may_execute(inode, id))
            return path;
        free(path);
        p += len;
        if (!*p)
            break;
    }
    die_status(STATUS_NOT_FOUND, "%s: no such program in the PATH of the root", name);
}

char *program_find(const struct rootimg *image, const struct run *run, const struct identity *id)
{
    int error;
    const struct rootimg_inode *cwd = walk(image, "/", run->cwd, true, &error);
    // /proc, /dev and what else is mounted in the machine is not in the image: the guest judges
    // those.
    bool mounted = !strncmp(run->cwd, "/proc", 5) || !strncmp(run->cwd, "/dev", 4);
    if (mounted)
        return search_path(image, run, id);
    if (!cwd || !S_ISDIR(cwd->mode))
        die("--cwd %s: %s", run->cwd, strerror(cwd ? ENOTDIR : error));
    char *path = search_path(image, run, id);
    if (strncmp(path, "/proc/", 6) && strncmp(path, "/dev/", 5))
        check_program(image, run->cwd, path, id, 0);
    return path;
}
