/* depth.h - how much waits in Redis for each lane and for how long: asked now and then, for the metrics. Loop
 * thread. */
#ifndef HERALD_APP_DEPTH_H
#define HERALD_APP_DEPTH_H

#include "herald/config.h"
#include "herald/ledger.h"
#include "herald/link.h"
#include "vitals.h"

struct depth {
    struct link *commands;       /* borrowed */
    const struct ledger *ledger; /* borrowed */
    struct config *asked;        /* a reference while a question is under way: its lanes; else NULL */
    bool is_known;
    int64_t dead, unknown, leased;
    struct vitals_depth lanes[CONFIG_MAX_SECTIONS];
    size_t lane_count;
};

/* Asks for the lanes of this configuration, unless it is being asked already. The answer is in depth_copy
 * when it has come. */
void depth_ask(struct depth *depth, struct config *config);
/* Redis is away: what it said is no longer known. */
void depth_forget(struct depth *depth);
void depth_copy(const struct depth *depth, struct vitals *ret);

#endif
