/* handshake.c - what a connection says before it is of use; see handshake.h. Loop thread. */
#include "handshake.h"

#include <stdio.h>
#include <string.h>

size_t handshake_plan(const struct config_redis *redis, const char *client_name,
                      struct handshake_step ret[HANDSHAKE_MAX_STEPS])
{
    struct handshake_step *step = ret;

    if (redis->password != NULL && redis->user != NULL)
        *step++ = (struct handshake_step){
            .name = "AUTH", .argc = 3, .argv = {"AUTH", redis->user, redis->password}};
    else if (redis->password != NULL)
        *step++ = (struct handshake_step){.name = "AUTH", .argc = 2, .argv = {"AUTH", redis->password}};

    if (redis->database != 0) {
        *step = (struct handshake_step){.name = "SELECT", .argc = 2, .argv = {"SELECT", step->text}};
        snprintf(step->text, sizeof(step->text), "%d", redis->database);
        step++;
    }
    *step++ = (struct handshake_step){
        .name = "CLIENT SETNAME", .argc = 3, .argv = {"CLIENT", "SETNAME", client_name}};
    /* The one that a Redis which is still loading, or runs a script for too long, refuses. */
    *step++ = (struct handshake_step){.name = "PING", .argc = 1, .argv = {"PING"}};
    return (size_t)(step - ret);
}

void handshake_complain(const char *name, const char *error, char *ret, size_t ret_size)
{
    /* Redis quotes what it does not understand ("unknown command 'AUTH', with args beginning with: …"):
     * AUTH's end before that. */
    size_t len = strcspn(error, strcmp(name, "AUTH") == 0 ? "'`\"\r\n" : "\r\n");

    snprintf(ret, ret_size, "%s: %.*s", name, (int)len, error);
}
