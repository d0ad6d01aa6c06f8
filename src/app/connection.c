/* connection.c - Redis comes and goes: is it fit, is it still the same, what may have been missed. Loop
 * thread. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon_private.h"
#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/log.h"
#include "herald/reply.h"
#include "service.h"

#define FITNESS_RETRY_MS 2000 /* an unfit Redis is asked again: an operator may have mended it */

/* ── the command connection ── */

static void check_fitness(struct daemon *daemon);

static void on_fitness_timer(uv_timer_t *timer)
{
    check_fitness(timer->data);
}

static void on_warning(void *arg, const char *topic, const char *text)
{
    (void)arg;
    LOG(LOG_LEVEL_WARNING, "redis.warning", text, log_text(LOG_KEY_REASON, topic));
}

/* Once a process: what is as it may be meant, but perhaps is not. */
static void warn(struct daemon *daemon)
{
    const struct config *config = daemon->config;
    daemon->was_warned = true;
    server_each_warning(&daemon->server, on_warning, daemon);
    if (config->redis.password == NULL)
        on_warning(daemon, "authentication",
                   "Redis asks for no password: whoever reaches it can read recipients and publish events");
    if (config->redis.database != 0 || config->redirect_to != NULL || config->allow_domains[0] != NULL)
        on_warning(
            daemon, "shared channel",
            "pub/sub ignores the database number: what others publish on this Redis under the same channel "
            "is heard here too; a staging herald needs a prefix of its own");
}

static void on_limits(void *arg, const struct redisReply *reply)
{
    struct daemon *daemon = arg;
    /* A user without the right to ask gets an error: then the limit stays unknown. */
    const char *limits = reply_text(reply_at(reply, 1), NULL);
    if (limits != NULL)
        server_read_limits(limits, &daemon->server);
    if (!daemon->is_ending && !daemon->was_warned)
        warn(daemon);
}

static void ask_for_limits(struct daemon *daemon)
{
    struct err err;
    const char *const argv[] = {"CONFIG", "GET", "client-output-buffer-limit"};
    if (!link_command(daemon->commands, 3, argv, NULL, on_limits, daemon, &err))
        warn(daemon);
}

static void become_usable(struct daemon *daemon, const struct server *server)
{
    LOG(LOG_LEVEL_NOTICE, "redis.connected", "Redis is reached and fit");
    daemon->has_forgotten =
        daemon->has_forgotten || (daemon->was_fit && !server_is_same(&daemon->server, server));
    daemon->server = *server;
    daemon->was_fit = true;
    if (!daemon->was_warned)
        ask_for_limits(daemon);
    const enum recovery_kind kind = daemon->has_forgotten  ? RECOVERY_FORGOT
                                    : daemon->is_recovered ? RECOVERY_SAME
                                                           : RECOVERY_START;
    if (kind != RECOVERY_SAME)
        presence_introduce(daemon->presence, daemon->config);
    recovery_begin(daemon->recovery, kind, daemon->config);
}

static void say_epoch(const struct daemon *daemon, const struct recovery_counts *counts)
{
    const struct log_field none = {.type = LOG_NONE};
    int64_t now_ms = clock_mono_ms();
    int64_t gap = recall_gap(daemon->recall, now_ms);
    char text[200];
    snprintf(text, sizeof text,
             "Redis may have lost what it last confirmed: %zu events that it had lost were told again, %zu "
             "answers "
             "repeated, %zu leases released%s",
             counts->events, counts->answers, counts->released,
             gap != 0 ? "; older events than in `ms` could not be kept" : "");
    LOG(LOG_LEVEL_WARNING, "redis.epoch", text, log_int(LOG_KEY_COUNT, (int64_t)counts->events),
        gap != 0 ? log_int(LOG_KEY_MS, now_ms - gap) : none);
}

static void look_back(struct daemon *daemon);

void connection_on_recovered(void *arg, const struct recovery_counts *counts)
{
    struct daemon *daemon = arg;
    if (daemon->is_ending)
        return; /* of what it would go on with, some is gone */
    if (daemon->has_forgotten)
        say_epoch(daemon, counts);
    else if (counts->released > 0)
        LOG(LOG_LEVEL_NOTICE, "lease.released",
            "leases whose answer was lost on the way go back to the queue",
            log_int(LOG_KEY_COUNT, (int64_t)counts->released));
    FAULT("recovered-not-cleared");
    if (!daemon->is_recovered && daemon->journal != NULL)
        journal_clear(daemon->journal);
    FAULT("journal-cleared");
    daemon->has_forgotten = false;
    daemon->is_recovered = true;
    daemon->is_usable = true;
    dispatch_on_redis(daemon->dispatch, true);
    upkeep_on_redis(daemon->upkeep, true);
    look_back(daemon);
    upkeep_on_subscribed(daemon->upkeep, subscriber_is_subscribed(daemon->subscriber));
    daemon_become_ready(daemon);
}

