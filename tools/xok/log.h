// The end of a stream of text lines, kept to quote from.
#ifndef XOK_LOG_H
#define XOK_LOG_H
#include "xok.h"

#define LOG_KEPT (64u << 10) // bytes: more than a panic report takes

struct log {
    int fd; // non-blocking, -1 after its end
    u64 total;
    char ring[LOG_KEPT];
};

void log_init(struct log *log, int fd);
void log_take(struct log *log, bool show); // reads what is there; show: also to standard error
// The last line that holds `word`, without blanks around; allocated, NULL if there is none.
char *log_line(const struct log *log, const char *word);

#endif
