/* log_ring.h - finished log lines on their way to the writer. No locks: log.c holds its mutex meanwhile. */
#ifndef HERALD_BASE_LOG_RING_H
#define HERALD_BASE_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/log.h"

struct log_ring {
    char *bytes; /* owned by log.c: LOG_RING_BYTES */
    size_t
        first;   /* index of the oldest record's first byte. A record is its length (size_t), then the line */
    size_t used; /* bytes; what is behind wraps around */
};

/* Copies the line in; false if there is no room. */
bool log_ring_push(struct log_ring *ring, const char *line, size_t len) MUST_CHECK;
/* Moves the oldest line into `ret` and returns its length; 0 if there is none or it is longer than `room`. */
size_t log_ring_take(struct log_ring *ring, char *ret, size_t room);
/* Forgets all lines, and returns how many they were. */
size_t log_ring_clear(struct log_ring *ring);

#endif
