/* The judgement, and the board. See vitals.h. */
#include "vitals.h"

#define IS_NEWER 4U

void vitals_init(struct vitals *vitals, int64_t watchdog_ms, int64_t now_mono_ms)
{
    vitals->limit_ms = (watchdog_ms > 0 ? watchdog_ms : VITALS_WATCHDOG_MS) / 2;
    vitals->said_mono_ms = now_mono_ms;
    vitals->oldest_mono_ms = INT64_MAX;
    vitals->lack = "it has only begun";
}

bool vitals_is_alive(const struct vitals *vitals, int64_t now_mono_ms)
{
    return now_mono_ms - vitals->said_mono_ms < vitals->limit_ms &&
           now_mono_ms - vitals->oldest_mono_ms < vitals->limit_ms;
}

const char *vitals_lack(const struct vitals *vitals, int64_t now_mono_ms)
{
    return vitals_is_alive(vitals, now_mono_ms) ? vitals->lack : "it stands still";
}

void board_init(struct board *board, int64_t watchdog_ms, int64_t now_mono_ms)
{
    for (size_t i = 0; i < 3; i++)
        vitals_init(&board->copies[i], watchdog_ms, now_mono_ms);
    board->writing = 0;
    board->reading = 1;
    atomic_init(&board->between, 2);
}

struct vitals *board_draft(struct board *board)
{
    return &board->copies[board->writing];
}

void board_post(struct board *board)
{
    board->writing = atomic_exchange(&board->between, board->writing | IS_NEWER) & ~IS_NEWER;
}

const struct vitals *board_read(struct board *board)
{
    if (atomic_load(&board->between) & IS_NEWER)
        board->reading = atomic_exchange(&board->between, board->reading) & ~IS_NEWER;
    return &board->copies[board->reading];
}
