/* daemon.c - one loop, what it says of itself, and the order in which all begins and ends:
 *
 *     assembly.c    log → loop → command link → ledger → dispatch (lanes) → intakes → upkeep → subscriber →
 * reader READY         Redis is fit, every subscription is acknowledged and every stream has our group
 *     shutdown.c    the drain, and the way back
 *
 * Loop thread. */
#include "daemon.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_private.h"
#include "herald/clock.h"
#include "herald/log.h"
#include "service.h"

#define STATUS_EVERY_S 5

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
    char paused[48] = "";
    size_t paused_count = 0;
    for (size_t i = 0; i < dispatch_lane_count(daemon->dispatch); i++) {
        struct dispatch_lane_status lane;
        dispatch_lane_status(daemon->dispatch, i, &lane);
        paused_count += lane.is_paused;
    }
    if (paused_count > 0)
        snprintf(paused, sizeof paused, "; lanes paused: %zu", paused_count);
    const char *wants = daemon_wants(daemon);
    const char *what = daemon->is_draining ? "draining" : wants != NULL ? wants : "running";
    snprintf(ret, DAEMON_STATUS_BYTES,
             "%s; received %" PRIu64 " accepted %" PRIu64 " duplicate %" PRIu64 " rejected %" PRIu64
             " conflict %" PRIu64 " sent %" PRIu64 " dead %" PRIu64 "%s%s",
             what, counters->received, counters->accepted, counters->duplicate, counters->rejected,
             counters->conflict, counters->sent, counters->dead, paused,
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

void daemon_on_second(void *arg)
{
    struct daemon *daemon = arg;
    daemon->seconds++;
    watch_journal(daemon);
    if (daemon->seconds % STATUS_EVERY_S == 0)
        daemon_say_status(daemon);
    watch_second(daemon->watch);
}

/* ── from the beginning to the end ── */

static void on_hangup(uv_signal_t *signal, int number)
{
    (void)number;
    reload_begin(signal->data);
}

static void on_terminate(uv_signal_t *signal, int number)
{
    (void)number;
    shutdown_begin(signal->data);
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
    uv_loop_init(&daemon->loop);
    uv_timer_init(&daemon->loop, &daemon->fitness);
    uv_timer_init(&daemon->loop, &daemon->drain);
    daemon->fitness.data = daemon->drain.data = daemon;
    listen_to_signals(daemon);
    service_status("waiting for Redis");
    if (!assembly_open(daemon, err))
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
    presence_free(daemon->presence);
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
