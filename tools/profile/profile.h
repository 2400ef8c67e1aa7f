// The file that the profile plugin leaves and `xok profile` reads.
#ifndef XOK_PROFILE_H
#define XOK_PROFILE_H
#include <stdint.h>

#define PROFILE_MAGIC 0x31464f52504b4f58ul // "XOKPROF1"
// Blocks that may be translated in one run; a boot and a large program translate some 100 000. The file is sparse.
#define PROFILE_BLOCKS (4ul << 20)

struct profile {
    uint64_t magic, blocks, lost, reserved;
    struct profile_block {
        uint64_t address, instructions, runs;
    } block[PROFILE_BLOCKS];
};
#endif
