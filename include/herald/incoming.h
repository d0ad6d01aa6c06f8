/* incoming.h - one piece of what came in, as a source hands it up: bytes that nobody has read yet, and where
 * they came from. Loop thread. */
#ifndef HERALD_INCOMING_H
#define HERALD_INCOMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/event.h"

#define INCOMING_MAX_BATCH 512  /* handed up at once: bounds the memory of one round */
#define INCOMING_BEGINNING 1024 /* kept of what is too large: what `rejected` shows of it */

struct incoming {
    size_t origin;     /* which of the channels or streams that its source was given */
    const char *bytes; /* borrowed until the batch is answered */
    size_t len;
    size_t total_len;  /* == len, or, when is_too_large, what the publisher sent */
    bool is_too_large; /* total_len > EVENT_MAX_BYTES: bytes holds only its beginning; the rest is not looked
                          at */
    const char *refusal; /* NULL; else why the bytes can't be an event, whatever they say: a literal */
    uint64_t offset;     /* names it in a complaint: bytes since this subscription began */
    const char *entry;   /* the same for an entry of a stream: its id, borrowed like bytes; else NULL */
};

#endif
