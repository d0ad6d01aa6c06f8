/* log_sample.h - which lines are left out when one event has too many, and how many they were. No locks:
 * log.c holds its mutex meanwhile. */
#ifndef HERALD_BASE_LOG_SAMPLE_H
#define HERALD_BASE_LOG_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"

#define LOG_SAMPLE_EVENTS 96      /* there are some fifty; one that finds no place is never left out */
#define LOG_SAMPLE_REPORT_MS 1000 /* what was left out is said so often */

struct log_sample {
    struct {
        const char *event; /* borrowed: names are literals */
        int64_t seen_ms;   /* the last line */
        int64_t credit;    /* lines that may be written, in thousandths */
        uint64_t left_out; /* since it was said */
    } events[LOG_SAMPLE_EVENTS];
    size_t count;
    int64_t due_ms; /* when to say what was left out; 0: nothing was */
};

/* Whether a line of that event is written: up to `rate` at once and then `rate` a second, evenly spread. If
 * not it is counted. `rate` 0: always. The times never go back. */
bool log_sample_admits(struct log_sample *sample, const char *event, unsigned rate,
                       int64_t now_ms) MUST_CHECK;
/* Takes out what was left out of one event; false: of none. The last one ends the report. */
bool log_sample_report(struct log_sample *sample, const char **ret_event, uint64_t *ret_count) MUST_CHECK;
/* What was taken out could not be said: it is due again a while later. */
void log_sample_put_back(struct log_sample *sample, const char *event, uint64_t count, int64_t now_ms);

#endif
