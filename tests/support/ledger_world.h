/* ledger_world.h - a ledger on a real link to a real redis-server whose clock the test sets, for the ledger's
 * tests.
 *
 * Calls are made one at a time and awaited, with a deadline. world_stop compares every record with every
 * index (fsck): whatever a test did, they must agree. One world a process; Criterion gives each test its own.
 */
#ifndef HERALD_TESTS_LEDGER_WORLD_H
#define HERALD_TESTS_LEDGER_WORLD_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

#include "herald/ledger.h"

#define WORLD_OWNER "0123abcd"
#define WORLD_LEASE_MS 60000
#define WORLD_RETAIN_MS (INT64_C(72) * 3600 * 1000)
#define WORLD_MAX_AGE_MS (INT64_C(24) * 3600 * 1000)
#define HOUR_MS (INT64_C(3600) * 1000)
#define DAY_MS (24 * HOUR_MS)

void world_start(void);
void world_stop(void); /* fsck included */

struct ledger *world_ledger(void);
/* A second ledger on the same link, freed by world_stop. */
struct ledger *world_other_ledger(const struct ledger_options *options);
struct ledger_options world_options(void);

int64_t world_now_ms(void);
void world_advance_ms(int64_t ms);
void world_advance_us(int64_t us);

/* ── looking at Redis, and breaking it ── */

redisContext *world_redis(void);
redisReply *world_ask(const char *format, ...);  /* freed at the next call */
int64_t world_number(const char *format, ...);   /* an integer or numeric string; INT64_MIN for nil */
const char *world_text(const char *format, ...); /* NULL for nil; valid until the next call */
/* What is wrong, one complaint a line; "" if nothing. */
const char *world_fsck(void);
/* The operator's fsck (fsck.lua) over everything; how many findings, each a line in `ret`. world_fsck runs it
 * too and complains where it sees damage that is none. */
size_t world_fsck_script(bool is_repair, char *ret, size_t room);
struct ledger_record world_record(const char *eid, unsigned ordinal); /* state 0 if there is none */
/* Whether a line of the event's history contains text. */
bool world_history_has(const char *eid, const char *text);
/* Kills the server's connections, so that an answer under way is lost. */
void world_cut(void);
void world_reconnect(void); /* waits until the link is ready again */

/* ── calls, awaited ── */

extern struct err world_err; /* of the last call; kind ERR_NONE on success */

/* One event; what is zero has the plain default. */
struct order {
    const char *eid;
    const char *content;      /* "c0" */
    const char *lane;         /* "mail" */
    unsigned capacity;        /* 0: nothing is leased at once */
    unsigned targets;         /* 1 */
    const char *scope;        /* "00000000000000aa" */
    const char *notification; /* "note" */
    int64_t send_at_ms, expires_at_ms;
    struct rate provider, recipient, rate;
    int64_t max_age_ms; /* WORLD_MAX_AGE_MS */
    bool hold;
    const char *dead_reason, *note;
    const char *payload; /* NULL: a good one */
    size_t event_bytes;  /* of the event in it; 0: small */
};
void world_payload(const struct order *order, struct buffer *ret);
struct accept_result world_accept(struct ledger *ledger, struct order order);
extern unsigned world_limiter_errors; /* of the last accept */
void world_accept_call(struct ledger *ledger, const struct accept_call *call, struct accept_result *ret);

struct claimed {
    struct claim_result result;                 /* its lists point here */
    struct delivery *claimed[LEDGER_MAX_CLAIM]; /* freed at the next claim */
    struct claim_notice limited[LEDGER_MAX_CLAIM], dead[LEDGER_MAX_CLAIM];
    char texts[2 * LEDGER_MAX_CLAIM][160];
};
/* lane "mail", max and max_bytes their largest, max_age_ms WORLD_MAX_AGE_MS unless given. */
struct claimed *world_claim(struct ledger *ledger, struct claim_call call);

typedef bool world_items_fn(struct ledger *, const struct ledger_item *, size_t, ledger_items_fn *, void *,
                            struct err *);
/* One item's answer; -1 with world_err on failure. */
int world_settle(world_items_fn *call, struct ledger_item item);
int world_settle_with(struct ledger *ledger, world_items_fn *call, struct ledger_item item);
bool world_settle_many(world_items_fn *call, const struct ledger_item *items, size_t count, int *ret_answers);
int world_drop(const char *eid, unsigned ordinal);
/* One stretch of our leases: adds their eids to `ret`, which has room for LEDGER_MAX_ITEMS; how many. Moves
 * *place on. */
size_t world_owned(struct ledger_place *place, char ret[][EVENT_EID_CHARS + 1]);

int64_t world_reap(unsigned max, int64_t counts[3]); /* returns counts[0] */
int64_t world_trim(struct ledger *ledger, int64_t max_age_ms, unsigned max_count, unsigned max,
                   int64_t counts[3]);
int64_t world_move(const char *from, const char *to, unsigned max, int64_t counts[3]);
int64_t world_bury(const char *lane, int64_t max_age_ms, unsigned max, int64_t counts[3]);

/* A call that is sent and whose answer is not awaited; world_await waits until nothing is under way. */
bool world_await(void);

#endif
