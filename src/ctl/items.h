/* items.h - deliveries by name: read from an index a page at a time, and handed to a script. */
#ifndef HERALD_CTL_ITEMS_H
#define HERALD_CTL_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/client.h"
#include "herald/err.h"
#include "herald/event.h"

#define ITEMS_PAGE 100 /* a call, so that a hundred thousand block Redis for no longer than one call */

struct item {
    char eid[EVENT_EID_CHARS + 1];
    char ordinal[4];
};

/* "eid:ordinal"; false if it is none. */
bool item_parse(const char *text, struct item *ret) MUST_CHECK;

/* Pages of a sorted set, by score and only those between min and max. Whoever leaves an item in the index
 * counts it in `kept`, that the next page begins behind it; so a walk ends although others add and remove. */
struct walk {
    struct client *client; /* borrowed */
    const char *index;
    char min[24], max[24]; /* as ZRANGE wants them */
    bool is_newest_first;
    size_t kept;
    struct item items[ITEMS_PAGE];
    size_t count;
};
/* The next page; count is 0 at the end. What names no delivery is passed over. */
bool walk_next(struct walk *walk, struct err *err) MUST_CHECK;

/* Runs a script whose arguments are `first`, the count, and the pairs; at most ITEMS_PAGE. Adds to *ret_done
 * how many answers were 1. */
bool items_run(struct client *client, const char *script, const char *const *first, int first_count,
               const struct item *items, size_t count, size_t *ret_done, struct err *err) MUST_CHECK;

#endif
