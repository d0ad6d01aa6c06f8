/* The ledger's plain calls: those that name their deliveries one by one, and the upkeep. accept and claim
 * have files of their own. Loop thread. */
#include "herald/ledger.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger_call.h"

#define RECORD_MAX_BYTES 64 /* prelude.lua says why */

bool ledger_new(const struct ledger_options *options, struct ledger **ret, struct err *err)
{
    if (strlen(options->prefix) > LEDGER_MAX_PREFIX)
        return err_set(err, ERR_CONFIG, "the key prefix is longer than %d bytes", LEDGER_MAX_PREFIX);
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    ledger->options = *options;
    if (ledger->options.dead_max_bytes == 0)
        ledger->options.dead_max_bytes = LEDGER_DEAD_MAX_BYTES;
    snprintf(ledger->key, sizeof ledger->key, "%s:{0}", options->prefix);
    *ret = ledger;
    return true;
}

void ledger_free(struct ledger *ledger)
{
    assert(ledger == NULL || ledger->pending == 0);
    free(ledger);
}

void ledger_key(const struct ledger *ledger, const char *suffix, char ret[LEDGER_KEY_BYTES])
{
    snprintf(ret, LEDGER_KEY_BYTES, "%.52s:%.42s", ledger->key, suffix);
}

size_t ledger_pending(const struct ledger *ledger)
{
    return ledger->pending;
}

const char *ledger_script(const char *name, const char **ret_sha)
{
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        if (strcmp(scripts[i].name, name) == 0) {
            if (ret_sha != NULL)
                *ret_sha = scripts[i].sha;
            return scripts[i].text;
        }
    }
    return NULL;
}

