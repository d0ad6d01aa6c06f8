/* round.c - a part of a batch: its recipients are looked up together and its events accepted in one call.
 * Several rounds are under way at once, so that Redis works on one while we read the next. Loop thread. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery_log.h"
#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/log.h"
#include "herald/reply.h"
#include "intake_private.h"

struct round {
    struct intake *intake;
    size_t first, count; /* arrivals of the batch */
    size_t lookups;      /* answers that are not in yet */
    bool is_failed;
    bool is_starting; /* lookups are still being issued */
    int64_t asked_mono_ms;
    size_t
        accepted[ROUND_MAX_EVENTS]; /* the arrivals that were sent to accept, in the order of its results */
    size_t accepted_count;
    unsigned reserved[CONFIG_MAX_SECTIONS]; /* places in the lanes, by provider */
};

struct lookup {
    struct round *round;
    struct arrival *arrival;
};

static void finish(struct round *round)
{
    struct intake *intake = round->intake;
    bool is_failed = round->is_failed;
    free(round);
    intake_on_round_done(intake, is_failed);
}

/* ── what the ledger answered ── */

static void say_event(enum log_level level, const char *event, const char *message,
                      const struct arrival *arrival, const char *reason)
{
    char trace[EVENT_TRACE_ID_CHARS + 1];
    LOG(level, event, message, log_text(LOG_KEY_SOURCE, arrival->source->name),
        log_text(LOG_KEY_EVENT_ID, arrival->event.eid), log_text(LOG_KEY_ORDER_ID, arrival->event.id),
        log_text(LOG_KEY_NOTIFICATION, arrival->source->notification->name), log_text(LOG_KEY_REASON, reason),
        log_text(LOG_KEY_TRACE_ID, event_trace_id(arrival->event.traceparent, trace)));
}

static void take_leased(struct intake *intake, const struct arrival *arrival, size_t target, uint64_t fence,
                        int64_t accepted_ms, int64_t asked_mono_ms)
{
    struct delivery *delivery;
    struct err err;
    /* A payload that we wrote ourselves can't be unreadable; out of memory, the
     * lease's end brings it back. */
    if (!delivery_from_payload(arrival->payload.data, arrival->payload.len, arrival->event.eid,
                               (unsigned)target, &delivery, &err))
        return;
    delivery->fence = fence;
    delivery->attempt_number = 1;
    delivery->accepted_ms = accepted_ms;
    memcpy(delivery->content, arrival->event.content, sizeof delivery->content);
    delivery->received_mono_us = intake->received_mono_us;
    dispatch_take(intake->options.dispatch, arrival->providers[target]->index, delivery, asked_mono_ms);
}

