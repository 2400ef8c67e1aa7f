// --publish [ADDR:]HOSTPORT:PORT[/udp]: a port of the host that leads to one of the machine.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "run.h"

static bool port_ok(const char *text, size_t len)
{
    char *copy = format("%.*s", (int)len, text);
    u64 port;
    bool ok = parse_number(copy, 65535, &port) && port;
    free(copy);
    return ok;
}

// As QEMU's hostfwd wants it; NULL: malformed. Bound to 127.0.0.1 unless an address is given.
char *publish_parse(const char *text)
{
    const char *last = strrchr(text, ':'), *suffix = strchr(text, '/');
    if (!last || last == text || (suffix && strcmp(suffix, "/udp") && strcmp(suffix, "/tcp")))
        return NULL;
    const char *host = last;
    while (host > text && host[-1] != ':')
        host--;
    size_t guest_len =
        (suffix ? (size_t)(suffix - text) : strlen(text)) - (size_t)(last + 1 - text);
    if (!port_ok(host, (size_t)(last - host)) || !port_ok(last + 1, guest_len))
        return NULL;
    char *addr = host > text ? format("%.*s", (int)(host - 1 - text), text) : format("127.0.0.1");
    struct in_addr in;
    char *result = NULL;
    if (inet_pton(AF_INET, addr, &in) == 1)
        result = format("%s:%s:%.*s-:%.*s", suffix && !strcmp(suffix, "/udp") ? "udp" : "tcp", addr,
                        (int)(last - host), host, (int)guest_len, last + 1);
    free(addr);
    return result;
}
