// exec: a new program in the calling process. Everything that can fail is tried before the old one goes.
#include "core/calls.h"
#include "fs/fs.h"
#include "proc/alarms.h"
#include "proc/native.h"
#include "proc/proc.h"
#include "linux/vdso.h"
#include "vm/vm.h"
#include "xok/native.h"

enum { SCRIPT_DEPTH = 4, HEAD = 256, PH_MAX = 64, STACK_FIRST = 128 << 10, ET_EXEC = 2, ET_DYN = 3 };
enum { PT_LOAD = 1, PT_INTERP = 3, PT_GNU_STACK = 0x6474e551, PF_X = 1, PF_W = 2, PF_R = 4, EM_X86_64 = 62 };
enum { AT_NULL, AT_PHDR = 3, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY, AT_UID = 11, AT_EUID,
       AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK, AT_SECURE = 23, AT_RANDOM = 25, AT_HWCAP2,
       AT_EXECFN = 31, AT_SYSINFO_EHDR = 33, AT_MINSIGSTKSZ = 51 };
enum { AUXV_SIZE = 22 * 16, RLIMIT_STACK = 3, SIGKILL = 9, S_ISUID = 04000, S_ISGID = 02000 };

struct elf {
    struct {
        u8 ident[16];
        u16 type, machine;
        u32 version;
        u64 entry, phoff, shoff;
        u32 flags;
        u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
    } h;
    struct file *file;
    u64 base, low, high; // load bias; extent of PT_LOAD, unbiased
    bool exec_stack;
    struct phdr {
        u32 type, flags;
        u64 offset, vaddr, paddr, filesz, memsz, align;
    } ph[PH_MAX];
};
#define ELF_CLEAR offsetof(struct elf, ph) // the rest is read before it is used

struct exec {
    struct elf prog, interp;
    bool has_interp;
    u64 vdso;               // where it is mapped
    struct stat_native st;
    char **argv;            // heap array, own strings from #! lines in extra[]
    char *extra[2 * SCRIPT_DEPTH];
    int extras;
    char *const *envp;
    char path[4096], head[HEAD], interp_path[4096];
};

static u64 random_pages(u64 mask)
{
    u64 v = 0;
    random_bytes(&v, sizeof v);
    return (v & mask) * PAGE;
}

static s64 elf_read(struct elf *e)
{
    if (file_pread_kernel(e->file, &e->h, sizeof e->h, 0) != sizeof e->h || memcmp(e->h.ident, "\177ELF", 4))
        return -ENOEXEC;
    if (e->h.ident[4] != 2 || e->h.machine != EM_X86_64 || (e->h.type != ET_EXEC && e->h.type != ET_DYN) ||
        e->h.phentsize != sizeof(struct phdr) || !e->h.phnum || e->h.phnum > PH_MAX)
        return -ENOEXEC;
    u64 size = e->h.phnum * sizeof(struct phdr);
    if (file_pread_kernel(e->file, e->ph, size, e->h.phoff) != (s64)size)
        return -ENOEXEC;
    e->low = ~0ul;
    for (int i = 0; i < e->h.phnum; i++) {
        struct phdr *p = &e->ph[i];
        if (p->type == PT_GNU_STACK)
            e->exec_stack = p->flags & PF_X;
        if (p->type != PT_LOAD)
            continue;
        if (p->filesz > p->memsz || (p->vaddr ^ p->offset) & (PAGE - 1) || p->memsz > 1ul << 46 || p->vaddr > 1ul << 47)
            return -ENOEXEC;
        e->low = MIN(e->low, PAGE_DOWN(p->vaddr));
        e->high = MAX(e->high, PAGE_UP(p->vaddr + p->memsz));
    }
    return e->low < e->high ? 0 : -ENOEXEC;
}

