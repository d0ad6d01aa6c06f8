/* log_sample.c - tests of what is left out when one event has too many lines, and of how that is said. */
#include "log_sample.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/clock.h"
#include "log_capture.h"

#define RATE 10

static unsigned admitted(struct log_sample *sample, const char *event, unsigned lines, int64_t now_ms)
{
    unsigned count = 0;

    for (unsigned i = 0; i < lines; i++)
        count += log_sample_admits(sample, event, RATE, now_ms);
    return count;
}

static uint64_t left_out(struct log_sample *sample, const char *event)
{
    uint64_t sum = 0;
    uint64_t count;
    const char *name;

    while (log_sample_report(sample, &name, &count))
        sum += strcmp(name, event) == 0 ? count : 0;
    return sum;
}

Test(log_sample, up_to_the_rate_at_once_and_then_the_rate)
{
    struct log_sample sample = {0};

    cr_expect_eq(admitted(&sample, "a", RATE, 1000), RATE);
    cr_expect_eq(admitted(&sample, "a", 100, 1000), 0);
    cr_expect_eq(admitted(&sample, "a", 100, 1100), 1);
    cr_expect_eq(admitted(&sample, "a", 100, 1600), 5);
    cr_expect_eq(admitted(&sample, "a", 100, 9999), RATE, "what was not used is not saved up");
    cr_expect_eq(left_out(&sample, "a"), 100 + 99 + 95 + 90);
}

Test(log_sample, what_is_kept_comes_from_the_whole_second)
{
    struct log_sample sample = {0};
    unsigned first_half = 0, second_half = 0;

    (void)admitted(&sample, "a", RATE, 1000);
    for (int64_t ms = 1001; ms <= 2000; ms++)
        *(ms <= 1500 ? &first_half : &second_half) += admitted(&sample, "a", 5, ms);
    cr_expect_eq(first_half, RATE / 2);
    cr_expect_eq(second_half, RATE / 2);
}

Test(log_sample, events_do_not_take_each_others_lines)
{
    struct log_sample sample = {0};
    char same_name[] = "a"; /* names count, not where they stand */

    cr_expect_eq(admitted(&sample, "a", 1000, 1), RATE);
    cr_expect_eq(admitted(&sample, "b", RATE, 1), RATE);
    cr_expect_eq(admitted(&sample, same_name, 1, 1), 0);
    cr_expect_eq(left_out(&sample, "a"), 1000 - RATE + 1);
}

Test(log_sample, no_rate_is_no_limit)
{
    struct log_sample sample = {0};

    for (int i = 0; i < 100000; i++)
        cr_assert(log_sample_admits(&sample, "a", 0, 1));
    cr_expect_eq(sample.due_ms, 0);
}

Test(log_sample, a_lower_rate_counts_at_once)
{
    struct log_sample sample = {0};

    cr_expect(log_sample_admits(&sample, "a", 1000, 1));
    cr_expect_eq(admitted(&sample, "a", 1000, 2), RATE);
}

Test(log_sample, an_event_that_finds_no_place_is_never_left_out)
{
    struct log_sample sample = {0};
    static char names[LOG_SAMPLE_EVENTS + 1][8];

    for (size_t i = 0; i <= LOG_SAMPLE_EVENTS; i++) {
        snprintf(names[i], sizeof(names[i]), "e%zu", i);
        cr_assert_eq(admitted(&sample, names[i], RATE, 1), RATE);
    }
    cr_expect_eq(admitted(&sample, names[LOG_SAMPLE_EVENTS], 100, 1), 100);
    cr_expect_eq(admitted(&sample, names[LOG_SAMPLE_EVENTS - 1], 100, 1), 0);
}

Test(log_sample, it_is_due_a_second_after_the_first_one_and_again_after_a_failure)
{
    struct log_sample sample = {0};
    const char *event;
    uint64_t count;

    (void)admitted(&sample, "a", RATE, 500);
    cr_expect_eq(sample.due_ms, 0);
    (void)admitted(&sample, "a", 1, 500);
    (void)admitted(&sample, "a", 1, 510);
    cr_expect_eq(sample.due_ms, 500 + LOG_SAMPLE_REPORT_MS);
    cr_assert(log_sample_report(&sample, &event, &count));
    log_sample_put_back(&sample, event, count, 5000);
    cr_expect_eq(sample.due_ms, 5000 + LOG_SAMPLE_REPORT_MS);
    cr_expect_eq(left_out(&sample, "a"), 2);
    cr_expect_eq(sample.due_ms, 0, "all is said");
    (void)admitted(&sample, "a", 1, 520);
    cr_expect_eq(sample.due_ms, 520 + LOG_SAMPLE_REPORT_MS);
}

