/* held.h - every delivery that we lease and that is not settled, found by its name. Loop thread. */
#ifndef HERALD_APP_HELD_H
#define HERALD_APP_HELD_H

#include <stddef.h>

#include "herald/delivery.h"

#define HELD_BUCKETS 4096 /* 64 lanes of 1,024 make sixteen in each: still a short walk */

struct held {
    struct delivery *buckets[HELD_BUCKETS]; /* lists linked by held_next */
    size_t count;
};

/* Does not own what it links. */
void held_add(struct held *held, struct delivery *delivery);
void held_remove(struct held *held, struct delivery *delivery);
struct delivery *held_find(const struct held *held, const char *eid, unsigned ordinal); /* NULL: not there */

/* From the first to NULL. The one that is visited may be removed, if its successor was asked for before. */
struct delivery *held_first(const struct held *held);
struct delivery *held_next(const struct held *held, const struct delivery *delivery);

#endif
