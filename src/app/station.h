/* station.h - the loop's side of one lane: what it holds, what it may claim, its breaker. Loop thread. */
#ifndef HERALD_APP_STATION_H
#define HERALD_APP_STATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "herald/breaker.h"
#include "herald/config.h"
#include "herald/delivery.h"
#include "herald/lane.h"
#include "herald/outcome.h"
#include "pace.h"

/* 5.7.x for so many different recipients in a row is about us, not about them */
#define STATION_POLICY_REFUSALS 5

#define STATION_TROUBLE_BYTES (ATTEMPT_REPLY_BYTES + 64)

struct dispatch;

struct station {
    struct dispatch *dispatch;              /* borrowed: frees us */
    struct station *next;                   /* in the list of those that wind down */
    struct config *config;                  /* a reference of ours */
    const struct config_provider *provider; /* of that snapshot */
    struct lane *lane;                      /* owned */
    struct breaker breaker;
    char trouble[STATION_TROUBLE_BYTES]; /* what the breaker opened for, and the provider's words */
    struct pace pace;
    uv_timer_t timer; /* the next moment at which a claim may get something */
    size_t held;      /* in the lane, or waiting for `start`'s answer */
    size_t held_bytes;
    size_t reserved;                           /* promised to accepts and claims under way */
    uint64_t refused[STATION_POLICY_REFUSALS]; /* hashes of the recipients that were refused with 5.7.x since
                                                  the last success */
    unsigned refused_count;
    bool may_be_due; /* something waits in Redis, as far as we know */
    unsigned claims; /* under way; each has its places in `reserved` */
    bool is_paused; /* by an operator, when last asked: nothing is claimed, and nothing that comes is begun */
    bool is_winding_down; /* its provider is gone or replaced, or we drain */
};

/* How many more it may lease now: 0 while the breaker is open; with a rate, no more than are idle, so that
 * nothing queues in memory behind a token. */
unsigned station_room(struct station *station);

#endif