/* ---- as log.c does it ---------------------------------------------------------------------------------- */

static void start_sampled(void)
{
    start_capture(LOG_FORMAT_JSON);
    log_set_rate(RATE);
}

static void log_some(enum log_level level, const char *event, int count)
{
    for (int i = 0; i < count; i++)
        log_line(level, event, "m", NULL, 0);
}

static int count_of(const char *lines, const char *event)
{
    char needle[64];
    int count = 0;

    snprintf(needle, sizeof(needle), "\"event\":\"%s\"", event);
    for (const char *at = lines; (at = strstr(at, needle)) != NULL; at++)
        count++;
    return count;
}

/* How many lines the reports say were left out of an event, all together. */
static int said_of(const char *lines, const char *event)
{
    char needle[64];
    int sum = 0;

    snprintf(needle, sizeof(needle), "\"of\":\"%s\",\"count\":", event);
    for (const char *at = lines; (at = strstr(at, needle)) != NULL; at += strlen(needle))
        sum += (int)strtol(at + strlen(needle), NULL, 10);
    return sum;
}

Test(log_sample, what_is_left_out_is_said_at_the_latest_at_the_end)
{
    start_sampled();
    log_some(LOG_LEVEL_INFO, "a.b", 5000);
    log_some(LOG_LEVEL_NOTICE, "c.d", 100);
    uint64_t sampled = log_sampled();
    const char *lines = stop_capture();
    cr_assert_geq(count_of(lines, "a.b"), RATE);
    cr_expect_geq(said_of(lines, "a.b"), 1);
    cr_expect_eq(count_of(lines, "a.b") + said_of(lines, "a.b"), 5000);
    cr_expect_eq(count_of(lines, "c.d") + said_of(lines, "c.d"), 100);
    cr_expect_eq((int)sampled, said_of(lines, "a.b") + said_of(lines, "c.d"));
    cr_expect_not_null(strstr(lines, "\"level\":\"notice\",\"event\":\"log.sampled\""));
}

Test(log_sample, what_is_left_out_is_said_after_a_second_though_nothing_more_is_logged, .timeout = 60)
{
    char bytes[65536];
    size_t len = 0;

    start_sampled();
    int64_t begun_ms = clock_mono_ms();
    log_some(LOG_LEVEL_INFO, "a.b", 50);
    do {
        ssize_t got = read(capture_pipe[0], bytes + len, sizeof(bytes) - len - 1);
        cr_assert_gt(got, 0);
        len += (size_t)got;
        bytes[len] = '\0';
    } while (strstr(bytes, "log.sampled") == NULL);
    cr_expect_geq(clock_mono_ms() - begun_ms, LOG_SAMPLE_REPORT_MS);
    cr_expect_eq(said_of(bytes, "a.b"), (int)log_sampled());
    cr_expect_null(strstr(stop_capture(), "log.sampled"), "it is said once");
}

Test(log_sample, warnings_and_errors_are_never_left_out)
{
    start_sampled();
    log_some(LOG_LEVEL_WARNING, "a.b", 200);
    log_some(LOG_LEVEL_ERROR, "c.d", 200);
    const char *lines = stop_capture();
    cr_expect_eq(count_of(lines, "a.b"), 200);
    cr_expect_eq(count_of(lines, "c.d"), 200);
    cr_expect_null(strstr(lines, "log.sampled"));
}

static void count_line(void *arg, const char *event, const struct log_field *fields, size_t count)
{
    (void)event;
    (void)fields;
    (void)count;
    ++*(int *)arg;
}

Test(log_sample, the_observer_sees_what_is_left_out)
{
    int seen = 0;

    start_sampled();
    log_observe(count_line, &seen);
    log_some(LOG_LEVEL_INFO, "a.b", 5000);
    log_observe(NULL, NULL);
    (void)stop_capture();
    cr_expect_eq(seen, 5000);
}

Test(log_sample, a_reader_that_has_gone_does_not_hold_up_the_end, .timeout = 60)
{
    start_sampled();
    close(capture_pipe[0]);
    log_some(LOG_LEVEL_INFO, "a.b", 5000);
    int64_t begun_ms = clock_mono_ms();
    log_stop(20000);
    cr_expect_lt(clock_mono_ms() - begun_ms, 15000);
}

Test(log_sample, after_the_end_all_lines_are_written)
{
    start_sampled();
    int writing_end = dup(capture_pipe[1]);
    log_stop(10000);
    log_some(LOG_LEVEL_INFO, "a.b", 50);
    close(writing_end);
    cr_expect_eq(count_of(read_captured(), "a.b"), 50);
}
