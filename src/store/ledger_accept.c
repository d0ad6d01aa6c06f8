/* accept: a batch of events into one call of accept.lua, and its answer back into results. Loop thread. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/ledger.h"
#include "ledger_call.h"

static void read_answer(const char *text, size_t len, enum accept_verdict verdict, struct accept_answer *ret)
{
    ret->fate = FATE_OTHER;
    if (verdict == ACCEPT_DUPLICATE) {
        if (!ledger_read_record(text, len, &ret->record))
            ret->record.state = 0;
        return;
    }
    char copy[96];
    snprintf(copy, sizeof copy, "%.*s", (int)(len < sizeof copy ? len : sizeof copy - 1), text);
    if (copy[0] == 'L') {
        ret->fate = FATE_LEASED;
    } else if (copy[0] == 'A') {
        ret->fate = FATE_WAITS;
    } else if (copy[0] == 'W') {
        ret->fate = FATE_LIMITED;
        char *end;
        ret->slot_ms = strtoll(copy + 1, &end, 10);
        snprintf(ret->scope, sizeof ret->scope, "%.15s", *end == ' ' ? end + 1 : "");
    } else if (copy[0] == 'X') {
        ret->fate = FATE_DEAD;
        snprintf(ret->reason, sizeof ret->reason, "%.39s", len > 2 ? copy + 2 : "");
    }
}

static void read_result(const redisReply *one, struct accept_result *ret)
{
    const char *verdict = reply_text(reply_at(one, 0), NULL);
    ret->verdict = ACCEPT_DAMAGED;
    if (verdict == NULL)
        return;
    switch (verdict[0]) {
    case 'N':
        ret->verdict = ACCEPT_NEW;
        break;
    case 'D':
        ret->verdict = ACCEPT_DUPLICATE;
        break;
    case 'C':
        ret->verdict = ACCEPT_CONFLICT;
        return;
    default:
        return;
    }
    ret->accepted_ms = reply_number(reply_at(one, 1));
    for (size_t i = 2; i < reply_count(one) && ret->target_count < DELIVERY_MAX_PER_EVENT; i++) {
        size_t len = 0;
        const char *text = reply_text(reply_at(one, i), &len);
        read_answer(text != NULL ? text : "", len, ret->verdict, &ret->targets[ret->target_count++]);
    }
}

static void on_reply(struct ledger_call *call, const redisReply *reply, const struct err *err)
{
    if (err != NULL) {
        call->callback.on_accepted(call->arg, NULL, 0, 0, err);
        return;
    }
    struct accept_result *results = calloc(call->count, sizeof *results);
    if (results == NULL || reply_count(reply) != call->count + 2) {
        struct err why;
        err_set(&why, ERR_TRANSIENT, "accept: %s",
                results == NULL ? "out of memory" : "an answer of the wrong shape");
        call->callback.on_accepted(call->arg, NULL, 0, 0, &why);
    } else {
        for (size_t i = 0; i < call->count; i++)
            read_result(reply_at(reply, i + 2), &results[i]);
        call->callback.on_accepted(call->arg, results, call->count,
                                   (unsigned)reply_number(reply_at(reply, 1)), NULL);
    }
    free(results);
}

static void write_event(struct ledger_call *call, const struct accept_event *event)
{
    ledger_call_text(call, event->eid);
    ledger_call_text(call, event->content);
    ledger_call_bytes(call, event->payload, event->payload_len);
    ledger_call_number(call, (int64_t)event->notification + 1);
    ledger_call_number(call, event->send_at_ms);
    ledger_call_number(call, event->expires_at_ms);
    ledger_call_text(call, event->note);
    ledger_call_number(call, (int64_t)event->target_count);
    for (size_t i = 0; i < event->target_count; i++) {
        const struct accept_target *target = &event->targets[i];
        ledger_call_number(call, (int64_t)target->lane + 1);
        ledger_call_text(call, target->scope);
        ledger_call_number(call, target->max_age_ms);
        ledger_call_number(call, target->hold ? 1 : 0);
        ledger_call_text(call, target->dead_reason);
    }
}

bool ledger_accept(struct ledger *ledger, const struct accept_call *accept, ledger_accept_fn *on_accepted,
                   void *arg, struct err *err)
{
    assert(accept->event_count > 0);
    struct ledger_call *call = ledger_call_new(ledger, SCRIPT_ACCEPT, on_reply, arg);
    if (call == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    call->callback.on_accepted = on_accepted;
    call->count = accept->event_count;
    ledger_call_text(call, ledger->options.instance);
    ledger_call_text(call, ledger->options.incarnation);
    ledger_call_number(call, ledger->options.lease_ms);
    ledger_call_number(call, ledger->options.retain_ms);
    ledger_call_text(call, ledger->options.is_limiter_closed ? "closed" : "open");
    ledger_call_number(call, (int64_t)accept->lane_count);
    for (size_t i = 0; i < accept->lane_count; i++) {
        ledger_call_text(call, accept->lanes[i].name);
        ledger_call_number(call, accept->lanes[i].capacity);
        ledger_call_rate(call, &accept->lanes[i].provider);
        ledger_call_rate(call, &accept->lanes[i].recipient);
    }
    ledger_call_number(call, (int64_t)accept->notification_count);
    for (size_t i = 0; i < accept->notification_count; i++) {
        ledger_call_text(call, accept->notifications[i].name);
        ledger_call_rate(call, &accept->notifications[i].rate);
    }
    ledger_call_number(call, (int64_t)accept->event_count);
    for (size_t i = 0; i < accept->event_count; i++)
        write_event(call, &accept->events[i]);
    return ledger_call_send(call, err);
}
