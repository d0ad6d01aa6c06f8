/* checkup_redis.c - Redis itself: is it reached and fit, who gets in, and does its clock agree with ours? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "checkup.h"
#include "herald/clock.h"
#include "herald/reply.h"

#define SKEW_WARN_MS 1000  /* past what NTP leaves */
#define SKEW_FAIL_MS 20000 /* from there on a living instance passes for dead: INSTANCE_FRESH_MS */

static void on_warning(void *arg, const char *topic, const char *text)
{
    checkup_say(arg, HEALTH_WARN, "redis", "redis.conf, or redis-cli CONFIG SET and CONFIG REWRITE", "%s: %s",
                topic, text);
}

static void look_at_fitness(struct checkup *checkup)
{
    const struct redisReply *reply;
    struct server server;
    struct err err;
    size_t len = 0;
    const char *info = client_run(checkup->client, 1, (const char *[]){"INFO"}, NULL, &reply, &err)
                           ? reply_text(reply, &len)
                           : NULL;
    if (info == NULL) {
        checkup_say(checkup, HEALTH_FAIL, "redis", "its user needs +info: redis-acl.example", "%s", err.text);
        return;
    }
    server_read(info, len, &server);
    /* A user without the right to ask leaves it unknown. */
    if (client_run(checkup->client, 3, (const char *[]){"CONFIG", "GET", "client-output-buffer-limit"}, NULL,
                   &reply, &err) &&
        (info = reply_text(reply_at(reply, 1), NULL)) != NULL)
        server_read_limits(info, &server);
    if (server_is_fit(&server, &err))
        checkup_say(checkup, HEALTH_OK, "redis", NULL, "reached and fit: version %d.%d, %" PRIu64 " MiB used",
                    server.version_major, server.version_minor, server.used_memory / 1024 / 1024);
    else
        checkup_say(checkup, HEALTH_FAIL, "redis", "heraldd waits until it is", "not fit: %s", err.text);
    if (server.is_write_failing)
        checkup_say(checkup, HEALTH_FAIL, "redis",
                    "is its disk full? Redis's own log says what it could not write",
                    "its last snapshot or append-only write failed: what it holds is not on disk");
    if (server.max_memory > 0 && server.used_memory > server.max_memory / 10 * 9)
        checkup_say(
            checkup, HEALTH_WARN, "redis", "raise maxmemory, or find what fills it (redis-cli --bigkeys)",
            "%" PRIu64 " of %" PRIu64 " MiB are used: when it is full, events wait where they come from",
            server.used_memory / 1024 / 1024, server.max_memory / 1024 / 1024);
    server_each_warning(&server, on_warning, checkup);
}

static void look_at_door(struct checkup *checkup)
{
    struct config_redis stranger = checkup->config->redis;
    struct client *client = NULL;
    const struct redisReply *reply;
    struct err err;
    stranger.user = stranger.password = NULL;
    bool is_open = client_open(&stranger, checkup->config->prefix, &client, &err) &&
                   client_run(client, 1, (const char *[]){"PING"}, NULL, &reply, &err);
    client_close(client);
    if (is_open)
        checkup_say(checkup, HEALTH_WARN, "redis",
                    "give it users (redis-acl.example), then ACL SETUSER default off",
                    "it asks for no password: whoever reaches it can read recipients and publish events");
    else
        checkup_say(checkup, HEALTH_OK, "redis", NULL, "nobody gets in without a password");
}

static void look_at_clock(struct checkup *checkup)
{
    const struct redisReply *reply;
    struct err err;
    const int64_t before_ms = clock_wall_ms();
    if (!client_run(checkup->client, 1, (const char *[]){"TIME"}, NULL, &reply, &err)) {
        checkup_say(checkup, HEALTH_WARN, "clock", "its user needs +time: redis-acl.example", "%s", err.text);
        return;
    }
    const int64_t redis_ms =
        reply_number(reply_at(reply, 0)) * 1000 + reply_number(reply_at(reply, 1)) / 1000;
    /* Half the round trip has passed since Redis looked. */
    const int64_t skew_ms = (before_ms + clock_wall_ms()) / 2 - redis_ms;
    const int64_t size_ms = skew_ms < 0 ? -skew_ms : skew_ms;
    if (size_ms <= SKEW_WARN_MS)
        checkup_say(checkup, HEALTH_OK, "clock", NULL, "%" PRId64 " ms from Redis's", size_ms);
    else
        checkup_say(checkup, size_ms > SKEW_FAIL_MS ? HEALTH_FAIL : HEALTH_WARN, "clock",
                    "run a time service on both machines (timedatectl)",
                    "this machine's clock is %" PRId64
                    " ms %s Redis's: heartbeats and sendAt are off by that",
                    size_ms, skew_ms < 0 ? "behind" : "ahead of");
}

void checkup_redis(struct checkup *checkup)
{
    struct client *client = NULL;
    struct err err;
    if (!client_open(&checkup->config->redis, checkup->config->prefix, &client, &err)) {
        checkup_say(checkup, HEALTH_FAIL, "redis",
                    "is it running, and [redis] url right? heraldd waits for it, and events wait where they "
                    "come from",
                    "%s", err.text);
        return;
    }
    checkup->client = client;
    look_at_fitness(checkup);
    look_at_door(checkup);
    checkup_rights(checkup);
    look_at_clock(checkup);
    checkup_work(checkup);
    checkup->client = NULL;
    client_close(client);
}
