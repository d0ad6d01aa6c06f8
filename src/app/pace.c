/* Two windows. See pace.h. */
#include "pace.h"

#include <stddef.h>

/* The windows as they are at that time: what is over moves up, what is long over goes. */
static struct pace turned(const struct pace *pace, int64_t now_mono_ms)
{
    struct pace ret = *pace;
    int64_t age_ms = now_mono_ms - ret.now.begun_mono_ms;
    if (age_ms < PACE_WINDOW_MS)
        return ret;
    ret.before = age_ms < 2 * PACE_WINDOW_MS ? ret.now : (struct pace_window){0};
    ret.now = (struct pace_window){
        .begun_mono_ms = age_ms < 2 * PACE_WINDOW_MS ? ret.now.begun_mono_ms + PACE_WINDOW_MS : now_mono_ms};
    return ret;
}

void pace_add(struct pace *pace, int64_t now_mono_ms, int64_t us)
{
    size_t bucket = 0;
    if (now_mono_ms - pace->now.begun_mono_ms >= PACE_WINDOW_MS)
        *pace = turned(pace, now_mono_ms);
    while (bucket < TALLY_BUCKETS - 1 && us > tally_bounds_us[bucket])
        bucket++;
    pace->now.count++;
    pace->now.buckets[bucket]++;
}

void pace_read(const struct pace *pace, int64_t now_mono_ms, struct pace_figures *ret)
{
    struct pace at = turned(pace, now_mono_ms);
    uint64_t count = (uint64_t)at.now.count + at.before.count, seen = 0;
    int64_t begun_ms = at.before.count > 0 ? at.before.begun_mono_ms : at.now.begun_mono_ms;
    int64_t span_ms = now_mono_ms - begun_ms;
    *ret = (struct pace_figures){0};
    if (count == 0)
        return;
    ret->per_second = (double)count * 1000 / (double)(span_ms > 1000 ? span_ms : 1000);
    for (size_t i = 0; i < TALLY_BUCKETS; i++) {
        seen += at.now.buckets[i] + (uint64_t)at.before.buckets[i];
        if (seen * 100 >= count * 99) {
            ret->p99_us = i < TALLY_BUCKETS - 1 ? tally_bounds_us[i] : INT64_MAX;
            return;
        }
    }
}
