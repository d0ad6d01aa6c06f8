/* loop.h - a libuv loop in a test: turn it until something is so, and prove at the end that nothing is left
 * in it. */
#ifndef HERALD_TESTS_LOOP_H
#define HERALD_TESTS_LOOP_H

#include <stdbool.h>
#include <uv.h>

#define LOOP_PATIENCE_MS 30000 /* far more than anything takes that works */

#define LOOP_TICK_MS 10 /* the loop turns at least so often: what is awaited may lie outside of it */

/* Turns the loop until is_so(arg), for timeout_ms at most; whether it is. */
bool loop_until(uv_loop_t *loop, bool (*is_so)(void *arg), void *arg, int timeout_ms);

/* Turns it until nothing is left, then closes it; false when something is left after LOOP_PATIENCE_MS (a
 * leaked handle). */
bool loop_finish(uv_loop_t *loop);

#endif
