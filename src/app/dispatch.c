/* The stations, the list of what is held, and the two clocks that keep them going: the tick and the renewal.
 * Loop thread. */
#include "dispatch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch_private.h"
#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/hash.h"
#include "herald/log.h"

/* Between two looks into the mailbox. What a crash in between may send twice stays a
 * few milliseconds' worth. */
#define COLLECT_GAP_MS 2
#define WIND_DOWN_POLL_MS 10 /* threads end by themselves; joining one that has not would block the loop */

uint32_t dispatch_random(void)
{
    uint32_t random;
    hash_random(&random, sizeof random);
    return random;
}

/* ── what is held ── */

void dispatch_hold(struct dispatch *dispatch, struct delivery *delivery, int64_t asked_mono_ms)
{
    delivery->epoch = atomic_load(&dispatch->options.gate->epoch);
    delivery->leased_mono_ms = asked_mono_ms;
    atomic_store(&delivery->lease_until_ms, asked_mono_ms + dispatch->options.lease_ms);
    held_add(&dispatch->held, delivery);
}

void dispatch_forget(struct dispatch *dispatch, struct delivery *delivery)
{
    held_remove(&dispatch->held, delivery);
    config_unref(delivery->config);
    delivery_free(delivery);
}

bool dispatch_holds(const struct dispatch *dispatch, const char *eid, unsigned ordinal)
{
    return held_find(&dispatch->held, eid, ordinal) != NULL;
}

const struct held *dispatch_held(const struct dispatch *dispatch)
{
    return &dispatch->held;
}

/* ── renewal ── */

struct extend_call {
    struct dispatch *dispatch;
    int64_t asked_mono_ms;
    size_t count;
    struct extend_item {
        char eid[EVENT_EID_CHARS + 1];
        unsigned ordinal;
        uint64_t fence;
    } items[LEDGER_MAX_ITEMS];
};

static void on_extended(void *arg, const int *answers, size_t count, const struct err *err)
{
    struct extend_call *call = arg;
    FAULT("extend-answered");
    for (size_t i = 0; err == NULL && i < count; i++) {
        /* It may have ended while the call was under way. */
        struct delivery *delivery =
            held_find(&call->dispatch->held, call->items[i].eid, call->items[i].ordinal);
        if (delivery == NULL || delivery->fence != call->items[i].fence)
            continue;
        int64_t until = answers[i] == 1 ? call->asked_mono_ms + call->dispatch->options.lease_ms : 0;
        atomic_store(&delivery->lease_until_ms, until);
    }
    free(call);
}

static void send_extend(struct extend_call *call)
{
    struct ledger_item items[LEDGER_MAX_ITEMS];
    struct err err;
    FAULT("extend-not-sent");
    for (size_t i = 0; i < call->count; i++)
        items[i] = (struct ledger_item){
            .eid = call->items[i].eid, .ordinal = call->items[i].ordinal, .fence = call->items[i].fence};
    if (call->count == 0 ||
        !ledger_extend(call->dispatch->options.ledger, items, call->count, on_extended, call, &err))
        free(call);
}

void dispatch_extend(struct dispatch *dispatch)
{
    const struct held *held = &dispatch->held;
    struct delivery *delivery = held_first(held);
    while (delivery != NULL) {
        struct extend_call *call = malloc(sizeof *call);
        if (call == NULL)
            return; /* the next renewal comes well before the leases end */
        call->dispatch = dispatch;
        call->asked_mono_ms = clock_mono_ms();
        call->count = 0;
        for (; delivery != NULL && call->count < LEDGER_MAX_ITEMS; delivery = held_next(held, delivery)) {
            struct extend_item *item = &call->items[call->count++];
            memcpy(item->eid, delivery->eid, sizeof item->eid);
            item->ordinal = delivery->ordinal;
            item->fence = delivery->fence;
        }
        send_extend(call);
    }
}

/* ── the way back ── */