// "#! interpreter [one argument]": the path becomes the interpreter's, argv grows at its front.
static s64 script_step(struct exec *x)
{
    char *line = x->head + 2, *end = memchr(line, '\n', HEAD - 3);
    if (!end)
        end = line + strnlen(line, HEAD - 3);
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = 0;
    char *arg = line;
    while (*arg && *arg != ' ' && *arg != '\t')
        arg++;
    while (*arg == ' ' || *arg == '\t')
        *arg++ = 0;
    if (!*line || x->extras + 2 > (int)countof(x->extra))
        return !*line ? -ENOEXEC : -ELOOP;
    int n = 0, add = *arg ? 2 : 1;
    while (x->argv[n])
        n++;
    char **v = heap_alloc((n + add + 2) * sizeof *v);
    char *self = heap_alloc(strlen(x->path) + 1), *extra = heap_alloc(HEAD);
    if (!v || !self || !extra) {
        heap_free(v), heap_free(self), heap_free(extra);
        return -ENOMEM;
    }
    memcpy(self, x->path, strlen(x->path) + 1);
    u64 len = strlen(line) + 1;
    memcpy(extra, line, len);
    memcpy(extra + len, arg, MIN(strlen(arg) + 1, HEAD - len));
    v[0] = extra;
    if (add == 2)
        v[1] = extra + len;
    v[add] = self;
    for (int i = 1; i <= n; i++) // argv[0] gives way to the script's path
        v[add + i] = x->argv[i];
    if (!n)
        v[add + 1] = NULL;
    x->extra[x->extras++] = self;
    x->extra[x->extras++] = extra;
    heap_free(x->argv);
    x->argv = v;
    memcpy(x->path, extra, len);
    return 0;
}

static s64 exec_open(struct exec *x)
{
    for (int depth = 0;; depth++) {
        s64 r = file_open_exec(x->path, &x->prog.file, &x->st);
        if (r)
            return r;
        s64 n = file_pread_kernel(x->prog.file, x->head, HEAD - 1, 0);
        if (n < 2 || x->head[0] != '#' || x->head[1] != '!')
            return n < 0 ? n : elf_read(&x->prog);
        x->head[n] = 0;
        file_put(x->prog.file);
        x->prog.file = NULL;
        r = depth < SCRIPT_DEPTH ? script_step(x) : -ELOOP;
        if (r)
            return r;
    }
}

static s64 interp_open(struct exec *x)
{
    struct stat_native st;
    for (int i = 0; i < x->prog.h.phnum; i++) {
        struct phdr *p = &x->prog.ph[i];
        if (p->type != PT_INTERP)
            continue;
        if (!p->filesz || p->filesz > sizeof x->interp_path ||
            file_pread_kernel(x->prog.file, x->interp_path, p->filesz, p->offset) != (s64)p->filesz ||
            x->interp_path[p->filesz - 1])
            return -ENOEXEC;
        s64 r = file_open_exec(x->interp_path, &x->interp.file, &st);
        if (r)
            return r;
        x->has_interp = true;
        return elf_read(&x->interp) ? -80 /* ELIBBAD */ : 0;
    }
    return 0;
}

static s64 segment_load(struct vm *vm, struct elf *e, const struct phdr *p)
{
    u64 start = PAGE_DOWN(e->base + p->vaddr), file_end = e->base + p->vaddr + p->filesz;
    u64 end = PAGE_UP(e->base + p->vaddr + p->memsz), mapped = p->filesz ? PAGE_UP(file_end) : start;
    int prot = (p->flags & PF_R ? PROT_READ : 0) | (p->flags & PF_W ? PROT_WRITE : 0) | (p->flags & PF_X ? PROT_EXEC : 0);
    s64 r = 0;
    if (mapped > start)
        r = vm_map(vm, start, mapped - start, prot, MAP_PRIVATE | MAP_FIXED, e->file, PAGE_DOWN(p->offset));
    if (r >= 0 && end > mapped)
        r = vm_map(vm, mapped, end - mapped, prot, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, NULL, 0);
    // The rest of the last file page is the beginning of bss.
    if (r >= 0 && p->memsz > p->filesz && mapped > file_end && p->flags & PF_W)
        r = zero_out(file_end, mapped - file_end);
    return r < 0 ? r : 0;
}

static s64 elf_load(struct vm *vm, struct elf *e)
{
    for (int i = 0; i < e->h.phnum; i++)
        if (e->ph[i].type == PT_LOAD) {
            s64 r = segment_load(vm, e, &e->ph[i]);
            if (r)
                return r;
        }
    return 0;
}

