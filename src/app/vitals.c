/* The loop's numbers, and how they are written for Prometheus. See vitals.h. */
#include "vitals.h"

#include <inttypes.h>
#include <stddef.h>

/* The order of the rows is that of the output. */
static const struct row {
    const char *name, *help;
    size_t offset;
} rows[] = {
    {"herald_events_received_total", "Events taken from all sources.", offsetof(struct counters, received)},
    {"herald_events_accepted_total", "Events that Redis holds.", offsetof(struct counters, accepted)},
    {"herald_events_duplicate_total", "Events known already.", offsetof(struct counters, duplicate)},
    {"herald_events_rejected_total", "Events refused.", offsetof(struct counters, rejected)},
    {"herald_events_conflict_total", "Events with a known id and other content.",
     offsetof(struct counters, conflict)},
    {"herald_events_unidentified_total", "Accepted events without an id of their own.",
     offsetof(struct counters, unidentified)},
    {"herald_deliveries_sent_total", "Deliveries that a provider took.", offsetof(struct counters, sent)},
    {"herald_deliveries_retried_total", "Attempts that failed and are tried again.",
     offsetof(struct counters, retried)},
    {"herald_deliveries_limited_total", "Deliveries that a rate limit made wait.",
     offsetof(struct counters, limited)},
    {"herald_deliveries_dead_total", "Deliveries given up.", offsetof(struct counters, dead)},
    {"herald_deliveries_unknown_total", "Deliveries parked because the answer was lost.",
     offsetof(struct counters, unknown)},
    {"herald_deliveries_released_total", "Deliveries given back unsent.",
     offsetof(struct counters, released)},
    {"herald_deliveries_repeated_total", "Deliveries that may have been sent twice.",
     offsetof(struct counters, repeated)},
    {"herald_limiter_errors_total", "Rate limits whose key in Redis is damaged.",
     offsetof(struct counters, limiter_errors)},
    {"herald_source_gaps_total", "Times that something published may have been missed.",
     offsetof(struct counters, gaps)},
};

_Static_assert(sizeof rows / sizeof *rows == VITALS_COUNTS, "one place for each row");
_Static_assert(sizeof(struct counters) == VITALS_COUNTS * sizeof(uint64_t), "every counter has a row");

void vitals_init(struct vitals *vitals, int64_t watchdog_ms, int64_t now_mono_ms)
{
    vitals->watchdog_ms = watchdog_ms > 0 ? watchdog_ms : VITALS_WATCHDOG_MS;
    for (size_t i = 0; i < VITALS_COUNTS; i++)
        atomic_init(&vitals->counts[i], 0);
    atomic_init(&vitals->said_mono_ms, now_mono_ms);
    atomic_init(&vitals->oldest_mono_ms, INT64_MAX);
    atomic_init(&vitals->is_taking, false);
}

void vitals_say(struct vitals *vitals, const struct counters *counters, int64_t now_mono_ms,
                int64_t oldest_mono_ms, bool is_taking)
{
    for (size_t i = 0; i < VITALS_COUNTS; i++)
        atomic_store_explicit(&vitals->counts[i],
                              *(const uint64_t *)(const void *)((const char *)counters + rows[i].offset),
                              memory_order_relaxed);
    atomic_store(&vitals->is_taking, is_taking);
    atomic_store(&vitals->oldest_mono_ms, oldest_mono_ms);
    atomic_store(&vitals->said_mono_ms, now_mono_ms);
}

bool vitals_is_alive(const struct vitals *vitals, int64_t now_mono_ms)
{
    int64_t oldest = atomic_load(&vitals->oldest_mono_ms);
    return now_mono_ms - atomic_load(&vitals->said_mono_ms) < vitals->watchdog_ms / 2 &&
           (oldest == INT64_MAX || now_mono_ms - oldest < vitals->watchdog_ms / 2);
}

bool vitals_is_ready(const struct vitals *vitals, int64_t now_mono_ms)
{
    return atomic_load(&vitals->is_taking) && vitals_is_alive(vitals, now_mono_ms);
}

static void write_gauge(struct buffer *ret, const char *name, const char *help, bool is_so)
{
    buffer_printf(ret, "# HELP %s %s\n# TYPE %s gauge\n%s %d\n", name, help, name, name, is_so);
}

void vitals_write(const struct vitals *vitals, int64_t now_mono_ms, struct buffer *ret)
{
    for (size_t i = 0; i < VITALS_COUNTS; i++)
        buffer_printf(ret, "# HELP %s %s\n# TYPE %s counter\n%s %" PRIuFAST64 "\n", rows[i].name,
                      rows[i].help, rows[i].name, rows[i].name,
                      atomic_load_explicit(&vitals->counts[i], memory_order_relaxed));
    write_gauge(ret, "herald_alive", "Whether /healthz says 200.", vitals_is_alive(vitals, now_mono_ms));
    write_gauge(ret, "herald_ready", "Whether /readyz says 200.", vitals_is_ready(vitals, now_mono_ms));
    buffer_text(ret, "# HELP herald_build_info The version that runs.\n# TYPE herald_build_info gauge\n"
                     "herald_build_info{version=\"" HERALD_VERSION "\"} 1\n");
}
