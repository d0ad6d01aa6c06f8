/* Batches of outcomes on their way into the ledger. See settle.h. */
#include "settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/fault.h"
#include "herald/log.h"

/* under way at once: enough to keep the pipeline full, and the next batch grows meanwhile */
#define MAX_CALLS 16

struct settle_list {
    struct delivery *first, **last;
    size_t count;
};

struct settle {
    struct ledger *ledger;     /* borrowed */
    struct counters *counters; /* borrowed */
    settle_fn *on_settled;
    void (*on_more)(void *arg);
    void *arg;
    struct settle_list waiting[SETTLE_KINDS];
    struct settle_list
        refused; /* SETTLE_SENT, until settle_insist; station.c claims nothing when they are many */
    size_t calls;
    size_t pending; /* waiting and under way */
};

struct settle_call {
    struct settle *settle;
    enum settle_kind kind;
    size_t count;
    struct delivery *deliveries[LEDGER_MAX_ITEMS]; /* owned */
};

static void list_init(struct settle_list *list)
{
    list->first = NULL;
    list->last = &list->first;
    list->count = 0;
}

static void append(struct settle_list *list, struct delivery *delivery)
{
    delivery->next = NULL;
    *list->last = delivery;
    list->last = &delivery->next;
    list->count++;
}

struct settle *settle_new(struct ledger *ledger, struct counters *counters, settle_fn *on_settled,
                          void (*on_more)(void *arg), void *arg)
{
    struct settle *settle = calloc(1, sizeof *settle);
    if (settle == NULL)
        return NULL;
    settle->ledger = ledger;
    settle->counters = counters;
    settle->on_settled = on_settled;
    settle->on_more = on_more;
    settle->arg = arg;
    for (size_t i = 0; i < SETTLE_KINDS; i++)
        list_init(&settle->waiting[i]);
    list_init(&settle->refused);
    return settle;
}

void settle_free(struct settle *settle)
{
    if (settle == NULL)
        return;
    settle_insist(settle);
    for (size_t i = 0; i < SETTLE_KINDS; i++) {
        struct delivery *delivery = settle->waiting[i].first;
        while (delivery != NULL) {
            struct delivery *next = delivery->next;
            settle->on_settled(settle->arg, delivery);
            delivery = next;
        }
    }
    free(settle);
}

void settle_add(struct settle *settle, enum settle_kind kind, struct delivery *delivery, int what,
                unsigned attempts, int64_t delay_ms)
{
    delivery->settlement.what = what;
    delivery->settlement.attempts = attempts;
    delivery->settlement.delay_ms = delay_ms;
    delivery->settlement.is_alone = false;
    append(&settle->waiting[kind], delivery);
    settle->pending++;
}

size_t settle_pending(const struct settle *settle)
{
    return settle->pending;
}

static void count_answer(struct counters *counters, enum settle_kind kind, int answer)
{
    if (kind == SETTLE_SENT && answer != 1)
        counters->repeated++;
}

/* A call that Redis refused for good. */
static void on_refused(struct settle *settle, struct settle_call *call, const struct err *err)
{
    if (call->count > 1) {
        for (size_t i = 0; i < call->count; i++) {
            call->deliveries[i]->settlement.is_alone = true;
            append(&settle->waiting[call->kind], call->deliveries[i]);
        }
        return;
    }
    struct delivery *delivery = call->deliveries[0];
    LOG(LOG_LEVEL_ERROR, "redis.refused", "an outcome can't be written: see heraldctl fsck",
        log_text(LOG_KEY_EVENT_ID, delivery->eid), log_text(LOG_KEY_REASON, err->text));
    if (call->kind == SETTLE_SENT) {
        append(&settle->refused, delivery);
        return;
    }
    settle->pending--;
    settle->on_settled(settle->arg, delivery);
}

