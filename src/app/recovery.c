/* recovery.c - the steps of recovery.h, one call under way at a time: each answer brings the next. A call
 * that fails for a passing reason is made again; a call of a former begin is not listened to. Loop thread. */
#include "recovery.h"

#include <stdlib.h>

#include "held.h"
#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/log.h"
#include "restatement.h"

#define RETRY_MS 200
/* A link comes back within two seconds of its Redis, and the steps take well under one. */
#define OTHERS_MS 3000

enum step {
    STEP_IDLE,
    STEP_EVENTS,
    STEP_HELD,
    STEP_LEASES,
    STEP_SENT,
    STEP_UNKNOWN,
    STEP_OWNED,
    STEP_OTHERS
};

struct recovery {
    struct recovery_options options;
    struct config *config; /* a reference while not idle, else NULL */
    enum recovery_kind kind;
    enum step step;
    unsigned generation; /* of begins: an answer to a call of an earlier one is nobody's */
    uv_timer_t timer;
    int64_t begun_mono_ms;
    const struct recalled_event *event; /* STEP_EVENTS: the next one */
    size_t bucket;                      /* STEP_HELD: the next one */
    size_t answer;                      /* STEP_SENT, STEP_UNKNOWN: the cursor */
    struct ledger_place owned;          /* STEP_OWNED: where to go on */
    struct recovery_counts counts;
    unsigned refusals; /* in a row */
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

struct call {
    struct recovery *recovery;
    unsigned generation;
    const struct recalled_event *event; /* where to go on once it is answered */
    size_t cursor;
    struct ledger_place place; /* the same among the leases */
    size_t count;
};

static void go_on(struct recovery *recovery);

static void on_timer(uv_timer_t *timer)
{
    go_on(timer->data);
}

static struct call *call_new(struct recovery *recovery)
{
    struct call *call = calloc(1, sizeof *call);
    if (call != NULL)
        *call = (struct call){.recovery = recovery, .generation = recovery->generation};
    return call;
}

static void try_again(struct recovery *recovery)
{
    uv_timer_start(&recovery->timer, on_timer, RETRY_MS, 0);
}

/* Frees the call. True: its step may move on to where the call says; else it is
 * made again, or is nobody's. */
static bool is_answered(struct call *call, const struct err *err, struct call *ret)
{
    struct recovery *recovery = call->recovery;
    *ret = *call;
    free(call);
    if (ret->generation != recovery->generation || recovery->step == STEP_IDLE)
        return false;
    /* What a script refuses for good it would refuse for ever. */
    if (err == NULL || err->kind != ERR_TRANSIENT) {
        recovery->refusals = 0;
        return true;
    }
    if (log_is_worth_repeating(++recovery->refusals))
        LOG(LOG_LEVEL_WARNING, "redis.refused",
            "what was under way can't be taken up, and nothing new before it",
            log_text(LOG_KEY_REASON, err->text), log_int(LOG_KEY_ATTEMPT, recovery->refusals));
    try_again(recovery);
    return false;
}

static void next_step(struct recovery *recovery)
{
    recovery->step++;
    go_on(recovery);
}

/* ── 1: events, and what is held ── */

static void on_restated(void *arg, const struct accept_result *results, size_t count, unsigned limiter_errors,
                        const struct err *err)
{
    struct call call;
    (void)limiter_errors;
    if (!is_answered(arg, err, &call))
        return;
    FAULT("recovery-restated");
    for (size_t i = 0; err == NULL && i < count; i++)
        call.recovery->counts.events += results[i].verdict == ACCEPT_NEW;
    if (err == NULL && call.recovery->step == STEP_EVENTS)
        recall_retold(call.recovery->options.recall, call.event, clock_mono_ms());
    call.recovery->event = call.event;
    call.recovery->bucket = call.cursor;
    go_on(call.recovery);
}

/* Sends what was put together; the call says where the step goes on after it. */
static void send_restated(struct recovery *recovery, struct restatement *restatement, struct call *call)
{
    struct err err;
    if (call == NULL || !restatement_send(restatement, recovery->options.ledger, on_restated, call, &err)) {
        free(call);
        try_again(recovery);
    }
    restatement_free(restatement);
}

static void tell_events(struct recovery *recovery)
{
    struct restatement *restatement = restatement_new(recovery->config);
    const struct recalled_event *event = recovery->event;
    while (event != NULL && restatement_has_room(restatement)) {
        restatement_add(restatement, event->eid, event->content, event->payload, event->payload_len);
        event = event->next;
    }
    if (restatement_is_empty(restatement)) {
        restatement_free(restatement);
        next_step(recovery);
        return;
    }
    struct call *call = call_new(recovery);
    if (call != NULL)
        call->event = event;
    send_restated(recovery, restatement, call);
}

static void tell_held(struct recovery *recovery)
{
    struct restatement *restatement = restatement_new(recovery->config);
    const struct held *held = dispatch_held(recovery->options.dispatch);
    size_t bucket = recovery->bucket;
    for (; bucket < HELD_BUCKETS && restatement_has_room(restatement); bucket++)
        for (struct delivery *delivery = held->buckets[bucket]; delivery != NULL;
             delivery = delivery->held_next)
            restatement_add(restatement, delivery->eid, delivery->content, delivery->payload,
                            delivery->payload_len);
    if (restatement_is_empty(restatement)) {
        restatement_free(restatement);
        next_step(recovery);
        return;
    }
    struct call *call = call_new(recovery);
    if (call != NULL)
        call->cursor = bucket;
    send_restated(recovery, restatement, call);
}

/* ── 3: answers ── */

static void on_told(void *arg, const int *answers, size_t count, const struct err *err)
{
    struct call call;
    (void)answers;
    (void)count;
    if (!is_answered(arg, err, &call))
        return;
    FAULT("recovery-answers-told");
    call.recovery->counts.answers += call.count;
    call.recovery->answer = call.cursor;
    go_on(call.recovery);
}

static size_t collect_answers(struct recovery *recovery, enum journal_answer wanted, size_t *cursor,
                              struct journal_note *notes, struct ledger_item *items)
{
    size_t count = 0;
    while (count < LEDGER_MAX_ITEMS && recall_next_answer(recovery->options.recall, cursor, &notes[count])) {
        struct journal_note *note = &notes[count];
        if (note->answer != wanted)
            continue;
        items[count++] = (struct ledger_item){.eid = note->eid,
                                              .ordinal = note->ordinal,
                                              .fence = note->fence,
                                              .attempts = note->attempts,
                                              .text = "noted before",
                                              .what = FAIL_UNKNOWN};
    }
    return count;
}

static void tell_answers(struct recovery *recovery, enum journal_answer wanted)
{
    struct journal_note notes[LEDGER_MAX_ITEMS];
    struct ledger_item items[LEDGER_MAX_ITEMS];
    struct ledger *ledger = recovery->options.ledger;
    size_t cursor = recovery->answer;
    size_t count = collect_answers(recovery, wanted, &cursor, notes, items);
    if (count == 0) {
        recovery->answer = 0;
        next_step(recovery);
        return;
    }
    struct call *call = call_new(recovery);
    struct err err;
    if (call != NULL) {
        call->cursor = cursor;
        call->count = count;
    }
    if (call == NULL || !(wanted == JOURNAL_SENT ? ledger_sent(ledger, items, count, on_told, call, &err)
                                                 : ledger_fail(ledger, items, count, on_told, call, &err))) {
        free(call);
        try_again(recovery);
    }
}

/* ── leases of ours that nobody knows of ── */

static void owned_go_on(struct recovery *recovery, const struct ledger_place *from)
{
    recovery->owned = *from;
    if (from->last[0] == '\0')
        next_step(recovery);
    else
        go_on(recovery);
}

static void on_released(void *arg, const int *answers, size_t count, const struct err *err)
{
    struct call call;
    if (!is_answered(arg, err, &call))
        return;
    for (size_t i = 0; err == NULL && i < count; i++)
        call.recovery->counts.released += answers[i] == 1;
    owned_go_on(call.recovery, &call.place);
}

static void release(struct recovery *recovery, const struct ledger_item *items, size_t count,
                    const struct ledger_place *next)
{
    struct call *call = call_new(recovery);
    struct err err;
    if (call != NULL)
        call->place = *next;
    if (call == NULL || !ledger_release(recovery->options.ledger, items, count, on_released, call, &err)) {
        free(call);
        try_again(recovery);
    }
}

static void on_owned(void *arg, const struct ledger_item *items, size_t count,
                     const struct ledger_place *next, const struct err *err)
{
    struct call call;
    struct ledger_item strays[LEDGER_MAX_ITEMS];
    size_t stray_count = 0;
    if (!is_answered(arg, err, &call))
        return;
    for (size_t i = 0; err == NULL && i < count; i++)
        if (!dispatch_holds(call.recovery->options.dispatch, items[i].eid, items[i].ordinal))
            strays[stray_count++] = items[i];
    if (stray_count > 0)
        release(call.recovery, strays, stray_count, next);
    else
        owned_go_on(call.recovery, next); /* empty after an error that trying again would not mend */
}

static void look_for_strays(struct recovery *recovery)
{
    struct call *call = call_new(recovery);
    struct err err;
    FAULT("recovery-strays");
    if (call == NULL || !ledger_owned(recovery->options.ledger, &recovery->owned, on_owned, call, &err)) {
        free(call);
        try_again(recovery);
    }
}

/* ── the order ── */

static void finish(struct recovery *recovery)
{
    recovery_stop(recovery);
    recovery->options.on_done(recovery->options.arg, &recovery->counts);
}

static void wait_for_others(struct recovery *recovery)
{
    int64_t left_ms =
        recovery->kind == RECOVERY_FORGOT ? recovery->begun_mono_ms + OTHERS_MS - clock_mono_ms() : 0;
    if (left_ms > 0)
        uv_timer_start(&recovery->timer, on_timer, (uint64_t)left_ms, 0);
    else
        finish(recovery);
}

static void go_on(struct recovery *recovery)
{
    switch (recovery->step) {
    case STEP_IDLE:
        break;
    case STEP_EVENTS:
        tell_events(recovery);
        break;
    case STEP_HELD:
        tell_held(recovery);
        break;
    case STEP_LEASES:
        /* Not awaited: answers come in the order of the calls. */
        dispatch_extend(recovery->options.dispatch);
        next_step(recovery);
        break;
    case STEP_SENT:
        tell_answers(recovery, JOURNAL_SENT);
        break;
    case STEP_UNKNOWN:
        tell_answers(recovery, JOURNAL_UNKNOWN);
        break;
    case STEP_OWNED:
        look_for_strays(recovery);
        break;
    case STEP_OTHERS:
        wait_for_others(recovery);
        break;
    }
}

void recovery_begin(struct recovery *recovery, enum recovery_kind kind, struct config *config)
{
    static const enum step first[] = {
        [RECOVERY_SAME] = STEP_OWNED, [RECOVERY_START] = STEP_SENT, [RECOVERY_FORGOT] = STEP_EVENTS};
    recovery_stop(recovery);
    recovery->config = config_ref(config);
    recovery->kind = kind;
    recovery->begun_mono_ms = clock_mono_ms();
    /* Answers to accepts that were under way still come in: none may move the ring under our cursor. */
    recall_hold(recovery->options.recall);
    recovery->event = recall_events(recovery->options.recall);
    recovery->bucket = recovery->answer = 0;
    recovery->owned = (struct ledger_place){.last = ""};
    recovery->counts = (struct recovery_counts){0};
    recovery->step = first[kind];
    go_on(recovery);
}

void recovery_stop(struct recovery *recovery)
{
    recovery->generation++;
    recovery->step = STEP_IDLE;
    config_unref(recovery->config);
    recovery->config = NULL;
    recall_let_go(recovery->options.recall);
    uv_timer_stop(&recovery->timer);
}

bool recovery_new(const struct recovery_options *options, struct recovery **ret, struct err *err)
{
    struct recovery *recovery = calloc(1, sizeof *recovery);
    if (recovery == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    recovery->options = *options;
    uv_timer_init(options->loop, &recovery->timer);
    recovery->timer.data = recovery;
    *ret = recovery;
    return true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct recovery *recovery = handle->data;
    void (*on_closed)(void *arg) = recovery->on_closed;
    void *arg = recovery->on_closed_arg;
    free(recovery);
    on_closed(arg);
}

void recovery_close(struct recovery *recovery, void (*on_closed)(void *arg), void *arg)
{
    recovery_stop(recovery);
    recovery->on_closed = on_closed;
    recovery->on_closed_arg = arg;
    uv_close((uv_handle_t *)&recovery->timer, on_timer_closed);
}