static void on_settled(void *arg, struct delivery *delivery)
{
    struct dispatch *dispatch = arg;
    if (delivery->journal_token != 0)
        journal_confirm(dispatch->options.journal, delivery->journal_token);
    dispatch_forget(dispatch, delivery);
}

/* Called on a lane's thread, before the delivery is handed back: what a provider answered is on disk before
 * anything else is done with it. */
static void note_answer(void *arg, struct delivery *delivery)
{
    struct dispatch *dispatch = arg;
    struct journal_note note;
    if (dispatch->options.journal != NULL && judge_note(delivery, &note))
        delivery->journal_token = journal_append(dispatch->options.journal, &note);
}

/* Takes in what the lanes handed back, tells the ledger, and claims for the places that became free. */
static void collect(struct dispatch *dispatch)
{
    struct delivery *delivery = mailbox_take(dispatch->mailbox);
    dispatch->collected_mono_ms = clock_mono_ms();
    if (delivery != NULL)
        FAULT("mailbox-taken");
    while (delivery != NULL) {
        struct delivery *next = delivery->next;
        judge_delivery(dispatch, delivery);
        delivery = next;
    }
    if (dispatch->is_closing)
        return; /* the link is gone: the leases' end settles what is left */
    if (!dispatch->is_usable)
        return; /* a Redis that has forgotten our leases would take no outcome, and we then hold nothing to
                   tell it again */
    settle_flush(dispatch->settle);
    for (size_t i = 0; i < dispatch->station_count; i++)
        station_pump(dispatch->stations[i]);
}

static void on_collector(uv_timer_t *timer)
{
    collect(timer->data);
}

/* A lone outcome is taken at once. Under load they are taken together: a turn of the loop and a call cost
 * more than what they carry, and while something lies in the mailbox no lane has to wake us. */
static void collect_soon(void *arg)
{
    struct dispatch *dispatch = arg;
    int64_t since_ms = clock_mono_ms() - dispatch->collected_mono_ms;
    if (dispatch->is_closing || uv_is_active((uv_handle_t *)&dispatch->collector))
        return;
    if (since_ms >= COLLECT_GAP_MS)
        collect(dispatch);
    else
        uv_timer_start(&dispatch->collector, on_collector, (uint64_t)(COLLECT_GAP_MS - since_ms), 0);
}

static void on_mail(uv_async_t *mail)
{
    collect_soon(mail->data);
}

/* Called on a lane's thread. */
static void wake_loop(void *arg)
{
    struct dispatch *dispatch = arg;
    if (atomic_load(&dispatch->is_mail_open))
        uv_async_send(&dispatch->mail);
}

/* ── stations come and go ── */

void dispatch_handle_closed(struct dispatch *dispatch)
{
    if (--dispatch->open_handles == 0)
        dispatch->on_closed(dispatch->on_closed_arg);
}

static void on_handle_closed(uv_handle_t *handle)
{
    dispatch_handle_closed(handle->data);
}

static void close_handles(struct dispatch *dispatch)
{
    atomic_store(&dispatch->is_mail_open, false);
    uv_close((uv_handle_t *)&dispatch->mail, on_handle_closed);
    uv_close((uv_handle_t *)&dispatch->collector, on_handle_closed);
    uv_close((uv_handle_t *)&dispatch->winder, on_handle_closed);
}

static void on_winder(uv_timer_t *timer)
{
    struct dispatch *dispatch = timer->data;
    bool is_late = dispatch->is_closing && clock_mono_ms() >= dispatch->close_by_mono_ms;
    collect(dispatch);
    for (struct station **link = &dispatch->winding; *link != NULL;) {
        struct station *station = *link;
        bool is_done = station_is_wound_down(station);
        if (!is_done && !is_late) {
            link = &station->next;
            continue;
        }
        if (!is_done)
            dispatch->abandoned++;
        *link = station->next;
        station_close(station);
    }
    if (dispatch->winding == NULL) {
        uv_timer_stop(&dispatch->winder);
        if (dispatch->is_closing)
            close_handles(dispatch);
    }
}

