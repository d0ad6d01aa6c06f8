/* lanes.h - every lane there is: those with a provider in the configuration, and those in which something
 * waits all the same. */
#ifndef HERALD_CTL_LANES_H
#define HERALD_CTL_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"

#define LANES_MAX 256 /* far past what a configuration holds; more can only be damage */

struct lanes {
    int64_t now_ms; /* Redis's clock, as all times here */
    int64_t dead, unknown, leased;
    size_t count;
    struct lane_depth {
        char name[CONFIG_MAX_NAME + 1];
        bool is_configured;         /* else nobody serves it: it is orphaned */
        int64_t due, due_later;     /* new ones: those that could go, and those whose time comes later */
        int64_t again, again_later; /* those that a limit or a failure made wait */
        int64_t oldest_ms;          /* for how long the one that is due longest has been due */
        int64_t paused_ms;          /* since when it is paused; 0: it is not */
    } lanes[LANES_MAX];             /* the configured ones first */
};

/* One lane, whether there is such a one or not: `name` is at most CONFIG_MAX_NAME. */
bool lanes_read_one(const struct context *context, const char *name, struct lanes *ret,
                    struct err *err) MUST_CHECK;
bool lanes_read(const struct context *context, struct lanes *ret, struct err *err) MUST_CHECK;

#endif
