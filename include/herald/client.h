/* client.h - a blocking connection to Redis, for heraldctl. The daemon never uses it. One thread. */
#ifndef HERALD_CLIENT_H
#define HERALD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/config.h"
#include "herald/err.h"

struct redisReply;
struct client;

/* Connects, authenticates and chooses the database; blocks for at most the configured timeouts.
 * ERR_TRANSIENT. */
bool client_open(const struct config_redis *redis, const char *prefix, struct client **ret,
                 struct err *err) MUST_CHECK;
void client_close(struct client *client); /* NULL is fine */

/* Runs one command. *ret is borrowed until the next call. An error reply is false with ERR_PERMANENT and
 * Redis's words. */
bool client_run(struct client *client, int argc, const char *const *argv, const size_t *argv_len,
                const struct redisReply **ret, struct err *err) MUST_CHECK;

/* Runs one of the ledger's scripts by name with these ARGV. */
bool client_script(struct client *client, const char *name, int argc, const char *const *argv,
                   const struct redisReply **ret, struct err *err) MUST_CHECK;

/* "<prefix>:{0}:<suffix>", and "<prefix>:user:<id>". `ret` has room for CLIENT_KEY_BYTES. */
#define CLIENT_KEY_BYTES 256
const char *client_key(const struct client *client, const char *suffix, char ret[CLIENT_KEY_BYTES]);
const char *client_user_key(const struct client *client, const char *user_id, char ret[CLIENT_KEY_BYTES]);

/* Queues a command without waiting (bulk work); client_finish reads the answers of all that were queued and
 * counts the errors. */
bool client_queue(struct client *client, int argc, const char *const *argv, const size_t *argv_len,
                  struct err *err) MUST_CHECK;
bool client_finish(struct client *client, size_t *ret_errors, struct err *err) MUST_CHECK;

#endif
