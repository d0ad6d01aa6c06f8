/* reader.h - streams by consumer group: read, accept, acknowledge. The group's pending list is the journal.
 *
 * Redis keeps an entry until we acknowledge it, so nothing is lost while nobody reads. The reader asks for
 * entries on a connection of its own (it waits there, blocked), hands them up as a batch, and acknowledges
 * them when its owner says they are safe. What a process before us left unacknowledged comes first, what dead
 * consumers left is taken over, and a group that Redis has forgotten is made again from the stream's
 * beginning: the ledger knows what it has seen. Loop thread only; nothing blocks.
 */
#ifndef HERALD_READER_H
#define HERALD_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/config.h"
#include "herald/err.h"
#include "herald/incoming.h"

typedef struct uv_loop_s uv_loop_t;
struct reader;

#define READER_MAX_BYTES (4 * 1024 * 1024) /* of a batch: sixteen of the largest events */

/* All are needed. Any reader_* function may be called from inside; none of them
 * calls back before it returns. */
struct reader_callbacks {
    /* Every stream has our group: entries will come. Told again after a loss, and
     * after a group was healed. */
    void (*on_reading)(void *arg);
    /* The connection is gone; what is out stays out. A new one is tried by itself. */
    void (*on_lost)(void *arg, const char *reason);
    /* An attempt to connect failed (`attempt` counts from 1 since the last success). For the log. */
    void (*on_failed)(void *arg, unsigned attempt, const char *reason);
    /* Redis refuses something of one stream (its key holds something else, we lack a right): `what` is it, a
     * literal for the log, and `reason` are Redis's words. Said once until it works; it is tried again every
     * second. The other streams go on, unless nothing can be read or acknowledged. */
    void (*on_refused)(void *arg, size_t origin, const char *what, const char *reason);
    /* A batch of at most INCOMING_MAX_BATCH entries whose `origin` is a place in options.streams; one at a
     * time. The owner answers later with reader_consume or reader_retry, also from inside. */
    void (*on_batch)(void *arg, const struct incoming *entries, size_t count);
    void *arg;
};

struct reader_stream {
    const char *key; /* borrowed: outlives the reader */
    bool is_trimmed; /* what every group has done with is removed; never while there is another group */
};

struct reader_options {
    uv_loop_t *loop;
    const struct config_redis *redis; /* borrowed, as all below: outlives it */
    const char *client_name;
    const struct reader_stream *streams;
    size_t stream_count; /* 1 to CONFIG_MAX_SECTIONS */
    const char *group;
    const char *consumer;
    int64_t claim_idle_ms; /* an entry that its consumer has not acknowledged for so long is taken over:
                              longer than accepting may take */
    struct reader_callbacks callbacks;
};

bool reader_open(const struct reader_options *options, struct reader **ret, struct err *err) MUST_CHECK;
/* A batch that is out is borrowed until on_closed, which comes in a later loop turn. */
void reader_close(struct reader *reader, void (*on_closed)(void *arg), void *arg);

/* The batch is safe: it is acknowledged, at once or with the next connection, until Redis has confirmed it;
 * then reading goes on. */
void reader_consume(struct reader *reader);
/* The batch is not safe: nothing is acknowledged, and it is handed up again after `delay_ms`. */
void reader_retry(struct reader *reader, int64_t delay_ms);
/* Ask for no more; what was asked for already is still handed up. */
void reader_pause(struct reader *reader);

bool reader_is_reading(const struct reader *reader);

#endif
