/* One script call: EVALSHA first, EVAL when Redis has lost the script.
 *
 * The command is built once, with room in front for its head, because the number of arguments is known only
 * at the end. It is kept until the answer comes: after a restart, a failover or SCRIPT FLUSH Redis answers
 * NOSCRIPT, which is safe to repeat (nothing ran), and no note of "loaded" could be trusted across
 * reconnects. Loop thread. */
#include "ledger_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/clock.h"
#include "herald/encode.h"

#define HEAD_BYTES 256 /* "*N EVALSHA <sha> 1 <key>": under 200 */
/* more than the longest period, 366 days, with its slack */
/* of one call: a batch of the largest events fits many times */
#define CALL_MAX_BYTES (LINK_MAX_OUTPUT / 2)

struct ledger_call *ledger_call_new(struct ledger *ledger, enum script_id script, ledger_reply_fn *on_reply,
                                    void *arg)
{
    struct ledger_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->ledger = ledger;
    call->script = script;
    call->on_reply = on_reply;
    call->arg = arg;
    buffer_init(&call->bytes, CALL_MAX_BYTES);
    if (buffer_reserve(&call->bytes, HEAD_BYTES) != NULL)
        call->bytes.len = HEAD_BYTES;
    return call;
}

static void call_free(struct ledger_call *call)
{
    buffer_done(&call->bytes);
    free(call);
}

void ledger_call_bytes(struct ledger_call *call, const char *bytes, size_t len)
{
    char head[ENCODE_DECIMAL_BYTES + 3] = "$";
    size_t head_len = 1 + encode_decimal((int64_t)len, head + 1);
    head[head_len++] = '\r';
    head[head_len++] = '\n';
    buffer_append(&call->bytes, head, head_len);
    buffer_append(&call->bytes, bytes, len);
    buffer_append(&call->bytes, "\r\n", 2);
    call->argc++;
}

void ledger_call_text(struct ledger_call *call, const char *text)
{
    ledger_call_bytes(call, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

void ledger_call_number(struct ledger_call *call, int64_t number)
{
    char text[ENCODE_DECIMAL_BYTES];
    ledger_call_bytes(call, text, encode_decimal(number, text));
}

void ledger_call_rate(struct ledger_call *call, const struct rate *rate)
{
    struct rate_gcra gcra = rate_gcra(rate);
    ledger_call_number(call, gcra.interval_us);
    ledger_call_number(call, gcra.tolerance_us);
    ledger_call_number(call, gcra.grace_us);
}

#define FORGOTTEN "FORGOTTEN" /* our own, in known.lua */

/* Whether Redis will take the same call later: it is starting, read-only, full, or busy. */
static bool is_passing(const char *error)
{
    static const char *const words[] = {"READONLY",   "LOADING",    "MISCONF",  "OOM",      "BUSY",
                                        "NOREPLICAS", "MASTERDOWN", "NOSCRIPT", "TRYAGAIN", "CLUSTERDOWN",
                                        "NOAUTH",     "NOPERM",     FORGOTTEN};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(error, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

static void finish(struct ledger_call *call, const redisReply *reply, const struct err *err)
{
    const struct ledger_options *options = &call->ledger->options;
    if (call->sent_mono_us != 0 && reply != NULL)
        options->on_timed(options->on_timed_arg, scripts[call->script].name,
                          clock_mono_us() - call->sent_mono_us);
    call->ledger->pending--;
    call->on_reply(call, reply, err);
    call_free(call);
}

static bool send_eval(struct ledger_call *call, struct err *err);

static void on_reply(void *arg, const struct redisReply *reply)
{
    struct ledger_call *call = arg;
    const char *name = scripts[call->script].name;
    struct err err;
    if (reply == NULL) {
        err_set(&err, ERR_TRANSIENT, "%s: the connection to Redis was lost before the answer", name);
        finish(call, NULL, &err);
        return;
    }
    if (reply->type != REDIS_REPLY_ERROR) {
        finish(call, reply, NULL);
        return;
    }
    if (!call->is_eval && strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        call->is_eval = true;
        if (!send_eval(call, &err))
            finish(call, NULL, &err);
        return;
    }
    err_set(&err, is_passing(reply->str) ? ERR_TRANSIENT : ERR_PERMANENT, "%s: %s", name, reply->str);
    const struct ledger_options *options = &call->ledger->options;
    bool is_replica = strncmp(reply->str, "READONLY", 8) == 0;
    bool is_forgotten = strncmp(reply->str, FORGOTTEN, strlen(FORGOTTEN)) == 0;
    finish(call, NULL, &err);
    if (is_forgotten && options->on_forgotten != NULL)
        options->on_forgotten(options->on_forgotten_arg);
    /* The master has moved: the name may resolve to another address by now. */
    if (is_replica)
        link_reset(options->link, "Redis is a read-only replica");
}

static bool send_eval(struct ledger_call *call, struct err *err)
{
    const struct script *script = &scripts[call->script];
    const char *key = call->ledger->key;
    struct buffer command;
    buffer_init(&command, CALL_MAX_BYTES + HEAD_BYTES + 65536);
    buffer_printf(&command, "*%zu\r\n$4\r\nEVAL\r\n$%zu\r\n", call->argc + 4, script->len);
    buffer_append(&command, script->text, script->len);
    buffer_printf(&command, "\r\n$1\r\n1\r\n$%zu\r\n%s\r\n", strlen(key), key);
    buffer_append(&command, call->bytes.data + HEAD_BYTES, call->bytes.len - HEAD_BYTES);
    bool is_sent = !command.failed && link_command_raw(call->ledger->options.link, command.data, command.len,
                                                       on_reply, call, err);
    if (command.failed)
        err_set(err, ERR_NOMEM, "%s: out of memory", script->name);
    buffer_done(&command);
    return is_sent;
}

bool ledger_call_send(struct ledger_call *call, struct err *err)
{
    const struct script *script = &scripts[call->script];
    const char *key = call->ledger->key;
    if (call->bytes.failed) {
        call_free(call);
        return err_set(err, ERR_NOMEM, "%s: the call is too large, or out of memory", script->name);
    }
    char head[HEAD_BYTES];
    int len = snprintf(head, sizeof head, "*%zu\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$%zu\r\n%s\r\n",
                       call->argc + 4, script->sha, strlen(key), key);
    call->sent_mono_us = call->ledger->options.on_timed != NULL ? clock_mono_us() : 0;
    char *from = call->bytes.data + HEAD_BYTES - len;
    memcpy(from, head, (size_t)len);
    if (!link_command_raw(call->ledger->options.link, from, call->bytes.len - HEAD_BYTES + (size_t)len,
                          on_reply, call, err)) {
        call_free(call);
        return false;
    }
    call->ledger->pending++;
    return true;
}
