// mkboot EXEC DATA OUT: a boot module (struct xok_boot_header, program, data), for tests.
#include <stdio.h>
#include <stdlib.h>
#include "xok/info.h"

static u64 append(FILE *out, const char *path, u64 *size)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        perror(path), exit(1);
    static char page[XOK_PAGE_SIZE];
    u64 at = ftell(out);
    *size = 0;
    for (size_t n; (n = fread(page, 1, sizeof page, in));) {
        *size += n;
        for (size_t i = n; i < sizeof page; i++)
            page[i] = 0;
        fwrite(page, 1, sizeof page, out);
    }
    fclose(in);
    return at;
}

int main(int argc, char **argv)
{
    FILE *out = argc == 4 ? fopen(argv[3], "wb") : NULL;
    if (!out)
        return fprintf(stderr, "usage: mkboot EXEC DATA OUT\n"), 2;
    union {
        struct xok_boot_header h;
        char page[XOK_PAGE_SIZE];
    } first = {.h = {.magic = XOK_BOOT_MAGIC}};
    fwrite(&first, sizeof first, 1, out);
    first.h.exec_off = append(out, argv[1], &first.h.exec_size);
    first.h.data_off = append(out, argv[2], &first.h.data_size);
    rewind(out);
    fwrite(&first, sizeof first, 1, out);
    return fclose(out) ? 1 : 0;
}
