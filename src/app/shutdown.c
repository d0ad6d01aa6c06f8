/* shutdown.c - the way out: the drain, and then everything closed in the order in which nothing loses its
 * answer.
 *
 *     drain    nothing is claimed; what has not begun is given back; events are accepted to the last
 *              moment, and leased to nobody
 *     end      hand-over → subscriber → upkeep → command link (every answer under way comes back as lost)
 *              → reader → recovery → dispatch (its threads) → the loop's own handles
 *
 * Loop thread. */
#include "daemon_private.h"
#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/log.h"
#include "service.h"

#define DRAIN_POLL_MS 20
#define LAST_WORDS_MS 2000 /* for answers under way and for threads to end, once the drain is over */

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

static void close_all(struct daemon *daemon)
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
    close_all(daemon);
}

static void say_stopping(const struct daemon *daemon)
{
    char status[DAEMON_STATUS_BYTES];
    daemon_write_status(daemon, status);
    service_stopping(status);
    LOG(LOG_LEVEL_NOTICE, "service.stopping", status);
}

void shutdown_begin(struct daemon *daemon)
{
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
    presence_leave(daemon->presence);
    intake_drain(daemon->intake);
    intake_drain(daemon->stream_intake);
    /* Entries are safe where they are, and another instance has them at once. */
    if (daemon->reader != NULL)
        reader_pause(daemon->reader);
    dispatch_drain(daemon->dispatch);
    uv_timer_start(&daemon->drain, on_drain_timer, 0, DRAIN_POLL_MS);
}
