/* The daemon: one loop, three connections' worth of callbacks, and the order in which all begins and ends.
 *
 *     start    log → loop → command link → ledger → dispatch (lanes) → intake → upkeep → subscriber
 *     READY    Redis is fit, and every subscription is acknowledged
 *     drain    nothing is claimed; what has not begun is given back; events are accepted, leased to nobody, to the last moment
 *     end      subscriber → upkeep → command link (every answer under way comes back as lost) → dispatch (threads) → loop
 *
 * Loop thread. */
#include "daemon.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <uv.h>

#include "counters.h"
#include "dispatch.h"
#include "herald/clock.h"
#include "herald/encode.h"
#include "herald/hash.h"
#include "herald/ledger.h"
#include "herald/link.h"
#include "herald/log.h"
#include "herald/server.h"
#include "herald/subscriber.h"
#include "intake.h"
#include "service.h"
#include "upkeep.h"

#define FITNESS_RETRY_MS 2000 /* an unfit Redis is asked again: an operator may have mended it */
#define DRAIN_POLL_MS 20
#define LAST_WORDS_MS 2000    /* for answers under way and for threads to end, once the drain is over */
#define STATUS_EVERY_S 5

struct daemon {
    const char *path;
    struct config *config;          /* a reference: the current snapshot */
    struct config *first;           /* a reference: links borrow [redis] from it to the end */
    struct config *next;            /* a reference: loaded, waits for a moment between batches; else NULL */
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_timer_t fitness, drain;
    uv_work_t reload;
    struct err reload_err;
    bool is_reloading;
    char incarnation[LEDGER_INCARNATION_CHARS + 1];
    char canary_channel[128];
    char client_names[2][96];
    const char **channels;          /* owned array: sources in order, then the canary */
    struct commit_gate gate;
    struct counters counters;
    struct link *commands;
    struct ledger *ledger;
    struct dispatch *dispatch;
    struct intake *intake;
    struct upkeep *upkeep;
    struct subscriber *subscriber;
    struct server server;           /* what Redis was when it was last found fit */
    bool was_fit;
    bool is_usable;                 /* the command connection, and Redis behind it */
    bool was_warned;
    bool is_ready;                  /* said READY */
    bool is_draining, is_ending;
    int64_t drain_until_mono_ms;
    int64_t started_mono_ms;
    uint64_t seconds;
};

/* ── ready, status, watchdog ── */

static void write_status(const struct daemon *daemon, char *ret, size_t room)
{
    const struct counters *counters = &daemon->counters;
    bool has_maildir = false;
    for (size_t i = 0; i < daemon->config->provider_count; i++)
        has_maildir = has_maildir || daemon->config->providers[i].type == PROVIDER_MAILDIR;
    const char *what = daemon->is_draining        ? "draining"
                       : !daemon->is_usable        ? "waiting for Redis"
                       : !subscriber_is_subscribed(daemon->subscriber) ? "waiting for the subscription"
                                                   : "running";
    snprintf(ret, room,
             "%s; received %" PRIu64 " accepted %" PRIu64 " duplicate %" PRIu64 " rejected %" PRIu64 " conflict %" PRIu64
             " sent %" PRIu64 " dead %" PRIu64 "%s",
             what, counters->received, counters->accepted, counters->duplicate, counters->rejected, counters->conflict,
             counters->sent, counters->dead, has_maildir ? "; a maildir provider does NOT deliver" : "");
}

static void say_status(const struct daemon *daemon)
{
    char status[320];
    write_status(daemon, status, sizeof status);
    service_status(status);
}

static void become_ready(struct daemon *daemon)
{
    if (daemon->is_ready || !daemon->is_usable || !subscriber_is_subscribed(daemon->subscriber))
        return;
    daemon->is_ready = true;
    char status[320];
    write_status(daemon, status, sizeof status);
    service_ready(status);
    LOG(LOG_LEVEL_NOTICE, "service.ready", "heraldd " HERALD_VERSION " is ready",
        log_int(LOG_KEY_MS, clock_mono_ms() - daemon->started_mono_ms));
    for (size_t i = 0; i < daemon->config->provider_count; i++)
        if (daemon->config->providers[i].type == PROVIDER_MAILDIR)
            LOG(LOG_LEVEL_WARNING, "provider.maildir", "mail is written to a directory and NOT delivered",
                log_text(LOG_KEY_PROVIDER, daemon->config->providers[i].name));
}

