/* The daemon's clockwork. Loop thread. */
#include "upkeep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/log.h"
#include "herald/reply.h"
#include "pauses.h"

#define SECOND_MS 1000
#define REAP_MAX 100 /* a call; the next second takes the next */
#define TRIM_MAX 100
#define TRIM_EVERY_S 60
#define MOVE_MAX 100
#define ORPHAN_EVERY_S 30
#define BURY_MAX 100
#define HEARTBEAT_EVERY_S 5
#define HEARTBEAT_FRESH_MS 20000 /* an instance that missed three is not counted on */
#define CANARIES_MISSED 2

struct upkeep {
    struct upkeep_options options;
    struct config *config; /* a reference */
    struct pauses pauses;
    uv_timer_t timer;
    uint64_t seconds; /* ticks so far */
    bool is_usable;
    bool is_subscribed;
    int64_t usable_since_mono_ms;
    int64_t extended_mono_ms;
    int64_t canary_sent_mono_ms;
    uint64_t canary_number; /* of the last one published */
    unsigned canaries_out;  /* published since one was last seen */
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

static void command(struct upkeep *upkeep, int argc, const char *const *argv, link_reply_fn *on_reply)
{
    struct err err;
    /* Not usable now: the next turn asks again. */
    if (!link_command(upkeep->options.commands, argc, argv, NULL, on_reply, upkeep, &err))
        LOG(LOG_LEVEL_DEBUG, "redis.refused", "upkeep waits", log_text(LOG_KEY_REASON, err.text));
}

/* ── reap, trim, move ── */

static void on_reaped(void *arg, const int64_t counts[3], const struct err *err)
{
    struct upkeep *upkeep = arg;
    int64_t total = counts[0] + counts[1] + counts[2];
    if (err != NULL || total == 0)
        return;
    FAULT("reaped");
    LOG(LOG_LEVEL_WARNING, "lease.reaped", "leases whose owner is gone were taken back",
        log_int(LOG_KEY_COUNT, total));
    dispatch_tick(upkeep->options.dispatch);
}

static void on_trimmed(void *arg, const int64_t counts[3], const struct err *err)
{
    (void)arg;
    if (err == NULL && counts[0] > 0)
        LOG(LOG_LEVEL_NOTICE, "dead.trimmed", "the oldest dead deliveries were dropped",
            log_int(LOG_KEY_COUNT, counts[0]));
}

static void on_moved(void *arg, const int64_t counts[3], const struct err *err)
{
    struct upkeep *upkeep = arg;
    if (err != NULL || counts[0] == 0)
        return;
    LOG(LOG_LEVEL_NOTICE, "lane.moved", "deliveries of a renamed provider came home",
        log_int(LOG_KEY_COUNT, counts[0]));
    dispatch_tick(upkeep->options.dispatch);
}

static void reap(struct upkeep *upkeep)
{
    struct err err;
    /* After an outage longer than a lease every lease is over at once, the living owners' too: they get one
     * lease to renew. */
    if (clock_mono_ms() - upkeep->usable_since_mono_ms < upkeep->config->lease_ms)
        return;
    FAULT("reap-not-sent");
    if (!ledger_reap(upkeep->options.ledger, REAP_MAX, on_reaped, upkeep, &err))
        return;
}

static void trim_and_move(struct upkeep *upkeep)
{
    struct err err;
    const struct config *config = upkeep->config;
    if (upkeep->seconds % TRIM_EVERY_S == 0 &&
        !ledger_trim(upkeep->options.ledger, config->dead_max_age_ms, config->dead_max_count, TRIM_MAX,
                     on_trimmed, upkeep, &err))
        return;
    for (size_t i = 0; i < config->provider_count; i++)
        if (config->providers[i].was != NULL &&
            !ledger_move(upkeep->options.ledger, config->providers[i].was, config->providers[i].name,
                         MOVE_MAX, on_moved, upkeep, &err))
            return;
}

/* ── orphaned lanes: something waits in them and no living instance serves them ── */

static const char orphans_script[] =
    "local served = {}\n"
    "for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf')) do\n"
    "    for word in string.gmatch(member, '%S+') do served[word] = true end\n"
    "end\n"
    "local orphans = {}\n"
    "for _, lane in ipairs(redis.call('HKEYS', KEYS[2])) do\n"
    "    local waiting = redis.call('ZCARD', ARGV[2] .. ':due:' .. lane) + redis.call('ZCARD', ARGV[2] .. "
    "':again:' .. lane)\n"
    "    if waiting == 0 then redis.call('HDEL', KEYS[2], lane)\n"
    "    elseif not served[lane] then orphans[#orphans + 1] = lane; orphans[#orphans + 1] = waiting end\n"
    "end\n"
    "return orphans\n";

static void on_buried(void *arg, const int64_t counts[3], const struct err *err)
{
    (void)arg;
    if (err == NULL && counts[0] > 0)
        LOG(LOG_LEVEL_WARNING, "delivery.dead", "given up: too old, in a lane that nobody serves",
            log_text(LOG_KEY_REASON, "no lane"), log_int(LOG_KEY_COUNT, counts[0]));
}

static void on_orphans(void *arg, const struct redisReply *reply)
{
    struct upkeep *upkeep = arg;
    for (size_t i = 0; i + 2 <= reply_count(reply); i += 2) {
        const char *lane = reply_text(reply_at(reply, i), NULL);
        struct err err;
        if (lane == NULL)
            continue;
        LOG(LOG_LEVEL_WARNING, "lane.orphaned",
            "deliveries wait in a lane that no instance serves: set `was` in a provider's section, or move "
            "them with "
            "heraldctl",
            log_text(LOG_KEY_PROVIDER, lane), log_int(LOG_KEY_COUNT, reply_number(reply_at(reply, i + 1))));
        /* The provider is gone and its max_age with it: no provider's is longer than this. */
        if (!ledger_bury(upkeep->options.ledger, lane, upkeep->config->dedupe_window_ms, BURY_MAX, on_buried,
                         upkeep, &err))
            return;
    }
}

static void look_for_orphans(struct upkeep *upkeep)
{
    char instances[LEDGER_KEY_BYTES], lanes[LEDGER_KEY_BYTES], base[LEDGER_KEY_BYTES], fresh[24];
    ledger_key(upkeep->options.ledger, "instances", instances);
    ledger_key(upkeep->options.ledger, "lanes", lanes);
    ledger_key(upkeep->options.ledger, "", base);
    base[strlen(base) - 1] = '\0'; /* without the colon */
    snprintf(fresh, sizeof fresh, "%" PRId64, clock_wall_ms() - HEARTBEAT_FRESH_MS);
    command(upkeep, 7, (const char *[]){"EVAL", orphans_script, "2", instances, lanes, fresh, base},
            on_orphans);
}

/* ── the canary ── */

static void on_published(void *arg, const struct redisReply *reply)
{
    struct upkeep *upkeep = arg;
    /* One that can't be published proves nothing about the subscription. */
    if (reply == NULL || reply_error(reply) != NULL)
        upkeep->canaries_out = 0;
}

static void send_canary(struct upkeep *upkeep)
{
    if (!upkeep->is_subscribed ||
        clock_mono_ms() - upkeep->canary_sent_mono_ms < upkeep->config->canary_interval_ms)
        return;
    if (upkeep->canaries_out >= CANARIES_MISSED) {
        upkeep->canaries_out = 0;
        upkeep->options.on_canary_missed(upkeep->options.arg);
        return;
    }
    char text[48];
    snprintf(text, sizeof text, "%s %" PRIu64, upkeep->options.incarnation, ++upkeep->canary_number);
    upkeep->canary_sent_mono_ms = clock_mono_ms();
    upkeep->canaries_out++;
    command(upkeep, 3, (const char *[]){"PUBLISH", upkeep->options.canary_channel, text}, on_published);
}

void upkeep_on_heard(struct upkeep *upkeep)
{
    upkeep->canaries_out = 0;
}

void upkeep_on_canary(struct upkeep *upkeep, const char *bytes, size_t len)
{
    size_t own = strlen(upkeep->options.incarnation);
    if (len < own || memcmp(bytes, upkeep->options.incarnation, own) != 0)
        return; /* an earlier incarnation's, still in the socket */
    upkeep->canaries_out = 0;
    char proved[LEDGER_KEY_BYTES], now[24];
    ledger_key(upkeep->options.ledger, "proved", proved);
    snprintf(now, sizeof now, "%" PRId64, clock_wall_ms());
    for (size_t i = 0; i < upkeep->config->source_count; i++)
        if (upkeep->config->sources[i].type == SOURCE_PUBSUB)
            command(upkeep, 4, (const char *[]){"HSET", proved, upkeep->config->sources[i].name, now}, NULL);
}

/* ── the second hand ── */

static void on_timer(uv_timer_t *timer)
{
    struct upkeep *upkeep = timer->data;
    upkeep->seconds++;
    upkeep->options.on_second(upkeep->options.arg);
    if (!upkeep->is_usable)
        return;
    pauses_ask(&upkeep->pauses, upkeep->config);
    dispatch_tick(upkeep->options.dispatch);
    if (clock_mono_ms() - upkeep->extended_mono_ms >= upkeep->config->lease_ms / 3) {
        upkeep->extended_mono_ms = clock_mono_ms();
        dispatch_extend(upkeep->options.dispatch);
    }
    reap(upkeep);
    trim_and_move(upkeep);
    send_canary(upkeep);
    if (upkeep->seconds % HEARTBEAT_EVERY_S == 0)
        presence_beat(upkeep->options.presence, upkeep->config);
    else
        presence_look(upkeep->options.presence, upkeep->config);
    if (upkeep->seconds % ORPHAN_EVERY_S == 0)
        look_for_orphans(upkeep);
}

bool upkeep_new(const struct upkeep_options *options, struct upkeep **ret, struct err *err)
{
    struct upkeep *upkeep = calloc(1, sizeof *upkeep);
    if (upkeep == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    upkeep->options = *options;
    upkeep->config = config_ref(options->config);
    upkeep->pauses = (struct pauses){
        .commands = options->commands, .ledger = options->ledger, .dispatch = options->dispatch};
    uv_timer_init(options->loop, &upkeep->timer);
    upkeep->timer.data = upkeep;
    uv_timer_start(&upkeep->timer, on_timer, SECOND_MS, SECOND_MS);
    *ret = upkeep;
    return true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct upkeep *upkeep = handle->data;
    void (*on_closed)(void *arg) = upkeep->on_closed;
    void *arg = upkeep->on_closed_arg;
    config_unref(upkeep->config);
    free(upkeep);
    on_closed(arg);
}

void upkeep_close(struct upkeep *upkeep, void (*on_closed)(void *arg), void *arg)
{
    upkeep->on_closed = on_closed;
    upkeep->on_closed_arg = arg;
    uv_close((uv_handle_t *)&upkeep->timer, on_timer_closed);
}

void upkeep_on_redis(struct upkeep *upkeep, bool is_usable)
{
    upkeep->is_usable = is_usable;
    upkeep->canaries_out = 0;
    if (!is_usable)
        return;
    pauses_ask(&upkeep->pauses, upkeep->config);
    upkeep->usable_since_mono_ms = clock_mono_ms();
    upkeep->extended_mono_ms = clock_mono_ms();
    presence_beat(upkeep->options.presence, upkeep->config);
}

void upkeep_on_subscribed(struct upkeep *upkeep, bool is_subscribed)
{
    upkeep->is_subscribed = is_subscribed;
    upkeep->canaries_out = 0;
    upkeep->canary_sent_mono_ms = 0;
    if (is_subscribed && upkeep->is_usable)
        send_canary(upkeep);
}

void upkeep_reload(struct upkeep *upkeep, struct config *config)
{
    config_unref(upkeep->config);
    upkeep->config = config_ref(config);
    if (upkeep->is_usable)
        presence_beat(upkeep->options.presence, upkeep->config);
}
