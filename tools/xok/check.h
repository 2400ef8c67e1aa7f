// A whole root image checked: what the format promises, beyond what a reader needs to stay safe.
#ifndef XOK_CHECK_H
#define XOK_CHECK_H
#include <stdio.h>
#include "fs/rootimg.h"

// Writes one line a fault to `out`; returns how many there are. Time linear in the image.
u64 image_check(const struct rootimg *image, FILE *out);

#endif
