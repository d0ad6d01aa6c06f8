/* One metric after the other, each with its HELP and TYPE. See exposition.h. */
#include "exposition.h"

#include <inttypes.h>
#include <string.h>

#include "herald/log.h"

static void head(struct buffer *ret, const char *name, const char *type, const char *help)
{
    buffer_printf(ret, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_one(struct buffer *ret, const char *name, const char *type, const char *help,
                      uint64_t value)
{
    head(ret, name, type, help);
    buffer_printf(ret, "%s %" PRIu64 "\n", name, value);
}

/* ── counters ── */

static void write_series(struct buffer *ret, const struct tally_series *series, uint64_t value)
{
    const char *before = "{";
    buffer_text(ret, series->family->name);
    for (size_t i = 0; i < TALLY_LABELS; i++) {
        if (series->labels[i][0] == '\0')
            continue;
        buffer_printf(ret, "%s%s=\"%s\"", before, tally_label_names[i], series->labels[i]);
        before = ",";
    }
    buffer_text(ret, before[0] == ',' ? "} " : " ");
    if (series->family->what == TALLY_MS_FIELD)
        buffer_printf(ret, "%" PRIu64 ".%03u\n", value / 1000, (unsigned)(value % 1000));
    else
        buffer_printf(ret, "%" PRIu64 "\n", value);
}

static void write_counters(struct buffer *ret, const struct vitals *vitals, const struct tally *tally)
{
    for (size_t i = 0; i < tally_family_count; i++) {
        const struct tally_family *family = &tally_families[i];
        head(ret, family->name, "counter", family->help);
        for (size_t j = 0; j < vitals->numbers.series_count; j++)
            if (tally_series(tally, j)->family == family)
                write_series(ret, tally_series(tally, j), vitals->numbers.values[j]);
    }
    const struct counters *counters = &vitals->counters;
    write_one(ret, "herald_events_unidentified_total", "counter",
              "Accepted events without an id of their own.", counters->unidentified);
    write_one(ret, "herald_deliveries_released_total", "counter", "Deliveries given back unsent.",
              counters->released);
    write_one(ret, "herald_deliveries_repeated_total", "counter", "Deliveries that may have been sent twice.",
              counters->repeated);
    write_one(ret, "herald_limiter_errors_total", "counter", "Rate limits whose key in Redis is damaged.",
              counters->limiter_errors);
    write_one(ret, "herald_metrics_overflow_total", "counter",
              "Numbers that found no place among the series.", vitals->numbers.overflow);
    write_one(ret, "herald_log_lines_dropped_total", "counter", "Log lines that could not be written.",
              log_dropped());
    write_one(ret, "herald_log_lines_sampled_total", "counter",
              "Log lines that log_rate left out; they are counted above all the same.", log_sampled());
}

/* ── durations ── */

static const struct {
    const char *name, *label, *help;
} timings[TIMING_KINDS] = {
    [TIMING_DELIVERY] =
        {"herald_delivery_seconds", "provider",
         "From reading the event off Redis to the provider's yes; of what waited in Redis, from its "
         "acceptance or sendAt."},
    [TIMING_WAIT] =
        {"herald_lane_wait_seconds", "provider",
         "From asking Redis for the delivery to the attempt's beginning on a thread of the lane."},
    [TIMING_ATTEMPT] =
        {"herald_attempt_seconds", "provider",
         "An attempt: rendering, connecting where needed, sending, and the provider's answer."},
    [TIMING_REDIS] = {"herald_redis_call_seconds", "script",
                      "From handing a script's call to the connection to its answer."},
};

static void write_seconds(struct buffer *ret, uint64_t us)
{
    buffer_printf(ret, "%" PRIu64 ".%06u", us / 1000000, (unsigned)(us % 1000000));
}

static void write_timing(struct buffer *ret, const struct tally_clocked *clocked,
                         const struct tally_timing *timing)
{
    const char *name = timings[clocked->kind].name, *label = timings[clocked->kind].label;
    uint64_t count = 0;
    for (size_t i = 0; i < TALLY_BUCKETS; i++) {
        count += timing->buckets[i];
        buffer_printf(ret, "%s_bucket{%s=\"%s\",le=\"", name, label, clocked->label);
        if (i < TALLY_BUCKETS - 1)
            buffer_printf(ret, "%.9g", (double)tally_bounds_us[i] / 1e6);
        else
            buffer_text(ret, "+Inf");
        buffer_printf(ret, "\"} %" PRIu64 "\n", count);
    }
    buffer_printf(ret, "%s_sum{%s=\"%s\"} ", name, label, clocked->label);
    write_seconds(ret, timing->sum_us);
    buffer_printf(ret, "\n%s_count{%s=\"%s\"} %" PRIu64 "\n", name, label, clocked->label, count);
}

static void write_timings(struct buffer *ret, const struct vitals *vitals, const struct tally *tally)
{
    for (size_t kind = 0; kind < TIMING_KINDS; kind++) {
        head(ret, timings[kind].name, "histogram", timings[kind].help);
        for (size_t i = 0; i < vitals->numbers.timing_count; i++)
            if (tally_clocked(tally, i)->kind == (enum tally_kind)kind)
                write_timing(ret, tally_clocked(tally, i), &vitals->numbers.timings[i]);
    }
}

/* ── gauges ── */

static void write_lanes(struct buffer *ret, const struct vitals *vitals)
{
    static const char *const breakers[] = {"closed", "open", "half-open"};
    head(ret, "herald_lane_held", "gauge", "Deliveries that this process has leased for the lane.");
    for (size_t i = 0; i < vitals->lane_count; i++)
        buffer_printf(ret, "herald_lane_held{provider=\"%s\"} %zu\n", vitals->lanes[i].name,
                      vitals->lanes[i].held);
    head(ret, "herald_lane_running", "gauge", "Attempts under way.");
    for (size_t i = 0; i < vitals->lane_count; i++)
        buffer_printf(ret, "herald_lane_running{provider=\"%s\"} %zu\n", vitals->lanes[i].name,
                      vitals->lanes[i].running);
    head(ret, "herald_lane_capacity", "gauge", "How many the lane can hold.");
    for (size_t i = 0; i < vitals->lane_count; i++)
        buffer_printf(ret, "herald_lane_capacity{provider=\"%s\"} %zu\n", vitals->lanes[i].name,
                      vitals->lanes[i].capacity);
    head(ret, "herald_lane_breaker", "gauge",
         "1 for the state in which the lane's breaker is; open sends nothing.");
    for (size_t i = 0; i < vitals->lane_count; i++)
        for (size_t state = 0; state < sizeof breakers / sizeof *breakers; state++)
            buffer_printf(ret, "herald_lane_breaker{provider=\"%s\",state=\"%s\"} %d\n",
                          vitals->lanes[i].name, breakers[state],
                          strcmp(vitals->lanes[i].breaker, breakers[state]) == 0);
    head(ret, "herald_lane_paused", "gauge", "1 while an operator has paused the lane: it sends nothing.");
    for (size_t i = 0; i < vitals->lane_count; i++)
        buffer_printf(ret, "herald_lane_paused{provider=\"%s\"} %d\n", vitals->lanes[i].name,
                      vitals->lanes[i].is_paused);
}

/* Nothing while Redis can't be asked: an old number would look like a standing queue. */
static void write_depths(struct buffer *ret, const struct vitals *vitals)
{
    if (!vitals->is_depth_known)
        return;
    head(ret, "herald_lane_depth", "gauge",
         "Deliveries that wait in Redis: new ones, and those that are tried again.");
    for (size_t i = 0; i < vitals->depth_count; i++)
        buffer_printf(ret,
                      "herald_lane_depth{provider=\"%s\",state=\"waiting\"} %" PRId64
                      "\nherald_lane_depth{provider=\"%s\",state=\"retrying\"} %" PRId64 "\n",
                      vitals->depths[i].name, vitals->depths[i].waiting, vitals->depths[i].name,
                      vitals->depths[i].retrying);
    head(ret, "herald_lane_oldest_seconds", "gauge",
         "For how long the delivery that is due longest has been due.");
    for (size_t i = 0; i < vitals->depth_count; i++) {
        buffer_printf(ret, "herald_lane_oldest_seconds{provider=\"%s\"} ", vitals->depths[i].name);
        write_seconds(ret, (uint64_t)vitals->depths[i].oldest_ms * 1000);
        buffer_char(ret, '\n');
    }
    head(ret, "herald_deliveries", "gauge", "Deliveries in Redis, of all instances and lanes.");
    buffer_printf(ret,
                  "herald_deliveries{state=\"dead\"} %" PRId64
                  "\nherald_deliveries{state=\"unknown\"} %" PRId64
                  "\nherald_deliveries{state=\"leased\"} %" PRId64 "\n",
                  vitals->dead, vitals->unknown, vitals->leased);
}

void exposition_write(const struct vitals *vitals, const struct tally *tally, int64_t now_mono_ms,
                      struct buffer *ret)
{
    write_counters(ret, vitals, tally);
    write_timings(ret, vitals, tally);
    write_lanes(ret, vitals);
    write_depths(ret, vitals);
    write_one(ret, "herald_redis_pending", "gauge", "Commands that Redis has not answered.", vitals->pending);
    write_one(ret, "herald_outcomes_pending", "gauge", "Outcomes that Redis has not taken.",
              vitals->settling);
    write_one(ret, "herald_log_ring_used_bytes", "gauge", "Log lines that wait to be written.",
              log_ring_used());
    write_one(ret, "herald_log_ring_size_bytes", "gauge", "Room for such lines.", LOG_RING_BYTES);
    write_one(ret, "herald_alive", "gauge", "Whether /healthz says 200.",
              vitals_is_alive(vitals, now_mono_ms));
    write_one(ret, "herald_ready", "gauge", "Whether /readyz says 200.",
              vitals_lack(vitals, now_mono_ms) == NULL);
    head(ret, "herald_build_info", "gauge", "The version that runs.");
    buffer_text(ret, "herald_build_info{version=\"" HERALD_VERSION "\"} 1\n");
}
