/* dispatch.h - from the ledger to the lanes and back: claims, admits, renews, settles.
 *
 * The only place that counts what a lane holds, so that no queue can overflow and no push can find its lane
 * full. It knows nothing of sockets or events. Loop thread.
 */
#ifndef HERALD_APP_DISPATCH_H
#define HERALD_APP_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "counters.h"
#include "held.h"
#include "herald/commit.h"
#include "herald/config.h"
#include "herald/delivery.h"
#include "herald/err.h"
#include "herald/journal.h"
#include "herald/lane.h"
#include "herald/ledger.h"
#include "pace.h"
#include "recall.h"
#include "tally.h"

struct dispatch;

struct dispatch_options {
    uv_loop_t *loop;
    struct ledger *ledger;     /* borrowed: outlives us */
    struct commit_gate *gate;  /* borrowed */
    struct counters *counters; /* borrowed */
    struct recall *recall;     /* borrowed */
    struct tally *tally;       /* borrowed; NULL: durations are not wanted */
    struct journal *journal;   /* borrowed; NULL: none */
    struct config *config;     /* a reference is taken */
    int64_t lease_ms, lease_margin_ms;
};

/* Starts a lane for each provider. */
bool dispatch_new(const struct dispatch_options *options, struct dispatch **ret, struct err *err) MUST_CHECK;
/* dispatch_close must have been called before. False: a thread could not be waited for and still uses what it
 * was given, so nothing was freed; the process has to end. */
bool dispatch_free(struct dispatch *dispatch);

/* Lanes of a new configuration take over. The old ones give back what they have not begun and finish what
 * runs. On false nothing changed. */
bool dispatch_reload(struct dispatch *dispatch, struct config *config, struct err *err) MUST_CHECK;

/* The command connection is usable, or no longer. While it is not, nothing is
 * claimed and outcomes are kept. */
void dispatch_on_redis(struct dispatch *dispatch, bool is_usable);

/* How many deliveries, at most `want`, the lane of a provider would take from an accept at once; they are set
 * aside until dispatch_unreserve. `index` is the provider's place in the current configuration. */
unsigned dispatch_reserve(struct dispatch *dispatch, size_t index, unsigned want);
void dispatch_unreserve(struct dispatch *dispatch, size_t index, unsigned count);

/* Takes a delivery that an accept has leased. Its place was reserved and is given back by dispatch_unreserve.
 * `asked_mono_ms`: when the lease was asked for; our idea of its end counts from there. */
void dispatch_take(struct dispatch *dispatch, size_t index, struct delivery *delivery, int64_t asked_mono_ms);

/* Whether a delivery of ours is in memory: a lease of ours that is not was leased by a call whose answer was
 * lost. */
bool dispatch_holds(const struct dispatch *dispatch, const char *eid, unsigned ordinal);

/* All that is held; borrowed until the next turn of the loop. */
const struct held *dispatch_held(const struct dispatch *dispatch);

/* Something waits in the lane since now (an accept put it there): claim it when there is room. */
void dispatch_wake(struct dispatch *dispatch, size_t index);

/* A provider's lane is paused, or not; a name that no provider has is ignored. */
void dispatch_pause(struct dispatch *dispatch, const char *lane, bool is_paused);

/* Every so often (upkeep): claims for lanes that may have been given work by others, repeats what was not
 * answered. */
void dispatch_tick(struct dispatch *dispatch);
/* Renews the leases of all that is held. */
void dispatch_extend(struct dispatch *dispatch);

/* Claims nothing more and gives back what has not begun. */
void dispatch_drain(struct dispatch *dispatch);
/* Nothing runs and everything is settled. */
bool dispatch_is_empty(const struct dispatch *dispatch);
/* Ends: stops the lanes and waits at most wait_ms for their threads; what still runs then is left to its
 * lease. Calls back when the handles are closed. */
void dispatch_close(struct dispatch *dispatch, int64_t wait_ms, void (*on_closed)(void *arg), void *arg);

/* For STATUS and the watchdog. */
struct dispatch_lane_status {
    const char *name;
    size_t held, running, capacity;
    const char *breaker; /* "closed" "open" "half-open" */
    const char *trouble; /* why it is not closed; borrowed until the next turn of the loop */
    bool is_paused;
    struct pace_figures pace;
};
size_t dispatch_lane_count(const struct dispatch *dispatch);
void dispatch_lane_status(const struct dispatch *dispatch, size_t index, struct dispatch_lane_status *ret);
/* Outcomes the ledger has not taken yet. */
size_t dispatch_settling(const struct dispatch *dispatch);
/* The oldest sign of life of any thread, mono ms: see lane_oldest_progress_ms. */
int64_t dispatch_oldest_progress_ms(const struct dispatch *dispatch);

#endif
