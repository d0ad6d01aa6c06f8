/* ledger.h - what Redis knows of every event: the arrows of the state diagram, one Lua script each.
 *
 *     received ── accept ──► ACCEPTED | LEASED       ACCEPTED, DEFERRED ── claim ──► LEASED
 *     LEASED ── sent ──► SENT      ── fail ──► DEFERRED | DEAD | UNKNOWN
 *            ── release ──► as before       ── reap ──► ACCEPTED | UNKNOWN | DEAD
 *
 * Each call is one atomic step in which record and index move together (src/store/scripts/). Calls are
 * pipelined on the command link; the answer comes to a callback. The ledger holds no state of its own but the
 * calls under way. Loop thread only; nothing blocks.
 */
#ifndef HERALD_LEDGER_H
#define HERALD_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/config.h"
#include "herald/delivery.h"
#include "herald/err.h"
#include "herald/link.h"

#define LEDGER_INCARNATION_CHARS 8
#define LEDGER_MAX_ITEMS 200 /* of one settling call: a script stays well under a millisecond */
#define LEDGER_MAX_CLAIM 64
#define LEDGER_MAX_CLAIM_BYTES (1024 * 1024)
#define LEDGER_MAX_PREFIX 48 /* bytes: with the longest suffix a key stays under LEDGER_KEY_BYTES */
/* of the payloads of the dead, each counted once per dead delivery */
#define LEDGER_DEAD_MAX_BYTES (INT64_C(256) * 1024 * 1024)

struct ledger;

struct ledger_options {
    struct link *link;       /* borrowed: outlives the ledger */
    const char *prefix;      /* borrowed likewise */
    const char *incarnation; /* borrowed likewise: owns our leases; LEDGER_INCARNATION_CHARS of [0-9a-f] */
    /* Borrowed likewise: our field in the hash `status`. Where Redis has none, accept and claim do nothing
     * but to call on_forgotten, and to fail (ERR_TRANSIENT). NULL: whether it has is not asked. */
    const char *instance;
    void (*on_forgotten)(void *arg);
    void *on_forgotten_arg;
    int64_t lease_ms;
    int64_t retain_ms;      /* the dedupe window */
    bool is_limiter_closed; /* a limiter's key that is garbage counts as "burst just spent"; else as fresh */
    int64_t dead_max_bytes; /* 0: LEDGER_DEAD_MAX_BYTES */
    /* How long each call took that Redis answered, by its script's name (static). NULL: is not measured. */
    void (*on_timed)(void *arg, const char *script, int64_t us);
    void *on_timed_arg;
};

/* *err: ERR_CONFIG when the prefix is too long. */
bool ledger_new(const struct ledger_options *options, struct ledger **ret, struct err *err) MUST_CHECK;
void ledger_free(struct ledger *ledger); /* no call may be under way: the link is closed before */

/* "<prefix>:{0}:<suffix>" into ret, for the commands that are no scripts. */
#define LEDGER_KEY_BYTES 96
void ledger_key(const struct ledger *ledger, const char *suffix, char ret[LEDGER_KEY_BYTES]);

/* In every callback `err` is NULL on success. Else ERR_TRANSIENT: it may or may not have happened (the link
 * was lost, or Redis can't write at the moment: READONLY, LOADING, MISCONF, OOM, BUSY); ERR_PERMANENT: the
 * script itself failed. */

/* ── accept ── */

struct accept_lane {
    const char *name;
    unsigned capacity;    /* how many it would take at once; 0: closed, paused or full */
    struct rate provider; /* limits; zero: none */
    struct rate recipient;
};
struct accept_target {
    size_t lane;       /* index into lanes; ignored when dead_reason is set and lane_count is 0 */
    const char *scope; /* PAYLOAD_SCOPE_CHARS */
    int64_t max_age_ms;
    bool hold;
    const char *dead_reason; /* NULL; else the delivery is recorded DEAD at once ("no recipient") */
};
struct accept_event {
    const char *eid, *content;
    const char *payload;
    size_t payload_len;
    size_t notification; /* index into notifications */
    int64_t send_at_ms, expires_at_ms;
    const char *note; /* NULL; else a line for `explain`: which channel was skipped and why */
    struct accept_target targets[DELIVERY_MAX_PER_EVENT];
    size_t target_count;
};
struct accept_notification {
    const char *name;
    struct rate rate;
};

