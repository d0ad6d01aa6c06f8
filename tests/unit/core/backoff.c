/* backoff.c - the promises of backoff.h. */
#include "herald/backoff.h"

#include <criterion/criterion.h>
#include <limits.h>

#define HOUR_MS 3600000

Test(backoff, the_delay_doubles_up_to_its_bound_and_half_of_it_is_fixed)
{
    static const struct {
        unsigned n;
        int64_t full_ms;
    } rows[] = {{0, 15000},   {1, 15000},    {2, 30000},    {3, 60000},         {8, 1920000},
                {9, HOUR_MS}, {10, HOUR_MS}, {64, HOUR_MS}, {UINT_MAX, HOUR_MS}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_eq(backoff_delay_ms(rows[i].n, 15000, HOUR_MS, 0), rows[i].full_ms / 2, "n %u", rows[i].n);
        cr_expect_eq(backoff_delay_ms(rows[i].n, 15000, HOUR_MS, UINT32_MAX), rows[i].full_ms, "n %u",
                     rows[i].n);
        cr_expect_eq(backoff_delay_ms(rows[i].n, 15000, HOUR_MS, UINT32_MAX / 2), rows[i].full_ms / 4 * 3,
                     "n %u", rows[i].n);
    }
}

Test(backoff, a_bound_below_the_base_wins)
{
    cr_assert_eq(backoff_delay_ms(5, 15000, 1000, UINT32_MAX), 1000);
}

Test(backoff, the_longest_delays_do_not_overflow)
{
    cr_assert_eq(backoff_delay_ms(100, INT64_C(1) << 61, INT64_MAX, UINT32_MAX) > INT64_MAX / 2, true);
    cr_assert_eq(backoff_delay_ms(100, 1, INT64_MAX, 0), INT64_MAX - INT64_MAX / 2);
    cr_assert_eq(backoff_reconnect_ms(UINT_MAX, 50, INT64_MAX, 0),
                 (int64_t)50 * UINT_MAX - (int64_t)50 * UINT_MAX / 5);
}

Test(backoff, odd_delays_stay_within_their_bounds)
{
    for (int64_t base = 1; base < 50; base++) {
        cr_expect_eq(backoff_delay_ms(1, base, 1000, 0), base - base / 2);
        cr_expect_eq(backoff_delay_ms(1, base, 1000, UINT32_MAX), base);
    }
}

Test(backoff, reconnecting_waits_longer_by_a_step_give_or_take_a_fifth)
{
    static const struct {
        unsigned n;
        int64_t middle_ms;
    } rows[] = {{1, 50}, {2, 100}, {39, 1950}, {40, 2000}, {41, 2000}, {UINT_MAX, 2000}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t fifth = rows[i].middle_ms / 5;
        cr_expect_eq(backoff_reconnect_ms(rows[i].n, 50, 2000, 0), rows[i].middle_ms - fifth, "n %u",
                     rows[i].n);
        cr_expect_eq(backoff_reconnect_ms(rows[i].n, 50, 2000, UINT32_MAX), rows[i].middle_ms + fifth, "n %u",
                     rows[i].n);
    }
}
