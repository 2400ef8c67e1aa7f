// What the files of the host tool share.
#ifndef XOK_TOOL_H
#define XOK_TOOL_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "fs/rootimg.h"

// Exit statuses of `xok run` beside the program's own, as env(1) and timeout(1) have them.
enum { STATUS_TIMEOUT = 124, STATUS_XOK = 125, STATUS_CANNOT_EXEC = 126, STATUS_NOT_FOUND = 127 };

// util.c
void die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn)); // one line, status 125
void die_status(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *make(size_t size);          // zero-filled; dies when out of memory
void *grow(void *p, size_t size); // realloc; dies when out of memory
char *format(const char *format, ...) __attribute__((format(printf, 1, 2))); // allocated
char *path_join(const char *dir, const char *name);                          // allocated
ssize_t read_some(int fd, void *to, size_t len);                             // retries EINTR
bool read_all(int fd, void *to, size_t len); // false at an early end
bool pread_all(int fd, void *to, size_t len, off_t off);
bool write_all(int fd, const void *from, size_t len);
bool copy_bytes(int from, off_t off, int to, u64 len); // to the current offset of `to`
void pad_to(int fd, u64 from, u64 to);                 // zero bytes; dies on error
char *program_dir(void);                               // where this binary lies; allocated
int temp_file(void);                                   // unlinked, close-on-exec
// "512M", "2G", "65536K"; a bare number is MiB, as QEMU's -m. False if it is none of these.
bool parse_size(const char *text, u64 *bytes);
bool parse_number(const char *text, u64 max, u64 *value);

// root.c: the root image that a command works on
struct root {
    struct rootimg image;
    int fd; // holds the image at offset `off`
    u64 off;
};
// From a directory, a tar archive or an image, whichever `from` is; builds into a temporary file if
// need be. NULL: the built-in root.
void root_open(struct root *root, const char *from);
int boot_image(struct root *root); // a file with boot header, ExOS and the root image

// walk.c: paths inside an image
const struct rootimg_inode *walk(const struct rootimg *image, const char *cwd, const char *path,
                                 bool follow,
                                 int *error);                   // NULL and an errno value
char *read_text(const struct rootimg *image, const char *path); // allocated, NULL if there is none

// Commands: status of the process.
int command_run(int argc, char **argv);
int command_image(int argc, char **argv);
int command_profile(int argc, char **argv);
int cmd_bpf(int argc, char **argv) __attribute__((weak)); // tools/bpf

#endif
