/* One lane seen from the loop: how much it may hold, when to claim for it, and the
 * way into it. Loop thread. */
#include "station.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "delivery_log.h"
#include "dispatch_private.h"
#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/log.h"

/* of one lane under way: behind a flood of accepts an answer takes a while, and 64 are soon sent */
#define MAX_CLAIMS 4
#define CLAIM_BATCH 16 /* a lane without a limit claims when so many fit, not for each one that ends */

static void on_timer(uv_timer_t *timer)
{
    station_wake(timer->data);
}

static void wake_in(struct station *station, int64_t ms)
{
    if (!station->is_winding_down)
        uv_timer_start(&station->timer, on_timer, (uint64_t)(ms < 1 ? 1 : ms), 0);
}

struct station *station_new(struct dispatch *dispatch, struct config *config,
                            const struct config_provider *provider, struct err *err)
{
    struct station *station = calloc(1, sizeof *station);
    if (station == NULL) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    const struct lane_options options = {.config = config,
                                         .provider = provider,
                                         .mailbox = dispatch->mailbox,
                                         .gate = dispatch->options.gate,
                                         .note = dispatch->note_answer,
                                         .note_arg = dispatch};
    if (!lane_start(&options, &station->lane, err)) {
        err_wrap(err, "[provider %s]", provider->name);
        free(station);
        return NULL;
    }
    station->dispatch = dispatch;
    station->config = config_ref(config);
    station->provider = provider;
    station->may_be_due = true;
    uv_timer_init(dispatch->options.loop, &station->timer);
    station->timer.data = station;
    dispatch->open_handles++;
    return station;
}

void station_wind_down(struct station *station)
{
    station->is_winding_down = true;
    uv_timer_stop(&station->timer);
    lane_give_back(station->lane);
    lane_stop(station->lane);
}

bool station_is_wound_down(const struct station *station)
{
    return station->held == 0 && station->claims == 0 && lane_is_stopped(station->lane);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct station *station = handle->data;
    struct dispatch *dispatch = station->dispatch;
    config_unref(station->config);
    free(station);
    dispatch_handle_closed(dispatch);
}

void station_close(struct station *station)
{
    /* A thread that is still in a transfer can't be joined without blocking; the process is about to end, and
     * the lane with it. */
    if (lane_is_stopped(station->lane))
        lane_free(station->lane);
    uv_close((uv_handle_t *)&station->timer, on_timer_closed);
}

unsigned station_room(struct station *station)
{
    const struct dispatch *dispatch = station->dispatch;
    if (station->is_winding_down || station->is_paused || dispatch->is_draining || !dispatch->is_usable)
        return 0;
    size_t taken = station->held + station->reserved;
    size_t most =
        station->provider->rate.count > 0 ? lane_slots(station->lane) : lane_capacity(station->lane);
    if (taken >= most || station->held_bytes >= LANE_MAX_BYTES ||
        settle_pending(dispatch->settle) > LANE_MAX_QUEUE)
        return 0;
    uint32_t by_breaker = breaker_room(&station->breaker, clock_mono_ms());
    size_t room = most - taken;
    return (unsigned)(room < by_breaker ? room : by_breaker);
}

static void on_started(void *arg, const int *answers, size_t count, const struct err *err)
{
    struct delivery *delivery = arg;
    struct station *station = delivery->lane;
    (void)count;
    FAULT("start-answered");
    if (err == NULL && answers[0] == 1 && !station->is_paused) {
        delivery->is_started = true;
        lane_push(station->lane, delivery);
        return;
    }
    /* Paused, or another's by now, or nobody knows: either way it must not be sent by us under this lease. */
    delivery->attempt.abort = ABORT_STOPPED;
    judge_delivery(station->dispatch, delivery);
}

void station_push(struct station *station, struct delivery *delivery)
{
    delivery->lane = station;
    delivery->config = config_ref(station->config);
    /* The payload may name a provider that was renamed since. This name lives as long as the snapshot. */
    delivery->provider = station->provider->name;
    station->held++;
    station->held_bytes += delivery->bytes_len;
    if (station->breaker.state != BREAKER_CLOSED)
        breaker_on_probe(&station->breaker);
    if (station->is_winding_down || station->is_paused) {
        delivery->attempt.abort = ABORT_STOPPED;
        judge_delivery(station->dispatch, delivery);
        return;
    }
    FAULT("lane-not-pushed");
    if (station->provider->on_unknown != ON_UNKNOWN_HOLD && delivery->crashes == 0) {
        lane_push(station->lane, delivery);
        return;
    }
    const struct ledger_item item = {
        .eid = delivery->eid, .ordinal = delivery->ordinal, .fence = delivery->fence};
    struct err err;
    if (!ledger_start(station->dispatch->options.ledger, &item, 1, on_started, delivery, &err)) {
        delivery->attempt.abort = ABORT_STOPPED;
        judge_delivery(station->dispatch, delivery);
    }
}

