/* reject: what a batch refused into one call of reject.lua, and its answer. Loop thread. */
#include <assert.h>

#include "herald/incoming.h"
#include "herald/ledger.h"
#include "ledger_call.h"

#define MOST_KEPT 1000   /* beginnings of refused messages, at most 1 KiB each */
#define MOST_KNOWN 10000 /* refused entries that would be recognised: twenty batches, 1 MiB */

static void on_reply(struct ledger_call *call, const redisReply *reply, const struct err *err)
{
    bool is_new[INCOMING_MAX_BATCH];
    for (size_t i = 0; i < call->count; i++)
        is_new[i] = reply_number(reply_at(reply, i)) == 1;
    const char *complaint = reply_text(reply_at(reply, call->count), NULL);
    call->callback.on_rejected(call->arg, is_new, call->count,
                               complaint != NULL && complaint[0] != '\0' ? complaint : NULL, err);
}

bool ledger_reject(struct ledger *ledger, const struct reject_item *items, size_t count,
                   ledger_reject_fn *on_rejected, void *arg, struct err *err)
{
    assert(count > 0 && count <= INCOMING_MAX_BATCH);
    struct ledger_call *call = ledger_call_new(ledger, SCRIPT_REJECT, on_reply, arg);
    if (call == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    call->callback.on_rejected = on_rejected;
    call->count = count;
    ledger_call_number(call, MOST_KEPT);
    ledger_call_number(call, MOST_KNOWN);
    ledger_call_number(call, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        const struct reject_item *item = &items[i];
        ledger_call_text(call, item->source);
        ledger_call_text(call, item->reason);
        ledger_call_text(call, item->entry);
        ledger_call_number(call, (int64_t)item->offset);
        ledger_call_number(call, (int64_t)item->total_len);
        ledger_call_bytes(call, item->head, item->head_len < REJECT_HEAD ? item->head_len : REJECT_HEAD);
    }
    return ledger_call_send(call, err);
}