static void on_second(void *arg)
{
    struct daemon *daemon = arg;
    daemon->seconds++;
    if (daemon->seconds % STATUS_EVERY_S == 0)
        say_status(daemon);
    int64_t watchdog_ms = service_watchdog_ms();
    if (watchdog_ms == 0)
        return;
    /* We are here, so the loop turns. A busy thread that has shown no life for half the time is as good as a stopped loop. */
    int64_t oldest = dispatch_oldest_progress_ms(daemon->dispatch);
    if (oldest == INT64_MAX || clock_mono_ms() - oldest < watchdog_ms / 2)
        service_alive();
}

/* ── the command connection ── */

static void check_fitness(struct daemon *daemon);

static void on_fitness_timer(uv_timer_t *timer)
{
    check_fitness(timer->data);
}

static void on_warning(void *arg, const char *text)
{
    (void)arg;
    LOG(LOG_LEVEL_WARNING, "redis.warning", text, log_text(LOG_KEY_REASON, "persistence"));
}

static void become_usable(struct daemon *daemon, const struct server *server)
{
    LOG(LOG_LEVEL_NOTICE, "redis.connected", "Redis is reached and fit");
    if (!daemon->was_warned)
        server_each_warning(server, on_warning, daemon);
    daemon->was_warned = true;
    if (daemon->was_fit && !server_is_same(&daemon->server, server))
        LOG(LOG_LEVEL_WARNING, "redis.epoch", "this Redis was restarted, or is another one",
            log_int(LOG_KEY_COUNT, (int64_t)dispatch_settling(daemon->dispatch)));
    daemon->server = *server;
    daemon->was_fit = true;
    daemon->is_usable = true;
    dispatch_on_redis(daemon->dispatch, true);
    upkeep_on_redis(daemon->upkeep, true);
    upkeep_on_subscribed(daemon->upkeep, subscriber_is_subscribed(daemon->subscriber));
    become_ready(daemon);
}

static void on_info(void *arg, const struct redisReply *reply)
{
    struct daemon *daemon = arg;
    struct server server;
    struct err err;
    if (reply == NULL || daemon->is_ending)
        return; /* the link is lost, and on_ready comes again */
    if (reply->type != REDIS_REPLY_STRING) {
        err_set(&err, ERR_CONFIG, "INFO: %s", reply->type == REDIS_REPLY_ERROR ? reply->str : "no text");
    } else {
        server_read(reply->str, (size_t)reply->len, &server);
        if (server_is_fit(&server, &err) || (daemon->config->allow_unfit_redis && err.kind == ERR_CONFIG)) {
            become_usable(daemon, &server);
            return;
        }
    }
    LOG(LOG_LEVEL_ERROR, "redis.unfit", "this Redis can't keep what we promise", log_text(LOG_KEY_REASON, err.text));
    char status[320];
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
    daemon->is_usable = false;
    dispatch_on_redis(daemon->dispatch, false);
    upkeep_on_redis(daemon->upkeep, false);
    if (!daemon->is_ending)
        say_status(daemon);
}

/* The first failure, then each time the count doubles: repeats are folded. */
static bool is_worth_saying(unsigned attempt)
{
    return (attempt & (attempt - 1)) == 0;
}

static void on_commands_failed(void *arg, unsigned attempt, const char *reason)
{
    (void)arg;
    if (is_worth_saying(attempt))
        LOG(LOG_LEVEL_WARNING, "redis.unreachable", "the command connection can't be made; trying for ever",
            log_text(LOG_KEY_REASON, reason), log_int(LOG_KEY_ATTEMPT, attempt));
}