enum accept_verdict { ACCEPT_NEW, ACCEPT_DUPLICATE, ACCEPT_CONFLICT, ACCEPT_DAMAGED };
enum accept_fate { FATE_WAITS, FATE_LEASED, FATE_LIMITED, FATE_DEAD, FATE_OTHER };

struct ledger_record { /* a packed record, read */
    char state;        /* A D L U X S R; 0 if there is none */
    uint64_t fence;
    unsigned attempts, crashes, flags;
    int64_t at_ms; /* relative to the acceptance */
    char lane[CONFIG_MAX_NAME + 4];
    char owner[LEDGER_INCARNATION_CHARS + 1];
};
bool ledger_read_record(const char *text, size_t len, struct ledger_record *ret) MUST_CHECK;

struct accept_result {
    enum accept_verdict verdict;
    int64_t accepted_ms;
    size_t target_count; /* of a duplicate: what is on record, which may be more or fewer than asked for */
    struct accept_answer {
        enum accept_fate fate;       /* of a new event; FATE_OTHER for a duplicate's */
        int64_t slot_ms;             /* FATE_LIMITED: when its reserved slot comes */
        char scope[16];              /* FATE_LIMITED: "recipient" or "notification" */
        char reason[40];             /* FATE_DEAD; "limited until <ms>" when a limit's slot came too late */
        struct ledger_record record; /* of a duplicate */
    } targets[DELIVERY_MAX_PER_EVENT];
};

struct accept_call {
    const struct accept_lane *lanes;
    size_t lane_count;
    const struct accept_notification *notifications;
    size_t notification_count;
    const struct accept_event *events;
    size_t event_count;
};
/* results has one entry per event, borrowed for the callback. */
typedef void ledger_accept_fn(void *arg, const struct accept_result *results, size_t count,
                              unsigned limiter_errors, const struct err *err);
/* The call is borrowed until this returns. False (ERR_TRANSIENT): not sent, no callback. */
bool ledger_accept(struct ledger *ledger, const struct accept_call *call, ledger_accept_fn *on_accepted,
                   void *arg, struct err *err) MUST_CHECK;

/* ── reject ── */

#define REJECT_HEAD 1024 /* bytes of a refused message that its publisher's developer gets to see */

struct reject_item {
    const char *source;
    const char *reason;
    const char *entry; /* a stream's: its id, by which it is known again; NULL: never seen before */
    uint64_t offset;   /* without an entry: what names it */
    size_t total_len;
    const char *head;
    size_t head_len;
};
/* is_new[i]: item i was not refused before; the last 10,000 entries are known. `complaint` is why something
 * of it could not be kept, or NULL. */
typedef void ledger_reject_fn(void *arg, const bool *is_new, size_t count, const char *complaint,
                              const struct err *err);
/* Items are borrowed until this returns; at most INCOMING_MAX_BATCH. */
bool ledger_reject(struct ledger *ledger, const struct reject_item *items, size_t count,
                   ledger_reject_fn *on_rejected, void *arg, struct err *err) MUST_CHECK;

/* ── claim ── */

struct claim_call {
    const char *lane;
    unsigned max; /* at most LEDGER_MAX_CLAIM */
    size_t max_bytes;
    int64_t max_age_ms;
    bool hold;
    struct rate provider, recipient;
    const struct accept_notification *notifications; /* those with a rate */
    size_t notification_count;
};
struct claim_notice { /* something claim decided without handing it out */
    char eid[EVENT_EID_CHARS + 1];
    unsigned ordinal;
    const char *text; /* limited: the scope; dead: the reason */
    int64_t slot_ms;  /* limited only */
    const char *meta; /* the payload's line with the publisher's id, JSON; "" if it is gone */
};
struct claim_result {
    int64_t now_ms;      /* Redis's clock */
    int64_t wait_ms;     /* the provider's limit lets the next go in so long; 0: it stopped nothing */
    int64_t next_due_ms; /* Redis's clock; 0: nothing waits */
    unsigned limiter_errors;
    struct delivery *claimed; /* list linked by next; the callee takes them; fence, attempt_number, crashes,
                                 accepted_ms are filled in */
    unsigned claimed_count;
    unsigned damaged; /* no readable record (they are in no index any more), or no memory (they come back by
                         their lease's end) */
    const struct claim_notice *limited;
    size_t limited_count;
    const struct claim_notice *dead;
    size_t dead_count;
};
typedef void ledger_claim_fn(void *arg, const struct claim_result *result, const struct err *err);
bool ledger_claim(struct ledger *ledger, const struct claim_call *call, ledger_claim_fn *on_claimed,
                  void *arg, struct err *err) MUST_CHECK;

