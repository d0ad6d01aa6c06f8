/* intake.c - a batch's way: read each message, send it through Redis in rounds, and when all of it is safe
 * say what was refused and have it consumed. Loop thread. */
#include "intake.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/log.h"
#include "intake_private.h"

#define RETRY_MS 200 /* a batch that was not safe: Redis's command side is away or full */

/* By name: a reload may have put them in another order. */
static void find_sources(struct intake *intake)
{
    const struct config *config = intake->config;
    for (size_t i = 0; i < intake->options.origin_count; i++)
        for (size_t j = 0; j < config->source_count; j++)
            if (strcmp(config->sources[j].name, intake->options.origins[i]) == 0)
                intake->sources[i] = &config->sources[j];
}

bool intake_new(const struct intake_options *options, struct intake **ret, struct err *err)
{
    struct intake *intake = calloc(1, sizeof *intake);
    if (intake == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    intake->options = *options;
    intake->config = config_ref(options->config);
    find_sources(intake);
    snprintf(intake->user_prefix, sizeof intake->user_prefix, "%s:user:", intake->config->prefix);
    *ret = intake;
    return true;
}

static void drop_batch(struct intake *intake)
{
    for (size_t i = 0; i < intake->count; i++)
        arrival_done(&intake->arrivals[i]);
    free(intake->arrivals);
    intake->arrivals = NULL;
    intake->count = 0;
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
    find_sources(intake);
}

void intake_drain(struct intake *intake)
{
    intake->is_draining = true;
}

/* ── what was refused, said once the batch is safe ── */

static void say_rejected(struct intake *intake, const struct arrival *arrival, bool is_new)
{
    struct counters *counters = intake->options.counters;
    counters->received++;
    LOG(LOG_LEVEL_DEBUG, "event.received", "read", log_text(LOG_KEY_SOURCE, arrival->source->name));
    if (is_new) {
        counters->rejected++;
        LOG(LOG_LEVEL_WARNING, "event.rejected", "refused", log_text(LOG_KEY_SOURCE, arrival->source->name),
            log_text(LOG_KEY_REASON, arrival->reason.text),
            arrival->entry != NULL ? log_text(LOG_KEY_ENTRY, arrival->entry)
                                   : log_int(LOG_KEY_OFFSET, (int64_t)arrival->offset),
            log_int(LOG_KEY_COUNT, (int64_t)arrival->total_len));
    } else {
        counters->duplicate++;
        LOG(LOG_LEVEL_INFO, "event.duplicate", "refused before",
            log_text(LOG_KEY_SOURCE, arrival->source->name), log_text(LOG_KEY_ENTRY, arrival->entry));
    }
}

static void finish_batch(struct intake *intake)
{
    struct intake_options *options = &intake->options;
    FAULT("batch-answered");
    bool is_safe = !intake->is_failed;
    if (is_safe) {
        intake->refusals = 0;
        if (intake->canary != NULL)
            options->on_canary(options->arg, intake->canary, intake->canary_len);
    }
    drop_batch(intake);
    options->on_done(options->arg, is_safe, RETRY_MS);
}

static void on_rejected(void *arg, const bool *is_new, size_t count, const char *complaint,
                        const struct err *err)
{
    struct intake *intake = arg;
    if (err != NULL)
        intake_on_refused(intake, "events wait where they came from", err->text);
    intake->unkept = complaint != NULL ? intake->unkept + 1 : 0;
    if (complaint != NULL && log_is_worth_repeating(intake->unkept))
        LOG(LOG_LEVEL_WARNING, "redis.refused", "the beginning of a refused event could not be kept",
            log_text(LOG_KEY_REASON, complaint), log_int(LOG_KEY_ATTEMPT, intake->unkept));
    if (err == NULL)
        FAULT("refusals-kept");
    for (size_t i = 0, said = 0; i < intake->count && said < count && err == NULL; i++)
        if (intake->arrivals[i].is_rejected)
            say_rejected(intake, &intake->arrivals[i], is_new[said++]);
    finish_batch(intake);
}

/* Whether the ledger is asked. What it refused once is not refused again when its entry comes again. */
static bool reject(struct intake *intake, size_t count)
{
    struct reject_item items[INCOMING_MAX_BATCH];
    size_t n = 0;
    for (size_t i = 0; i < intake->count && n < count; i++) {
        const struct arrival *arrival = &intake->arrivals[i];
        if (arrival->is_rejected)
            items[n++] = (struct reject_item){.source = arrival->source->name,
                                              .reason = arrival->reason.text,
                                              .entry = arrival->entry,
                                              .offset = arrival->offset,
                                              .total_len = arrival->total_len,
                                              .head = arrival->message,
                                              .head_len = arrival->message_len};
    }
    struct err err;
    FAULT("refusals-not-kept");
    if (ledger_reject(intake->options.ledger, items, n, on_rejected, intake, &err))
        return true;
    intake->is_failed = true;
    return false;
}

/* Every round is answered: what was refused comes last, for only now it is known that nothing else makes the
 * batch come again. */
static void finish_rounds(struct intake *intake)
{
    size_t rejected = 0;
    for (size_t i = 0; i < intake->count; i++)
        rejected += intake->arrivals[i].is_rejected;
    if (intake->is_failed || rejected == 0 || !reject(intake, rejected))
        finish_batch(intake);
}

void intake_on_refused(struct intake *intake, const char *message, const char *reason)
{
    intake->is_failed = true;
    if (intake->is_refused)
        return;
    intake->is_refused = true;
    intake->refusals++;
    if (log_is_worth_repeating(intake->refusals))
        LOG(LOG_LEVEL_WARNING, "redis.refused", message, log_text(LOG_KEY_REASON, reason),
            log_int(LOG_KEY_ATTEMPT, intake->refusals));
}

void intake_on_round_done(struct intake *intake, bool is_failed)
{
    intake->rounds--;
    intake->is_failed = intake->is_failed || is_failed;
    if (intake->rounds == 0 && !intake->is_starting)
        finish_rounds(intake);
}

/* Reads the messages a round at a time: Redis looks up one round's recipients while we read the next. */
static void begin_rounds(struct intake *intake)
{
    int64_t now_ms = clock_wall_ms();
    size_t first = 0, bytes = 0;
    intake->is_starting = true;
    for (size_t i = 0; i < intake->count && !intake->is_failed; i++) {
        struct arrival *arrival = &intake->arrivals[i];
        arrival_read(arrival, now_ms, intake->config->dedupe_window_ms);
        bytes += arrival->len;
        if (i + 1 == intake->count || i + 1 - first == ROUND_MAX_EVENTS || bytes >= ROUND_MAX_BYTES) {
            round_begin(intake, first, i + 1 - first);
            first = i + 1;
            bytes = 0;
        }
    }
    intake->is_starting = false;
    if (intake->rounds == 0)
        finish_rounds(intake);
}

void intake_batch(struct intake *intake, const struct incoming *incoming, size_t count)
{
    assert(intake_is_idle(intake));
    intake->received_mono_us = clock_mono_us();
    intake->is_failed = false;
    intake->is_refused = false;
    intake->arrivals = calloc(count, sizeof *intake->arrivals);
    if (intake->arrivals == NULL) {
        intake->options.on_done(intake->options.arg, false, RETRY_MS);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct incoming *one = &incoming[i];
        if (one->origin >= intake->options.origin_count) {
            intake->canary = one->bytes;
            intake->canary_len = one->len;
            continue;
        }
        struct arrival *arrival = &intake->arrivals[intake->count++];
        arrival->source = intake->sources[one->origin];
        arrival->message = one->bytes;
        arrival->message_len = one->len;
        arrival->total_len = one->total_len;
        arrival->offset = one->offset;
        arrival->entry = one->entry;
        arrival->refusal = one->refusal;
    }
    begin_rounds(intake);
}
