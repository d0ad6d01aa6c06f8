/* assembly.c - builds what a daemon is made of, each part with those it needs, and ties them together. Loop
 * thread. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_private.h"
#include "herald/clock.h"
#include "herald/encode.h"
#include "herald/hash.h"
#include "herald/log.h"

static void name_ourselves(struct daemon *daemon)
{
    uint8_t random[LEDGER_INCARNATION_CHARS / 2];
    hash_random(random, sizeof random);
    encode_hex(random, sizeof random, daemon->incarnation);
    const struct config *config = daemon->config;
    snprintf(daemon->canary_channel, sizeof daemon->canary_channel, "%s:canary:%s", config->prefix,
             config->instance);
    snprintf(daemon->client_names[0], sizeof daemon->client_names[0], "herald-commands-%.64s",
             config->instance);
    snprintf(daemon->client_names[1], sizeof daemon->client_names[1], "herald-subscriber-%.64s",
             config->instance);
    snprintf(daemon->client_names[2], sizeof daemon->client_names[2], "herald-reader-%.64s",
             config->instance);
}

/* Each source to whom it is read by. The names are those of the first snapshot, which we keep to the end. */
static void sort_sources(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->first->source_count; i++) {
        const struct config_source *source = &daemon->first->sources[i];
        if (source->type == SOURCE_STREAM) {
            daemon->streams[daemon->stream_count] = (struct reader_stream){source->stream, source->trim};
            daemon->stream_sources[daemon->stream_count++] = source->name;
        } else {
            daemon->channels[daemon->channel_count] = source->channel;
            daemon->channel_sources[daemon->channel_count++] = source->name;
        }
    }
    daemon->channels[daemon->channel_count] = daemon->canary_channel;
}

static bool open_reader(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->first;
    const struct reader_options options = {
        .loop = &daemon->loop,
        .redis = &config->redis,
        .client_name = daemon->client_names[2],
        .streams = daemon->streams,
        .stream_count = daemon->stream_count,
        .group = config->group,
        .consumer = config->instance,
        .claim_idle_ms = config->lease_ms + config->lease_margin_ms,
        .callbacks = {.on_reading = connection_on_reading,
                      .on_lost = connection_on_unread,
                      .on_failed = connection_on_unreadable,
                      .on_refused = connection_on_stream_refused,
                      .on_batch = feed_on_entries,
                      .arg = daemon},
    };
    return daemon->stream_count == 0 || reader_open(&options, &daemon->reader, err);
}

static bool open_subscriber(struct daemon *daemon, struct err *err)
{
    const struct subscriber_options subscriber = {
        .loop = &daemon->loop,
        .redis = &daemon->first->redis,
        .client_name = daemon->client_names[1],
        .channels = daemon->channels,
        .channel_count = daemon->channel_count + 1,
        .callbacks = {.on_subscribed = connection_on_subscribed,
                      .on_lost = connection_on_unsubscribed,
                      .on_failed = connection_on_unsubscribable,
                      .on_batch = feed_on_batch,
                      .on_taking = connection_on_taking,
                      .arg = daemon},
    };
    const struct handover_options handover = {
        .subscriber = subscriber,
        .incarnation = daemon->incarnation,
        .on_inherited = connection_on_inherited,
        .on_batch = feed_on_old_batch,
        .on_drained = connection_on_drained,
        .arg = daemon,
    };
    return handover_open(&handover, &daemon->handover, &daemon->subscriber, err);
}

static void on_note(void *arg, const struct journal_note *note)
{
    const struct daemon *daemon = arg;
    /* What is older may be a new event of the same name by now. */
    if (clock_wall_ms() - note->wall_ms < daemon->config->dedupe_window_ms)
        recall_answer(daemon->recall, note, clock_mono_ms());
}

static void on_ledger_forgotten(void *arg)
{
    const struct daemon *daemon = arg;
    presence_on_forgotten(daemon->presence);
}

/* Reads what the process before us noted; recovery tells it to Redis before anything is claimed. */
static bool open_journal(struct daemon *daemon, struct err *err)
{
    const char *states = getenv("STATE_DIRECTORY");
    if (states == NULL || *states == '\0') {
        LOG(LOG_LEVEL_NOTICE, "journal.off",
            "no STATE_DIRECTORY: what a provider answers in the instant before a crash may be sent again");
        return true;
    }
    char directory[PATH_MAX];
    struct journal_damage damage;
    /* systemd may name several, with colons between */
    snprintf(directory, sizeof directory, "%.*s", (int)strcspn(states, ":"), states);
    if (!journal_open(directory, &daemon->journal, err))
        return err_wrap(err, "state directory");
    journal_read(daemon->journal, on_note, daemon, &damage);
    if (damage.segments > 0)
        LOG(LOG_LEVEL_WARNING, "journal.damaged", "the end of what the last process noted can't be read",
            log_int(LOG_KEY_COUNT, (int64_t)damage.bytes));
    return true;
}

