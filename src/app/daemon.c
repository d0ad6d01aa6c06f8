/* The daemon: one loop, three connections' worth of callbacks, and the order in which all begins and ends.
 *
 *     start    log → loop → command link → ledger → dispatch (lanes) → intakes → upkeep → subscriber → reader
 *     READY    Redis is fit, every subscription is acknowledged and every stream has our group
 *     drain    nothing is claimed; what has not begun is given back; events are accepted, leased to nobody,
 * to the last moment end      subscriber → upkeep → command link (every answer under way comes back as lost)
 * → dispatch (threads) → loop
 *
 * Loop thread. */
#include "daemon.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_private.h"
#include "herald/clock.h"
#include "herald/encode.h"
#include "herald/fault.h"
#include "herald/hash.h"
#include "herald/log.h"
#include "service.h"

#define DRAIN_POLL_MS 20
#define LAST_WORDS_MS 2000 /* for answers under way and for threads to end, once the drain is over */
#define STATUS_EVERY_S 5
#define NOT_TAKEN_RETRY_MS 50 /* what came in waits until Redis can be built on, or a reload is done */

/* ── ready, status, watchdog ── */

static bool is_reading(const struct daemon *daemon)
{
    return daemon->reader == NULL || reader_is_reading(daemon->reader);
}

bool daemon_is_idle(const struct daemon *daemon)
{
    return intake_is_idle(daemon->intake) && intake_is_idle(daemon->stream_intake);
}

const char *daemon_wants(const struct daemon *daemon)
{
    return !daemon->is_usable                              ? "waiting for Redis"
           : !subscriber_is_subscribed(daemon->subscriber) ? "waiting for the subscription"
           : !is_reading(daemon)                           ? "waiting for the streams"
                                                           : NULL;
}

void daemon_write_status(const struct daemon *daemon, char ret[DAEMON_STATUS_BYTES])
{
    const struct counters *counters = &daemon->counters;
    bool has_maildir = false;
    for (size_t i = 0; i < daemon->config->provider_count; i++)
        has_maildir = has_maildir || daemon->config->providers[i].type == PROVIDER_MAILDIR;
    const char *wants = daemon_wants(daemon);
    const char *what = daemon->is_draining ? "draining" : wants != NULL ? wants : "running";
    snprintf(ret, DAEMON_STATUS_BYTES,
             "%s; received %" PRIu64 " accepted %" PRIu64 " duplicate %" PRIu64 " rejected %" PRIu64
             " conflict %" PRIu64 " sent %" PRIu64 " dead %" PRIu64 "%s",
             what, counters->received, counters->accepted, counters->duplicate, counters->rejected,
             counters->conflict, counters->sent, counters->dead,
             has_maildir ? "; a maildir provider does NOT deliver" : "");
}

void daemon_say_status(const struct daemon *daemon)
{
    char status[DAEMON_STATUS_BYTES];
    daemon_write_status(daemon, status);
    service_status(status);
}

void daemon_become_ready(struct daemon *daemon)
{
    if (daemon->is_ready || daemon_wants(daemon) != NULL)
        return;
    daemon->is_ready = true;
    char status[DAEMON_STATUS_BYTES];
    daemon_write_status(daemon, status);
    service_ready(status);
    LOG(LOG_LEVEL_NOTICE, "service.ready", "heraldd " HERALD_VERSION " is ready",
        log_int(LOG_KEY_MS, clock_mono_ms() - daemon->started_mono_ms));
    for (size_t i = 0; i < daemon->config->provider_count; i++)
        if (daemon->config->providers[i].type == PROVIDER_MAILDIR)
            LOG(LOG_LEVEL_WARNING, "provider.maildir", "mail is written to a directory and NOT delivered",
                log_text(LOG_KEY_PROVIDER, daemon->config->providers[i].name));
}

/* Says when answers can't be noted any more, and when they are again. */
static void watch_journal(struct daemon *daemon)
{
    int error = 0;
    enum journal_state state =
        daemon->journal == NULL ? JOURNAL_WORKS : journal_state(daemon->journal, &error);
    if (state == daemon->journal_state)
        return;
    daemon->journal_state = state;
    if (state == JOURNAL_WORKS)
        LOG(LOG_LEVEL_NOTICE, "journal.works", "answers are noted again");
    else
        LOG(LOG_LEVEL_WARNING, "journal.fails", "answers are not noted: a crash now may send some mail twice",
            log_text(LOG_KEY_REASON, state == JOURNAL_FULL ? "full: Redis has not taken the answers in it"
                                                           : strerror(error)));
}

static void on_second(void *arg)
{
    struct daemon *daemon = arg;
    daemon->seconds++;
    watch_journal(daemon);
    if (daemon->seconds % STATUS_EVERY_S == 0)
        daemon_say_status(daemon);
    watch_second(daemon->watch);
}

/* ── batches ── */

/* A new configuration takes over when both intakes are idle at once, so neither begins another batch. */
static bool can_take(const struct daemon *daemon)
{
    return daemon->is_usable && daemon->next == NULL;
}

