/* vitals.c - the promises of vitals.h. */
#include "vitals.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#define NOW INT64_C(1000000)

static struct vitals *said(int64_t oldest, const char *lack)
{
    struct vitals *vitals = calloc(1, sizeof *vitals);
    vitals_init(vitals, 10000, NOW - 60000);
    vitals->said_mono_ms = NOW;
    vitals->oldest_mono_ms = oldest;
    vitals->lack = lack;
    return vitals;
}

Test(vitals, a_loop_that_has_not_turned_for_half_the_watchdogs_time_is_not_alive)
{
    struct vitals *vitals = said(INT64_MAX, NULL);
    cr_expect(vitals_is_alive(vitals, NOW + 4999));
    cr_expect_null(vitals_lack(vitals, NOW + 4999));
    cr_expect_not(vitals_is_alive(vitals, NOW + 5000));
    cr_expect_not_null(vitals_lack(vitals, NOW + 5000));
    free(vitals);
}

Test(vitals, a_lane_that_shows_no_life_is_not_alive)
{
    struct vitals *vitals = said(NOW - 4999, NULL);
    cr_expect(vitals_is_alive(vitals, NOW));
    vitals->oldest_mono_ms = NOW - 5000;
    cr_expect_not(vitals_is_alive(vitals, NOW));
    vitals->oldest_mono_ms = NOW + 15000; /* an idle thread's sign is good for a while */
    cr_expect(vitals_is_alive(vitals, NOW));
    free(vitals);
}

Test(vitals, who_takes_no_events_is_alive_and_says_what_it_lacks)
{
    struct vitals *vitals = said(INT64_MAX, "a Redis");
    cr_expect(vitals_is_alive(vitals, NOW));
    cr_expect_str_eq(vitals_lack(vitals, NOW), "a Redis");
    free(vitals);
}

Test(vitals, without_a_manager_the_limit_is_that_of_our_unit_and_nothing_is_ready_yet)
{
    struct vitals *vitals = calloc(1, sizeof *vitals);
    vitals_init(vitals, 0, NOW);
    cr_expect(vitals_is_alive(vitals, NOW + VITALS_WATCHDOG_MS / 2 - 1));
    cr_expect_not(vitals_is_alive(vitals, NOW + VITALS_WATCHDOG_MS / 2));
    cr_expect_not_null(vitals_lack(vitals, NOW));
    free(vitals);
}

#define ROUNDS 200000

static void *post(void *arg)
{
    struct board *board = arg;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        struct vitals *draft = board_draft(board);
        draft->counters.received = i;
        draft->counters.gaps = i;
        board_post(board);
    }
    return NULL;
}

Test(vitals, a_reader_sees_whole_news_never_older_ones_and_the_last_in_the_end)
{
    struct board *board = calloc(1, sizeof *board);
    pthread_t writer;
    uint64_t last = 0;
    board_init(board, 0, NOW);
    cr_assert_eq(pthread_create(&writer, NULL, post, board), 0);
    while (last < ROUNDS) {
        const struct vitals *vitals = board_read(board);
        cr_assert_eq(vitals->counters.received, vitals->counters.gaps);
        cr_assert_geq(vitals->counters.received, last);
        last = vitals->counters.received;
    }
    pthread_join(writer, NULL);
    cr_expect_eq(board_read(board)->counters.received, ROUNDS);
    free(board);
}