static void log_notices(struct station *station, const struct claim_result *result)
{
    struct counters *counters = station->dispatch->options.counters;
    for (size_t i = 0; i < result->limited_count; i++) {
        const struct claim_notice *notice = &result->limited[i];
        counters->limited++;
        delivery_log_limited(station->provider, notice->eid, notice->ordinal, notice->meta, notice->text,
                             notice->slot_ms - result->now_ms);
    }
    for (size_t i = 0; i < result->dead_count; i++) {
        const struct claim_notice *notice = &result->dead[i];
        counters->dead++;
        delivery_log_buried(station->provider, notice->eid, notice->ordinal, notice->meta, notice->text);
    }
    counters->limiter_errors += result->limiter_errors;
}

struct claim {
    struct station *station;
    unsigned places;
    int64_t asked_mono_ms; /* its leases count from here */
};

static void on_claimed(void *arg, const struct claim_result *result, const struct err *err)
{
    struct claim *claim = arg;
    struct station *station = claim->station;
    struct dispatch *dispatch = station->dispatch;
    int64_t asked_mono_ms = claim->asked_mono_ms;
    FAULT("claim-answered");
    station->claims--;
    station->reserved -= claim->places;
    free(claim);
    if (err != NULL) {
        /* The tick tries again; a lease that was taken without our knowing comes back by its end. */
        station->may_be_due = true;
        return;
    }
    log_notices(station, result);
    struct delivery *delivery = result->claimed;
    while (delivery != NULL) {
        struct delivery *next = delivery->next;
        dispatch_hold(dispatch, delivery, asked_mono_ms);
        station_push(station, delivery);
        delivery = next;
    }
    if (result->wait_ms > 0)
        LOG(LOG_LEVEL_DEBUG, "lane.limited", "the provider's limit makes its lane wait",
            log_text(LOG_KEY_PROVIDER, station->provider->name), log_text(LOG_KEY_LIMIT, "provider"),
            log_int(LOG_KEY_REMAINING, 0), log_int(LOG_KEY_WAIT_MS, result->wait_ms));
    bool is_due_now = result->next_due_ms != 0 && result->next_due_ms <= result->now_ms;
    station->may_be_due = is_due_now && result->wait_ms == 0;
    if (result->wait_ms > 0 && result->next_due_ms != 0)
        wake_in(station, result->wait_ms);
    else if (result->next_due_ms != 0 && !is_due_now)
        wake_in(station, result->next_due_ms - result->now_ms);
    station_pump(station);
}

static size_t collect_rates(const struct config *config, struct accept_notification *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < config->notification_count; i++)
        if (config->notifications[i].rate.count > 0)
            ret[count++] =
                (struct accept_notification){config->notifications[i].name, config->notifications[i].rate};
    return count;
}

/* Asks for as many as fit, at most `room`. False if nothing was asked. */
static bool claim_some(struct station *station, unsigned room)
{
    struct accept_notification notifications[CONFIG_MAX_SECTIONS];
    const struct claim_call call = {
        .lane = station->provider->name,
        .max = room < LEDGER_MAX_CLAIM ? room : LEDGER_MAX_CLAIM,
        .max_bytes = LEDGER_MAX_CLAIM_BYTES,
        .max_age_ms = station->provider->max_age_ms,
        .hold = station->provider->on_unknown == ON_UNKNOWN_HOLD,
        .provider = station->provider->rate,
        .recipient = station->config->recipient_rate[station->provider->channel],
        .notifications = notifications,
        .notification_count = collect_rates(station->config, notifications),
    };
    struct err err;
    FAULT("claim-not-sent");
    struct claim *claim = malloc(sizeof *claim);
    if (claim == NULL)
        return false;
    *claim = (struct claim){.station = station, .places = call.max, .asked_mono_ms = clock_mono_ms()};
    if (!ledger_claim(station->dispatch->options.ledger, &call, on_claimed, claim, &err)) {
        free(claim);
        return false;
    }
    station->claims++;
    station->reserved += claim->places;
    FAULT("claim-sent");
    return true;
}

void station_pump(struct station *station)
{
    bool is_limited = station->provider->rate.count > 0;
    size_t slots = lane_slots(station->lane);
    size_t batch = slots < CLAIM_BATCH ? slots : CLAIM_BATCH;
    /* Behind a limit one claim at a time: what it says about the wait is about all of them. And a probe goes
     * alone. */
    bool is_single = is_limited || station->breaker.state != BREAKER_CLOSED;
    while (station->may_be_due && station->claims < (is_single ? 1 : MAX_CLAIMS)) {
        unsigned room = station_room(station);
        if (room == 0 && station->breaker.state == BREAKER_OPEN)
            wake_in(station, station->breaker.until_mono_ms - clock_mono_ms());
        bool is_idle = station->held + station->reserved == 0;
        if (room == 0 || (!is_limited && !is_idle && room < batch) || !claim_some(station, room))
            return;
    }
}

void station_pause(struct station *station, bool is_paused)
{
    bool was_paused = station->is_paused;
    station->is_paused = is_paused;
    if (is_paused)
        lane_give_back(station->lane);
    else if (was_paused)
        station_wake(station);
}

void station_wake(struct station *station)
{
    station->may_be_due = true;
    station_pump(station);
}