static void wind_down_all(struct dispatch *dispatch, struct station **stations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        stations[i]->next = dispatch->winding;
        dispatch->winding = stations[i];
        station_wind_down(stations[i]);
    }
    free(stations);
    uv_timer_start(&dispatch->winder, on_winder, WIND_DOWN_POLL_MS, WIND_DOWN_POLL_MS);
}

static bool start_stations(struct dispatch *dispatch, struct config *config, struct station ***ret,
                           struct err *err)
{
    struct station **stations = calloc(config->provider_count, sizeof *stations);
    if (stations == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < config->provider_count; i++) {
        stations[i] = station_new(dispatch, config, &config->providers[i], err);
        if (stations[i] == NULL) {
            wind_down_all(dispatch, stations, i);
            return false;
        }
    }
    *ret = stations;
    return true;
}

bool dispatch_new(const struct dispatch_options *options, struct dispatch **ret, struct err *err)
{
    struct dispatch *dispatch = calloc(1, sizeof *dispatch);
    if (dispatch == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    dispatch->options = *options;
    dispatch->note_answer = note_answer;
    dispatch->settle = settle_new(options->ledger, options->counters, on_settled, collect_soon, dispatch);
    if (dispatch->settle == NULL || !mailbox_new(wake_loop, dispatch, &dispatch->mailbox, err)) {
        settle_free(dispatch->settle);
        free(dispatch);
        return err_set(err, ERR_NOMEM, "out of memory");
    }
    uv_async_init(options->loop, &dispatch->mail, on_mail);
    uv_timer_init(options->loop, &dispatch->collector);
    uv_timer_init(options->loop, &dispatch->winder);
    dispatch->mail.data = dispatch->collector.data = dispatch->winder.data = dispatch;
    dispatch->open_handles = 3;
    atomic_store(&dispatch->is_mail_open, true);
    if (!start_stations(dispatch, options->config, &dispatch->stations, err)) {
        /* A provider that can't start at start-up ends the process; main says why. The stations that did
         * start wind down with it. */
        return false;
    }
    dispatch->station_count = options->config->provider_count;
    dispatch->config = config_ref(options->config);
    *ret = dispatch;
    return true;
}

bool dispatch_free(struct dispatch *dispatch)
{
    if (dispatch == NULL)
        return true;
    if (dispatch->abandoned > 0)
        return false;
    settle_free(dispatch->settle);
    while (dispatch->held.count > 0)
        dispatch_forget(dispatch, held_first(&dispatch->held));
    mailbox_free(dispatch->mailbox);
    config_unref(dispatch->config);
    free(dispatch);
    return true;
}

/* What the breaker knows of a provider survives a reload, where the provider does; and its pause. */
static void inherit(struct dispatch *dispatch, struct station **stations, const struct config *config)
{
    for (size_t i = 0; i < config->provider_count; i++)
        for (size_t j = 0; j < dispatch->station_count; j++)
            if (strcmp(config->providers[i].name, dispatch->stations[j]->provider->name) == 0) {
                stations[i]->breaker = dispatch->stations[j]->breaker;
                memcpy(stations[i]->trouble, dispatch->stations[j]->trouble, sizeof stations[i]->trouble);
                stations[i]->is_paused = dispatch->stations[j]->is_paused;
            }
}

bool dispatch_reload(struct dispatch *dispatch, struct config *config, struct err *err)
{
    struct station **stations;
    if (!start_stations(dispatch, config, &stations, err))
        return false;
    inherit(dispatch, stations, config);
    wind_down_all(dispatch, dispatch->stations, dispatch->station_count);
    dispatch->stations = stations;
    dispatch->station_count = config->provider_count;
    config_unref(dispatch->config);
    dispatch->config = config_ref(config);
    return true;
}

/* ── what intake and upkeep ask for ── */

void dispatch_on_redis(struct dispatch *dispatch, bool is_usable)
{
    dispatch->is_usable = is_usable;
    if (is_usable) {
        dispatch_extend(dispatch);
        dispatch_tick(dispatch);
        return;
    }
    /* What has not begun would only be stopped at the commit point. */
    for (size_t i = 0; i < dispatch->station_count; i++)
        lane_give_back(dispatch->stations[i]->lane);
}

unsigned dispatch_reserve(struct dispatch *dispatch, size_t index, unsigned want)
{
    struct station *station = dispatch->stations[index];
    unsigned room = station->breaker.state == BREAKER_CLOSED ? station_room(station) : 0;
    if (room > want)
        room = want;
    station->reserved += room;
    return room;
}

void dispatch_unreserve(struct dispatch *dispatch, size_t index, unsigned count)
{
    assert(dispatch->stations[index]->reserved >= count);
    dispatch->stations[index]->reserved -= count;
}

void dispatch_take(struct dispatch *dispatch, size_t index, struct delivery *delivery, int64_t asked_mono_ms)
{
    dispatch_hold(dispatch, delivery, asked_mono_ms);
    station_push(dispatch->stations[index], delivery);
}

void dispatch_wake(struct dispatch *dispatch, size_t index)
{
    station_wake(dispatch->stations[index]);
}

void dispatch_pause(struct dispatch *dispatch, const char *lane, bool is_paused)
{
    for (size_t i = 0; i < dispatch->station_count; i++)
        if (strcmp(dispatch->stations[i]->provider->name, lane) == 0)
            station_pause(dispatch->stations[i], is_paused);
}

void dispatch_tick(struct dispatch *dispatch)
{
    settle_insist(dispatch->settle);
    settle_flush(dispatch->settle);
    for (size_t i = 0; i < dispatch->station_count; i++)
        station_wake(dispatch->stations[i]);
}

void dispatch_drain(struct dispatch *dispatch)
{
    dispatch->is_draining = true;
    for (size_t i = 0; i < dispatch->station_count; i++)
        lane_give_back(dispatch->stations[i]->lane);
}

bool dispatch_is_empty(const struct dispatch *dispatch)
{
    return dispatch->held.count == 0;
}

void dispatch_close(struct dispatch *dispatch, int64_t wait_ms, void (*on_closed)(void *arg), void *arg)
{
    dispatch->is_closing = true;
    dispatch->is_draining = true;
    dispatch->on_closed = on_closed;
    dispatch->on_closed_arg = arg;
    dispatch->close_by_mono_ms = clock_mono_ms() + wait_ms;
    wind_down_all(dispatch, dispatch->stations, dispatch->station_count);
    dispatch->stations = NULL;
    dispatch->station_count = 0;
}

size_t dispatch_lane_count(const struct dispatch *dispatch)
{
    return dispatch->station_count;
}

void dispatch_lane_status(const struct dispatch *dispatch, size_t index, struct dispatch_lane_status *ret)
{
    static const char *const states[] = {
        [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_HALF_OPEN] = "half-open"};
    const struct station *station = dispatch->stations[index];
    *ret = (struct dispatch_lane_status){
        .name = station->provider->name,
        .held = station->held,
        .running = lane_running(station->lane),
        .capacity = lane_capacity(station->lane),
        .breaker = states[station->breaker.state],
        .trouble = station->breaker.state != BREAKER_CLOSED ? station->trouble : "",
        .is_paused = station->is_paused,
    };
    pace_read(&station->pace, clock_mono_ms(), &ret->pace);
}

size_t dispatch_settling(const struct dispatch *dispatch)
{
    return settle_pending(dispatch->settle);
}

int64_t dispatch_oldest_progress_ms(const struct dispatch *dispatch)
{
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < dispatch->station_count; i++) {
        int64_t progress = lane_oldest_progress_ms(dispatch->stations[i]->lane);
        if (progress < oldest)
            oldest = progress;
    }
    return oldest;
}
