// The page of clocks that every program maps (vdso(7)), made when the first program starts.
#include "linux/vdso.h"
#include "fs/fs.h"
#include "vm/vm.h"

_Static_assert(offsetof(struct thread, ctl) == VDSO_T_CTL, "vdso.h");
_Static_assert(offsetof(struct xok_ctl, cpu) == VDSO_CTL_CPU, "vdso.h");

extern const u8 vdso_image[PAGE];
struct file *vdso_file;
static u64 vdso_ppn;
enum { O_RDONLY = 0, E_SHOFF = 40, E_SHENTSIZE = 58 };

static u64 vdso_page(struct file *f, u64 index, bool write, s64 *err)
{
    (void)f, (void)err;
    if (index || write)
        return 0;
    page_ref(vdso_ppn);
    return vdso_ppn;
}

static const struct file_ops vdso_ops = {.page = vdso_page, .name = "[vdso]"};

static struct vdso_data *data(void) { return (struct vdso_data *)((u8 *)page_va(vdso_ppn) + VDSO_DATA); }

void vdso_real_set(u64 real)
{
    if (vdso_ppn)
        __atomic_store_n(&data()->real, real, __ATOMIC_RELAXED);
}

// The first program is alone.
static bool vdso_make(void)
{
    u64 ppn = page_get();
    struct file *f = ppn ? file_new(&vdso_ops, O_RDONLY) : NULL;
    if (!f) {
        if (ppn)
            page_put(ppn);
        return false;
    }
    u8 *page = page_va(ppn);
    memcpy(page, vdso_image, PAGE);
    memset(page + E_SHOFF, 0, 8); // the section headers were left out
    memset(page + E_SHENTSIZE, 0, 6);
    vdso_ppn = ppn;
    *data() = (struct vdso_data){XOK_INFO->tsc_mult, clock_real_ns() - clock_mono_ns()};
    vdso_file = f;
    return true;
}

s64 vdso_map(struct vm *vm, bool now)
{
    if (!vdso_file && !vdso_make())
        return -ENOMEM;
    return vm_map(vm, 0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | (now ? MAP_POPULATE : 0), vdso_file, 0);
}
