/* listen.h - where to wait for connections, from the text of an option. Pure; any thread. */
#ifndef HERALD_LISTEN_H
#define HERALD_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "herald/err.h"

struct listen_address {
    struct sockaddr_storage address;
    socklen_t len;
};

/* "127.0.0.1:9464", "[::1]:9464", "unix:/run/herald/metrics.sock", or "public " before an address and port.
 * An address is a number, never a name. Without "public" only an address of the loopback is taken: what
 * answers there asks nobody who he is. False: *ret untouched. */
bool listen_parse(const char *text, struct listen_address *ret) MUST_CHECK;
#define LISTEN_EXPECTS "127.0.0.1:PORT, [::1]:PORT or unix:/PATH; public ADDRESS:PORT to be open to others"

/* The option table's claim. */
bool listen_is_valid(const char *text, size_t max);

#endif
