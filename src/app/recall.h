/* recall.h - what we can tell a Redis that has forgotten: the events it accepted last, and the answers that
 * providers gave last.
 *
 * A Redis with `appendfsync everysec`, or a replica that takes over, may lose the last second or two of what
 * it has confirmed. Both are kept here for longer than that, in two rings. Loop thread.
 */
#ifndef HERALD_APP_RECALL_H
#define HERALD_APP_RECALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"
#include "herald/event.h"
#include "herald/journal.h"

#define RECALL_EVENTS_MS 5000  /* everysec loses up to two seconds, a failover little more */
#define RECALL_RETOLD_MS 60000 /* for as long as the answers to it are surely kept too, twice over */
#define RECALL_EVENTS_BYTES (16 * 1024 * 1024) /* five seconds of 6,000/s at 500 bytes */
#define RECALL_ANSWERS_BYTES (8 * 1024 * 1024) /* two minutes of 1,400/s */

struct recall;

bool recall_new(struct recall **ret, struct err *err) MUST_CHECK;
void recall_free(struct recall *recall); /* NULL is fine */

/* Redis says that it has accepted this event. Copies; out of memory, it is one that could not be kept. */
void recall_event(struct recall *recall, const char *eid, const char *content, const char *payload,
                  size_t payload_len, int64_t mono_ms);
/* Redis has answered: what it confirmed longer ago than RECALL_EVENTS_MS it will not lose any more. Only an
 * answer says so: while Redis is away nothing grows old. */
void recall_age(struct recall *recall, int64_t mono_ms);
/* While it is held, the ring only grows, and what finds it full is not kept:
 * somebody reads it step by step. */
void recall_hold(struct recall *recall);
void recall_let_go(struct recall *recall);
/* A provider has answered. */
void recall_answer(struct recall *recall, const struct journal_note *note, int64_t mono_ms);

/* An accepted event. Owned by the ring, until the next recall_event or recall_age; while it is held, for
 * good. */
struct recalled_event {
    struct recalled_event *next; /* the one accepted after it; NULL: the last */
    int64_t accepted_mono_ms;
    int64_t mono_ms; /* when Redis confirmed it last */
    char eid[EVENT_EID_CHARS + 1];
    char content[EVENT_EID_CHARS + 1];
    size_t payload_len;
    char payload[];
};
const struct recalled_event *recall_events(const struct recall *recall); /* the oldest; NULL: none */

/* Redis was told again of every event before `end` (NULL: of all): it may lose that again, so they are as
 * good as new; but none for longer than RECALL_RETOLD_MS after it was accepted. */
void recall_retold(struct recall *recall, const struct recalled_event *end, int64_t mono_ms);

/* The answer at *cursor (0: the oldest), which moves on; false at the end. */
bool recall_next_answer(const struct recall *recall, size_t *cursor, struct journal_note *ret);

/* Since when (mono ms) every accepted event is in the ring, if that is less than RECALL_EVENTS_MS before
 * mono_ms; else 0. */
int64_t recall_gap(const struct recall *recall, int64_t mono_ms);

#endif
