/* handover.h - a subscription that survives us: its socket lies in the service manager's store, and whoever
 * is started next goes on reading it.
 *
 * The socket's name there says what the subscription is: of which run of Redis, at which address, to which
 * channels. One with the right name is taken over as it stands (nothing was missed); any other is an *heir*:
 * the new subscription stands first, then what waits in the old socket is handed up, then it is closed. Not
 * under a manager with a store all this does nothing. Loop thread only; nothing blocks.
 */
#ifndef HERALD_APP_HANDOVER_H
#define HERALD_APP_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/err.h"
#include "herald/subscriber.h"

struct handover;

struct handover_options {
    struct subscriber_options subscriber; /* of the daemon's one; is_idle is set here */
    const char *incarnation;              /* borrowed: begins every canary of ours */
    /* The stored subscription is taken over: it stands. */
    void (*on_inherited)(void *arg);
    /* A batch of an heir. The owner answers it, with subscriber_consume or subscriber_retry on `from`. */
    void (*on_batch)(void *arg, struct subscriber *from, const struct incoming *messages, size_t count);
    /* The last heir is drained. was_proved: it stood until the new subscription
     * did, so nothing was missed. */
    void (*on_drained)(void *arg, bool was_proved);
    void *arg;
};

/* Takes what the manager passed to this process; descriptors that are not ours are closed, and said. Opens
 * the daemon's subscriber, the caller's from here on: at once on its way if nothing was passed, else after
 * handover_on_server. */
bool handover_open(const struct handover_options *options, struct handover **ret,
                   struct subscriber **ret_subscriber, struct err *err) MUST_CHECK;
/* What is not drained stays in the store. The daemon's subscriber is still open. */
void handover_close(struct handover *handover, void (*on_closed)(void *arg), void *arg);

/* Redis has said which run of it this is (again, after each connection). */
void handover_on_server(struct handover *handover, const char *run_id);
/* The daemon's subscription stands; holds it while there are heirs. */
void handover_on_subscribed(struct handover *handover);
void handover_on_lost(struct handover *handover);
void handover_on_taking(struct handover *handover, bool is_taking);

/* There are heirs that are not drained. */
bool handover_has_heirs(const struct handover *handover);
/* Once messages can be accepted and the subscription stands: drains the heirs. */
void handover_drain(struct handover *handover);
/* A canary in an heir's batch. */
void handover_on_canary(struct handover *handover, const char *bytes, size_t len);
/* No more batches of heirs after the one that is out. */
void handover_pause(struct handover *handover);

#endif