/* ── the subscription ── */

/* When any instance last saw a canary come through, per source: what was published since then may have been missed. */
static void on_proved(void *arg, const struct redisReply *reply)
{
    struct daemon *daemon = arg;
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY)
        return;
    for (size_t i = 0; i < reply->elements && i < daemon->config->source_count; i++) {
        if (reply->element[i]->type != REDIS_REPLY_STRING)
            continue; /* never subscribed before: nothing was promised yet */
        int64_t gap_ms = clock_wall_ms() - strtoll(reply->element[i]->str, NULL, 10);
        if (gap_ms <= daemon->config->canary_interval_ms && !daemon->is_ready)
            continue; /* another instance covers it, or we were away for less than can be told */
        daemon->counters.gaps++;
        LOG(LOG_LEVEL_WARNING, "source.gap", "what was published on the channel in this time may have been missed",
            log_text(LOG_KEY_SOURCE, daemon->config->sources[i].name), log_int(LOG_KEY_MS, gap_ms));
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
    if (!link_command(daemon->commands, (int)(2 + daemon->config->source_count), argv, NULL, on_proved, daemon, &err))
        LOG(LOG_LEVEL_WARNING, "source.gap", "how long the subscription was away can't be told", log_text(LOG_KEY_REASON, err.text));
}

static void on_subscribed(void *arg)
{
    struct daemon *daemon = arg;
    LOG(LOG_LEVEL_NOTICE, "redis.subscribed", "every subscription is acknowledged",
        log_int(LOG_KEY_COUNT, (int64_t)daemon->config->source_count));
    ask_for_gap(daemon);
    upkeep_on_subscribed(daemon->upkeep, true);
    become_ready(daemon);
}

static void on_subscription_lost(void *arg, const char *reason)
{
    struct daemon *daemon = arg;
    upkeep_on_subscribed(daemon->upkeep, false);
    if (!daemon->is_ending)
        LOG(LOG_LEVEL_WARNING, "redis.lost", "the subscription is gone; what is published until it stands again is lost to us",
            log_text(LOG_KEY_REASON, reason));
}

static void on_subscription_failed(void *arg, unsigned attempt, const char *reason)
{
    (void)arg;
    if (is_worth_saying(attempt))
        LOG(LOG_LEVEL_WARNING, "redis.unreachable", "the subscription can't be made; trying for ever",
            log_text(LOG_KEY_REASON, reason), log_int(LOG_KEY_ATTEMPT, attempt));
}

static void on_canary_missed(void *arg)
{
    struct daemon *daemon = arg;
    subscriber_reset(daemon->subscriber, "two canaries were published and did not come through");
}

static void on_batch(void *arg, const struct subscriber_message *messages, size_t count)
{
    struct daemon *daemon = arg;
    intake_batch(daemon->intake, messages, count);
}

static void apply_reload(struct daemon *daemon);

static void on_batch_done(void *arg, bool is_safe, int64_t delay_ms)
{
    struct daemon *daemon = arg;
    if (daemon->next != NULL)
        apply_reload(daemon);
    if (is_safe)
        subscriber_consume(daemon->subscriber);
    else
        subscriber_retry(daemon->subscriber, delay_ms);
}

static void on_canary(void *arg, const char *bytes, size_t len)
{
    struct daemon *daemon = arg;
    upkeep_on_canary(daemon->upkeep, bytes, len);
}

/* ── reload ── */

static void say_reload_failed(const struct err *err)
{
    LOG(LOG_LEVEL_ERROR, "config.refused", "the old configuration stays", log_text(LOG_KEY_REASON, err->text));
}

