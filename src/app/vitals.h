/* vitals.h - what the loop says of itself once a second: for the watchdog, which judges it on the loop, and
 * for whoever asks over HTTP, on another thread. The judgement is the same.
 *
 * The board hands the latest from the loop to one reader without a lock and without waiting: of three copies
 * each side has one, and both exchange theirs with the third. */
#ifndef HERALD_APP_VITALS_H
#define HERALD_APP_VITALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "counters.h"
#include "herald/config.h"
#include "tally.h"

#define VITALS_WATCHDOG_MS 30000 /* where the service manager asks for no sign of life: our unit's value */

/* What waits in Redis for one lane. */
struct vitals_depth {
    char name[CONFIG_MAX_NAME + 1];
    int64_t waiting, retrying; /* new ones, and those that failed before */
    int64_t oldest_ms;         /* for how long the one that is due longest has been due */
};

struct vitals_lane {
    char name[CONFIG_MAX_NAME + 1];
    size_t held, running, capacity;
    const char *breaker; /* static text: "closed" "open" "half-open" */
    bool is_paused;
};

struct vitals {
    int64_t limit_ms;       /* constant: who shows no life for so long is not alive */
    int64_t said_mono_ms;   /* when the loop last turned */
    int64_t oldest_mono_ms; /* dispatch_oldest_progress_ms */
    const char *lack;       /* static text: why it is not ready; NULL: it is */
    struct counters counters;
    size_t pending, settling; /* commands that Redis has not answered, outcomes it has not taken */
    struct vitals_lane lanes[CONFIG_MAX_SECTIONS];
    size_t lane_count;
    bool is_depth_known; /* Redis has been asked not long ago */
    int64_t dead, unknown, leased;
    struct vitals_depth depths[CONFIG_MAX_SECTIONS];
    size_t depth_count;
    struct tally_numbers numbers;
};

/* Before anything was said. `watchdog_ms` is the manager's limit; 0 for VITALS_WATCHDOG_MS. */
void vitals_init(struct vitals *vitals, int64_t watchdog_ms, int64_t now_mono_ms);

/* The loop and every lane's thread have shown life within half the watchdog's time. */
bool vitals_is_alive(const struct vitals *vitals, int64_t now_mono_ms);
/* NULL: alive, and events are taken and sent. Else static text, what is wanting. */
const char *vitals_lack(const struct vitals *vitals, int64_t now_mono_ms);

struct board {
    struct vitals copies[3];
    unsigned writing, reading; /* the loop's, the reader's */
    atomic_uint between;       /* the third, and whether it is newer than the reader's */
};

void board_init(struct board *board, int64_t watchdog_ms, int64_t now_mono_ms);
/* Loop thread: the copy to write; its content is an older one. */
struct vitals *board_draft(struct board *board);
/* Loop thread: what was written can be read. */
void board_post(struct board *board);
/* One reader at a time: the latest; good until its next call. */
const struct vitals *board_read(struct board *board);

#endif