static void on_info(void *arg, const struct redisReply *reply)
{
    struct daemon *daemon = arg;
    struct server server;
    struct err err;
    if (reply == NULL || daemon->is_ending)
        return; /* the link is lost, and on_ready comes again */
    size_t len = 0;
    const char *info = reply_text(reply, &len);
    if (info == NULL) {
        const char *why = reply_error(reply);
        err_set(&err, ERR_CONFIG, "INFO: %s", why != NULL ? why : "no text");
    } else {
        server_read(info, len, &server);
        handover_on_server(daemon->handover, server.run_id);
        if (server_is_fit(&server, &err) || (daemon->config->allow_unfit_redis && err.kind == ERR_CONFIG)) {
            become_usable(daemon, &server);
            return;
        }
    }
    LOG(LOG_LEVEL_ERROR, "redis.unfit", "this Redis can't keep what we promise",
        log_text(LOG_KEY_REASON, err.text));
    char status[DAEMON_STATUS_BYTES];
    snprintf(status, sizeof status, "waiting for a fit Redis: %.200s", err.text);
    service_status(status);
    uv_timer_start(&daemon->fitness, on_fitness_timer, FITNESS_RETRY_MS, 0);
}

static void check_fitness(struct daemon *daemon)
{
    struct err err;
    if (!link_command(daemon->commands, 1, (const char *[]){"INFO"}, NULL, on_info, daemon, &err) &&
        link_is_ready(daemon->commands))
        link_reset(daemon->commands, err.text);
}

static void on_commands_ready(void *arg)
{
    check_fitness(arg);
}

static void on_commands_lost(void *arg, const char *reason)
{
    struct daemon *daemon = arg;
    uv_timer_stop(&daemon->fitness);
    if (!daemon->is_ending)
        LOG(LOG_LEVEL_WARNING, "redis.lost", "the command connection is gone; events wait in the socket",
            log_text(LOG_KEY_REASON, reason));
    /* From here on a lease may be renewed by nobody: what is not committed must not be. */
    atomic_fetch_add(&daemon->gate.epoch, 1);
    recovery_stop(daemon->recovery);
    daemon->is_usable = false;
    dispatch_on_redis(daemon->dispatch, false);
    upkeep_on_redis(daemon->upkeep, false);
    if (!daemon->is_ending)
        daemon_say_status(daemon);
}

void connection_on_forgotten(void *arg)
{
    struct daemon *daemon = arg;
    if (daemon->is_ending)
        return;
    daemon->has_forgotten = true;
    if (daemon->is_usable) {
        atomic_fetch_add(&daemon->gate.epoch, 1);
        daemon->is_usable = false;
        dispatch_on_redis(daemon->dispatch, false);
        upkeep_on_redis(daemon->upkeep, false);
    }
    presence_introduce(daemon->presence, daemon->config);
    recovery_begin(daemon->recovery, RECOVERY_FORGOT, daemon->config);
}

static void on_commands_failed(void *arg, unsigned attempt, const char *reason)
{
    (void)arg;
    if (log_is_worth_repeating(attempt))
        LOG(LOG_LEVEL_WARNING, "redis.unreachable", "the command connection can't be made; trying for ever",
            log_text(LOG_KEY_REASON, reason), log_int(LOG_KEY_ATTEMPT, attempt));
}

/* ── the subscription ── */

/* When any instance last saw a canary come through, per source: what was published since then may have been
 * missed. */
static void on_proved(void *arg, const struct redisReply *reply)
{
    struct daemon *daemon = arg;
    for (size_t i = 0; i < reply_count(reply) && i < daemon->config->source_count; i++) {
        if (daemon->config->sources[i].type != SOURCE_PUBSUB)
            continue; /* a stream keeps what comes while nobody reads */
        const struct redisReply *proved = reply_at(reply, i);
        bool is_known = reply_text(proved, NULL) != NULL;
        if (!is_known && !daemon->is_gap_certain)
            continue; /* never subscribed before: nothing was promised yet */
        int64_t gap_ms = is_known ? daemon->subscribed_wall_ms - reply_number(proved) : -1;
        if (gap_ms <= daemon->config->canary_interval_ms && !daemon->is_gap_certain)
            continue; /* another instance covers it, or we were away for less than can be told */
        daemon->counters.gaps++;
        LOG(LOG_LEVEL_WARNING, "source.gap",
            "what was published on the channel in this time may have been missed",
            log_text(LOG_KEY_SOURCE, daemon->config->sources[i].name),
            is_known ? log_int(LOG_KEY_MS, gap_ms) : (struct log_field){.type = LOG_NONE});
    }
}

static void ask_for_gap(struct daemon *daemon)
{
    char key[LEDGER_KEY_BYTES];
    const char *argv[2 + CONFIG_MAX_SECTIONS] = {"HMGET", key};
    struct err err;
    ledger_key(daemon->ledger, "proved", key);
    for (size_t i = 0; i < daemon->config->source_count; i++)
        argv[2 + i] = daemon->config->sources[i].name;
    if (!link_command(daemon->commands, (int)(2 + daemon->config->source_count), argv, NULL, on_proved,
                      daemon, &err))
        LOG(LOG_LEVEL_WARNING, "source.gap", "how long the subscription was away can't be told",
            log_text(LOG_KEY_REASON, err.text));
}

