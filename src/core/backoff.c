/* backoff.c - how long to wait before the n-th retry. Randomness is an argument: so the bounds can be tested.
 * Any thread. */
#include "herald/backoff.h"

/* 0 … span, evenly: span * random / 2^32 without a product that overflows. */
static int64_t draw(int64_t span, uint32_t random)
{
    uint64_t high = (uint64_t)(span + 1) >> 32, low = (uint64_t)(span + 1) & UINT32_MAX;

    return (int64_t)(high * random + (low * random >> 32));
}

int64_t backoff_delay_ms(unsigned n, int64_t base_ms, int64_t max_ms, uint32_t random)
{
    int64_t delay = base_ms < max_ms ? base_ms : max_ms;

    for (; n > 1 && delay < max_ms; n--)
        delay = delay > max_ms / 2 ? max_ms : delay * 2;
    int64_t half = delay / 2;
    return delay - half + draw(half, random);
}

int64_t backoff_reconnect_ms(unsigned n, int64_t step_ms, int64_t max_ms, uint32_t random)
{
    int64_t delay = step_ms > 0 && n > max_ms / step_ms ? max_ms : step_ms * n;
    int64_t fifth = delay / 5;

    return delay - fifth + draw(2 * fifth, random);
}
