/* When the breaker opens, for how long, and what closes it. */
#include <criterion/criterion.h>

#include "herald/breaker.h"

static void fail_times(struct breaker *breaker, unsigned times, int64_t now)
{
    for (unsigned i = 0; i < times; i++)
        breaker_on_failure(breaker, now, 0);
}

Test(breaker, four_failures_in_a_row_leave_it_closed_and_the_fifth_opens_it)
{
    struct breaker breaker = {0};
    fail_times(&breaker, 4, 0);
    cr_assert_eq(breaker_room(&breaker, 0), UINT32_MAX);
    cr_assert(breaker_on_failure(&breaker, 0, 0));
    cr_assert_eq(breaker_room(&breaker, 0), 0);
}

Test(breaker, a_success_in_between_starts_the_row_anew)
{
    struct breaker breaker = {0};
    fail_times(&breaker, 4, 0);
    cr_assert_not(breaker_on_success(&breaker));
    fail_times(&breaker, 4, 0);
    cr_assert_eq(breaker.state, BREAKER_CLOSED);
}

Test(breaker, half_of_the_last_twenty_opens_it_without_a_row)
{
    struct breaker breaker = {0};
    for (int i = 0; i < 9; i++) {
        breaker_on_failure(&breaker, 0, 0);
        breaker_on_success(&breaker);
    }
    breaker_on_success(&breaker);
    cr_assert_eq(breaker.state, BREAKER_CLOSED);
    cr_assert(breaker_on_failure(&breaker, 0, 0), "the tenth of twenty");
}

Test(breaker, one_probe_goes_once_the_time_is_over_and_its_success_closes)
{
    struct breaker breaker = {0};
    fail_times(&breaker, 5, 1000);
    cr_assert_geq(breaker.until_mono_ms, 1000 + BREAKER_MIN_OPEN_MS / 2);
    cr_assert_eq(breaker_room(&breaker, breaker.until_mono_ms - 1), 0);
    cr_assert_eq(breaker_room(&breaker, breaker.until_mono_ms), 1);
    breaker_on_probe(&breaker);
    cr_assert_eq(breaker_room(&breaker, breaker.until_mono_ms), 0, "only one");
    cr_assert(breaker_on_success(&breaker));
    cr_assert_eq(breaker_room(&breaker, breaker.until_mono_ms), UINT32_MAX);
}

Test(breaker, a_probe_that_came_back_unused_makes_room_for_another)
{
    struct breaker breaker = {0};
    fail_times(&breaker, 5, 0);
    cr_assert_eq(breaker_room(&breaker, 5000), 1);
    breaker_on_probe(&breaker);
    breaker_on_unused(&breaker);
    cr_assert_eq(breaker_room(&breaker, 5000), 1);
}

Test(breaker, each_failed_probe_doubles_the_time_up_to_a_minute)
{
    struct breaker breaker = {0};
    int64_t now = 0, expected = BREAKER_MIN_OPEN_MS;
    fail_times(&breaker, 5, now);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(breaker.open_ms, expected);
        cr_assert_leq(breaker.until_mono_ms - now, expected);
        now = breaker.until_mono_ms;
        cr_assert_eq(breaker_room(&breaker, now), 1);
        breaker_on_probe(&breaker);
        cr_assert(breaker_on_failure(&breaker, now, UINT32_MAX));
        expected = expected * 2 > BREAKER_MAX_OPEN_MS ? BREAKER_MAX_OPEN_MS : expected * 2;
    }
}

Test(breaker, failures_of_what_was_under_way_do_not_open_it_for_longer)
{
    struct breaker breaker = {0};
    fail_times(&breaker, 5, 0);
    int64_t until = breaker.until_mono_ms;
    cr_assert_not(breaker_on_failure(&breaker, 10, 0));
    cr_assert_eq(breaker.until_mono_ms, until);
}
