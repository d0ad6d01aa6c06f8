/* commit.h - the last question before the last body byte is handed to libcurl: may this still be sent?
 *
 * Until then no server can act on the message; afterwards the send is committed and never aborted for its
 * lease. What crosses threads here, besides ownership, is two process-wide atomics and one of the delivery.
 */
#ifndef HERALD_COMMIT_H
#define HERALD_COMMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "herald/delivery.h"

struct commit_gate {
    _Atomic uint64_t
        epoch; /* the loop raises it when the command connection is lost or Redis is another one */
    _Atomic bool is_closed; /* set for good by a hurried shutdown */
};

/* Lane threads, from the read callback. `margin_ms` is how much earlier our idea of the lease ends than
 * Redis's. */
static inline bool commit_is_allowed(const struct commit_gate *gate, const struct delivery *delivery,
                                     int64_t mono_ms, int64_t margin_ms)
{
    return !atomic_load(&gate->is_closed) && atomic_load(&gate->epoch) == delivery->epoch &&
           mono_ms + margin_ms < atomic_load(&delivery->lease_until_ms);
}

#endif
