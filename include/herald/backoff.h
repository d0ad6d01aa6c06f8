/* backoff.h - how long to wait before the n-th retry. Pure; any thread. */
#ifndef HERALD_BACKOFF_H
#define HERALD_BACKOFF_H

#include <stdint.h>

/* min(max, base * 2^(n-1)) for n >= 1, then "equal jitter": half of it fixed, half drawn evenly by `random`
 * (any 32 random bits). Source: Brooker, "Exponential Backoff And Jitter". */
int64_t backoff_delay_ms(unsigned n, int64_t base_ms, int64_t max_ms, uint32_t random);

/* Reconnecting: min(step * n, max), plus or minus a fifth. */
int64_t backoff_reconnect_ms(unsigned n, int64_t step_ms, int64_t max_ms, uint32_t random);

#endif