/* Once the subscription stands and events can be accepted: first those that wait in earlier sockets, then the
 * account of what no socket held. */
static void look_back(struct daemon *daemon)
{
    if (!daemon->is_usable || !subscriber_is_subscribed(daemon->subscriber))
        return;
    handover_drain(daemon->handover);
    if (!daemon->owes_gap || handover_has_heirs(daemon->handover))
        return;
    daemon->owes_gap = false;
    ask_for_gap(daemon);
}

void connection_on_drained(void *arg, bool was_proved)
{
    struct daemon *daemon = arg;
    daemon->owes_gap = daemon->owes_gap && !was_proved;
    look_back(daemon);
}

void connection_on_inherited(void *arg)
{
    struct daemon *daemon = arg;
    LOG(LOG_LEVEL_NOTICE, "redis.inherited",
        "the subscription of the last process is taken over: nothing was missed");
    daemon->has_stood = true;
    upkeep_on_subscribed(daemon->upkeep, true);
    look_back(daemon);
    daemon_become_ready(daemon);
}

void connection_on_taking(void *arg, bool is_taking)
{
    struct daemon *daemon = arg;
    handover_on_taking(daemon->handover, is_taking);
}

void connection_on_subscribed(void *arg)
{
    struct daemon *daemon = arg;
    LOG(LOG_LEVEL_NOTICE, "redis.subscribed", "every subscription is acknowledged",
        log_int(LOG_KEY_COUNT, (int64_t)daemon->channel_count));
    daemon->owes_gap = true;
    daemon->is_gap_certain = daemon->has_stood || handover_has_heirs(daemon->handover);
    daemon->has_stood = true;
    daemon->subscribed_wall_ms = clock_wall_ms();
    handover_on_subscribed(daemon->handover);
    look_back(daemon);
    upkeep_on_subscribed(daemon->upkeep, true);
    daemon_become_ready(daemon);
}

void connection_on_unsubscribed(void *arg, const char *reason)
{
    struct daemon *daemon = arg;
    upkeep_on_subscribed(daemon->upkeep, false);
    handover_on_lost(daemon->handover);
    if (!daemon->is_ending)
        LOG(LOG_LEVEL_WARNING, "redis.lost",
            "the subscription is gone; what is published until it stands again is lost to us",
            log_text(LOG_KEY_REASON, reason));
}

void connection_on_unsubscribable(void *arg, unsigned attempt, const char *reason)
{
    (void)arg;
    if (log_is_worth_repeating(attempt))
        LOG(LOG_LEVEL_WARNING, "redis.unreachable", "the subscription can't be made; trying for ever",
            log_text(LOG_KEY_REASON, reason), log_int(LOG_KEY_ATTEMPT, attempt));
}

void connection_on_canary_missed(void *arg)
{
    struct daemon *daemon = arg;
    if (handover_has_heirs(daemon->handover) || daemon->reading == daemon->subscriber)
        return; /* it is held, or a batch of it is with us: its canaries wait behind that */
    subscriber_reset(daemon->subscriber, "two canaries were published and did not come through");
}

/* ── the streams ── */

void connection_on_reading(void *arg)
{
    struct daemon *daemon = arg;
    LOG(LOG_LEVEL_NOTICE, "redis.reading", "every stream has our consumer group",
        log_int(LOG_KEY_COUNT, (int64_t)daemon->stream_count));
    daemon_become_ready(daemon);
}

void connection_on_unread(void *arg, const char *reason)
{
    const struct daemon *daemon = arg;
    if (!daemon->is_ending)
        LOG(LOG_LEVEL_WARNING, "redis.lost", "the streams' connection is gone; entries wait in Redis",
            log_text(LOG_KEY_REASON, reason));
}

void connection_on_unreadable(void *arg, unsigned attempt, const char *reason)
{
    (void)arg;
    if (log_is_worth_repeating(attempt))
        LOG(LOG_LEVEL_WARNING, "redis.unreachable", "the streams' connection can't be made; trying for ever",
            log_text(LOG_KEY_REASON, reason), log_int(LOG_KEY_ATTEMPT, attempt));
}

void connection_on_stream_refused(void *arg, size_t origin, const char *what, const char *reason)
{
    const struct daemon *daemon = arg;
    LOG(LOG_LEVEL_ERROR, "redis.refused", what, log_text(LOG_KEY_SOURCE, daemon->stream_sources[origin]),
        log_text(LOG_KEY_REASON, reason));
}

struct link_callbacks connection_commands(struct daemon *daemon)
{
    return (struct link_callbacks){.on_ready = on_commands_ready,
                                   .on_lost = on_commands_lost,
                                   .on_failed = on_commands_failed,
                                   .arg = daemon};
}
