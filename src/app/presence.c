/* presence.c - see presence.h. */
#include "presence.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "herald/buffer.h"
#include "herald/clock.h"
#include "herald/json.h"
#include "herald/log.h"
#include "herald/reply.h"

#define INSTANCE_KEPT_MS (INT64_C(24) * 3600 * 1000)
#define MEMBER_BYTES 4096
#define HOST_BYTES 65 /* HOST_NAME_MAX, and its end */

struct presence {
    struct presence_options options;
    int64_t since_ms;
    char host[HOST_BYTES];
    bool is_known;             /* what we say of ourselves stands in the Redis that is built on */
    char member[MEMBER_BYTES]; /* our entry in the list of instances, as it stands there; "" if none */
};

static void command(struct presence *presence, int argc, const char *const *argv, link_reply_fn *on_reply)
{
    struct err err;
    /* Not usable now: the next turn asks again. */
    if (!link_command(presence->options.commands, argc, argv, NULL, on_reply, presence, &err))
        LOG(LOG_LEVEL_DEBUG, "redis.refused", "our presence is not said", log_text(LOG_KEY_REASON, err.text));
}

static void write_status(const struct presence *presence, const struct config *config, struct buffer *ret)
{
    const struct counters *counters = presence->options.counters;
    buffer_printf(
        ret,
        "{\"instance\":\"%s\",\"version\":\"%s\",\"incarnation\":\"%s\",\"host\":\"%s\",\"since\":%" PRId64
        ",\"at\":%" PRId64,
        config->instance, HERALD_VERSION, presence->options.incarnation, presence->host, presence->since_ms,
        clock_wall_ms());
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"received", counters->received},   {"accepted", counters->accepted},
                {"duplicate", counters->duplicate}, {"rejected", counters->rejected},
                {"conflict", counters->conflict},   {"sent", counters->sent},
                {"retried", counters->retried},     {"limited", counters->limited},
                {"dead", counters->dead},           {"unknown", counters->unknown},
                {"repeated", counters->repeated},   {"gaps", counters->gaps}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        buffer_printf(ret, ",\"%s\":%" PRIu64, rows[i].name, rows[i].value);
    buffer_text(ret, ",\"lanes\":{");
    for (size_t i = 0; i < dispatch_lane_count(presence->options.dispatch); i++) {
        struct dispatch_lane_status lane;
        dispatch_lane_status(presence->options.dispatch, i, &lane);
        buffer_printf(ret,
                      "%s\"%s\":{\"held\":%zu,\"running\":%zu,\"capacity\":%zu,\"breaker\":\"%s\","
                      "\"per_second\":%.2f,\"p99_us\":%" PRId64 ",\"trouble\":\"",
                      i > 0 ? "," : "", lane.name, lane.held, lane.running, lane.capacity, lane.breaker,
                      lane.pace.per_second, lane.pace.p99_us == INT64_MAX ? INT64_C(-1) : lane.pace.p99_us);
        json_escape(lane.trouble, strlen(lane.trouble), ret);
        buffer_text(ret, "\"}");
    }
    buffer_text(ret, "}}");
}

static void write_member(const struct presence *presence, const struct config *config, char ret[MEMBER_BYTES])
{
    size_t used =
        (size_t)snprintf(ret, MEMBER_BYTES, "%s %s", presence->options.incarnation, config->instance);
    for (size_t i = 0; i < config->provider_count && used + CONFIG_MAX_NAME + 2 < MEMBER_BYTES; i++)
        used += (size_t)snprintf(ret + used, MEMBER_BYTES - used, " %s", config->providers[i].name);
}

void presence_on_forgotten(struct presence *presence)
{
    if (!presence->is_known)
        return; /* it is being told */
    presence->is_known = false;
    presence->options.on_forgotten(presence->options.arg);
}

/* It was new to Redis. */
static void on_said(void *arg, const struct redisReply *reply)
{
    struct presence *presence = arg;
    if (reply == NULL || reply_error(reply) != NULL)
        return;
    if (reply_number(reply) == 1)
        presence_on_forgotten(presence);
    presence->is_known = true;
}

static void say_status(struct presence *presence, const struct config *config)
{
    char status[LEDGER_KEY_BYTES];
    struct buffer text;
    ledger_key(presence->options.ledger, "status", status);
    buffer_init(&text, PRESENCE_STATUS_BYTES);
    write_status(presence, config, &text);
    /* By instance, not by incarnation: a restart replaces its line, so the hash can't grow. Without memory
     * for the words there is a line all the same, for without one nothing is given to us. */
    command(presence, 4, (const char *[]){"HSET", status, config->instance, text.failed ? "{}" : text.data},
            on_said);
    buffer_done(&text);
}

static void on_looked(void *arg, const struct redisReply *reply)
{
    struct presence *presence = arg;
    if (reply == NULL || reply_error(reply) != NULL)
        return;
    if (reply_number(reply) == 0)
        presence_on_forgotten(presence);
    else
        recall_age(presence->options.recall, clock_mono_ms());
}

void presence_look(struct presence *presence, const struct config *config)
{
    char status[LEDGER_KEY_BYTES];
    ledger_key(presence->options.ledger, "status", status);
    command(presence, 3, (const char *[]){"HEXISTS", status, config->instance}, on_looked);
}

void presence_beat(struct presence *presence, const struct config *config)
{
    char instances[LEDGER_KEY_BYTES], now[24], oldest[24];
    char member[MEMBER_BYTES];
    int64_t now_ms = clock_wall_ms();
    say_status(presence, config);
    ledger_key(presence->options.ledger, "instances", instances);
    snprintf(now, sizeof now, "%" PRId64, now_ms);
    snprintf(oldest, sizeof oldest, "%" PRId64, now_ms - INSTANCE_KEPT_MS);
    write_member(presence, config, member);
    if (strcmp(member, presence->member) != 0 && presence->member[0] != '\0')
        command(presence, 3, (const char *[]){"ZREM", instances, presence->member}, NULL);
    snprintf(presence->member, sizeof presence->member, "%s", member);
    command(presence, 4, (const char *[]){"ZADD", instances, now, member}, NULL);
    command(presence, 4, (const char *[]){"ZREMRANGEBYSCORE", instances, "-inf", oldest}, NULL);
}

void presence_introduce(struct presence *presence, const struct config *config)
{
    presence->is_known = false;
    say_status(presence, config);
}

void presence_leave(struct presence *presence)
{
    char instances[LEDGER_KEY_BYTES];
    ledger_key(presence->options.ledger, "instances", instances);
    if (presence->member[0] != '\0')
        command(presence, 3, (const char *[]){"ZREM", instances, presence->member}, NULL);
    presence->member[0] = '\0';
}

static void read_host(char ret[HOST_BYTES])
{
    (void)gethostname(ret, HOST_BYTES - 1);
    for (char *at = ret; *at != '\0'; at++)
        if (strchr("\"\\", *at) != NULL || *at < ' ' || *at > '~') /* it goes between quotes */
            *at = '?';
}

bool presence_new(const struct presence_options *options, struct presence **ret, struct err *err)
{
    struct presence *presence = calloc(1, sizeof *presence);
    if (presence == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    presence->options = *options;
    presence->since_ms = clock_wall_ms();
    read_host(presence->host);
    *ret = presence;
    return true;
}

void presence_free(struct presence *presence)
{
    free(presence);
}
