/* rate.c - "COUNT/PERIOD burst N". Any thread. */
#include "herald/rate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_COUNT 1000000 /* per period and as a burst: GCRA's times stay exact in a script's doubles */
#define MAX_PERIOD_MS (INT64_C(366) * 86400000) /* as far ahead as sendAt may lie */

#define MAX_TOLERANCE_US (INT64_C(400) * 86400 * 1000000)

/* Digits at *at, which moves behind them; false if there are none, or the number passes `max`. */
static bool take_number(const char **at, int64_t max, int64_t *ret)
{
    int64_t number = 0;

    if (**at < '0' || **at > '9')
        return false;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        number = number * 10 + (**at - '0');
        if (number > max)
            return false;
    }
    *ret = number;
    return true;
}

static bool take_text(const char **at, const char *text)
{
    size_t len = strlen(text);

    if (strncmp(*at, text, len) != 0)
        return false;
    *at += len;
    return true;
}

static int64_t take_unit_ms(const char **at)
{
    if (take_text(at, "ms")) /* before "m" */
        return 1;
    if (take_text(at, "s"))
        return 1000;
    if (take_text(at, "m"))
        return 60 * 1000;
    if (take_text(at, "h"))
        return 3600 * 1000;
    if (take_text(at, "d"))
        return 86400 * 1000;
    return 0;
}

static bool take_rate(const char *at, struct rate *ret)
{
    int64_t count, period = 1, burst;

    if (!take_number(&at, MAX_COUNT, &count) || !take_text(&at, "/"))
        return false;
    if (*at >= '0' && *at <= '9' && !take_number(&at, MAX_PERIOD_MS, &period))
        return false;
    int64_t unit_ms = take_unit_ms(&at);
    if (unit_ms == 0 || period > MAX_PERIOD_MS / unit_ms || period * unit_ms < 1000)
        return false;
    burst = count;
    if (*at == ' ') {
        at += strspn(at, " ");
        if (!take_text(&at, "burst ") || (at += strspn(at, " "), !take_number(&at, MAX_COUNT, &burst)))
            return false;
    }
    if (*at != '\0' || count == 0 || burst == 0)
        return false;
    *ret = (struct rate){.count = (uint32_t)count, .period_ms = period * unit_ms, .burst = (uint32_t)burst};
    return true;
}

bool rate_parse(const char *text, struct rate *ret, struct err *err)
{
    if (!take_rate(text, ret))
        return err_set(err, ERR_CONFIG,
                       "'%.40s': expected COUNT/PERIOD or COUNT/PERIOD burst N, such as 50/1s burst 100: "
                       "numbers from 1 to %d, "
                       "the period in ms, s, m, h or d, from 1s to 366d",
                       text, MAX_COUNT);
    return true;
}

const char *rate_write(const struct rate *rate, char ret[RATE_TEXT_BYTES])
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t unit = 0;
    while (rate->period_ms % units[unit].ms != 0)
        unit++;
    int used = snprintf(ret, RATE_TEXT_BYTES, "%" PRIu32 "/%" PRId64 "%s", rate->count,
                        rate->period_ms / units[unit].ms, units[unit].name);
    if (rate->burst != rate->count)
        snprintf(ret + used, RATE_TEXT_BYTES - (size_t)used, " burst %" PRIu32, rate->burst);
    return ret;
}

struct rate_gcra rate_gcra(const struct rate *rate)
{
    if (rate->count == 0)
        return (struct rate_gcra){0};
    int64_t period_us = rate->period_ms * 1000;
    int64_t interval_us = (period_us + rate->count - 1) / rate->count;
    interval_us += interval_us / 32 + 1;
    /* A burst that takes more than a year to earn is cut there: Lua's numbers are exact up to 2^53 us. */
    int64_t burst = rate->burst > 0 ? rate->burst : 1;
    if (burst > MAX_TOLERANCE_US / interval_us)
        burst = MAX_TOLERANCE_US / interval_us;
    /* A slot is good for one interval, and for a quarter of the slack that the longer interval makes. */
    return (struct rate_gcra){.interval_us = interval_us,
                              .tolerance_us = interval_us * burst,
                              .grace_us = interval_us + period_us / 128};
}
