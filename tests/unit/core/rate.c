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

Test(rate, what_is_written_is_read_as_the_same)
{
    static const char *const rows[][2] = {{"50/1s burst 100", "50/1s burst 100"},
                                          {"20/60m", "20/1h"},
                                          {"1/1500ms", "1/1500ms"},
                                          {"7/d burst 7", "7/1d"},
                                          {"1000000/366d burst 1000000", "1000000/366d"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rate rate = {0}, again = {0};
        struct err err;
        char text[RATE_TEXT_BYTES];
        cr_assert(rate_parse(rows[i][0], &rate, &err));
        cr_expect_str_eq(rate_write(&rate, text), rows[i][1]);
        cr_assert(rate_parse(text, &again, &err));
        cr_expect_eq(memcmp(&rate, &again, sizeof rate), 0, "%s", text);
    }
}

Test(rate, the_counting_is_a_32nd_slower_than_asked_for_and_bursts_end_at_a_year)
{
    struct rate_gcra gcra = rate_gcra(&(struct rate){.count = 10, .period_ms = 1000, .burst = 5});
    cr_expect_eq(gcra.interval_us, 100000 + 3125 + 1);
    cr_expect_eq(gcra.tolerance_us, 5 * gcra.interval_us);
    cr_expect_eq(gcra.grace_us, gcra.interval_us + 7812);
    gcra = rate_gcra(&(struct rate){.count = 1, .period_ms = INT64_C(86400000), .burst = 1000000});
    cr_expect_leq(gcra.tolerance_us, INT64_C(400) * 86400 * 1000000);
    cr_expect_eq(rate_gcra(&(struct rate){0}).interval_us, 0);
}