/* ── what happens to leased ones: items are borrowed until the call returns, at most LEDGER_MAX_ITEMS ── */

enum ledger_fail { FAIL_DEFER, FAIL_DEAD, FAIL_UNKNOWN };

struct ledger_item {
    const char *eid;
    unsigned ordinal;
    uint64_t fence;
    unsigned attempts;     /* sent, fail: how many there have been now */
    const char *text;      /* sent: the provider's words; fail: the reason */
    enum ledger_fail what; /* fail */
    int64_t delay_ms;      /* fail with FAIL_DEFER */
};
/* answers[i] is the script's number for item i. A provider's yes (sent), and what is held because it may have
 * been sent (fail with FAIL_UNKNOWN), are kept for an event that Redis has lost, and meet it when it is told
 * again. */
typedef void ledger_items_fn(void *arg, const int *answers, size_t count, const struct err *err);

bool ledger_start(struct ledger *, const struct ledger_item *, size_t count, ledger_items_fn *, void *arg,
                  struct err *) MUST_CHECK;
bool ledger_extend(struct ledger *, const struct ledger_item *, size_t count, ledger_items_fn *, void *arg,
                   struct err *) MUST_CHECK;
bool ledger_release(struct ledger *, const struct ledger_item *, size_t count, ledger_items_fn *, void *arg,
                    struct err *) MUST_CHECK;
bool ledger_sent(struct ledger *, const struct ledger_item *, size_t count, ledger_items_fn *, void *arg,
                 struct err *) MUST_CHECK;
bool ledger_fail(struct ledger *, const struct ledger_item *, size_t count, ledger_items_fn *, void *arg,
                 struct err *) MUST_CHECK;
bool ledger_replay(struct ledger *, const struct ledger_item *, size_t count, ledger_items_fn *, void *arg,
                   struct err *) MUST_CHECK;
bool ledger_drop(struct ledger *, const char *reason, const struct ledger_item *, size_t count,
                 ledger_items_fn *, void *arg, struct err *) MUST_CHECK;
bool ledger_cancel(struct ledger *, const struct ledger_item *, size_t count, ledger_items_fn *, void *arg,
                   struct err *) MUST_CHECK;

/* A place in the leases, in the order of their ends. */
struct ledger_place {
    char last[EVENT_EID_CHARS + 16]; /* the lease before it; empty: the beginning, or that there is no more */
    char score[32];
};

/* Which leases are our incarnation's, at most LEDGER_MAX_ITEMS at a time: begin with a place that is all zero
 * and go on with `next` until its `last` is empty. Items and next are borrowed for the callback. A lease that
 * is there all the time is found, whatever comes and goes beside it. */
typedef void ledger_owned_fn(void *arg, const struct ledger_item *items, size_t count,
                             const struct ledger_place *next, const struct err *err);
bool ledger_owned(struct ledger *, const struct ledger_place *from, ledger_owned_fn *, void *arg,
                  struct err *) MUST_CHECK;

/* ── upkeep ── */

/* counts: reap {accepted, unknown, dead}; trim {dropped, unknown made dead};
 * move {moved, left}; bury {dead, left}. */
typedef void ledger_counts_fn(void *arg, const int64_t counts[3], const struct err *err);
bool ledger_reap(struct ledger *, unsigned max, ledger_counts_fn *, void *arg, struct err *) MUST_CHECK;
bool ledger_trim(struct ledger *, int64_t dead_max_age_ms, unsigned dead_max_count, unsigned max,
                 ledger_counts_fn *, void *arg, struct err *) MUST_CHECK;
/* A lane that is paused keeps what it has. *err is ERR_INPUT when `to` can't be a lane's name. */
bool ledger_move(struct ledger *, const char *from, const char *to, unsigned max, ledger_counts_fn *,
                 void *arg, struct err *) MUST_CHECK;
/* Ends what waits in a lane that nobody serves and is older than max_age_ms: DEAD no lane. */
bool ledger_bury(struct ledger *, const char *lane, int64_t max_age_ms, unsigned max, ledger_counts_fn *,
                 void *arg, struct err *) MUST_CHECK;

/* A script's text and the SHA-1 that names it, for the benchmark and for heraldctl; NULL if there is none of
 * that name. */
const char *ledger_script(const char *name, const char **ret_sha);

/* Calls that have been sent and not answered. */
size_t ledger_pending(const struct ledger *ledger);

#endif