static void on_new(struct intake *intake, const struct arrival *arrival, const struct accept_result *result,
                   const struct round *round)
{
    struct counters *counters = intake->options.counters;
    counters->accepted++;
    recall_event(intake->options.recall, arrival->event.eid, arrival->event.content, arrival->payload.data,
                 arrival->payload.len, clock_mono_ms());
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
                  const struct round *round)
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
                      const struct round *round)
{
    struct counters *counters = intake->options.counters;
    if (result->verdict == ACCEPT_DAMAGED) {
        arrival->is_rejected = true;
        err_set(&arrival->reason, ERR_INPUT, "the key of this event holds something that is not ours");
        return;
    }
    counters->received++;
    say_event(LOG_LEVEL_DEBUG, "event.received", "read", arrival, NULL);
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

static void unreserve(const struct round *round)
{
    for (size_t i = 0; i < round->intake->config->provider_count; i++)
        dispatch_unreserve(round->intake->options.dispatch, i, round->reserved[i]);
}

static void on_accepted(void *arg, const struct accept_result *results, size_t count, unsigned limiter_errors,
                        const struct err *err)
{
    struct round *round = arg;
    struct intake *intake = round->intake;
    FAULT("accept-answered");
    unreserve(round);
    if (err != NULL) {
        intake_on_refused(intake, "events wait where they came from", err->text);
        round->is_failed = true;
    }
    intake->options.counters->limiter_errors += limiter_errors;
    for (size_t i = 0; err == NULL && i < count; i++)
        on_result(intake, &intake->arrivals[round->accepted[i]], &results[i], round);
    finish(round);
}

/* ── accept ── */

/* Sets places aside in the lanes for what this call may have leased at once. */
static void reserve(struct round *round, const struct accept_event *events, struct accept_lane *lanes)
{
    unsigned want[CONFIG_MAX_SECTIONS] = {0};
    const struct intake *intake = round->intake;
    const struct config *config = intake->config;
    for (size_t i = 0; i < round->accepted_count; i++)
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

static bool send_accept(struct round *round, struct err *err)
{
    struct accept_event events[ROUND_MAX_EVENTS];
    struct accept_lane lanes[CONFIG_MAX_SECTIONS];
    struct accept_notification notifications[CONFIG_MAX_SECTIONS];
    const struct intake *intake = round->intake;
    const struct config *config = intake->config;
    for (size_t i = 0; i < round->accepted_count; i++)
        events[i] = intake->arrivals[round->accepted[i]].accept;
    reserve(round, events, lanes);
    for (size_t i = 0; i < config->notification_count; i++)
        notifications[i] =
            (struct accept_notification){config->notifications[i].name, config->notifications[i].rate};
    const struct accept_call call = {
        .lanes = lanes,
        .lane_count = config->provider_count,
        .notifications = notifications,
        .notification_count = config->notification_count,
        .events = events,
        .event_count = round->accepted_count,
    };
    round->asked_mono_ms = clock_mono_ms();
    FAULT("accept-not-sent");
    if (ledger_accept(intake->options.ledger, &call, on_accepted, round, err)) {
        FAULT("accept-sent");
        return true;
    }
    unreserve(round);
    return false;
}

/* Every recipient is known: plan the deliveries and ask the ledger. */
static void accept_all(struct round *round)
{
    struct intake *intake = round->intake;
    struct err err;
    for (size_t i = round->first; i < round->first + round->count; i++) {
        struct arrival *arrival = &intake->arrivals[i];
        if (arrival->is_rejected)
            continue;
        arrival_plan(arrival, intake->config);
        if (!arrival->payload.failed) {
            round->accepted[round->accepted_count++] = i;
            continue;
        }
        arrival->is_rejected = true;
        err_set(&arrival->reason, ERR_INPUT, "the event and its recipients are too large together");
    }
    if (round->accepted_count > 0 && send_accept(round, &err))
        return;
    round->is_failed = round->accepted_count > 0;
    finish(round);
}

static void go_on(struct round *round)
{
    if (round->lookups > 0 || round->is_starting)
        return;
    if (round->is_failed)
        finish(round);
    else
        accept_all(round);
}

/* ── recipients ── */

static void on_record(void *arg, const struct redisReply *reply)
{
    struct lookup *lookup = arg;
    struct round *round = lookup->round;
    struct arrival *arrival = lookup->arrival;
    const char *refusal = reply_error(reply);
    free(lookup);
    if (reply == NULL) {
        round->is_failed = true;
    } else if (refusal != NULL && strncmp(refusal, "WRONGTYPE", 9) != 0) {
        intake_on_refused(round->intake, "recipients can't be read; events wait where they came from",
                          refusal);
        round->is_failed = true;
    } else if (reply_count(reply) == 4) {
        struct recipient_record record = {0};
        const char **const texts[] = {&record.email, &record.name, &record.locale, &record.push};
        size_t *const lens[] = {&record.email_len, &record.name_len, &record.locale_len, &record.push_len};
        for (size_t i = 0; i < 4; i++) {
            size_t len = 0;
            const char *text = reply_text(reply_at(reply, i), &len);
            if (text != NULL && len > 0) {
                *texts[i] = text;
                *lens[i] = len;
            }
        }
        arrival_set_record(arrival, &record);
    }
    round->lookups--;
    FAULT("looked-up");
    go_on(round);
}

static bool look_up(struct round *round, struct arrival *arrival)
{
    char key[sizeof round->intake->user_prefix + EVENT_ID_MAX];
    snprintf(key, sizeof key, "%s%s", round->intake->user_prefix, arrival->event.user_id);
    const char *argv[] = {"HMGET", key, "email", "name", "locale", "push"};
    struct lookup *lookup = malloc(sizeof *lookup);
    if (lookup == NULL)
        return false;
    *lookup = (struct lookup){round, arrival};
    struct err err;
    if (!link_command(round->intake->options.commands, 6, argv, NULL, on_record, lookup, &err)) {
        free(lookup);
        return false;
    }
    round->lookups++;
    return true;
}

void round_begin(struct intake *intake, size_t first, size_t count)
{
    assert(count <= ROUND_MAX_EVENTS);
    struct round *round = calloc(1, sizeof *round);
    intake->rounds++;
    if (round == NULL) {
        intake_on_round_done(intake, true);
        return;
    }
    *round = (struct round){.intake = intake, .first = first, .count = count, .is_starting = true};
    for (size_t i = first; i < first + count && !round->is_failed; i++)
        if (intake->arrivals[i].needs_record)
            round->is_failed = !look_up(round, &intake->arrivals[i]);
    round->is_starting = false;
    FAULT("lookups-sent");
    go_on(round);
}
