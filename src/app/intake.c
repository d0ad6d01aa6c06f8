/* A batch's way: read, look up, accept, say what came of it. See intake.h. Loop thread. */
#include "intake.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "arrival.h"
#include "delivery_log.h"
#include "herald/clock.h"
#include "herald/log.h"

#define ACCEPT_MAX_EVENTS 64             /* of one call: the script stays near a millisecond */
#define ACCEPT_MAX_BYTES (1024 * 1024)   /* of payload in one call */
#define MAX_CALLS (SUBSCRIBER_MAX_BATCH) /* at worst one event each */
#define RETRY_MS 200                     /* a batch that was not safe: Redis's command side is away or full */
#define REJECTED_HEAD 1024  /* bytes of a refused message that its publisher's developer gets to see */
#define REJECTED_MAX "1000" /* refused messages that are kept */

struct accept_round { /* one accept call under way */
    struct intake *intake;
    size_t first, count; /* into accepted_order */
    int64_t asked_mono_ms;
    unsigned reserved[CONFIG_MAX_SECTIONS];
};

struct intake {
    struct intake_options options;
    struct config *config;    /* a reference */
    struct arrival *arrivals; /* owned: of the batch under way; NULL when idle */
    size_t count;
    size_t *order; /* owned: indexes of the arrivals that go to accept */
    size_t order_count;
    size_t waiting; /* answers that are not in yet */
    bool is_failed; /* something of this batch was not answered */
    bool is_draining;
    bool is_starting; /* calls are still being issued: not the time to finish */
    int64_t received_mono_us;
    char user_prefix[CONFIG_MAX_NAME + 48];
    const char *canary; /* the last canary in the batch: borrowed like the messages */
    size_t canary_len;
};

struct lookup {
    struct intake *intake;
    struct arrival *arrival;
};

