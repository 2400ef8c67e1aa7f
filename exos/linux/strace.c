// --strace: a line a Linux call, as strace(1) prints them, to the host over the control port.
#include "core/start.h"
#include "linux/linux.h"
#include "proc/proc.h"

enum { LINE = 512, STRING_SHOWN = 32 };

static const char *const errors[] = {
    [EPERM] = "EPERM", [ENOENT] = "ENOENT", [ESRCH] = "ESRCH", [EINTR] = "EINTR", [EIO] = "EIO", [ENXIO] = "ENXIO",
    [E2BIG] = "E2BIG", [ENOEXEC] = "ENOEXEC", [EBADF] = "EBADF", [ECHILD] = "ECHILD", [EAGAIN] = "EAGAIN",
    [ENOMEM] = "ENOMEM", [EACCES] = "EACCES", [EFAULT] = "EFAULT", [EBUSY] = "EBUSY", [EEXIST] = "EEXIST",
    [EXDEV] = "EXDEV", [ENODEV] = "ENODEV", [ENOTDIR] = "ENOTDIR", [EISDIR] = "EISDIR", [EINVAL] = "EINVAL",
    [ENFILE] = "ENFILE", [EMFILE] = "EMFILE", [ENOTTY] = "ENOTTY", [ETXTBSY] = "ETXTBSY", [EFBIG] = "EFBIG",
    [ENOSPC] = "ENOSPC", [ESPIPE] = "ESPIPE", [EROFS] = "EROFS", [EMLINK] = "EMLINK", [EPIPE] = "EPIPE",
    [ERANGE] = "ERANGE", [ENAMETOOLONG] = "ENAMETOOLONG", [ENOSYS] = "ENOSYS", [ENOTEMPTY] = "ENOTEMPTY",
    [ELOOP] = "ELOOP", [EOPNOTSUPP] = "EOPNOTSUPP", [EAFNOSUPPORT] = "EAFNOSUPPORT", [ETIMEDOUT] = "ETIMEDOUT",
};

struct line {
    char text[LINE];
    int n;
};

static void add(struct line *l, const char *f, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *l, const char *f, ...)
{
    __builtin_va_list ap;
    __builtin_va_start(ap, f);
    l->n += vsnprintf(l->text + l->n, LINE - l->n, f, ap);
    l->n = MIN(l->n, LINE - 2);
    __builtin_va_end(ap);
}

static void add_argument(struct line *l, char kind, u64 v);

static void add_string(struct line *l, u64 from)
{
    char s[STRING_SHOWN + 1];
    s64 n = copy_in_str(s, from, sizeof s);
    if (n < 0 && n != -ENAMETOOLONG) {
        add_argument(l, 'p', from);
        return;
    }
    int shown = n < 0 ? STRING_SHOWN : (int)n;
    add(l, "\"");
    for (int i = 0; i < shown; i++) {
        if (s[i] == '\n')
            add(l, "\\n");
        else if (s[i] == '"' || s[i] == '\\')
            add(l, "\\%c", s[i]);
        else if (s[i] >= ' ' && s[i] < 127)
            add(l, "%c", s[i]);
        else
            add(l, "\\%o", (u8)s[i]);
    }
    add(l, n < 0 ? "\"..." : "\"");
}

static void add_time(struct line *l, u64 from)
{
    u64 t[2];
    if (!from || copy_in(t, from, sizeof t))
        add_argument(l, 'p', from);
    else
        add(l, "{tv_sec=%lu, tv_nsec=%lu}", t[0], t[1]);
}

static void add_argument(struct line *l, char kind, u64 v)
{
    switch (kind) {
    case 'd': add(l, "%d", (s32)v); break;
    case 'u': add(l, "%lu", v); break;
    case 'f':
        if ((s32)v == -100)
            add(l, "AT_FDCWD");
        else
            add(l, "%d", (s32)v);
        break;
    case 'm': add(l, "0%o", (u32)v); break;
    case 's': add_string(l, v); break;
    case 'S': add(l, "SIG%d", (s32)v); break;
    case 't': add_time(l, v); break;
    case 'p':
        if (v)
            add(l, "0x%lx", v);
        else
            add(l, "NULL");
        break;
    default: add(l, "0x%lx", v); break;
    }
}

static void send(struct line *l)
{
    l->text[l->n++] = '\n';
    control_send(CONTROL_STRACE, l->text, l->n);
}

static void add_call(struct line *l, const struct uregs *r, const struct linux_name *n)
{
    u64 v[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
    add(l, "[pid %u] ", thread_self()->tid);
    if (!n || !n->name) {
        add(l, "syscall_%lu(0x%lx, 0x%lx, 0x%lx)", r->orig_rax, v[0], v[1], v[2]);
        return;
    }
    add(l, "%s(", n->name);
    for (int i = 0; n->args[i] && i < 6; i++) {
        if (i)
            add(l, ", ");
        add_argument(l, n->args[i], v[i]);
    }
    add(l, ")");
}

// Calls that do not come back, or come back elsewhere, are told when they begin.
void strace_enter(const struct uregs *r)
{
    u64 nr = r->orig_rax;
    struct line l = {.n = 0};
    if (nr != 60 && nr != 231 && nr != 59 && nr != 15)
        return;
    add_call(&l, r, &linux_names[nr]);
    add(&l, nr == 59 ? " ..." : " = ?");
    send(&l);
}

void strace_leave(const struct uregs *r, const struct linux_name *n)
{
    struct line l = {.n = 0};
    s64 v = r->rax;
    if (r->orig_rax == -1ul) // exec replaced everything
        return;
    add_call(&l, r, n);
    if (v < 0 && v > -4096 && (u64)-v < countof(errors) && errors[-v])
        add(&l, " = -1 %s", errors[-v]);
    else if (v <= -512 && v >= -516)
        add(&l, " = ? ERESTART%ld", -v);
    else if (v < 0 && v > -4096)
        add(&l, " = -1 (errno %ld)", -v);
    else if (v > 0xffffff)
        add(&l, " = 0x%lx", v);
    else
        add(&l, " = %ld", v);
    send(&l);
}
