/* lane_world.h - a lane and all it needs, for one test: a configuration read from files, deliveries, a
 * mailbox, a commit gate.
 *
 * What can't be done aborts the test with a message. Waiting has a deadline of 30 s. Main thread only. */
#ifndef HERALD_TEST_LANE_WORLD_H
#define HERALD_TEST_LANE_WORLD_H

#include <stddef.h>

#include "herald/commit.h"
#include "herald/config.h"
#include "herald/delivery.h"
#include "herald/lane.h"

struct lane_world {
    char directory[64]; /* of the configuration; tests may put files there */
    struct config *config;
    struct mailbox *mailbox;
    struct commit_gate gate;
    struct lane *lane;
    int bell;                 /* eventfd: the mailbox has mail */
    struct delivery *arrived; /* taken from the mailbox, not yet asked for */
    unsigned made;            /* deliveries, so that each has its own id */
};

/* Makes the directory, with templates of the notification "note" for all channels, and nothing else yet. */
void lane_world_init(struct lane_world *world);
void lane_world_write(const struct lane_world *world, const char *name, const char *text);
/* Writes and loads the configuration: `provider` is what [provider p] says, whose channel is `channel`.
 * `other` are lines for the [herald] section, or NULL. */
void lane_world_configure(struct lane_world *world, enum channel channel, const char *other,
                          const char *provider);
void lane_world_start(struct lane_world *world); /* the lane */
void lane_world_done(
    struct lane_world *world); /* stops and frees all, waits for the lane; removes the directory */

/* For provider p, with a good lease: `to` is an address, or for push anything. The caller's until pushed. */
struct delivery *lane_world_delivery(struct lane_world *world, enum channel channel, const char *to);
struct delivery *lane_world_delivery_of(struct lane_world *world, enum channel channel, const char *to,
                                        const char *event);
void lane_world_push(struct lane_world *world, struct delivery *delivery);
struct delivery *lane_world_wait(struct lane_world *world); /* the next to come back; the caller's */
void lane_world_release(struct lane_world *world, struct delivery *delivery);

/* One delivery there and back: its attempt. */
struct attempt lane_world_try(struct lane_world *world, enum channel channel, const char *to);

/* The lines of a file so far; a file that is not there has none. The caller frees. */
char *lane_world_read(const struct lane_world *world, const char *name);
size_t lane_world_count_lines(const struct lane_world *world, const char *name);

#endif
