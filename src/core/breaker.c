/* The circuit breaker's arithmetic; see the header for its rules. Loop thread. */
#include "herald/breaker.h"

#include <string.h>

#include "herald/backoff.h"

uint32_t breaker_room(struct breaker *breaker, int64_t mono_ms)
{
    if (breaker->state == BREAKER_OPEN && mono_ms >= breaker->until_mono_ms) {
        breaker->state = BREAKER_HALF_OPEN;
        breaker->is_probing = false;
    }
    if (breaker->state == BREAKER_CLOSED)
        return UINT32_MAX;
    return breaker->state == BREAKER_HALF_OPEN && !breaker->is_probing ? 1 : 0;
}

void breaker_on_probe(struct breaker *breaker)
{
    breaker->is_probing = breaker->state == BREAKER_HALF_OPEN;
}

void breaker_on_unused(struct breaker *breaker)
{
    breaker->is_probing = false;
}

static void remember(struct breaker *breaker, bool is_failure)
{
    breaker->window = (breaker->window << 1 | (is_failure ? 1 : 0)) & ((UINT32_C(1) << BREAKER_WINDOW) - 1);
    if (breaker->seen < BREAKER_WINDOW)
        breaker->seen++;
}

bool breaker_on_success(struct breaker *breaker)
{
    breaker->in_a_row = 0;
    if (breaker->state == BREAKER_CLOSED) {
        remember(breaker, false);
        return false;
    }
    /* A late success of a send that began before it opened proves as much as a probe's. */
    memset(breaker, 0, sizeof *breaker);
    return true;
}

bool breaker_on_failure(struct breaker *breaker, int64_t mono_ms, uint32_t random)
{
    if (breaker->state == BREAKER_OPEN)
        return false; /* one of those that were under way */
    if (breaker->state == BREAKER_CLOSED) {
        breaker->in_a_row++;
        remember(breaker, true);
        bool is_half =
            breaker->seen == BREAKER_WINDOW && __builtin_popcount(breaker->window) * 2 >= BREAKER_WINDOW;
        if (breaker->in_a_row < BREAKER_IN_A_ROW && !is_half)
            return false;
    }
    breaker->open_ms = breaker->open_ms == 0 ? BREAKER_MIN_OPEN_MS : breaker->open_ms * 2;
    if (breaker->open_ms > BREAKER_MAX_OPEN_MS)
        breaker->open_ms = BREAKER_MAX_OPEN_MS;
    breaker->state = BREAKER_OPEN;
    breaker->is_probing = false;
    breaker->until_mono_ms = mono_ms + backoff_delay_ms(1, breaker->open_ms, breaker->open_ms, random);
    return true;
}
