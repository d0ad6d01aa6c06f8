/* handshake.h - what a connection says before it is of use, and what it means if Redis says no. Pure; loop
 * thread. */
#ifndef HERALD_STORE_HANDSHAKE_H
#define HERALD_STORE_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/config.h"

#define HANDSHAKE_MAX_STEPS 4 /* AUTH, SELECT, CLIENT SETNAME, PING */

struct handshake_step {
    const char *name; /* for the complaint */
    int argc;
    const char *argv[3]; /* borrowed from the configuration; database in it points into `text` */
    char text[16];
};

/* Fills ret with the commands, in order; returns how many. The steps must not be moved. */
size_t handshake_plan(const struct config_redis *redis, const char *client_name,
                      struct handshake_step ret[HANDSHAKE_MAX_STEPS]);

/* "AUTH: WRONGPASS …", from the text of an error reply; holds no password. */
void handshake_complain(const char *name, const char *error, char *ret, size_t ret_size);

#endif
