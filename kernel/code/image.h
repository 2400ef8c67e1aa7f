// The linked image of include/xok/code.h.
#ifndef XOK_IMAGE_H
#define XOK_IMAGE_H
#include "code.h"
#include "xok/code.h"

// Takes an image apart; source points into it. -1: it is malformed. The abi is what the author expects:
// whoever runs the program compares it with what is given, and passes its own to code_load.
s32 code_image(const void *bytes, u64 len, struct code_abi *abi, struct code_source *source);
#endif