static void on_answered(void *arg, const int *answers, size_t count, const struct err *err)
{
    struct settle_call *call = arg;
    struct settle *settle = call->settle;
    settle->calls--;
    FAULT("outcome-answered");
    if (err != NULL && err->kind != ERR_TRANSIENT) {
        on_refused(settle, call, err);
    } else {
        for (size_t i = 0; i < count; i++) {
            struct delivery *delivery = call->deliveries[i];
            if (err != NULL) {
                append(&settle->waiting[call->kind], delivery);
                continue;
            }
            count_answer(settle->counters, call->kind, answers[i]);
            settle->pending--;
            settle->on_settled(settle->arg, delivery);
        }
    }
    free(call);
    if ((err == NULL || err->kind != ERR_TRANSIENT) && settle->pending > settle->refused.count)
        settle->on_more(settle->arg);
}

void settle_insist(struct settle *settle)
{
    struct delivery *delivery = settle->refused.first;
    list_init(&settle->refused);
    while (delivery != NULL) {
        struct delivery *next = delivery->next;
        append(&settle->waiting[SETTLE_SENT], delivery);
        delivery = next;
    }
}

/* What `explain` will show: the class's reason and the provider's own words. */
static const char *reason_text(const struct delivery *delivery, char *ret, size_t room)
{
    const char *reason = delivery->outcome.reason != NULL ? delivery->outcome.reason : "";
    snprintf(ret, room, "%s%s%s", reason, delivery->attempt.reply[0] != '\0' ? ": " : "",
             delivery->attempt.reply);
    return ret;
}

static bool send_call(struct settle_call *call, struct err *err)
{
    char texts[LEDGER_MAX_ITEMS][ATTEMPT_REPLY_BYTES + 64];
    struct ledger_item items[LEDGER_MAX_ITEMS];
    for (size_t i = 0; i < call->count; i++) {
        const struct delivery *delivery = call->deliveries[i];
        items[i] = (struct ledger_item){
            .eid = delivery->eid,
            .ordinal = delivery->ordinal,
            .fence = delivery->fence,
            .attempts = delivery->settlement.attempts,
            .text = call->kind == SETTLE_SENT ? delivery->attempt.reply
                                              : reason_text(delivery, texts[i], sizeof texts[i]),
            .what = (enum ledger_fail)delivery->settlement.what,
            .delay_ms = delivery->settlement.delay_ms,
        };
    }
    struct ledger *ledger = call->settle->ledger;
    switch (call->kind) {
    case SETTLE_SENT:
        FAULT("sent-not-told");
        return ledger_sent(ledger, items, call->count, on_answered, call, err);
    case SETTLE_FAIL:
        FAULT("fail-not-told");
        return ledger_fail(ledger, items, call->count, on_answered, call, err);
    default:
        FAULT("release-not-told");
        return ledger_release(ledger, items, call->count, on_answered, call, err);
    }
}

/* Sends one call of the kind; false when there is nothing to send or it can't be sent. */
static bool flush_some(struct settle *settle, enum settle_kind kind)
{
    struct settle_list *list = &settle->waiting[kind];
    if (list->first == NULL)
        return false;
    struct settle_call *call = malloc(sizeof *call);
    if (call == NULL)
        return false;
    call->settle = settle;
    call->kind = kind;
    call->count = 0;
    while (list->first != NULL && call->count < LEDGER_MAX_ITEMS) {
        struct delivery *delivery = list->first;
        bool is_alone = delivery->settlement.is_alone;
        if (is_alone && call->count > 0)
            break;
        list->first = delivery->next;
        list->count--;
        call->deliveries[call->count++] = delivery;
        if (is_alone)
            break;
    }
    if (list->first == NULL)
        list->last = &list->first;
    settle->calls++;
    struct err err;
    if (send_call(call, &err)) {
        FAULT("outcome-told");
        return true;
    }
    settle->calls--;
    for (size_t i = 0; i < call->count; i++)
        append(list, call->deliveries[i]);
    free(call);
    return false;
}

void settle_flush(struct settle *settle)
{
    for (int kind = 0; kind < SETTLE_KINDS; kind++)
        while (settle->calls < MAX_CALLS && flush_some(settle, (enum settle_kind)kind))
            ;
}