/* Between two batches: intake names lanes by their place in the configuration. */
static void apply_reload(struct daemon *daemon)
{
    struct err err;
    struct config *next = daemon->next;
    daemon->next = NULL;
    if (!dispatch_reload(daemon->dispatch, next, &err)) {
        say_reload_failed(&err);
        config_unref(next);
    } else {
        intake_reload(daemon->intake, next);
        upkeep_reload(daemon->upkeep, next);
        log_set_level(next->log_level);
        config_unref(daemon->config);
        daemon->config = next;
        LOG(LOG_LEVEL_NOTICE, "config.reloaded", "the new configuration is in force", log_text(LOG_KEY_REASON, daemon->path));
    }
    char status[320];
    write_status(daemon, status, sizeof status);
    service_ready(status);
}


/* On a thread of libuv's pool: it reads files. */
static void load_next(uv_work_t *work)
{
    struct daemon *daemon = work->data;
    struct config *next;
    if (!config_load(daemon->path, &next, &daemon->reload_err))
        return;
    for (size_t i = 0; i < next->provider_count; i++) {
        if (!lane_check(&next->providers[i], &daemon->reload_err)) {
            config_unref(next);
            return;
        }
    }
    daemon->next = next;
}

static void on_loaded(uv_work_t *work, int status)
{
    struct daemon *daemon = work->data;
    (void)status;
    daemon->is_reloading = false;
    if (daemon->next != NULL && !config_can_replace(daemon->config, daemon->next, &daemon->reload_err)) {
        config_unref(daemon->next);
        daemon->next = NULL;
    }
    if (daemon->is_draining) {
        config_unref(daemon->next);
        daemon->next = NULL;
        return;
    }
    if (daemon->next == NULL) {
        say_reload_failed(&daemon->reload_err);
        char text[320];
        write_status(daemon, text, sizeof text);
        service_ready(text);
        return;
    }
    if (intake_is_idle(daemon->intake))
        apply_reload(daemon);
}

