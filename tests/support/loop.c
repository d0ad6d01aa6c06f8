/* loop.c - a libuv loop in a test; see loop.h. */
#include "loop.h"

static void on_deadline(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

bool loop_until(uv_loop_t *loop, bool (*is_so)(void *arg), void *arg, int timeout_ms)
{
    bool is_late = false;
    uv_timer_t deadline, tick;

    uv_update_time(loop);
    uv_timer_init(loop, &deadline);
    uv_timer_init(loop, &tick);
    deadline.data = &is_late;
    uv_timer_start(&deadline, on_deadline, (uint64_t)timeout_ms, 0);
    uv_timer_start(&tick, on_tick, LOOP_TICK_MS, LOOP_TICK_MS);
    bool is = is_so(arg);
    while (!is && !is_late) {
        uv_run(loop, UV_RUN_ONCE);
        is = is_so(arg);
    }
    uv_close((uv_handle_t *)&deadline, NULL);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(loop, UV_RUN_NOWAIT); /* their closing ends before their memory does */
    return is;
}

bool loop_finish(uv_loop_t *loop)
{
    bool is_late = false;
    uv_timer_t timer;

    uv_update_time(loop);
    uv_timer_init(loop, &timer);
    timer.data = &is_late;
    uv_timer_start(&timer, on_deadline, LOOP_PATIENCE_MS, 0);
    uv_unref((uv_handle_t *)&timer); /* it does not keep the loop alive itself */
    while (uv_loop_alive(loop) != 0 && !is_late)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
    return uv_loop_close(loop) == 0;
}
