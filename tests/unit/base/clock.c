/* clock.c - the promises of clock.h. */
#include "herald/clock.h"

#include <criterion/criterion.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NEW_YEAR_2026 INT64_C(1767261600000) /* 2026-01-01T10:00:00Z */
#define LAST_MS INT64_C(253402300799999)
#define UNTOUCHED INT64_C(-77)

Test(clock, mono_never_goes_back_and_agrees_with_itself)
{
    int64_t before_ms = clock_mono_ms();
    int64_t us = clock_mono_us();
    int64_t after_ms = clock_mono_ms();

    cr_assert_leq(before_ms, us / 1000);
    cr_assert_leq(us / 1000, after_ms);
}

Test(clock, mono_counts_suspend)
{
    struct timespec boot;

    clock_gettime(CLOCK_BOOTTIME, &boot);
    int64_t mono_ms = clock_mono_ms();
    cr_assert_geq(mono_ms, boot.tv_sec * 1000);
    cr_assert_leq(mono_ms, boot.tv_sec * 1000 + 60000);
}

Test(clock, wall_is_the_time_of_day)
{
    int64_t before = (int64_t)time(NULL) - 1;

    cr_assert_geq(clock_wall_ms() / 1000, before);
    cr_assert_leq(clock_wall_ms() / 1000, before + 60);
}

Test(clock, times_are_written_for_machines_and_for_mails)
{
    static const struct {
        int64_t wall_ms;
        const char *rfc3339;
        const char *rfc5322;
    } rows[] = {
        {NEW_YEAR_2026 + 123, "2026-01-01T10:00:00.123Z", "Thu, 01 Jan 2026 10:00:00 +0000"},
        {0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 +0000"},
        {INT64_C(951827696789), "2000-02-29T12:34:56.789Z", "Tue, 29 Feb 2000 12:34:56 +0000"},
        {LAST_MS, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 +0000"},
        {LAST_MS + 1, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 +0000"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 +0000"},
        {-1, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 +0000"},
        {INT64_MIN, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 +0000"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char rfc3339[CLOCK_RFC3339_BYTES];
        char rfc5322[CLOCK_RFC5322_BYTES];

        clock_rfc3339(rows[i].wall_ms, rfc3339);
        clock_rfc5322(rows[i].wall_ms, rfc5322);
        cr_assert_str_eq(rfc3339, rows[i].rfc3339);
        cr_assert_str_eq(rfc5322, rows[i].rfc5322);
    }
}

Test(clock, every_weekday_and_month_has_its_name)
{
    const char *days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    const char *months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

    for (int day = 0; day < 365; day++) {
        char text[CLOCK_RFC5322_BYTES];
        time_t seconds = (time_t)day * 86400;
        struct tm tm;

        gmtime_r(&seconds, &tm);
        clock_rfc5322((int64_t)seconds * 1000, text);
        cr_assert_eq(strncmp(text, days[day % 7], 3), 0, "%s", text);
        cr_assert_eq(strncmp(text + 8, months[tm.tm_mon], 3), 0, "%s", text);
    }
}

Test(clock, neither_zone_nor_locale_changes_what_is_written)
{
    char text[CLOCK_RFC5322_BYTES];

    setenv("TZ", "America/New_York", 1);
    tzset();
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where it exists */
    clock_rfc5322(NEW_YEAR_2026, text);
    cr_assert_str_eq(text, "Thu, 01 Jan 2026 10:00:00 +0000");
    int64_t wall_ms;
    cr_assert(clock_parse_rfc3339("2026-01-01T10:00:00Z", 20, &wall_ms));
    cr_assert_eq(wall_ms, NEW_YEAR_2026);
}

Test(clock, rfc3339_is_read)
{
    static const struct {
        const char *text;
        int64_t wall_ms;
    } rows[] = {
        {"2026-01-01T10:00:00Z", NEW_YEAR_2026},
        {"2026-01-01t10:00:00z", NEW_YEAR_2026},
        {"2026-01-01T10:00:00.5Z", NEW_YEAR_2026 + 500},
        {"2026-01-01T10:00:00.1239999999999999999Z", NEW_YEAR_2026 + 123},
        {"2026-01-01T11:30:00+01:30", NEW_YEAR_2026},
        {"2026-01-01T08:30:00-01:30", NEW_YEAR_2026},
        {"2026-01-01T10:00:00-00:00", NEW_YEAR_2026},
        {"2000-02-29T12:34:56.789Z", INT64_C(951827696789)},
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:00:00-01:00", 0},
        {"9999-12-31T23:59:59.999Z", LAST_MS},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
        {"2017-01-01T00:59:60.25+01:00", INT64_C(1483228800250)},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t wall_ms = UNTOUCHED;

        cr_assert(clock_parse_rfc3339(rows[i].text, strlen(rows[i].text), &wall_ms), "%s", rows[i].text);
        cr_assert_eq(wall_ms, rows[i].wall_ms, "%s", rows[i].text);
    }
}

Test(clock, anything_else_is_refused_and_leaves_the_result_alone)
{
    static const char *rows[] = {
        "",
        "2026",
        "2026-01-01",
        "2026-01-01T10:00Z",
        "2026-01-01 10:00:00Z",
        "2026-01-01T10:00:00",
        "2026-01-01T10:00:00.Z",
        "2026-01-01T10:00:00,5Z",
        "2026-01-01T10:00:00+0100",
        "2026-01-01T10:00:00+01",
        "2026-01-01T10:00:00+24:00",
        "2026-01-01T10:00:00+01:60",
        "2026-01-01T10:00:00Z ",
        " 2026-01-01T10:00:00Z",
        "2026-1-01T10:00:00Z",
        "2026-00-01T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "2026-01-00T10:00:00Z",
        "2026-01-32T10:00:00Z",
        "2026-04-31T10:00:00Z",
        "2025-02-29T10:00:00Z",
        "1900-02-29T10:00:00Z",
        "2100-02-29T10:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T10:60:00Z",
        "2026-01-01T10:00:61Z",
        "2026-01-01T10:00:60Z",
        "2026-01-02T23:59:60Z",
        "2016-12-31T23:59:60+01:00",
        "2026/01/01T10:00:00Z",
        "+026-01-01T10:00:00Z",
        "2026-01-01T-1:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
        "12026-01-01T10:00:00Z",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t wall_ms = UNTOUCHED;

        cr_assert_not(clock_parse_rfc3339(rows[i], strlen(rows[i]), &wall_ms), "%s", rows[i]);
        cr_assert_eq(wall_ms, UNTOUCHED, "%s", rows[i]);
    }
}

/* The text is a slice of an event: what stands behind it is not looked at. */
Test(clock, every_shorter_slice_is_refused)
{
    const char text[] = "2026-01-01T10:00:00.5+01:00";

    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        char *slice =
            malloc(len + 1); /* one byte more than it may read, so that malloc(0) is none of our business */
        int64_t wall_ms;

        memcpy(slice, text, len);
        slice[len] = '0';
        cr_assert_not(clock_parse_rfc3339(slice, len, &wall_ms), "%zu bytes", len);
        free(slice);
    }
}

Test(clock, what_is_written_reads_back)
{
    for (int64_t wall_ms = 1; wall_ms < LAST_MS; wall_ms += INT64_C(86399999) * 97) {
        char text[CLOCK_RFC3339_BYTES];
        int64_t back;

        clock_rfc3339(wall_ms, text);
        cr_assert(clock_parse_rfc3339(text, strlen(text), &back), "%s", text);
        cr_assert_eq(back, wall_ms, "%s", text);
    }
}