static void apply_next(struct daemon *daemon)
{
    if (daemon->next != NULL && daemon_is_idle(daemon))
        reload_apply(daemon);
}

static void on_entries(void *arg, const struct incoming *entries, size_t count)
{
    struct daemon *daemon = arg;
    if (can_take(daemon))
        intake_batch(daemon->stream_intake, entries, count);
    else
        reader_retry(daemon->reader, NOT_TAKEN_RETRY_MS);
}

static void on_entries_done(void *arg, bool is_safe, int64_t delay_ms)
{
    struct daemon *daemon = arg;
    apply_next(daemon);
    if (is_safe)
        reader_consume(daemon->reader);
    else
        reader_retry(daemon->reader, delay_ms);
}

/* The daemon's subscription, or that of an earlier process: never both at a time. */
static void read_batch(struct daemon *daemon, struct subscriber *from, const struct incoming *messages,
                       size_t count)
{
    if (!can_take(daemon)) {
        subscriber_retry(from, NOT_TAKEN_RETRY_MS);
        return;
    }
    daemon->reading = from;
    intake_batch(daemon->intake, messages, count);
}

static void on_batch(void *arg, const struct incoming *messages, size_t count)
{
    struct daemon *daemon = arg;
    upkeep_on_heard(daemon->upkeep);
    read_batch(daemon, daemon->subscriber, messages, count);
}

static void on_old_batch(void *arg, struct subscriber *from, const struct incoming *messages, size_t count)
{
    read_batch(arg, from, messages, count);
}

static void on_batch_done(void *arg, bool is_safe, int64_t delay_ms)
{
    struct daemon *daemon = arg;
    apply_next(daemon);
    struct subscriber *from = daemon->reading;
    daemon->reading = NULL;
    if (from == NULL) /* it is closed: the answer came with the end of the command link */
        return;
    if (is_safe)
        subscriber_consume(from);
    else
        subscriber_retry(from, delay_ms);
}

static void on_canary(void *arg, const char *bytes, size_t len)
{
    struct daemon *daemon = arg;
    if (daemon->reading == NULL)
        return; /* the end has begun */
    if (daemon->reading == daemon->subscriber)
        upkeep_on_canary(daemon->upkeep, bytes, len);
    else
        handover_on_canary(daemon->handover, bytes, len);
}

/* ── the end ── */

static void on_handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void on_dispatch_closed(void *arg)
{
    struct daemon *daemon = arg;
    for (size_t i = 0; i < sizeof daemon->signals / sizeof *daemon->signals; i++)
        uv_close((uv_handle_t *)&daemon->signals[i], on_handle_closed);
    uv_close((uv_handle_t *)&daemon->fitness, on_handle_closed);
    uv_close((uv_handle_t *)&daemon->drain, on_handle_closed);
}

static void on_recovery_closed(void *arg)
{
    struct daemon *daemon = arg;
    daemon->recovery = NULL;
    dispatch_close(daemon->dispatch, LAST_WORDS_MS, on_dispatch_closed, daemon);
}

static void on_reader_closed(void *arg)
{
    struct daemon *daemon = arg;
    daemon->reader = NULL;
    recovery_close(daemon->recovery, on_recovery_closed, daemon);
}

/* Behind the command link: a batch whose accepts were under way has come back as lost by now. */
static void on_commands_closed(void *arg)
{
    struct daemon *daemon = arg;
    daemon->commands = NULL;
    if (daemon->reader != NULL)
        reader_close(daemon->reader, on_reader_closed, daemon);
    else
        on_reader_closed(daemon);
}

static void on_upkeep_closed(void *arg)
{
    struct daemon *daemon = arg;
    daemon->upkeep = NULL;
    link_close(daemon->commands, on_commands_closed, daemon);
}

static void on_subscriber_closed(void *arg)
{
    struct daemon *daemon = arg;
    daemon->subscriber = NULL;
    upkeep_close(daemon->upkeep, on_upkeep_closed, daemon);
}

static void on_handover_closed(void *arg)
{
    struct daemon *daemon = arg;
    daemon->handover = NULL;
    subscriber_close(daemon->subscriber, on_subscriber_closed, daemon);
}

static void end(struct daemon *daemon)
{
    daemon->is_ending = true;
    FAULT("drained");
    daemon->reading = NULL;
    uv_timer_stop(&daemon->drain);
    handover_close(daemon->handover, on_handover_closed, daemon);
}

static void on_drain_timer(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    bool is_late = clock_mono_ms() >= daemon->drain_until_mono_ms;
    bool is_hurried = atomic_load(&daemon->gate.is_closed);
    dispatch_tick(daemon->dispatch);
    if (!dispatch_is_empty(daemon->dispatch) && !is_late)
        return;
    /* Events are accepted to the last moment: nobody can tell a stop from a restart. */
    handover_pause(daemon->handover);
    subscriber_pause(daemon->subscriber);
    bool is_quiet = daemon_is_idle(daemon) && link_pending(daemon->commands) == 0;
    if (!is_quiet && daemon->is_usable &&
        clock_mono_ms() < daemon->drain_until_mono_ms + (is_hurried ? 0 : LAST_WORDS_MS))
        return;
    end(daemon);
}

