/* recovery.h - from "Redis is reached and fit" to "what it says can be built on".
 *
 * After every connection: leases of ours that nobody here knows of (their answer was lost on the way) are
 * released. When what Redis holds may be older than what it has confirmed to us (it was restarted, or is
 * another one; or we were), before that, and in this order:
 *
 *   1. the last accepted events and all that is held are told again: what Redis has lost is there again,
 * un-leased;
 *   2. the leases of what is held are taken again: some of it may be past its commit point;
 *   3. the providers' last answers are told again, so that nothing that was sent is sent again; of an event
 * that another instance or a stream has yet to tell, the answer waits for it in Redis.
 *
 * Nothing is claimed, accepted or released until it is done. Then, after a restart of Redis, we wait until
 * the other instances have had the time to do the same: they too may have sent what Redis no longer knows.
 * Loop thread.
 */
#ifndef HERALD_APP_RECOVERY_H
#define HERALD_APP_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "dispatch.h"
#include "herald/config.h"
#include "herald/err.h"
#include "herald/ledger.h"
#include "recall.h"

struct recovery;

struct recovery_counts {
    size_t events;   /* that Redis had lost and has again */
    size_t answers;  /* told again */
    size_t released; /* leases of ours that nobody knew of */
};

struct recovery_options {
    uv_loop_t *loop;
    struct ledger *ledger; /* borrowed, as all below: they outlive us */
    struct dispatch *dispatch;
    struct recall *recall;
    void (*on_done)(void *arg, const struct recovery_counts *counts);
    void *arg;
};

enum recovery_kind {
    RECOVERY_SAME,   /* the same Redis, after a cut: only what is leased to us and unknown */
    RECOVERY_START,  /* we are new: also the answers that the last process noted */
    RECOVERY_FORGOT, /* Redis may have forgotten: all of it, and the wait */
};

bool recovery_new(const struct recovery_options *options, struct recovery **ret, struct err *err) MUST_CHECK;
/* Calls back when the handle is closed. */
void recovery_close(struct recovery *recovery, void (*on_closed)(void *arg), void *arg);

/* Ends with on_done, unless recovery_stop or a new begin comes before. `config` says which lanes there are; a
 * reference is taken. */
void recovery_begin(struct recovery *recovery, enum recovery_kind kind, struct config *config);
/* The connection is lost: the next begin starts from the beginning. */
void recovery_stop(struct recovery *recovery);

#endif