static s64 image_load(struct vm *vm, struct exec *x)
{
    struct elf *p = &x->prog, *q = &x->interp;
    if (p->h.type == ET_DYN)
        p->base = 0x555555554000 + random_pages(0xfffffff) - p->low;
    s64 r = elf_load(vm, p);
    for (int i = 0; i < p->h.phnum && !r; i++) {
        struct phdr *s = &p->ph[i];
        if (s->type == PT_LOAD && s->flags & PF_X)
            vm->code_start = p->base + s->vaddr, vm->code_end = vm->code_start + s->memsz;
        else if (s->type == PT_LOAD && s->flags & PF_W)
            vm->data_start = p->base + s->vaddr, vm->data_end = vm->data_start + s->memsz;
    }
    vm->brk = vm->brk_start = p->base + p->high + random_pages(p->h.type == ET_DYN ? 0x1fff : 0x1fff) + PAGE;
    if (r || !x->has_interp)
        return r;
    if (q->h.type == ET_DYN) {
        u64 at = area_gap(vm, USER_HIGH, vm->mmap_top, q->high - q->low + STUB_GAP);
        if (!at)
            return -ENOMEM;
        q->base = at - q->low;
    }
    return elf_load(vm, q);
}

struct stack {
    u64 sp;
    s64 err;
};

static u64 push(struct stack *s, const void *p, u64 n)
{
    s->sp -= n;
    if (!s->err)
        s->err = copy_out(s->sp, p, n);
    return s->sp;
}

static u64 count_of(char *const *v)
{
    u64 n = 0;
    while (v && v[n])
        n++;
    return n;
}

// What the program finds at its stack pointer (System V ABI, AMD64 supplement 3.4.1).
static s64 stack_build(struct vm *vm, struct exec *x, u64 *sp)
{
    struct proc *p = proc_self();
    struct stack s = {.sp = vm->stack_top - 8};
    u64 argc = count_of(x->argv), envc = count_of(x->envp), words = argc + envc + 3 + AUXV_SIZE / 8;
    u64 *table = heap_alloc(words * 8);
    if (!table)
        return -ENOMEM;
    u64 execfn = push(&s, x->path, strlen(x->path) + 1);
    vm->env_end = s.sp;
    for (u64 i = envc; i-- > 0;)
        table[2 + argc + i] = push(&s, x->envp[i], strlen(x->envp[i]) + 1);
    vm->env_start = vm->arg_end = s.sp;
    for (u64 i = argc; i-- > 0;)
        table[1 + i] = push(&s, x->argv[i], strlen(x->argv[i]) + 1);
    vm->arg_start = s.sp;
    s.sp &= ~15ul;
    u64 platform = push(&s, "x86_64\0", 8), seed[2];
    random_bytes(seed, sizeof seed);
    u64 random = push(&s, seed, sizeof seed);
    u64 features = 0x178bfbff; // CPUID.1:EDX as a x86-64 baseline gives it; programs look at CPUID itself
    struct elf *e = &x->prog;
    u64 aux[] = {AT_HWCAP, features, AT_PAGESZ, PAGE, AT_CLKTCK, 100, AT_PHDR, e->base + e->low + e->h.phoff,
                 AT_PHENT, sizeof(struct phdr), AT_PHNUM, e->h.phnum,
                 AT_BASE, x->has_interp ? x->interp.base : 0, AT_FLAGS, 0, AT_ENTRY, e->base + e->h.entry,
                 AT_UID, p->ruid, AT_EUID, p->euid, AT_GID, p->rgid, AT_EGID, p->egid,
                 AT_SECURE, p->ruid != p->euid || p->rgid != p->egid, AT_RANDOM, random,
                 AT_HWCAP2, XOK_INFO->cpu_features & XOK_CPU_FSGSBASE ? 2 : 0, AT_EXECFN, execfn,
                 AT_PLATFORM, platform, AT_SYSINFO_EHDR, x->vdso, AT_MINSIGSTKSZ, 1024 + XOK_INFO->xsave_size + 512, AT_NULL, 0};
    _Static_assert(sizeof aux <= AUXV_SIZE, "names_set's room");
    if (p->args) {
        memcpy(p->args->text + p->args->cmdline + p->args->environ, aux, sizeof aux);
        p->args->auxv = sizeof aux;
    }
    table[0] = argc;
    table[1 + argc] = 0;
    table[2 + argc + envc] = 0;
    memcpy(table + 3 + argc + envc, aux, sizeof aux);
    u64 size = (3 + argc + envc) * 8 + sizeof aux;
    s.sp = (s.sp - size) & ~15ul;
    if (!s.err)
        s.err = copy_out(s.sp, table, size);
    heap_free(table);
    *sp = s.sp;
    return s.err;
}

