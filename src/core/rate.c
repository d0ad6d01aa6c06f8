/* rate.c - "COUNT/PERIOD burst N". Any thread. */
#include "herald/rate.h"

#include <string.h>

#define MAX_COUNT 1000000 /* per period and as a burst: GCRA's times stay exact in a script's doubles */
#define MAX_PERIOD_MS (INT64_C(366) * 86400000) /* as far ahead as sendAt may lie */

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
