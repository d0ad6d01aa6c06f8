/* log_sample.c - which lines are left out when one event has too many; see log_sample.h.
 *
 * A bucket for each event name: what is kept comes from all over the second and not from its beginning alone,
 * and a busy event leaves a rare one alone. */
#include "log_sample.h"

#include <string.h>

/* The event's place, or the number of all places. */
static size_t find(const struct log_sample *sample, const char *event)
{
    for (size_t i = 0; i < sample->count; i++)
        if (sample->events[i].event == event || strcmp(sample->events[i].event, event) == 0)
            return i;
    return LOG_SAMPLE_EVENTS;
}

bool log_sample_admits(struct log_sample *sample, const char *event, unsigned rate, int64_t now_ms)
{
    int64_t full = (int64_t)rate * 1000;
    size_t at = find(sample, event);

    if (rate == 0)
        return true;
    if (at == LOG_SAMPLE_EVENTS) {
        if (sample->count == LOG_SAMPLE_EVENTS)
            return true;
        at = sample->count++;
        sample->events[at].event = event;
        sample->events[at].credit = full;
        sample->events[at].seen_ms = now_ms;
    }
    int64_t passed_ms = now_ms - sample->events[at].seen_ms;
    int64_t credit = sample->events[at].credit + (passed_ms < 1000 ? passed_ms * rate : full);
    if (credit > full) /* also after the rate was lowered */
        credit = full;
    sample->events[at].seen_ms = now_ms;
    bool is_admitted = credit >= 1000;
    sample->events[at].credit = is_admitted ? credit - 1000 : credit;
    if (is_admitted)
        return true;
    sample->events[at].left_out++;
    if (sample->due_ms == 0)
        sample->due_ms = now_ms + LOG_SAMPLE_REPORT_MS;
    return false;
}

bool log_sample_report(struct log_sample *sample, const char **ret_event, uint64_t *ret_count)
{
    for (size_t i = 0; i < sample->count; i++) {
        if (sample->events[i].left_out == 0)
            continue;
        *ret_event = sample->events[i].event;
        *ret_count = sample->events[i].left_out;
        sample->events[i].left_out = 0;
        return true;
    }
    sample->due_ms = 0;
    return false;
}

void log_sample_put_back(struct log_sample *sample, const char *event, uint64_t count, int64_t now_ms)
{
    size_t at = find(sample, event);

    if (at == LOG_SAMPLE_EVENTS)
        return; /* it was taken out of here, and places are never given back */
    sample->events[at].left_out += count;
    sample->due_ms = now_ms + LOG_SAMPLE_REPORT_MS;
}
