// The smallest first environment: says so and stops the machine.
#include "xok/calls.h"
#include "xok/info.h"
void _start(void)
{
    static const char text[] = "hello from ring 3";
    xok_log(text, sizeof text - 1);
    xok_halt(0, 7);
}