bool assembly_open(struct daemon *daemon, struct err *err)
{
    name_ourselves(daemon);
    sort_sources(daemon);
    const struct config *config = daemon->config;
    const struct link_options link = {
        .loop = &daemon->loop,
        .redis = &daemon->first->redis,
        .client_name = daemon->client_names[0],
        .callbacks = connection_commands(daemon),
    };
    if (!watch_new(daemon, &daemon->watch, err) || !recall_new(&daemon->recall, err) ||
        !open_journal(daemon, err) || !link_open(&link, &daemon->commands, err))
        return false;
    const struct ledger_options ledger = {
        .link = daemon->commands,
        .prefix = daemon->first->prefix,
        .incarnation = daemon->incarnation,
        .instance = daemon->first->instance,
        .on_forgotten = on_ledger_forgotten,
        .on_forgotten_arg = daemon,
        .lease_ms = config->lease_ms,
        .retain_ms = config->dedupe_window_ms,
        .is_limiter_closed = config->on_limiter_error == LIMITER_CLOSED,
        .on_timed = watch_tally(daemon->watch) != NULL ? watch_on_timed : NULL,
        .on_timed_arg = watch_tally(daemon->watch),
    };
    if (!ledger_new(&ledger, &daemon->ledger, err))
        return false;
    const struct dispatch_options dispatch = {
        .loop = &daemon->loop,
        .ledger = daemon->ledger,
        .gate = &daemon->gate,
        .counters = &daemon->counters,
        .recall = daemon->recall,
        .tally = watch_tally(daemon->watch),
        .journal = daemon->journal,
        .config = daemon->config,
        .lease_ms = config->lease_ms,
        .lease_margin_ms = config->lease_margin_ms,
    };
    if (!dispatch_new(&dispatch, &daemon->dispatch, err))
        return false;
    const struct recovery_options recovery = {
        .loop = &daemon->loop,
        .ledger = daemon->ledger,
        .dispatch = daemon->dispatch,
        .recall = daemon->recall,
        .on_done = connection_on_recovered,
        .arg = daemon,
    };
    if (!recovery_new(&recovery, &daemon->recovery, err))
        return false;
    struct intake_options intake = {
        .commands = daemon->commands,
        .ledger = daemon->ledger,
        .dispatch = daemon->dispatch,
        .counters = &daemon->counters,
        .recall = daemon->recall,
        .config = daemon->config,
        .incarnation = daemon->incarnation,
        .origins = daemon->channel_sources,
        .origin_count = daemon->channel_count,
        .on_done = feed_on_batch_done,
        .on_canary = feed_on_canary,
        .arg = daemon,
    };
    if (!intake_new(&intake, &daemon->intake, err))
        return false;
    intake.origins = daemon->stream_sources;
    intake.origin_count = daemon->stream_count;
    intake.on_done = feed_on_entries_done;
    if (!intake_new(&intake, &daemon->stream_intake, err))
        return false;
    const struct presence_options presence = {
        .commands = daemon->commands,
        .ledger = daemon->ledger,
        .dispatch = daemon->dispatch,
        .recall = daemon->recall,
        .counters = &daemon->counters,
        .incarnation = daemon->incarnation,
        .on_forgotten = connection_on_forgotten,
        .arg = daemon,
    };
    if (!presence_new(&presence, &daemon->presence, err))
        return false;
    const struct upkeep_options upkeep = {
        .loop = &daemon->loop,
        .commands = daemon->commands,
        .ledger = daemon->ledger,
        .dispatch = daemon->dispatch,
        .presence = daemon->presence,
        .config = daemon->config,
        .incarnation = daemon->incarnation,
        .canary_channel = daemon->canary_channel,
        .on_canary_missed = connection_on_canary_missed,
        .on_second = daemon_on_second,
        .arg = daemon,
    };
    return upkeep_new(&upkeep, &daemon->upkeep, err) && open_subscriber(daemon, err) &&
           open_reader(daemon, err);
}
