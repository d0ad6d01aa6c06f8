/* vitals.h - what the loop last said of itself, for whoever asks over HTTP.
 *
 * The loop says it once a second, so the way of an event touches nothing here; readers on any other thread
 * see each number whole, at most a second old, without a lock. */
#ifndef HERALD_APP_VITALS_H
#define HERALD_APP_VITALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "counters.h"
#include "herald/buffer.h"

#define VITALS_WATCHDOG_MS 30000 /* where the service manager asks for no sign of life: our unit's value */
#define VITALS_COUNTS 15

struct vitals {
    int64_t watchdog_ms; /* constant */
    atomic_uint_fast64_t counts[VITALS_COUNTS];
    atomic_int_fast64_t said_mono_ms;   /* when the loop last turned */
    atomic_int_fast64_t oldest_mono_ms; /* lane_oldest_progress_ms; INT64_MAX: all idle */
    atomic_bool is_taking;
};

/* `watchdog_ms` is the manager's limit; 0 for VITALS_WATCHDOG_MS. Not ready until vitals_say says so. */
void vitals_init(struct vitals *vitals, int64_t watchdog_ms, int64_t now_mono_ms);
/* Loop thread. `is_taking`: Redis is fit and every source is heard. */
void vitals_say(struct vitals *vitals, const struct counters *counters, int64_t now_mono_ms,
                int64_t oldest_mono_ms, bool is_taking);

/* The loop and every busy lane's thread have shown life within half the watchdog's time: its own rule. Any
 * thread, like all below. */
bool vitals_is_alive(const struct vitals *vitals, int64_t now_mono_ms);
/* Alive, and events are taken. */
bool vitals_is_ready(const struct vitals *vitals, int64_t now_mono_ms);
/* Appends Prometheus's text format, version 0.0.4. The buffer remembers a want of memory. */
void vitals_write(const struct vitals *vitals, int64_t now_mono_ms, struct buffer *ret);

#endif