static void credentials_set(struct proc *p, const struct stat_native *st)
{
    p->dumpable = true;
    if (st->mode & S_ISUID && !p->no_new_privs)
        p->euid = st->uid;
    if ((st->mode & (S_ISGID | 010)) == (S_ISGID | 010) && !p->no_new_privs)
        p->egid = st->gid;
    p->suid = p->fsuid = p->euid;
    p->sgid = p->fsgid = p->egid;
    caps_exec(p);
}

static u64 strings_size(char *const *v)
{
    u64 n = 0;
    while (v && *v)
        n += strlen(*v++) + 1;
    return n;
}

static char *strings_put(char *to, char *const *v)
{
    for (; v && *v; v++) {
        u64 n = strlen(*v) + 1;
        memcpy(to, *v, n);
        to += n;
    }
    return to;
}

static void names_set(struct proc *p, struct exec *x)
{
    const char *base = strrchr(x->path, '/');
    u64 cmdline = strings_size(x->argv), environ = strings_size(x->envp);
    struct args *a = heap_alloc(sizeof *a + cmdline + environ + AUXV_SIZE), *old = p->args;
    if (a) {
        *a = (struct args){.refs = 1, .cmdline = cmdline, .environ = environ};
        strings_put(strings_put(a->text, x->argv), x->envp);
    }
    struct file *exe = p->exe;
    lock_take(&proc_lock); // /proc looks at these
    snprintf(thread_self()->comm, sizeof thread_self()->comm, "%s", base ? base + 1 : x->path);
    p->args = a;
    p->exe = file_get(x->prog.file);
    lock_drop(&proc_lock);
    args_put(old);
    if (exe)
        file_put(exe);
}

// From here on there is no way back: a failure ends the process.
static s64 exec_load(struct exec *x, struct uregs *r)
{
    struct proc *p = proc_self();
    struct vm *vm = p->vm;
    files_exec(p->files);
    signal_exec(p);
    alarms_exec(p);
    names_set(p, x);
    credentials_set(p, &x->st);
    vm_clear(vm);
    vm->stack_limit = MIN(MAX(p->rlim[RLIMIT_STACK].cur, 1ul << 20), 1ul << 36);
    vm->stack_top = USER_HIGH_END - PAGE - random_pages(0x3fffff);
    vm->mmap_top = PAGE_DOWN(vm->stack_top - MAX(vm->stack_limit, 128ul << 20) - (1 << 20) - random_pages(0xffff));
    int prot = PROT_READ | PROT_WRITE | (x->prog.exec_stack ? PROT_EXEC : 0);
    s64 err = vm_map(vm, vm->stack_top - STACK_FIRST, STACK_FIRST, prot,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN | AREA_STACK, NULL, 0);
    u64 sp = 0;
    if (err >= 0)
        err = image_load(vm, x);
    if (!err) {
        s64 at = vdso_map(vm, x->has_interp);
        err = MIN(at, 0);
        x->vdso = at;
    }
    if (!err)
        err = stack_build(vm, x, &sp);
    if (err)
        return err;
    *r = (struct uregs){.rip = x->has_interp ? x->interp.base + x->interp.h.entry : x->prog.base + x->prog.h.entry,
                        .rsp = sp, .rflags = 0x202, .cs = XOK_USER_CS, .ss = XOK_USER_SS, .orig_rax = -1};
    thread_fpu_reset();
    thread_fsbase_set(0);
    proc_exec_done();
    return 0;
}

