/* entries.h - a stream's entries, copied out of Redis's replies into a batch. Knows the form of an entry and
 * no connection. Loop thread only. */
#ifndef HERALD_STORE_ENTRIES_H
#define HERALD_STORE_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "herald/buffer.h"
#include "herald/incoming.h"

#define ENTRIES_ID_BYTES 48 /* two numbers of 64 bits and a hyphen */

struct entry_id {
    size_t origin;
    char text[ENTRIES_ID_BYTES];
};

struct entries {
    struct incoming items[INCOMING_MAX_BATCH];
    size_t starts[INCOMING_MAX_BATCH]; /* of their bytes in `bytes`, which may move while it grows */
    size_t count;
    struct entry_id ids[INCOMING_MAX_BATCH]; /* of all, also of those that were deleted and are no items */
    size_t id_count;
    struct buffer bytes; /* owned */
};

void entries_init(struct entries *entries);
void entries_done(struct entries *entries);
/* Begins a new batch; memory of an unusually large one is given back. */
void entries_reset(struct entries *entries);

/* Adds one entry as XREADGROUP answers it, [id, [field, value, …]]. An event is the text of the field
 * `event`, alone, or else the JSON object whose members are the fields, all strings: whatever is wrong with
 * it, a name that stands twice included, is left to whoever reads it. One that was deleted has an id and no
 * fields: only to be acknowledged. What has no id
 * can't be acknowledged, and is none: it is left out. False: the batch is full, and nothing was added. */
bool entries_add(struct entries *entries, size_t origin, const redisReply *entry) MUST_CHECK;

/* Nothing is added any more: the items' bytes have their place. */
void entries_settle(struct entries *entries);

#endif
