/* upkeep.h - what has to happen every so often: the tick, renewal, reaping, trimming, the heartbeat, the
 * canary, orphaned lanes.
 *
 * One timer, one second; everything else is a multiple of it. Loop thread. */
#ifndef HERALD_APP_UPKEEP_H
#define HERALD_APP_UPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "dispatch.h"
#include "herald/config.h"
#include "herald/err.h"
#include "herald/ledger.h"
#include "herald/link.h"
#include "presence.h"

struct upkeep;

struct upkeep_options {
    uv_loop_t *loop;
    struct link *commands; /* borrowed, as all below: they outlive us */
    struct ledger *ledger;
    struct dispatch *dispatch;
    struct presence *presence;
    struct config *config; /* a reference is taken */
    const char *incarnation;
    const char *canary_channel;
    /* Published twice, and neither it nor anything else seen since: the subscription is not to be trusted. */
    void (*on_canary_missed)(void *arg);
    /* Every second. */
    void (*on_second)(void *arg);
    void *arg;
};

bool upkeep_new(const struct upkeep_options *options, struct upkeep **ret, struct err *err) MUST_CHECK;
void upkeep_close(struct upkeep *upkeep, void (*on_closed)(void *arg), void *arg); /* frees it */

/* The command connection is usable, or no longer. Nothing is reaped for one full lease after it became so. */
void upkeep_on_redis(struct upkeep *upkeep, bool is_usable);
/* The subscription stands, or no longer: only then a canary that is not seen means anything. */
void upkeep_on_subscribed(struct upkeep *upkeep, bool is_subscribed);
/* Something came through: the subscription hears, and a canary may be far behind in what waits. */
void upkeep_on_heard(struct upkeep *upkeep);
/* A canary came through. */
void upkeep_on_canary(struct upkeep *upkeep, const char *bytes, size_t len);
void upkeep_reload(struct upkeep *upkeep, struct config *config);

#endif
