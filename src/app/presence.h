/* presence.h - each instance says that it is there, which lanes it serves and how it is, and notices when
 * Redis no longer knows it.
 *
 * The list of instances (a sorted set by the time of the last beat) is what others go by; the hash `status`
 * has under each instance's name what nobody else knows, and heraldctl reads it with its age. A JSON object
 * of at most PRESENCE_STATUS_BYTES:
 *
 *     instance version incarnation host    texts
 *     since at                             when it began and when it said this, ms
 *     received ... gaps                    counts since it began (counters.h)
 *     lanes: per lane  held running capacity breaker
 *                      trouble             why the breaker is not closed, "" while it is
 *                      per_second p99_us   of the last half minute to minute (pace.h); p99_us -1: past five
 *                                          minutes
 *
 * Its line is missing there: so Redis was emptied (FLUSHALL), and what it was told is to be told again. An
 * instance that has something to do hears it from the ledger, which gives nothing to one that Redis does not
 * know; one that has not looks every second, so that another, who has told what it knows and then waits for
 * us (recovery.c), need not wait long. Loop thread. */
#ifndef HERALD_APP_PRESENCE_H
#define HERALD_APP_PRESENCE_H

#include <stdbool.h>

#include "counters.h"
#include "dispatch.h"
#include "herald/config.h"
#include "herald/err.h"
#include "herald/ledger.h"
#include "herald/link.h"
#include "recall.h"

/* of 64 lanes each under 200 bytes and twice 264 of words; of the rest 2,000 */
#define PRESENCE_STATUS_BYTES (64 * 1024)

struct presence;

struct presence_options {
    struct link *commands; /* borrowed, as all below: the link is closed before we are freed */
    const struct ledger *ledger;
    const struct dispatch *dispatch;
    struct recall *recall;
    const struct counters *counters;
    const char *incarnation;
    void (*on_forgotten)(void *arg); /* ends with a call of presence_introduce */
    void *arg;
};

bool presence_new(const struct presence_options *options, struct presence **ret, struct err *err) MUST_CHECK;
void presence_free(struct presence *presence); /* NULL is fine */

/* To a Redis that is yet to be told what it has forgotten or never knew: what it forgets from here on is
 * news. */
void presence_introduce(struct presence *presence, const struct config *config);
/* What has to be said every few seconds, and after a reload. */
void presence_beat(struct presence *presence, const struct config *config);
/* Every second between the beats. */
void presence_look(struct presence *presence, const struct config *config);
/* The ledger says that Redis does not know us. */
void presence_on_forgotten(struct presence *presence);
/* Takes us off the list of instances. */
void presence_leave(struct presence *presence);

#endif
