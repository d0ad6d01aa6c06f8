/* loop.c - a libuv loop in a test; see loop.h. */
#include "loop.h"

static void on_deadline(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

bool loop_until(uv_loop_t *loop, bool (*is_so)(void *arg), void *arg, int timeout_ms)
{
    bool is_late = false;
    uv_timer_t timer;

    uv_update_time(loop);
    uv_timer_init(loop, &timer);
    timer.data = &is_late;
    uv_timer_start(&timer, on_deadline, (uint64_t)timeout_ms, 0);
    bool is = is_so(arg);
    while (!is && !is_late) {
        uv_run(loop, UV_RUN_ONCE);
        is = is_so(arg);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT); /* its closing ends before the memory does */
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
