/* breaker.h - stop asking a provider that does not answer. One per lane and instance. Pure; loop thread.
 *
 * Closed: everything goes. Opens after BREAKER_IN_A_ROW failures of the destination in a row, or when at
 * least half of the last BREAKER_WINDOW were. Open: nothing goes for a while, 1 s doubling to 60 s, jittered.
 * Then half-open: one probe; its success closes, its failure opens for longer. Source: Nygard, "Release It!",
 * circuit breaker. */
#ifndef HERALD_BREAKER_H
#define HERALD_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_IN_A_ROW 5
#define BREAKER_WINDOW 20
#define BREAKER_MIN_OPEN_MS 1000
#define BREAKER_MAX_OPEN_MS 60000

struct breaker {
    enum { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN } state;
    unsigned in_a_row;
    unsigned seen;         /* outcomes in the window, at most BREAKER_WINDOW */
    uint32_t window;       /* the last ones, 1 = failure, newest in bit 0 */
    int64_t open_ms;       /* how long it opened the last time; 0: never since it last closed */
    int64_t until_mono_ms; /* while open */
    bool is_probing;       /* half-open: the one probe is out */
};

/* How many may go now: UINT32_MAX, 1 (the probe) or 0. An open breaker whose time is over turns half-open
 * here. */
uint32_t breaker_room(struct breaker *breaker, int64_t mono_ms);
/* A probe was handed out / came back without having tried. No effect unless half-open. */
void breaker_on_probe(struct breaker *breaker);
void breaker_on_unused(struct breaker *breaker);
/* The provider answered. True if that closed it. */
bool breaker_on_success(struct breaker *breaker);
/* The destination failed. True if that opened it (again). `random`: any 32 bits. */
bool breaker_on_failure(struct breaker *breaker, int64_t mono_ms, uint32_t random);

#endif