bool intake_new(const struct intake_options *options, struct intake **ret, struct err *err)
{
    struct intake *intake = calloc(1, sizeof *intake);
    if (intake == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    intake->options = *options;
    intake->config = config_ref(options->config);
    snprintf(intake->user_prefix, sizeof intake->user_prefix, "%s:user:", intake->config->prefix);
    *ret = intake;
    return true;
}

static void drop_batch(struct intake *intake)
{
    for (size_t i = 0; i < intake->count; i++)
        arrival_done(&intake->arrivals[i]);
    free(intake->arrivals);
    free(intake->order);
    intake->arrivals = NULL;
    intake->order = NULL;
    intake->count = intake->order_count = 0;
    intake->canary = NULL;
}

void intake_free(struct intake *intake)
{
    if (intake == NULL)
        return;
    drop_batch(intake);
    config_unref(intake->config);
    free(intake);
}

bool intake_is_idle(const struct intake *intake)
{
    return intake->arrivals == NULL;
}

void intake_reload(struct intake *intake, struct config *config)
{
    assert(intake_is_idle(intake));
    config_unref(intake->config);
    intake->config = config_ref(config);
}

void intake_drain(struct intake *intake)
{
    intake->is_draining = true;
}

/* ── what came of it, said once the batch is safe ── */

static void ignore_reply(void *arg, const struct redisReply *reply)
{
    (void)arg;
    (void)reply;
}

/* The beginning of what was refused, for whoever publishes it. Not awaited: the refusal is also in the log.
 */
static void keep_rejected(struct intake *intake, const struct arrival *arrival)
{
    char key[LEDGER_KEY_BYTES], offset[24], bytes[24];
    ledger_key(intake->options.ledger, "rejected", key);
    snprintf(offset, sizeof offset, "%" PRIu64, arrival->offset);
    snprintf(bytes, sizeof bytes, "%zu", arrival->total_len);
    const char *argv[] = {"XADD",       key,
                          "MAXLEN",     "~",
                          REJECTED_MAX, "*",
                          "source",     arrival->source->name,
                          "reason",     arrival->reason.text,
                          "offset",     offset,
                          "bytes",      bytes,
                          "head",       arrival->message};
    enum { ARGC = sizeof argv / sizeof *argv };
    size_t lens[ARGC];
    for (size_t i = 0; i < ARGC; i++)
        lens[i] = i + 1 < ARGC ? strlen(argv[i]) : 0;
    lens[ARGC - 1] = arrival->message_len < REJECTED_HEAD ? arrival->message_len : REJECTED_HEAD;
    struct err err;
    if (!link_command(intake->options.commands, ARGC, argv, lens, ignore_reply, NULL, &err))
        LOG(LOG_LEVEL_DEBUG, "event.rejected", "its beginning could not be kept",
            log_text(LOG_KEY_REASON, err.text));
}

static void say_rejected(struct intake *intake, const struct arrival *arrival)
{
    intake->options.counters->rejected++;
    LOG(LOG_LEVEL_WARNING, "event.rejected", "refused", log_text(LOG_KEY_SOURCE, arrival->source->name),
        log_text(LOG_KEY_REASON, arrival->reason.text), log_int(LOG_KEY_OFFSET, (int64_t)arrival->offset),
        log_int(LOG_KEY_COUNT, (int64_t)arrival->total_len));
    keep_rejected(intake, arrival);
}

static void say_event(enum log_level level, const char *event, const char *message,
                      const struct arrival *arrival, const char *reason)
{
    char trace[33];
    LOG(level, event, message, log_text(LOG_KEY_SOURCE, arrival->source->name),
        log_text(LOG_KEY_EVENT_ID, arrival->event.eid), log_text(LOG_KEY_ORDER_ID, arrival->event.id),
        log_text(LOG_KEY_NOTIFICATION, arrival->source->notification->name), log_text(LOG_KEY_REASON, reason),
        log_text(LOG_KEY_TRACE_ID, delivery_log_trace_id(arrival->event.traceparent, trace)));
}

static void finish_batch(struct intake *intake)
{
    struct intake_options *options = &intake->options;
    bool is_safe = !intake->is_failed;
    if (is_safe) {
        for (size_t i = 0; i < intake->count; i++) {
            if (!intake->arrivals[i].is_rejected)
                continue;
            options->counters->received++;
            say_rejected(intake, &intake->arrivals[i]);
        }
        if (intake->canary != NULL)
            options->on_canary(options->arg, intake->canary, intake->canary_len);
    }
    drop_batch(intake);
    options->on_done(options->arg, is_safe, RETRY_MS);
}

static void finish_if_answered(struct intake *intake)
{
    if (intake->waiting == 0 && !intake->is_starting)
        finish_batch(intake);
}

/* ── accept ── */

static void take_leased(struct intake *intake, const struct arrival *arrival, size_t target, uint64_t fence,
                        int64_t accepted_ms, int64_t asked_mono_ms)
{
    struct delivery *delivery;
    struct err err;
    /* A payload that we wrote ourselves can't be unreadable; out of memory, the lease's end brings it back.
     */
    if (!delivery_from_payload(arrival->payload.data, arrival->payload.len, arrival->event.eid,
                               (unsigned)target, &delivery, &err))
        return;
    delivery->fence = fence;
    delivery->attempt_number = 1;
    delivery->accepted_ms = accepted_ms;
    delivery->received_mono_us = intake->received_mono_us;
    dispatch_take(intake->options.dispatch, arrival->providers[target]->index, delivery, asked_mono_ms);
}

static void on_new(struct intake *intake, const struct arrival *arrival, const struct accept_result *result,
                   const struct accept_round *round)
{
    struct counters *counters = intake->options.counters;
    counters->accepted++;
    counters->unidentified += arrival->event.id[0] == '\0';
    say_event(LOG_LEVEL_INFO, "event.accepted", arrival->note[0] != '\0' ? arrival->note : "accepted",
              arrival, NULL);
    for (size_t i = 0; i < result->target_count && i < arrival->accept.target_count; i++) {
        const struct accept_answer *answer = &result->targets[i];
        const struct config_provider *provider = arrival->providers[i];
        if (answer->fate == FATE_LEASED) {
            take_leased(intake, arrival, i, 1, result->accepted_ms, round->asked_mono_ms);
        } else if (answer->fate == FATE_DEAD) {
            counters->dead++;
            say_event(LOG_LEVEL_WARNING, "delivery.dead", "recorded as dead", arrival, answer->reason);
        } else if (answer->fate == FATE_LIMITED) {
            counters->limited++;
            char meta[] = "";
            delivery_log_limited(provider, arrival->event.eid, (unsigned)i, meta, answer->scope,
                                 answer->slot_ms - result->accepted_ms);
            dispatch_wake(intake->options.dispatch, provider->index);
        } else if (provider != NULL) {
            dispatch_wake(intake->options.dispatch, provider->index);
        }
    }
}

/* A lease of our own that we know nothing of: its accept happened and the answer was lost. It is ours, so we
 * take it. */
static bool adopt(struct intake *intake, const struct arrival *arrival, const struct accept_result *result,
                  const struct accept_round *round)
{
    bool is_adopted = false;
    for (size_t i = 0; i < result->target_count && i < arrival->accept.target_count; i++) {
        const struct ledger_record *record = &result->targets[i].record;
        if (record->state != 'L' || strcmp(record->owner, intake->options.incarnation) != 0 ||
            arrival->providers[i] == NULL || strcmp(record->lane, arrival->providers[i]->name) != 0 ||
            dispatch_holds(intake->options.dispatch, arrival->event.eid, (unsigned)i))
            continue;
        is_adopted = true;
        take_leased(intake, arrival, i, record->fence, result->accepted_ms, round->asked_mono_ms);
    }
    return is_adopted;
}

static void on_result(struct intake *intake, struct arrival *arrival, const struct accept_result *result,
                      const struct accept_round *round)
{
    struct counters *counters = intake->options.counters;
    if (result->verdict == ACCEPT_DAMAGED) {
        arrival->is_rejected = true;
        err_set(&arrival->reason, ERR_INPUT, "the key of this event holds something that is not ours");
        return;
    }
    counters->received++;
    if (result->verdict == ACCEPT_NEW) {
        on_new(intake, arrival, result, round);
    } else if (result->verdict == ACCEPT_CONFLICT) {
        counters->conflict++;
        say_event(LOG_LEVEL_WARNING, "event.conflict", "the same id with other content: not sent", arrival,
                  NULL);
    } else if (adopt(intake, arrival, result, round)) {
        counters->accepted++;
        say_event(LOG_LEVEL_INFO, "event.accepted", "accepted earlier, its answer was lost", arrival, NULL);
    } else {
        counters->duplicate++;
        say_event(LOG_LEVEL_INFO, "event.duplicate", "seen before", arrival, NULL);
    }
}

static void on_accepted(void *arg, const struct accept_result *results, size_t count, unsigned limiter_errors,
                        const struct err *err)
{
    struct accept_round *round = arg;
    struct intake *intake = round->intake;
    for (size_t i = 0; i < intake->config->provider_count; i++)
        dispatch_unreserve(intake->options.dispatch, i, round->reserved[i]);
    if (err != NULL) {
        LOG(LOG_LEVEL_WARNING, "redis.refused", "events wait in the socket",
            log_text(LOG_KEY_REASON, err->text));
        intake->is_failed = true;
    }
    intake->options.counters->limiter_errors += limiter_errors;
    for (size_t i = 0; err == NULL && i < count; i++)
        on_result(intake, &intake->arrivals[intake->order[round->first + i]], &results[i], round);
    free(round);
    intake->waiting--;
    finish_if_answered(intake);
}

/* Sets places aside in the lanes for what this call may have leased at once. */
static void reserve(struct intake *intake, struct accept_round *round, const struct accept_event *events,
                    struct accept_lane *lanes)
{
    unsigned want[CONFIG_MAX_SECTIONS] = {0};
    const struct config *config = intake->config;
    for (size_t i = 0; i < round->count; i++)
        for (size_t j = 0; j < events[i].target_count; j++)
            want[events[i].targets[j].lane] += events[i].targets[j].dead_reason == NULL;
    for (size_t i = 0; i < config->provider_count; i++) {
        const struct config_provider *provider = &config->providers[i];
        round->reserved[i] = intake->is_draining ? 0 : dispatch_reserve(intake->options.dispatch, i, want[i]);
        lanes[i] = (struct accept_lane){.name = provider->name,
                                        .capacity = round->reserved[i],
                                        .provider = provider->rate,
                                        .recipient = config->recipient_rate[provider->channel]};
    }
}

static bool send_round(struct intake *intake, size_t first, size_t count)
{
    struct accept_event events[ACCEPT_MAX_EVENTS];
    struct accept_lane lanes[CONFIG_MAX_SECTIONS];
    struct accept_notification notifications[CONFIG_MAX_SECTIONS];
    const struct config *config = intake->config;
    struct accept_round *round = calloc(1, sizeof *round);
    if (round == NULL)
        return false;
    *round = (struct accept_round){
        .intake = intake, .first = first, .count = count, .asked_mono_ms = clock_mono_ms()};
    for (size_t i = 0; i < count; i++)
        events[i] = intake->arrivals[intake->order[first + i]].accept;
    reserve(intake, round, events, lanes);
    for (size_t i = 0; i < config->notification_count; i++)
        notifications[i] =
            (struct accept_notification){config->notifications[i].name, config->notifications[i].rate};
    const struct accept_call call = {
        .lanes = lanes,
        .lane_count = config->provider_count,
        .notifications = notifications,
        .notification_count = config->notification_count,
        .events = events,
        .event_count = count,
    };
    struct err err;
    if (!ledger_accept(intake->options.ledger, &call, on_accepted, round, &err)) {
        for (size_t i = 0; i < config->provider_count; i++)
            dispatch_unreserve(intake->options.dispatch, i, round->reserved[i]);
        free(round);
        return false;
    }
    intake->waiting++;
    return true;
}

static void accept_all(struct intake *intake)
{
    for (size_t i = 0; i < intake->count; i++) {
        struct arrival *arrival = &intake->arrivals[i];
        if (arrival->is_rejected)
            continue;
        arrival_plan(arrival, intake->config);
        if (arrival->payload.failed) {
            arrival->is_rejected = true;
            err_set(&arrival->reason, ERR_INPUT, "the event and its recipients are too large together");
            continue;
        }
        intake->order[intake->order_count++] = i;
    }
    size_t first = 0, bytes = 0;
    intake->is_starting = true;
    for (size_t i = 0; i < intake->order_count && !intake->is_failed; i++) {
        bytes += intake->arrivals[intake->order[i]].payload.len;
        bool is_last = i + 1 == intake->order_count;
        if (is_last || i + 1 - first == ACCEPT_MAX_EVENTS || bytes >= ACCEPT_MAX_BYTES) {
            intake->is_failed = !send_round(intake, first, i + 1 - first);
            first = i + 1;
            bytes = 0;
        }
    }
    intake->is_starting = false;
    finish_if_answered(intake);
}

/* ── recipients ── */

static void on_record(void *arg, const struct redisReply *reply)
{
    struct lookup *lookup = arg;
    struct intake *intake = lookup->intake;
    struct arrival *arrival = lookup->arrival;
    free(lookup);
    if (reply == NULL) {
        intake->is_failed = true;
    } else if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) != 0) {
        LOG(LOG_LEVEL_WARNING, "redis.refused", "recipients can't be read; events wait in the socket",
            log_text(LOG_KEY_REASON, reply->str));
        intake->is_failed = true;
    } else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 4) {
        struct recipient_record record = {0};
        const char **const texts[] = {&record.email, &record.name, &record.locale, &record.push};
        size_t *const lens[] = {&record.email_len, &record.name_len, &record.locale_len, &record.push_len};
        for (size_t i = 0; i < 4; i++) {
            const redisReply *field = reply->element[i];
            if (field->type == REDIS_REPLY_STRING && field->len > 0) {
                *texts[i] = field->str;
                *lens[i] = (size_t)field->len;
            }
        }
        arrival_set_record(arrival, &record);
    }
    if (--intake->waiting > 0 || intake->is_starting)
        return;
    if (intake->is_failed)
        finish_batch(intake);
    else
        accept_all(intake);
}

