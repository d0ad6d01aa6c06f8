/* rate.h - "COUNT/PERIOD burst N": how fast something may be sent. */
#ifndef HERALD_RATE_H
#define HERALD_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "herald/err.h"

/* GCRA parameters (generic cell rate algorithm, ITU-T I.371 annex A). All zero: no limit. */
struct rate {
    uint32_t count;    /* 1 … 1,000,000 per period */
    int64_t period_ms; /* 1 s … 366 days */
    uint32_t burst;    /* 1 … 1,000,000; default: count */
};

/* Accepts "50/1s", "50/s", "20/1h burst 5"; units ms s m h d. On false *err is ERR_CONFIG: "'14/s/s':
 * expected COUNT/PERIOD …". */
bool rate_parse(const char *text, struct rate *ret, struct err *err) MUST_CHECK;

/* The other way: "50/1s burst 100", the burst only where it is not the count. */
#define RATE_TEXT_BYTES 64
const char *rate_write(const struct rate *rate, char ret[RATE_TEXT_BYTES]);

/* What limits.lua counts with, in microseconds: each sending moves the scope's time ahead by the interval,
 * and waits while that would be more than the tolerance ahead of now. All zero: no limit. */
struct rate_gcra {
    int64_t interval_us;
    int64_t tolerance_us;
    int64_t grace_us; /* for how long a reserved slot is good */
};
struct rate_gcra rate_gcra(const struct rate *rate);

#endif
