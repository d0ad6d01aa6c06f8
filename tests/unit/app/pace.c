/* pace.c - the promises of pace.h. */
#include "pace.h"

#include <criterion/criterion.h>

#define NOW INT64_C(1000000)

static struct pace_figures read_at(const struct pace *pace, int64_t now)
{
    struct pace_figures ret;
    pace_read(pace, now, &ret);
    return ret;
}

Test(pace, nothing_done_has_no_figures)
{
    struct pace pace = {0};
    struct pace_figures figures = read_at(&pace, NOW);
    cr_expect_eq(figures.p99_us, 0);
    cr_expect_float_eq(figures.per_second, 0, 0.001);
}

Test(pace, the_slowest_of_a_hundred_is_the_end_of_its_bucket)
{
    struct pace pace = {0};
    for (int i = 0; i < 199; i++)
        pace_add(&pace, NOW + i * 50, 900);
    cr_expect_eq(read_at(&pace, NOW + 10000).p99_us, 1000);
    cr_expect_float_eq(read_at(&pace, NOW + 10000).per_second, 19.9, 0.001);
    for (int i = 0; i < 3; i++)
        pace_add(&pace, NOW + 10000, 40000);
    cr_expect_eq(read_at(&pace, NOW + 10000).p99_us, 50000);
}

Test(pace, past_the_last_bucket_there_is_no_bound)
{
    struct pace pace = {0};
    pace_add(&pace, NOW, INT64_C(301000000));
    cr_expect_eq(read_at(&pace, NOW).p99_us, INT64_MAX);
}

Test(pace, what_was_done_two_windows_ago_is_forgotten)
{
    struct pace pace = {0};
    pace_add(&pace, NOW, 900);
    cr_expect_eq(read_at(&pace, NOW + PACE_WINDOW_MS).p99_us, 1000);
    cr_expect_eq(read_at(&pace, NOW + 2 * PACE_WINDOW_MS).p99_us, 0);
    pace_add(&pace, NOW + PACE_WINDOW_MS + 1, 40000);
    cr_expect_float_eq(read_at(&pace, NOW + PACE_WINDOW_MS + 10000).per_second, 2.0 / 40, 0.001);
    cr_expect_eq(read_at(&pace, NOW + 3 * PACE_WINDOW_MS - 1).p99_us, 50000);
}