static bool look_up(struct intake *intake, struct arrival *arrival)
{
    char key[sizeof intake->user_prefix + EVENT_ID_MAX];
    snprintf(key, sizeof key, "%s%s", intake->user_prefix, arrival->event.user_id);
    const char *argv[] = {"HMGET", key, "email", "name", "locale", "push"};
    struct lookup *lookup = malloc(sizeof *lookup);
    if (lookup == NULL)
        return false;
    *lookup = (struct lookup){intake, arrival};
    struct err err;
    if (!link_command(intake->options.commands, 6, argv, NULL, on_record, lookup, &err)) {
        free(lookup);
        return false;
    }
    intake->waiting++;
    return true;
}

void intake_batch(struct intake *intake, const struct subscriber_message *messages, size_t count)
{
    assert(intake_is_idle(intake));
    intake->received_mono_us = clock_mono_us();
    intake->is_failed = false;
    intake->arrivals = calloc(count, sizeof *intake->arrivals);
    intake->order = calloc(count, sizeof *intake->order);
    if (intake->arrivals == NULL || intake->order == NULL) {
        drop_batch(intake);
        intake->options.on_done(intake->options.arg, false, RETRY_MS);
        return;
    }
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < count; i++) {
        const struct subscriber_message *message = &messages[i];
        if (message->channel_index >= intake->config->source_count) {
            intake->canary = message->bytes;
            intake->canary_len = message->len;
            continue;
        }
        struct arrival *arrival = &intake->arrivals[intake->count++];
        arrival->source = &intake->config->sources[message->channel_index];
        arrival->message = message->bytes;
        arrival->message_len = message->len;
        arrival->total_len = message->total_len;
        arrival->offset = message->offset;
        arrival_read(arrival, now_ms, intake->config->dedupe_window_ms);
    }
    intake->is_starting = true;
    for (size_t i = 0; i < intake->count && !intake->is_failed; i++)
        if (intake->arrivals[i].needs_record)
            intake->is_failed = !look_up(intake, &intake->arrivals[i]);
    intake->is_starting = false;
    if (intake->waiting > 0)
        return;
    if (intake->is_failed)
        finish_batch(intake);
    else
        accept_all(intake);
}
