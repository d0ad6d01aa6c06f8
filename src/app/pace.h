/* pace.h - how fast a lane has been of late: attempts a second, and what the slowest of a hundred took. Two
 * windows that follow one another, so an answer is about the last half minute to minute and old trouble is
 * forgotten. Loop thread. */
#ifndef HERALD_APP_PACE_H
#define HERALD_APP_PACE_H

#include <stdint.h>

#include "tally.h"

#define PACE_WINDOW_MS 30000

struct pace { /* all zero: nothing was done yet */
    struct pace_window {
        int64_t begun_mono_ms;
        uint32_t count;
        uint32_t buckets[TALLY_BUCKETS];
    } now, before;
};

/* One more attempt, which took so long with the provider. */
void pace_add(struct pace *pace, int64_t now_mono_ms, int64_t us);

struct pace_figures {
    double per_second;
    int64_t p99_us; /* an upper bound: the end of its bucket; INT64_MAX past the last; 0: nothing was done */
};
void pace_read(const struct pace *pace, int64_t now_mono_ms, struct pace_figures *ret);

#endif