// A process that shares its space (vfork, posix_spawn) gets another one, and so another environment: the
// thread's identity moves to a new thread there, which loads the program.
struct move {
    struct exec *x;
    struct thread *from;
    volatile bool done;
};

static void exec_moved(struct move *m)
{
    struct thread *t = thread_self(), *from = m->from;
    struct uregs *r = t->regs;
    s64 err = exec_load(m->x, r);
    __atomic_store_n(&m->done, true, __ATOMIC_SEQ_CST);
    thread_wake(from);
    if (err)
        proc_exit_group(SIGKILL);
    thread_full_return(r);
}

static s64 exec_elsewhere(struct exec *x)
{
    struct thread *me = thread_self();
    struct move m = {.x = x, .from = me};
    s64 err = -ENOMEM;
    struct vm *vm = vm_new(), *old = me->proc->vm;
    struct thread *t = vm ? thread_new(NULL, &err) : NULL;
    if (!t) {
        heap_free(vm);
        return err;
    }
    proc_exec_threads();
    proc_thread_replace(me, t, vm);
    struct xok_regs regs = {.rip = (u64)exec_moved, .rsp = t->stack_top - sizeof(struct uregs) - 8, .rflags = 2,
                            .rdi = (u64)&m, .gsbase = (u64)t};
    if (xok_env_regs(FAMILY, t->env, &regs, 1) < 0 || xok_env_run(FAMILY, t->env) < 0)
        panic("thread %u does not start", t->tid);
    while (!__atomic_load_n(&m.done, __ATOMIC_SEQ_CST))
        thread_sleep(0, false);
    vm_put(old);
    return EXEC_MOVED;
}

static void exec_free(struct exec *x)
{
    if (x->prog.file)
        file_put(x->prog.file);
    if (x->interp.file)
        file_put(x->interp.file);
    for (int i = 0; i < x->extras; i++)
        heap_free(x->extra[i]);
    heap_free(x->argv);
    heap_free(x);
}

// A native program has no place in this process's space: the process becomes its keeper, and ends with it.
static s64 native_exec(struct elf *e)
{
    struct native_segment s[PH_MAX];
    u32 n = 0;
    for (int i = 0; i < e->h.phnum; i++) {
        const struct phdr *p = &e->ph[i];
        if (p->type != PT_LOAD)
            continue;
        if (e->h.type != ET_EXEC || (p->vaddr | p->offset) & (PAGE - 1))
            return -ENOEXEC;
        s[n++] = (struct native_segment){p->vaddr, p->offset, p->filesz, p->memsz, p->flags & PF_W, p->flags & PF_X};
    }
    s64 status = native_run(e->file, s, n, e->h.entry);
    if (status < 0)
        return status;
    proc_exit_group(status);
}

s64 proc_exec(const char *path, char *const argv[], char *const envp[], struct uregs *r)
{
    struct exec *x = heap_alloc_raw(sizeof *x);
    u64 argc = count_of(argv);
    char **args = heap_alloc((argc + 2) * sizeof *args);
    if (!x || !args) {
        heap_free(x), heap_free(args);
        return -ENOMEM;
    }
    memset(&x->prog, 0, ELF_CLEAR), memset(&x->interp, 0, ELF_CLEAR);
    x->argv = args, x->extras = 0, x->has_interp = false;
    memcpy(x->argv, argv, argc * sizeof *argv);
    x->envp = envp;
    snprintf(x->path, sizeof x->path, "%s", path);
    s64 err = exec_open(x);
    if (!err && x->prog.h.ident[7] == XOK_NATIVE_OSABI)
        err = native_exec(&x->prog);
    if (!err)
        err = interp_open(x);
    if (!err && vm_shared(proc_self()->vm)) {
        err = exec_elsewhere(x);
    } else if (!err) {
        proc_exec_threads();
        if (exec_load(x, r)) {
            exec_free(x);
            proc_exit_group(SIGKILL);
        }
    }
    exec_free(x);
    return err;
}
