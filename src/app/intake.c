/* intake.c - a batch's way: read each message, send it through Redis in rounds, and when all of it is safe
 * say what was refused and have it consumed. Loop thread. */
#include "intake.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/log.h"
#include "intake_private.h"

#define RETRY_MS 200        /* a batch that was not safe: Redis's command side is away or full */
#define REJECTED_HEAD 1024  /* bytes of a refused message that its publisher's developer gets to see */
#define REJECTED_MAX "1000" /* refused messages that are kept */

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

/* The beginning of what was refused, for whoever publishes it. Not awaited: the
 * refusal is also in the log. */
static void keep_rejected(struct intake *intake, const struct arrival *arrival)
{
    char key[LEDGER_KEY_BYTES], offset[24], bytes[24];
    bool is_entry = arrival->entry != NULL;
    ledger_key(intake->options.ledger, "rejected", key);
    snprintf(offset, sizeof offset, "%" PRIu64, arrival->offset);
    snprintf(bytes, sizeof bytes, "%zu", arrival->total_len);
    const char *argv[] = {"XADD",
                          key,
                          "MAXLEN",
                          "~",
                          REJECTED_MAX,
                          "*",
                          "source",
                          arrival->source->name,
                          "reason",
                          arrival->reason.text,
                          is_entry ? "entry" : "offset",
                          is_entry ? arrival->entry : offset,
                          "bytes",
                          bytes,
                          "head",
                          arrival->message};
    enum { ARGC = sizeof argv / sizeof *argv };
    size_t lens[ARGC];
    for (size_t i = 0; i < ARGC; i++)
        lens[i] = i + 1 < ARGC ? strlen(argv[i]) : 0;
    lens[ARGC - 1] = arrival->message_len < REJECTED_HEAD ? arrival->message_len : REJECTED_HEAD;
    struct err err;
    if (!link_command(intake->options.commands, ARGC, argv, lens, NULL, NULL, &err))
        LOG(LOG_LEVEL_DEBUG, "redis.refused", "the beginning of a refused event could not be kept",
            log_text(LOG_KEY_REASON, err.text));
}

static void say_rejected(struct intake *intake, const struct arrival *arrival)
{
    intake->options.counters->rejected++;
    LOG(LOG_LEVEL_DEBUG, "event.received", "read", log_text(LOG_KEY_SOURCE, arrival->source->name));
    LOG(LOG_LEVEL_WARNING, "event.rejected", "refused", log_text(LOG_KEY_SOURCE, arrival->source->name),
        log_text(LOG_KEY_REASON, arrival->reason.text),
        arrival->entry != NULL ? log_text(LOG_KEY_ENTRY, arrival->entry)
                               : log_int(LOG_KEY_OFFSET, (int64_t)arrival->offset),
        log_int(LOG_KEY_COUNT, (int64_t)arrival->total_len));
    keep_rejected(intake, arrival);
}

static void finish_batch(struct intake *intake)
{
    struct intake_options *options = &intake->options;
    FAULT("batch-answered");
    bool is_safe = !intake->is_failed;
    if (is_safe) {
        intake->refusals = 0;
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
        finish_batch(intake);
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
        finish_batch(intake);
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
