// xok: builds root images, runs programs on Xok, inspects.
#include <stdio.h>
#include <string.h>
#include "xok.h"

static const char usage[] =
    "usage: xok run [OPTION...] [--] PROGRAM [ARG...]  run a Linux program on Xok; xok run --help\n"
    "       xok image build|boot|ls|cat|extract|check  root images; xok image --help\n"
    "       xok profile FILE                           where a run's instructions went\n"
    "       xok bpf ...                                downloaded code\n";

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (!strcmp(command, "run"))
        return command_run(argc - 2, argv + 2);
    if (!strcmp(command, "image"))
        return command_image(argc - 2, argv + 2);
    if (!strcmp(command, "profile"))
        return command_profile(argc - 2, argv + 2);
    if (!strcmp(command, "bpf") && cmd_bpf)
        return cmd_bpf(argc - 1, argv + 1);
    bool help = !strcmp(command, "--help") || !strcmp(command, "help");
    fputs(usage, help ? stdout : stderr);
    return help ? 0 : STATUS_XOK;
}
