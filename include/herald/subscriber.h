/* subscriber.h - pub/sub by peek, accept, consume: the socket is the journal.
 *
 * Redis keeps no copy of what it publishes. So nothing is taken out of the kernel before Redis holds it
 * durably on the command side: the subscriber peeks (MSG_PEEK), hands a batch of whole messages up, waits
 * until its owner says they are safe, and then receives exactly their bytes. If the command side is away,
 * messages wait in the socket and in Redis's output buffer, not in our memory. Loop thread only; nothing
 * blocks.
 */
#ifndef HERALD_SUBSCRIBER_H
#define HERALD_SUBSCRIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/config.h"
#include "herald/err.h"
#include "herald/event.h"
#include "herald/incoming.h"

typedef struct uv_loop_s uv_loop_t;
struct subscriber;

#define SUBSCRIBER_PEEK_BYTES (EVENT_MAX_BYTES + 4096) /* a whole largest event with its frame */

/* All five are needed. Any subscriber_* function may be called from inside; none of them calls back before it
 * returns. */
struct subscriber_callbacks {
    /* Every channel is acknowledged. What was published before, and after the last one that came, has been
     * missed. */
    void (*on_subscribed)(void *arg);
    /* The subscription stood and is no more. Whatever waited whole in its socket has been handed up and
     * consumed before: no batch is out. A new subscription is tried by itself. */
    void (*on_lost)(void *arg, const char *reason);
    /* An attempt to subscribe failed (`attempt` counts from 1 since the last one that stood). For the log. */
    void (*on_failed)(void *arg, unsigned attempt, const char *reason);
    /* A batch of at most INCOMING_MAX_BATCH messages, whose `origin` is a place in options.channels; one at
     * a time. The owner answers later with subscriber_consume or subscriber_retry, also from
     * inside. Canary messages are in it like any other (their channel is one of options.channels), so that
     * they prove the whole path. */
    void (*on_batch)(void *arg, const struct incoming *messages, size_t count);
    /* What is in the socket no longer begins with a whole reply (true), or does so again (false): a message
     * that can't be seen whole is received before it is safe. Told before its first byte leaves, and after it
     * was consumed; not when the connection ends meanwhile. Meant for whoever keeps the descriptor. */
    void (*on_taking)(void *arg, bool is_taking);
    void *arg;
};

struct subscriber_options {
    uv_loop_t *loop;
    const struct config_redis *redis; /* borrowed: outlives it */
    const char *client_name;          /* borrowed: outlives it */
    const char *const *channels;      /* borrowed: outlives it */
    size_t channel_count;             /* at least one */
    bool is_idle;                     /* connects only when subscriber_begin or subscriber_adopt says so */
    struct subscriber_callbacks callbacks;
};

bool subscriber_open(const struct subscriber_options *options, struct subscriber **ret,
                     struct err *err) MUST_CHECK;
void subscriber_close(struct subscriber *subscriber, void (*on_closed)(void *arg), void *arg);

/* An idle one begins to connect. */
void subscriber_begin(struct subscriber *subscriber);
/* An idle one goes on with the socket of a subscription that stands already, where the process that had it
 * stopped: at the first reply that it did not consume. It counts as subscribed at once and on_subscribed is
 * not called; once that connection is lost it makes its own. Takes fd; on false it is closed, and the
 * subscriber idle as before. */
bool subscriber_adopt(struct subscriber *subscriber, int fd, struct err *err) MUST_CHECK;

/* The batch is safe: its bytes are received, and reading goes on. */
void subscriber_consume(struct subscriber *subscriber);
/* The batch is not safe: nothing is received; the same bytes are handed up again after `delay_ms`. */
void subscriber_retry(struct subscriber *subscriber, int64_t delay_ms);
/* Stop handing up new batches (drain's last moment), after the current one; messages wait in the socket. */
void subscriber_pause(struct subscriber *subscriber);
void subscriber_resume(struct subscriber *subscriber);

/* The connection is not to be trusted (canary not seen): tear down, subscribe anew. First what waits in its
 * socket at this moment is handed up (not when paused), so on_lost comes after the batches that are still to
 * be answered. Nothing happens when it is down already. */
void subscriber_reset(struct subscriber *subscriber, const char *reason);
bool subscriber_is_subscribed(const struct subscriber *subscriber);
/* The socket, for somebody to keep a copy of: what waits in it begins with a whole reply. -1: there is none,
 * or it does not. Borrowed. */
int subscriber_descriptor(const struct subscriber *subscriber);

#endif
