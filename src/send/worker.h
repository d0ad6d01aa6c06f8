/* worker.h - one thread of a lane, as its driver sees it. All calls are made on that thread unless they say
 * otherwise. */
#ifndef HERALD_SEND_WORKER_H
#define HERALD_SEND_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/buffer.h"
#include "herald/commit.h"
#include "herald/config.h"
#include "herald/delivery.h"

struct lane;

struct worker {
    struct lane *lane;                      /* borrowed: joins us before it goes */
    const struct config_provider *provider; /* borrowed from the lane's snapshot */
    size_t index, count;                    /* which of the lane's threads this is, and of how many */
    size_t transfers;                       /* this thread's share of lane_slots */
    size_t limit;                /* <= transfers: the driver lowers it while the provider bears less */
    size_t running;              /* begun and not finished */
    void *state;                 /* the driver's */
    _Atomic size_t running_seen; /* `running`, for the loop */
    _Atomic int64_t progress_ms; /* mono; see lane_oldest_progress_ms. Read by the loop */
    _Atomic bool is_asleep;      /* the driver waits on its own; a push should wake it */
};

/* For the watchdog: still alive. Often enough: once a second. */
void worker_is_alive(struct worker *worker);

/* Whether the last body byte may be handed over. On true the attempt is marked committed. */
bool worker_commit(struct worker *worker, struct delivery *delivery);
/* Whether it makes sense to go on, and nothing is committed: the same question without the mark. */
bool worker_may_commit(const struct worker *worker, const struct delivery *delivery);
bool worker_is_hurried(const struct worker *worker);  /* a hurried shutdown: give up what is not committed */
bool worker_is_stopping(const struct worker *worker); /* lane_stop was called */

/* Renders into the buffer, which is emptied first. On false the attempt says why and
 * is ready to be finished. */
bool worker_render(struct worker *worker, struct delivery *delivery, struct buffer *ret);
/* Frees a buffer's memory if one large message has swollen it, so that a lane's memory stays what its usual
 * messages need. */
void worker_trim(struct buffer *buffer);

/* Gives the delivery back to the loop, its attempt filled in. Takes it. */
void worker_finish(struct worker *worker, struct delivery *delivery);

/* A driver that waits by itself calls this before, and worker_wake after. False if there is work to take:
 * then don't wait. */
bool worker_may_sleep(struct worker *worker);
void worker_woke(struct worker *worker);

/* The provider's words, or ours about it: printable, on one line, cut to ATTEMPT_REPLY_BYTES at a character.
 * Appends to what is there, behind a space. */
void worker_note(struct attempt *attempt, const char *text, size_t len);

#endif
