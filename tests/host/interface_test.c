// The kernel interface must be one consistent table: unique numbers, argument counts that match the
// argument lists, argument kinds the generators know, structures of the sizes the kernel relies on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "xok/error.h"
#include "xok/info.h"
#include "xok/pt.h"

struct call {
    int number;
    const char *name;
    int argc;
    const char *args, *cap, *bound, *text;
};

static const struct call calls[] = {
#define SYSCALL(number, name, argc, args, cap, bound, text) \
    {number, #name, argc, args, cap, bound, text},
#include "xok/syscalls.def"
#undef SYSCALL
};
#define CALLS (sizeof calls / sizeof calls[0])

static void numbers_are_unique_and_ascending(void **state)
{
    (void)state;
    for (size_t i = 1; i < CALLS; i++)
        assert_true(calls[i - 1].number < calls[i].number);
}

static void names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < CALLS; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(calls[i].name, calls[j].name);
}

static void argument_lists_match_counts(void **state)
{
    static const char *kinds[] = {"cap ", "env ", "ptr ", "u32 ", "u64 "};
    (void)state;
    for (size_t i = 0; i < CALLS; i++) {
        char list[256];
        int n = 0;
        snprintf(list, sizeof list, "%s", calls[i].args);
        for (char *a = strtok(list, ","); a; a = strtok(NULL, ","), n++) {
            int known = 0;
            a += strspn(a, " ");
            for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
                known |= !strncmp(a, kinds[k], strlen(kinds[k]));
            if (!known)
                fail_msg("%s: argument \"%s\" has no known kind", calls[i].name, a);
        }
        if (n != calls[i].argc || n > 6)
            fail_msg("%s: %d arguments listed, argc %d", calls[i].name, n, calls[i].argc);
    }
}

static void every_call_documents_right_and_bound(void **state)
{
    (void)state;
    for (size_t i = 0; i < CALLS; i++) {
        assert_true(calls[i].cap[0] && calls[i].bound[0] && calls[i].text[0]);
        assert_non_null(strstr(calls[i].bound, "O("));
    }
}

static void structures_fit_their_pages(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct xok_ctl), XOK_PAGE_SIZE);
    assert_int_equal(sizeof(struct xok_page_info), 32);
    assert_true((u64)XOK_ENVS_VA + XOK_ENV_MAX * sizeof(struct xok_env_info) <= XOK_SLOTS_VA);
    assert_true((u64)XOK_SLOTS_VA + XOK_CPU_MAX * XOK_SLOTS_PER_CPU * 4ul <= XOK_NAMES_VA);
    assert_true((u64)XOK_NAMES_VA + XOK_NAME_MAX * sizeof(struct xok_name_info) <= XOK_PAGES_VA);
    assert_true((u64)XOK_UIDT + (XOK_INT_LAST + 1) * XOK_UIDT_STUB <= XOK_UIDT + XOK_PAGE_SIZE);
}

static void self_map_addresses_are_recursive(void **state)
{
    // The self-map's own entry must be found by looking itself up at every level.
    (void)state;
    u64 pml4e = (u64)XOK_PML4E(XOK_SELFMAP);
    assert_int_equal(pml4e & 0xfff, XOK_SELFMAP_SLOT * 8);
    assert_int_equal((u64)XOK_PTE((u64)XOK_PTE(0)), (u64)XOK_PDE(0));
    assert_int_equal((u64)XOK_PTE((u64)XOK_PDE(0)), (u64)XOK_PDPTE(0));
    assert_int_equal((u64)XOK_PTE((u64)XOK_PDPTE(0)), (u64)XOK_PML4E(0));
    assert_int_equal((u64)XOK_PTE(0x7fffffffe000) - (u64)XOK_PTE(0), 0x7fffffffeul * 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_unique_and_ascending),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(argument_lists_match_counts),
        cmocka_unit_test(every_call_documents_right_and_bound),
        cmocka_unit_test(structures_fit_their_pages),
        cmocka_unit_test(self_map_addresses_are_recursive),
    };
    return cmocka_run_group_tests_name("interface", tests, NULL, NULL);
}
