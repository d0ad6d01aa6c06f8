/* heraldctl's connection: hiredis's own blocking one, which for a tool is just right. One thread. */
#include "herald/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "herald/ledger.h"

struct client {
    redisContext *context; /* owned */
    redisReply *reply;     /* owned: the last one */
    char prefix[80];
    size_t queued;
};

static struct timeval to_timeval(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static bool run_quietly(struct client *client, int argc, const char *const *argv, struct err *err)
{
    const redisReply *ignored;
    return client_run(client, argc, argv, NULL, &ignored, err);
}

static bool shake_hands(struct client *client, const struct config_redis *redis, struct err *err)
{
    char database[16];
    if (redis->password != NULL) {
        bool is_in = redis->user != NULL
                         ? run_quietly(client, 3, (const char *[]){"AUTH", redis->user, redis->password}, err)
                         : run_quietly(client, 2, (const char *[]){"AUTH", redis->password}, err);
        if (!is_in)
            return err_wrap(err, "AUTH");
    }
    snprintf(database, sizeof database, "%d", redis->database);
    return redis->database == 0 || run_quietly(client, 2, (const char *[]){"SELECT", database}, err);
}

bool client_open(const struct config_redis *redis, const char *prefix, struct client **ret, struct err *err)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    snprintf(client->prefix, sizeof client->prefix, "%s", prefix);
    struct timeval timeout = to_timeval(redis->connect_timeout_ms);
    client->context = redis->socket_path != NULL ? redisConnectUnixWithTimeout(redis->socket_path, timeout)
                                                 : redisConnectWithTimeout(redis->host, redis->port, timeout);
    if (client->context == NULL || client->context->err != 0) {
        const char *where = redis->socket_path != NULL ? redis->socket_path : redis->host;
        err_set(err, ERR_TRANSIENT, "Redis at %s: %s", where,
                client->context != NULL ? client->context->errstr : "out of memory");
        client_close(client);
        return false;
    }
    redisSetTimeout(client->context, to_timeval(redis->command_timeout_ms));
    if (!shake_hands(client, redis, err)) {
        client_close(client);
        return false;
    }
    *ret = client;
    return true;
}

void client_close(struct client *client)
{
    if (client == NULL)
        return;
    if (client->reply != NULL)
        freeReplyObject(client->reply);
    if (client->context != NULL)
        redisFree(client->context);
    free(client);
}

bool client_run(struct client *client, int argc, const char *const *argv, const size_t *argv_len,
                const redisReply **ret, struct err *err)
{
    if (client->reply != NULL)
        freeReplyObject(client->reply);
    /* hiredis takes the arguments without const and leaves them alone. */
    client->reply = redisCommandArgv(client->context, argc, (const char **)argv, argv_len);
    if (client->reply == NULL)
        return err_set(err, ERR_TRANSIENT, "Redis: %s", client->context->errstr);
    if (client->reply->type == REDIS_REPLY_ERROR)
        return err_set(err, ERR_PERMANENT, "Redis: %s", client->reply->str);
    *ret = client->reply;
    return true;
}

bool client_script(struct client *client, const char *name, int argc, const char *const *argv,
                   const redisReply **ret, struct err *err)
{
    char base[CLIENT_KEY_BYTES];
    const char **all = calloc((size_t)argc + 4, sizeof *all);
    if (all == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    client_key(client, "", base);
    base[strlen(base) - 1] = '\0'; /* without the colon */
    all[0] = "EVAL";
    all[1] = ledger_script(name, NULL);
    all[2] = "1";
    all[3] = base;
    for (int i = 0; i < argc; i++)
        all[i + 4] = argv[i];
    bool is_done = client_run(client, argc + 4, all, NULL, ret, err);
    free(all);
    return is_done || err_wrap(err, "%s", name);
}

const char *client_key(const struct client *client, const char *suffix, char ret[CLIENT_KEY_BYTES])
{
    snprintf(ret, CLIENT_KEY_BYTES, "%s:{0}:%.160s", client->prefix, suffix);
    return ret;
}

const char *client_user_key(const struct client *client, const char *user_id, char ret[CLIENT_KEY_BYTES])
{
    snprintf(ret, CLIENT_KEY_BYTES, "%s:user:%.160s", client->prefix, user_id);
    return ret;
}

bool client_queue(struct client *client, int argc, const char *const *argv, const size_t *argv_len,
                  struct err *err)
{
    if (redisAppendCommandArgv(client->context, argc, (const char **)argv, argv_len) != REDIS_OK)
        return err_set(err, ERR_TRANSIENT, "Redis: %s", client->context->errstr);
    client->queued++;
    return true;
}

bool client_finish(struct client *client, size_t *ret_errors, struct err *err)
{
    size_t errors = 0;
    for (; client->queued > 0; client->queued--) {
        void *reply;
        if (redisGetReply(client->context, &reply) != REDIS_OK)
            return err_set(err, ERR_TRANSIENT, "Redis: %s", client->context->errstr);
        errors += ((redisReply *)reply)->type == REDIS_REPLY_ERROR;
        freeReplyObject(reply);
    }
    *ret_errors = errors;
    return true;
}
