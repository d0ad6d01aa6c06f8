/* What the loop says of itself, and to whom. See watch.h. */
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_private.h"
#include "depth.h"
#include "endpoint.h"
#include "herald/clock.h"
#include "herald/log.h"
#include "service.h"
#include "vitals.h"

#define DEPTH_EVERY_S 5 /* a scraper comes every fifteen; a call of a millisecond at most */

struct watch {
    struct daemon *daemon; /* borrowed: frees us */
    struct board board;
    /* NULL where nobody wants numbers: */
    struct tally *tally;       /* owned */
    struct endpoint *endpoint; /* owned */
    struct depth depth;
    uint64_t seconds;
};

bool watch_new(struct daemon *daemon, struct watch **ret, struct err *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    watch->daemon = daemon;
    board_init(&watch->board, service_watchdog_ms(), clock_mono_ms());
    const char *where = daemon->first->metrics;
    if (where != NULL && (!tally_new(daemon->config, &watch->tally, err) ||
                          !endpoint_start(where, &watch->board, watch->tally, &watch->endpoint, err))) {
        watch_free(watch);
        return false;
    }
    if (where != NULL)
        log_observe(tally_line, watch->tally);
    *ret = watch;
    return true;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    log_observe(NULL, NULL);
    endpoint_stop(watch->endpoint);
    tally_free(watch->tally);
    free(watch);
}

struct tally *watch_tally(struct watch *watch)
{
    return watch->tally;
}

void watch_on_timed(void *tally, const char *script, int64_t us)
{
    tally_time(tally, TIMING_REDIS, script, us);
}

void watch_reload(struct watch *watch)
{
    if (watch->tally != NULL)
        tally_reload(watch->tally, watch->daemon->config);
}

/* Half-open is as good as closed here: the next delivery is its probe. */
static bool is_any_lane_open(const struct dispatch *dispatch)
{
    struct dispatch_lane_status lane;
    for (size_t i = 0; i < dispatch_lane_count(dispatch); i++) {
        dispatch_lane_status(dispatch, i, &lane);
        if (strcmp(lane.breaker, "open") != 0)
            return true;
    }
    return false;
}

/* Why no event would be taken and sent; NULL: it would. */
static const char *lack(const struct daemon *daemon)
{
    if (daemon->is_draining)
        return "it is stopping";
    const char *wants = daemon_wants(daemon);
    return wants != NULL ? wants : !is_any_lane_open(daemon->dispatch) ? "every provider fails" : NULL;
}

static void write_lanes(const struct dispatch *dispatch, struct vitals *ret)
{
    ret->lane_count = dispatch_lane_count(dispatch);
    for (size_t i = 0; i < ret->lane_count; i++) {
        struct dispatch_lane_status lane;
        dispatch_lane_status(dispatch, i, &lane);
        ret->lanes[i] = (struct vitals_lane){.held = lane.held,
                                             .running = lane.running,
                                             .capacity = lane.capacity,
                                             .breaker = lane.breaker,
                                             .is_paused = lane.is_paused};
        snprintf(ret->lanes[i].name, sizeof ret->lanes[i].name, "%s", lane.name);
    }
}

static void write_numbers(struct watch *watch, struct vitals *ret)
{
    struct daemon *daemon = watch->daemon;
    watch->depth.commands = daemon->commands;
    watch->depth.ledger = daemon->ledger;
    if (!daemon->is_usable)
        depth_forget(&watch->depth);
    else if (watch->seconds % DEPTH_EVERY_S == 0 || !watch->depth.is_known)
        depth_ask(&watch->depth, daemon->config);
    ret->counters = daemon->counters;
    ret->pending = link_pending(daemon->commands);
    ret->settling = dispatch_settling(daemon->dispatch);
    write_lanes(daemon->dispatch, ret);
    depth_copy(&watch->depth, ret);
    tally_copy(watch->tally, &ret->numbers);
}

void watch_second(struct watch *watch)
{
    const struct daemon *daemon = watch->daemon;
    struct vitals *vitals = board_draft(&watch->board);
    vitals->said_mono_ms = clock_mono_ms();
    vitals->oldest_mono_ms = dispatch_oldest_progress_ms(daemon->dispatch);
    vitals->lack = lack(daemon);
    if (watch->tally != NULL)
        write_numbers(watch, vitals);
    bool is_alive = vitals_is_alive(vitals, clock_mono_ms());
    watch->seconds++;
    board_post(&watch->board);
    if (is_alive && service_watchdog_ms() > 0)
        service_alive();
}
