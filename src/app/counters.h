/* counters.h - what this process has done since it started: for STATUS, the heartbeat and the last line of
 * the log. Loop thread only. */
#ifndef HERALD_APP_COUNTERS_H
#define HERALD_APP_COUNTERS_H

#include <stdint.h>

struct counters {
    uint64_t received; /* = accepted + duplicate + rejected + conflict */
    uint64_t accepted;
    uint64_t duplicate;
    uint64_t rejected;
    uint64_t conflict;
    uint64_t unidentified; /* among the accepted: had no id of their own */
    uint64_t sent;
    uint64_t retried;
    uint64_t limited;
    uint64_t dead;
    uint64_t unknown;
    uint64_t released;
    uint64_t
        repeated; /* sent, but the lease was another's or it was noted already: may have been sent twice */
    uint64_t limiter_errors;
    uint64_t gaps;
};

#endif