bool ledger_read_record(const char *text, size_t len, struct ledger_record *ret)
{
    char copy[RECORD_MAX_BYTES + 1];
    struct ledger_record record = {0};
    if (len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (sscanf(copy, "%c %" SCNu64 " %u %u %" SCNd64 " %u %23s %8s", &record.state, &record.fence,
               &record.attempts, &record.crashes, &record.at_ms, &record.flags, record.lane,
               record.owner) != 8 ||
        strchr("ADLUXSR", record.state) == NULL)
        return false;
    *ret = record;
    return true;
}

static void on_items_reply(struct ledger_call *call, const redisReply *reply, const struct err *err)
{
    int answers[LEDGER_MAX_ITEMS] = {0};
    for (size_t i = 0; i < call->count; i++)
        answers[i] = (int)reply_number(reply_at(reply, i));
    call->callback.on_items(call->arg, answers, call->count, err);
}

static struct ledger_call *items_call(struct ledger *ledger, enum script_id script, size_t count,
                                      ledger_items_fn *on_items, void *arg, struct err *err)
{
    assert(count > 0 && count <= LEDGER_MAX_ITEMS);
    struct ledger_call *call = ledger_call_new(ledger, script, on_items_reply, arg);
    if (call == NULL) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    call->callback.on_items = on_items;
    call->count = count;
    return call;
}

/* Calls whose items are only eid, ordinal and, where the lease matters, the fence. */
static bool send_named(struct ledger_call *call, const struct ledger_item *items, bool has_fence,
                       struct err *err)
{
    ledger_call_number(call, (int64_t)call->count);
    for (size_t i = 0; i < call->count; i++) {
        ledger_call_text(call, items[i].eid);
        ledger_call_number(call, items[i].ordinal);
        if (has_fence)
            ledger_call_number(call, (int64_t)items[i].fence);
    }
    return ledger_call_send(call, err);
}

bool ledger_start(struct ledger *ledger, const struct ledger_item *items, size_t count,
                  ledger_items_fn *on_items, void *arg, struct err *err)
{
    struct ledger_call *call = items_call(ledger, SCRIPT_START, count, on_items, arg, err);
    return call != NULL && send_named(call, items, true, err);
}

bool ledger_extend(struct ledger *ledger, const struct ledger_item *items, size_t count,
                   ledger_items_fn *on_items, void *arg, struct err *err)
{
    struct ledger_call *call = items_call(ledger, SCRIPT_EXTEND, count, on_items, arg, err);
    if (call == NULL)
        return false;
    ledger_call_text(call, ledger->options.incarnation);
    ledger_call_number(call, ledger->options.lease_ms);
    return send_named(call, items, true, err);
}

bool ledger_release(struct ledger *ledger, const struct ledger_item *items, size_t count,
                    ledger_items_fn *on_items, void *arg, struct err *err)
{
    struct ledger_call *call = items_call(ledger, SCRIPT_RELEASE, count, on_items, arg, err);
    return call != NULL && send_named(call, items, true, err);
}

bool ledger_replay(struct ledger *ledger, const struct ledger_item *items, size_t count,
                   ledger_items_fn *on_items, void *arg, struct err *err)
{
    struct ledger_call *call = items_call(ledger, SCRIPT_REPLAY, count, on_items, arg, err);
    return call != NULL && send_named(call, items, false, err);
}

bool ledger_cancel(struct ledger *ledger, const struct ledger_item *items, size_t count,
                   ledger_items_fn *on_items, void *arg, struct err *err)
{
    struct ledger_call *call = items_call(ledger, SCRIPT_CANCEL, count, on_items, arg, err);
    return call != NULL && send_named(call, items, false, err);
}

bool ledger_drop(struct ledger *ledger, const char *reason, const struct ledger_item *items, size_t count,
                 ledger_items_fn *on_items, void *arg, struct err *err)
{
    struct ledger_call *call = items_call(ledger, SCRIPT_DROP, count, on_items, arg, err);
    if (call == NULL)
        return false;
    ledger_call_number(call, ledger->options.retain_ms);
    ledger_call_text(call, reason);
    return send_named(call, items, false, err);
}

bool ledger_sent(struct ledger *ledger, const struct ledger_item *items, size_t count,
                 ledger_items_fn *on_items, void *arg, struct err *err)
{
    struct ledger_call *call = items_call(ledger, SCRIPT_SENT, count, on_items, arg, err);
    if (call == NULL)
        return false;
    ledger_call_number(call, ledger->options.retain_ms);
    ledger_call_number(call, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        ledger_call_text(call, items[i].eid);
        ledger_call_number(call, items[i].ordinal);
        ledger_call_number(call, (int64_t)items[i].fence);
        ledger_call_number(call, items[i].attempts);
        ledger_call_text(call, items[i].text);
    }
    return ledger_call_send(call, err);
}

bool ledger_fail(struct ledger *ledger, const struct ledger_item *items, size_t count,
                 ledger_items_fn *on_items, void *arg, struct err *err)
{
    static const char *const what[] = {
        [FAIL_DEFER] = "defer", [FAIL_DEAD] = "dead", [FAIL_UNKNOWN] = "unknown"};
    struct ledger_call *call = items_call(ledger, SCRIPT_FAIL, count, on_items, arg, err);
    if (call == NULL)
        return false;
    ledger_call_number(call, ledger->options.retain_ms);
    ledger_call_number(call, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        ledger_call_text(call, items[i].eid);
        ledger_call_number(call, items[i].ordinal);
        ledger_call_number(call, (int64_t)items[i].fence);
        ledger_call_text(call, what[items[i].what]);
        ledger_call_number(call, items[i].delay_ms);
        ledger_call_number(call, items[i].attempts);
        ledger_call_text(call, items[i].text);
    }
    return ledger_call_send(call, err);
}

static void on_owned_reply(struct ledger_call *call, const redisReply *reply, const struct err *err)
{
    struct ledger_item items[LEDGER_MAX_ITEMS];
    struct ledger_place next = {.last = ""};
    const char *last = reply_text(reply_at(reply, 0), NULL), *score = reply_text(reply_at(reply, 1), NULL);
    size_t count = 0;
    if (last != NULL && score != NULL) {
        snprintf(next.last, sizeof next.last, "%s", last);
        snprintf(next.score, sizeof next.score, "%s", score);
    }
    for (size_t at = 2; at + 3 <= reply_count(reply) && count < LEDGER_MAX_ITEMS; at += 3) {
        const char *eid = reply_text(reply_at(reply, at), NULL);
        if (eid != NULL && strlen(eid) == EVENT_EID_CHARS)
            items[count++] = (struct ledger_item){.eid = eid,
                                                  .ordinal = (unsigned)reply_number(reply_at(reply, at + 1)),
                                                  .fence = (uint64_t)reply_number(reply_at(reply, at + 2))};
    }
    call->callback.on_owned(call->arg, items, count, &next, err);
}

bool ledger_owned(struct ledger *ledger, const struct ledger_place *from, ledger_owned_fn *on_owned,
                  void *arg, struct err *err)
{
    struct ledger_call *call = ledger_call_new(ledger, SCRIPT_OWNED, on_owned_reply, arg);
    if (call == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    call->callback.on_owned = on_owned;
    ledger_call_text(call, ledger->options.incarnation);
    ledger_call_text(call, from->last);
    ledger_call_text(call, from->score);
    ledger_call_number(call, LEDGER_MAX_ITEMS);
    return ledger_call_send(call, err);
}

static void on_counts_reply(struct ledger_call *call, const redisReply *reply, const struct err *err)
{
    const int64_t counts[3] = {reply_number(reply_at(reply, 0)), reply_number(reply_at(reply, 1)),
                               reply_number(reply_at(reply, 2))};
    call->callback.on_counts(call->arg, counts, err);
}

static struct ledger_call *counts_call(struct ledger *ledger, enum script_id script,
                                       ledger_counts_fn *on_counts, void *arg, struct err *err)
{
    struct ledger_call *call = ledger_call_new(ledger, script, on_counts_reply, arg);
    if (call == NULL) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    call->callback.on_counts = on_counts;
    return call;
}

bool ledger_reap(struct ledger *ledger, unsigned max, ledger_counts_fn *on_counts, void *arg, struct err *err)
{
    struct ledger_call *call = counts_call(ledger, SCRIPT_REAP, on_counts, arg, err);
    if (call == NULL)
        return false;
    ledger_call_number(call, max);
    return ledger_call_send(call, err);
}

bool ledger_trim(struct ledger *ledger, int64_t dead_max_age_ms, unsigned dead_max_count, unsigned max,
                 ledger_counts_fn *on_counts, void *arg, struct err *err)
{
    struct ledger_call *call = counts_call(ledger, SCRIPT_TRIM, on_counts, arg, err);
    if (call == NULL)
        return false;
    ledger_call_number(call, ledger->options.retain_ms);
    ledger_call_number(call, dead_max_age_ms);
    ledger_call_number(call, dead_max_count);
    ledger_call_number(call, ledger->options.dead_max_bytes);
    ledger_call_number(call, max);
    return ledger_call_send(call, err);
}

bool ledger_move(struct ledger *ledger, const char *from, const char *to, unsigned max,
                 ledger_counts_fn *on_counts, void *arg, struct err *err)
{
    /* It becomes part of packed records: a space would damage them, a longer one would turn the event's hash
     * into a table. */
    size_t len = strlen(to);
    if (len == 0 || len > CONFIG_MAX_NAME || strcspn(to, " \t\r\n") != len)
        return err_set(err, ERR_INPUT,
                       "'%.40s' can't be a lane's name: expected 1 to %d bytes without spaces", to,
                       CONFIG_MAX_NAME);
    struct ledger_call *call = counts_call(ledger, SCRIPT_MOVE, on_counts, arg, err);
    if (call == NULL)
        return false;
    ledger_call_text(call, from);
    ledger_call_text(call, to);
    ledger_call_number(call, max);
    ledger_call_text(call, "heed");
    return ledger_call_send(call, err);
}

bool ledger_bury(struct ledger *ledger, const char *lane, int64_t max_age_ms, unsigned max,
                 ledger_counts_fn *on_counts, void *arg, struct err *err)
{
    struct ledger_call *call = counts_call(ledger, SCRIPT_BURY, on_counts, arg, err);
    if (call == NULL)
        return false;
    ledger_call_text(call, lane);
    ledger_call_number(call, max_age_ms);
    ledger_call_number(call, max);
    return ledger_call_send(call, err);
}