static void say_stopping(const struct daemon *daemon)
{
    char status[DAEMON_STATUS_BYTES];
    daemon_write_status(daemon, status);
    service_stopping(status);
    LOG(LOG_LEVEL_NOTICE, "service.stopping", status);
}

static void on_hangup(uv_signal_t *signal, int number)
{
    (void)number;
    reload_begin(signal->data);
}

static void on_terminate(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->data;
    (void)number;
    if (daemon->is_ending)
        return;
    if (daemon->is_draining) {
        LOG(LOG_LEVEL_NOTICE, "service.hurried", "what is not committed is aborted");
        atomic_store(&daemon->gate.is_closed, true);
        daemon->drain_until_mono_ms = clock_mono_ms() + LAST_WORDS_MS;
        return;
    }
    daemon->is_draining = true;
    FAULT("drain-begun");
    say_stopping(daemon);
    daemon->drain_until_mono_ms = clock_mono_ms() + daemon->config->drain_timeout_ms;
    service_extend(daemon->config->drain_timeout_ms + 2 * LAST_WORDS_MS);
    upkeep_leave(daemon->upkeep);
    intake_drain(daemon->intake);
    intake_drain(daemon->stream_intake);
    /* Entries are safe where they are, and another instance has them at once. */
    if (daemon->reader != NULL)
        reader_pause(daemon->reader);
    dispatch_drain(daemon->dispatch);
    uv_timer_start(&daemon->drain, on_drain_timer, 0, DRAIN_POLL_MS);
}

/* ── the beginning ── */

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
                      .on_batch = on_entries,
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
                      .on_batch = on_batch,
                      .on_taking = connection_on_taking,
                      .arg = daemon},
    };
    const struct handover_options handover = {
        .subscriber = subscriber,
        .incarnation = daemon->incarnation,
        .on_inherited = connection_on_inherited,
        .on_batch = on_old_batch,
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

static bool open_all(struct daemon *daemon, struct err *err)
{
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
        .on_done = on_batch_done,
        .on_canary = on_canary,
        .arg = daemon,
    };
    if (!intake_new(&intake, &daemon->intake, err))
        return false;
    intake.origins = daemon->stream_sources;
    intake.origin_count = daemon->stream_count;
    intake.on_done = on_entries_done;
    if (!intake_new(&intake, &daemon->stream_intake, err))
        return false;
    const struct upkeep_options upkeep = {
        .loop = &daemon->loop,
        .commands = daemon->commands,
        .ledger = daemon->ledger,
        .dispatch = daemon->dispatch,
        .recall = daemon->recall,
        .counters = &daemon->counters,
        .config = daemon->config,
        .incarnation = daemon->incarnation,
        .canary_channel = daemon->canary_channel,
        .on_canary_missed = connection_on_canary_missed,
        .on_forgotten = connection_on_forgotten,
        .on_second = on_second,
        .arg = daemon,
    };
    return upkeep_new(&upkeep, &daemon->upkeep, err) && open_subscriber(daemon, err) &&
           open_reader(daemon, err);
}

static void listen_to_signals(struct daemon *daemon)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        uv_signal_start(&daemon->signals[i], numbers[i] == SIGHUP ? on_hangup : on_terminate, numbers[i]);
    }
}

bool daemon_run(const char *path, struct config *config, struct err *err)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    if (daemon == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    daemon->path = path;
    daemon->config = config;
    daemon->first = config_ref(config);
    daemon->started_mono_ms = clock_mono_ms();
    name_ourselves(daemon);
    sort_sources(daemon);
    uv_loop_init(&daemon->loop);
    uv_timer_init(&daemon->loop, &daemon->fitness);
    uv_timer_init(&daemon->loop, &daemon->drain);
    daemon->fitness.data = daemon->drain.data = daemon;
    listen_to_signals(daemon);
    service_status("waiting for Redis");
    if (!open_all(daemon, err))
        return false; /* the process ends with it */
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    watch_free(daemon->watch);

    int busy = uv_loop_close(&daemon->loop);
    assert(busy == 0); /* a handle that is left open is a leak, and here is the proof that there is none */
    (void)busy;
    intake_free(daemon->intake);
    intake_free(daemon->stream_intake);
    if (dispatch_free(daemon->dispatch))
        journal_close(daemon->journal);
    recall_free(daemon->recall);
    ledger_free(daemon->ledger);
    config_unref(daemon->next);
    config_unref(daemon->config);
    config_unref(daemon->first);
    char text[160];
    snprintf(text, sizeof text,
             "stopped: received %" PRIu64 " accepted %" PRIu64 " sent %" PRIu64 " dead %" PRIu64,
             daemon->counters.received, daemon->counters.accepted, daemon->counters.sent,
             daemon->counters.dead);
    LOG(LOG_LEVEL_NOTICE, "service.stopped", text);
    free(daemon);
    return true;
}
