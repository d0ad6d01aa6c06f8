/* ledger_call.h - one script call under way: its arguments, and what to do with the reply. Loop thread. */
#ifndef HERALD_STORE_LEDGER_CALL_H
#define HERALD_STORE_LEDGER_CALL_H

#include <hiredis/hiredis.h>

#include "herald/buffer.h"
#include "herald/ledger.h"
#include "herald/reply.h"
#include "scripts.h"

struct ledger {
    struct ledger_options options;
    char key[LEDGER_KEY_BYTES]; /* "<prefix>:{0}" */
    size_t pending;
};

struct ledger_call;
/* reply: a non-error reply, borrowed, or NULL with err set. */
typedef void ledger_reply_fn(struct ledger_call *call, const redisReply *reply, const struct err *err);

struct ledger_call {
    struct ledger
        *ledger; /* borrowed: the link, which answers every call, is closed before the ledger is freed */
    enum script_id script;
    struct buffer bytes; /* room for the command's head, then the arguments in RESP; kept until the answer,
                            for a NOSCRIPT */
    size_t argc;
    int64_t sent_mono_us; /* 0: is not measured */
    bool is_eval;         /* was sent again with its whole text */
    size_t count;         /* items or events asked for */
    ledger_reply_fn *on_reply;
    union {
        ledger_accept_fn *on_accepted;
        ledger_claim_fn *on_claimed;
        ledger_reject_fn *on_rejected;
        ledger_items_fn *on_items;
        ledger_owned_fn *on_owned;
        ledger_counts_fn *on_counts;
    } callback;
    void *arg;
};

struct ledger_call *ledger_call_new(struct ledger *ledger, enum script_id script, ledger_reply_fn *on_reply,
                                    void *arg);
void ledger_call_bytes(struct ledger_call *call, const char *bytes, size_t len);
void ledger_call_text(struct ledger_call *call, const char *text); /* NULL: "" */
void ledger_call_number(struct ledger_call *call, int64_t number);
void ledger_call_rate(struct ledger_call *call,
                      const struct rate *rate); /* three arguments, as limits.lua wants them */
/* Sends it; on false it has been freed. */
bool ledger_call_send(struct ledger_call *call, struct err *err) MUST_CHECK;

#endif
