/* claim: from what waits in Redis to deliveries in memory. Loop thread. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/ledger.h"
#include "ledger_call.h"

static void on_buried(void *arg, const int *answers, size_t count, const struct err *err)
{
    (void)arg, (void)answers, (void)count,
        (void)err; /* refused or lost: the lease ends, and the next claim tries again */
}

/* Leased with a payload that nobody can read: dead at once, else each lease would spend a token on it until
 * its age ends it. */
static void bury(struct ledger *ledger, const struct ledger_item *items, size_t count)
{
    struct err ignored = {0};
    if (count > 0 && !ledger_fail(ledger, items, count, on_buried, NULL, &ignored))
        return; /* as on_buried */
}

/* claimed: eight elements each, in claim.lua's order. Those that can't be read go into dead, behind
 * ret->dead_count others. */
static void read_claimed(struct ledger *ledger, const redisReply *list, struct claim_notice *dead,
                         struct claim_result *ret)
{
    struct delivery **last = &ret->claimed;
    struct ledger_item items[LEDGER_MAX_CLAIM];
    size_t item_count = 0;
    for (size_t at = 0; at + 8 <= reply_count(list); at += 8) {
        size_t payload_len = 0;
        const char *eid = reply_text(reply_at(list, at), NULL);
        const char *payload = reply_text(reply_at(list, at + 7), &payload_len);
        unsigned ordinal = (unsigned)reply_number(reply_at(list, at + 1));
        struct delivery *delivery = NULL;
        struct err err = {.kind = ERR_INPUT};
        if (eid == NULL || payload == NULL) {
            ret->damaged++;
            continue;
        }
        if (!delivery_from_payload(payload, payload_len, eid, ordinal, &delivery, &err)) {
            if (err.kind != ERR_INPUT || ret->dead_count == LEDGER_MAX_CLAIM) {
                ret->damaged++;
                continue;
            }
            struct claim_notice *notice = &dead[ret->dead_count++];
            *notice = (struct claim_notice){.ordinal = ordinal, .text = "payload is damaged", .meta = ""};
            snprintf(notice->eid, sizeof notice->eid, "%s", eid);
            items[item_count++] =
                (struct ledger_item){.eid = notice->eid,
                                     .ordinal = ordinal,
                                     .fence = (uint64_t)reply_number(reply_at(list, at + 2)),
                                     .attempts = (unsigned)reply_number(reply_at(list, at + 3)),
                                     .text = notice->text,
                                     .what = FAIL_DEAD};
            continue;
        }
        delivery->fence = (uint64_t)reply_number(reply_at(list, at + 2));
        delivery->attempt_number = (unsigned)reply_number(reply_at(list, at + 3)) + 1;
        delivery->crashes = (unsigned)reply_number(reply_at(list, at + 4));
        delivery->accepted_ms = reply_number(reply_at(list, at + 5));
        const char *content = reply_text(reply_at(list, at + 6), NULL);
        snprintf(delivery->content, sizeof delivery->content, "%s", content != NULL ? content : "");
        *last = delivery;
        last = &delivery->next;
        ret->claimed_count++;
    }
    bury(ledger, items, item_count);
}

/* limited: eid ordinal slot scope meta; dead: eid ordinal reason meta. */
static size_t read_notices(const redisReply *list, bool has_slot, struct claim_notice *ret)
{
    size_t width = has_slot ? 5 : 4;
    size_t count = 0;
    for (size_t at = 0; at + width <= reply_count(list) && count < LEDGER_MAX_CLAIM; at += width) {
        const char *eid = reply_text(reply_at(list, at), NULL);
        const char *text = reply_text(reply_at(list, at + width - 2), NULL);
        const char *meta = reply_text(reply_at(list, at + width - 1), NULL);
        struct claim_notice *notice = &ret[count++];
        snprintf(notice->eid, sizeof notice->eid, "%s", eid != NULL ? eid : "");
        notice->ordinal = (unsigned)reply_number(reply_at(list, at + 1));
        notice->slot_ms = has_slot ? reply_number(reply_at(list, at + 2)) : 0;
        notice->text = text != NULL ? text : "";
        notice->meta = meta != NULL ? meta : "";
    }
    return count;
}

static void on_reply(struct ledger_call *call, const redisReply *reply, const struct err *err)
{
    if (err != NULL) {
        call->callback.on_claimed(call->arg, NULL, err);
        return;
    }
    struct claim_notice limited[LEDGER_MAX_CLAIM], dead[LEDGER_MAX_CLAIM];
    struct claim_result result = {
        .now_ms = reply_number(reply_at(reply, 0)),
        .limiter_errors = (unsigned)reply_number(reply_at(reply, 1)),
        .wait_ms = reply_number(reply_at(reply, 2)),
        .next_due_ms = reply_number(reply_at(reply, 3)),
        .damaged = (unsigned)reply_number(reply_at(reply, 7)),
        .limited = limited,
        .dead = dead,
    };
    result.limited_count = read_notices(reply_at(reply, 5), true, limited);
    result.dead_count = read_notices(reply_at(reply, 6), false, dead);
    read_claimed(call->ledger, reply_at(reply, 4), dead, &result);
    call->callback.on_claimed(call->arg, &result, NULL);
}

bool ledger_claim(struct ledger *ledger, const struct claim_call *claim, ledger_claim_fn *on_claimed,
                  void *arg, struct err *err)
{
    assert(claim->max > 0 && claim->max <= LEDGER_MAX_CLAIM);
    struct ledger_call *call = ledger_call_new(ledger, SCRIPT_CLAIM, on_reply, arg);
    if (call == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    call->callback.on_claimed = on_claimed;
    ledger_call_text(call, ledger->options.instance);
    ledger_call_text(call, ledger->options.incarnation);
    ledger_call_number(call, ledger->options.lease_ms);
    ledger_call_text(call, ledger->options.is_limiter_closed ? "closed" : "open");
    ledger_call_text(call, claim->lane);
    ledger_call_number(call, claim->max);
    ledger_call_number(call, (int64_t)claim->max_bytes);
    ledger_call_number(call, claim->max_age_ms);
    ledger_call_number(call, claim->hold ? 1 : 0);
    ledger_call_rate(call, &claim->provider);
    ledger_call_rate(call, &claim->recipient);
    ledger_call_number(call, (int64_t)claim->notification_count);
    for (size_t i = 0; i < claim->notification_count; i++) {
        ledger_call_text(call, claim->notifications[i].name);
        ledger_call_rate(call, &claim->notifications[i].rate);
    }
    return ledger_call_send(call, err);
}
