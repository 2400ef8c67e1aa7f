// Between start.c, control.c and the rooms that tell the host something.
#ifndef EXOS_START_H
#define EXOS_START_H
#include "core/control.h"
#include "core/exos.h"
void control_send(u32 type, const void *payload, u64 len);
void control_send2(u32 type, const void *head, u64 head_len, const void *payload, u64 len);
const struct control_config *control_config(u64 *length); // waits for the host's first message
#endif