static void on_hangup(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->data;
    (void)number;
    if (daemon->is_reloading || daemon->next != NULL || daemon->is_draining)
        return;
    daemon->is_reloading = true;
    service_reloading();
    daemon->reload.data = daemon;
    uv_queue_work(&daemon->loop, &daemon->reload, load_next, on_loaded);
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

static void on_commands_closed(void *arg)
{
    struct daemon *daemon = arg;
    daemon->commands = NULL;
    dispatch_close(daemon->dispatch, LAST_WORDS_MS, on_dispatch_closed, daemon);
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

static void end(struct daemon *daemon)
{
    daemon->is_ending = true;
    uv_timer_stop(&daemon->drain);
    subscriber_close(daemon->subscriber, on_subscriber_closed, daemon);
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
    subscriber_pause(daemon->subscriber);
    bool is_quiet = intake_is_idle(daemon->intake) && link_pending(daemon->commands) == 0;
    if (!is_quiet && daemon->is_usable && clock_mono_ms() < daemon->drain_until_mono_ms + (is_hurried ? 0 : LAST_WORDS_MS))
        return;
    end(daemon);
}

static void say_stopping(const struct daemon *daemon)
{
    char status[320];
    write_status(daemon, status, sizeof status);
    service_stopping(status);
    LOG(LOG_LEVEL_NOTICE, "service.stopping", status);
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
    say_stopping(daemon);
    daemon->drain_until_mono_ms = clock_mono_ms() + daemon->config->drain_timeout_ms;
    service_extend(daemon->config->drain_timeout_ms + 2 * LAST_WORDS_MS);
    upkeep_leave(daemon->upkeep);
    intake_drain(daemon->intake);
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
    snprintf(daemon->canary_channel, sizeof daemon->canary_channel, "%s:canary:%s", config->prefix, config->instance);
    snprintf(daemon->client_names[0], sizeof daemon->client_names[0], "herald-commands-%.64s", config->instance);
    snprintf(daemon->client_names[1], sizeof daemon->client_names[1], "herald-subscriber-%.64s", config->instance);
}

static bool open_subscriber(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    daemon->channels = calloc(config->source_count + 1, sizeof *daemon->channels);
    if (daemon->channels == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < config->source_count; i++)
        daemon->channels[i] = daemon->first->sources[i].channel;
    daemon->channels[config->source_count] = daemon->canary_channel;
    const struct subscriber_options options = {
        .loop = &daemon->loop,
        .redis = &daemon->first->redis,
        .client_name = daemon->client_names[1],
        .channels = daemon->channels,
        .channel_count = config->source_count + 1,
        .callbacks = {.on_subscribed = on_subscribed,
                      .on_lost = on_subscription_lost,
                      .on_failed = on_subscription_failed,
                      .on_batch = on_batch,
                      .arg = daemon},
    };
    return subscriber_open(&options, &daemon->subscriber, err);
}

static bool open_all(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    const struct link_options link = {
        .loop = &daemon->loop,
        .redis = &daemon->first->redis,
        .client_name = daemon->client_names[0],
        .callbacks = {
            .on_ready = on_commands_ready, .on_lost = on_commands_lost, .on_failed = on_commands_failed, .arg = daemon},
    };
    if (!link_open(&link, &daemon->commands, err))
        return false;
    const struct ledger_options ledger = {
        .link = daemon->commands,
        .prefix = daemon->first->prefix,
        .incarnation = daemon->incarnation,
        .lease_ms = config->lease_ms,
        .retain_ms = config->dedupe_window_ms,
        .is_limiter_closed = config->on_limiter_error == LIMITER_CLOSED,
    };
    if (!ledger_new(&ledger, &daemon->ledger, err))
        return false;
    const struct dispatch_options dispatch = {
        .loop = &daemon->loop,
        .ledger = daemon->ledger,
        .gate = &daemon->gate,
        .counters = &daemon->counters,
        .config = daemon->config,
        .lease_ms = config->lease_ms,
        .lease_margin_ms = config->lease_margin_ms,
    };
    if (!dispatch_new(&dispatch, &daemon->dispatch, err))
        return false;
    const struct intake_options intake = {
        .commands = daemon->commands,
        .ledger = daemon->ledger,
        .dispatch = daemon->dispatch,
        .counters = &daemon->counters,
        .config = daemon->config,
        .incarnation = daemon->incarnation,
        .on_done = on_batch_done,
        .on_canary = on_canary,
        .arg = daemon,
    };
    if (!intake_new(&intake, &daemon->intake, err))
        return false;
    const struct upkeep_options upkeep = {
        .loop = &daemon->loop,
        .commands = daemon->commands,
        .ledger = daemon->ledger,
        .dispatch = daemon->dispatch,
        .counters = &daemon->counters,
        .config = daemon->config,
        .incarnation = daemon->incarnation,
        .canary_channel = daemon->canary_channel,
        .on_canary_missed = on_canary_missed,
        .on_second = on_second,
        .arg = daemon,
    };
    return upkeep_new(&upkeep, &daemon->upkeep, err) && open_subscriber(daemon, err);
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
    uv_loop_init(&daemon->loop);
    uv_timer_init(&daemon->loop, &daemon->fitness);
    uv_timer_init(&daemon->loop, &daemon->drain);
    daemon->fitness.data = daemon->drain.data = daemon;
    listen_to_signals(daemon);
    service_status("waiting for Redis");
    if (!open_all(daemon, err))
        return false; /* the process ends with it */
    uv_run(&daemon->loop, UV_RUN_DEFAULT);

    int busy = uv_loop_close(&daemon->loop);
    assert(busy == 0); /* a handle that is left open is a leak, and here is the proof that there is none */
    (void)busy;
    intake_free(daemon->intake);
    dispatch_free(daemon->dispatch);
    ledger_free(daemon->ledger);
    config_unref(daemon->next);
    config_unref(daemon->config);
    config_unref(daemon->first);
    free(daemon->channels);
    char text[160];
    snprintf(text, sizeof text, "stopped: received %" PRIu64 " accepted %" PRIu64 " sent %" PRIu64 " dead %" PRIu64,
             daemon->counters.received, daemon->counters.accepted, daemon->counters.sent, daemon->counters.dead);
    LOG(LOG_LEVEL_NOTICE, "service.stopped", text);
    free(daemon);
    return true;
}
