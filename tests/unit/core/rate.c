/* rate.c - the promises of rate.h. */
#include "herald/rate.h"

#include <criterion/criterion.h>
#include <string.h>

Test(rate, count_period_and_burst_are_read)
{
    static const struct {
        const char *text;
        struct rate rate;
    } rows[] = {
        {"50/1s", {50, 1000, 50}},
        {"50/s", {50, 1000, 50}},
        {"1/m", {1, 60000, 1}},
        {"20/1h burst 5", {20, 3600000, 5}},
        {"20/1h   burst   5", {20, 3600000, 5}},
        {"7/2d", {7, 172800000, 7}},
        {"5/1500ms", {5, 1500, 5}},
        {"1000000/366d burst 1000000", {1000000, INT64_C(31622400000), 1000000}},
        {"1/1000ms burst 1", {1, 1000, 1}},
        {"007/01s", {7, 1000, 7}},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rate rate = {0};
        struct err err = {0};
        cr_expect(rate_parse(rows[i].text, &rate, &err), "%s: %s", rows[i].text, err.text);
        cr_expect_eq(rate.count, rows[i].rate.count, "%s", rows[i].text);
        cr_expect_eq(rate.period_ms, rows[i].rate.period_ms, "%s", rows[i].text);
        cr_expect_eq(rate.burst, rows[i].rate.burst, "%s", rows[i].text);
    }
}

Test(rate, anything_else_is_refused_and_says_what_was_expected)
{
    static const char *const rows[] = {"",
                                       "50",
                                       "/",
                                       "50/",
                                       "/1s",
                                       "14/s/s",
                                       "0/1s",
                                       "50/0s",
                                       "50/1s burst 0",
                                       "-1/s",
                                       "+1/s",
                                       "1.5/s",
                                       "50/1",
                                       "50/1x",
                                       "50/1sec",
                                       "50 /s",
                                       "50/ s",
                                       " 50/s",
                                       "50/s ",
                                       "50/sburst 5",
                                       "50/s burst",
                                       "50/s burst ",
                                       "50/s burst x",
                                       "50/s burst 5 x",
                                       "50/s burst5",
                                       "50/s  bursts 5",
                                       "50/s 5",
                                       "1000001/s",
                                       "50/s burst 1000001",
                                       "50/999ms",
                                       "50/ms",
                                       "50/367d",
                                       "50/31622400001ms",
                                       "99999999999999999999/s",
                                       "1/99999999999999999999s",
                                       "1/9223372036854775807d",
                                       "0x5/s",
                                       "50/1S",
                                       "50/1s\n"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rate rate = {.count = 42};
        struct err err = {0};
        cr_expect_not(rate_parse(rows[i], &rate, &err), "%s", rows[i]);
        cr_expect_eq(err.kind, ERR_CONFIG);
        cr_expect_not_null(strstr(err.text, ": expected COUNT/PERIOD"), "%s", err.text);
        cr_expect_eq(rate.count, 42, "%s", rows[i]);
    }
}

Test(rate, the_complaint_repeats_the_value_up_to_forty_bytes)
{
    struct rate rate;
    struct err err;
    cr_assert_not(rate_parse("14/s/s", &rate, &err));
    cr_assert_eq(strncmp(err.text, "'14/s/s': expected COUNT/PERIOD", 31), 0, "%s", err.text);
    cr_assert_not(rate_parse("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxyyyyyyyyy", &rate, &err));
    cr_assert_null(strchr(err.text, 'y'));
}
