/* log_format.c - what a line looks like in each format. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "herald/clock.h"
#include "log_capture.h"

#define TIME_AND_ZONE 24 /* 2026-01-01T12:00:00.123Z */

Test(log_format, json_is_one_object_with_the_fields_by_name)
{
    start_capture(LOG_FORMAT_JSON);
    int64_t before_ms = clock_wall_ms();
    LOG(LOG_LEVEL_INFO, "delivery.sent", "sent", log_text(LOG_KEY_ORDER_ID, "o-1001"),
        log_int(LOG_KEY_ATTEMPT, 2));
    const char *line = stop_capture();

    cr_assert_eq(strncmp(line, "{\"ts\":\"", 7), 0);
    int64_t ts_ms;
    cr_assert(clock_parse_rfc3339(line + 7, TIME_AND_ZONE, &ts_ms));
    cr_assert_geq(ts_ms, before_ms);
    cr_assert_leq(ts_ms, clock_wall_ms());
    cr_assert_str_eq(
        line + 7 + TIME_AND_ZONE,
        "\",\"level\":\"info\",\"event\":\"delivery.sent\",\"message\":\"sent\",\"order_id\":\"o-1001\","
        "\"attempt\":2}\n");
}

Test(log_format, text_is_a_time_then_words_then_fields)
{
    start_capture(LOG_FORMAT_TEXT);
    LOG(LOG_LEVEL_INFO, "delivery.sent", "sent to the provider", log_text(LOG_KEY_ORDER_ID, "o-1001"),
        log_int(LOG_KEY_MS, 12));
    const char *line = stop_capture();
    int hour, minute, second, ms, len = 0;

    cr_assert_eq(sscanf(line, "%2d:%2d:%2d.%3d%n", &hour, &minute, &second, &ms, &len), 4);
    cr_assert_eq(len, 12);
    cr_assert_str_eq(line + len, " info delivery.sent  sent to the provider  order_id=o-1001 ms=12\n");
}

Test(log_format, text_without_fields_has_no_spaces_at_its_end)
{
    start_capture(LOG_FORMAT_TEXT);
    log_line(LOG_LEVEL_NOTICE, "service.ready", "ready", NULL, 0);
    cr_assert_str_eq(stop_capture() + 12, " notice service.ready  ready\n");
}

Test(log_format, text_values_are_quoted_where_their_end_would_be_unclear)
{
    static const char *rows[][2] = {
        {"plain-1.2", "plain-1.2"}, {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},         {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"a\\b", "\"a\\\\b\""},     {"Grüße", "Grüße"},
        {"a\nb", "a\\nb"},
    };

    start_capture(LOG_FORMAT_TEXT);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        LOG(LOG_LEVEL_INFO, "e", "m", log_text(LOG_KEY_REASON, rows[i][0]));
    const char *line = stop_capture();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char expected[100];

        snprintf(expected, sizeof(expected), " info e  m  reason=%s\n", rows[i][1]);
        cr_assert_eq(strncmp(line + 12, expected, strlen(expected)), 0, "row %zu: %s", i, line);
        line = strchr(line, '\n') + 1;
    }
}

Test(log_format, a_journal_entry_has_message_priority_identifier_and_our_fields)
{
    start_capture(LOG_FORMAT_JOURNAL);
    LOG(LOG_LEVEL_WARNING, "delivery.retry", "will be tried again", log_text(LOG_KEY_ORDER_ID, "o-1001"),
        log_text(LOG_KEY_DELIVERY, "de9daab6:0"), log_text(LOG_KEY_REPLY, "try later"),
        log_int(LOG_KEY_WAIT_MS, -7));
    cr_assert_str_eq(stop_capture(), "");
    cr_assert_str_eq(
        journal_entry,
        "PRIORITY=4\nSYSLOG_IDENTIFIER=heraldd\n"
        "HERALD_EVENT=delivery.retry\nHERALD_MESSAGE=will be tried again\n"
        "HERALD_ORDER_ID=o-1001\nHERALD_DELIVERY=de9daab6:0\nHERALD_REPLY=try later\nHERALD_WAIT_MS=-7\n"
        "MESSAGE=delivery.retry  will be tried again  order_id=o-1001 reply=\"try later\" wait_ms=-7\n");
}

Test(log_format, levels_have_their_names_and_syslog_numbers)
{
    static const struct {
        enum log_level level;
        const char *name;
        const char *priority;
    } rows[] = {
        {LOG_LEVEL_ERROR, "\"level\":\"error\"", "PRIORITY=3\n"},
        {LOG_LEVEL_WARNING, "\"level\":\"warning\"", "PRIORITY=4\n"},
        {LOG_LEVEL_NOTICE, "\"level\":\"notice\"", "PRIORITY=5\n"},
        {LOG_LEVEL_INFO, "\"level\":\"info\"", "PRIORITY=6\n"},
        {LOG_LEVEL_DEBUG, "\"level\":\"debug\"", "PRIORITY=7\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        start_capture(LOG_FORMAT_JOURNAL);
        log_line(rows[i].level, "e", "m", NULL, 0);
        (void)stop_capture();
        cr_assert_not_null(strstr(journal_entry, rows[i].priority), "%s", journal_entry);
        start_capture(LOG_FORMAT_JSON);
        log_line(rows[i].level, "e", "m", NULL, 0);
        const char *line = stop_capture();
        cr_assert_not_null(strstr(line, rows[i].name), "%s", line);
    }
}

Test(log_format, every_key_has_its_name_in_json_and_in_the_journal)
{
    static const char *rows[LOG_KEY_COUNT_OF_KEYS][2] = {
        [LOG_KEY_SOURCE] = {"source", "SOURCE"},
        [LOG_KEY_EVENT_ID] = {"event_id", "EVENT_ID"},
        [LOG_KEY_ORDER_ID] = {"order_id", "ORDER_ID"},
        [LOG_KEY_NOTIFICATION] = {"notification", "NOTIFICATION"},
        [LOG_KEY_DELIVERY] = {"delivery", "DELIVERY"},
        [LOG_KEY_CHANNEL] = {"channel", "CHANNEL"},
        [LOG_KEY_PROVIDER] = {"provider", "PROVIDER"},
        [LOG_KEY_TO] = {"to", "TO"},
        [LOG_KEY_ATTEMPT] = {"attempt", "ATTEMPT"},
        [LOG_KEY_MS] = {"ms", "MS"},
        [LOG_KEY_REPLY] = {"reply", "REPLY"},
        [LOG_KEY_CODE] = {"code", "CODE"},
        [LOG_KEY_WAIT_MS] = {"wait_ms", "WAIT_MS"},
        [LOG_KEY_LIMIT] = {"limit", "LIMIT"},
        [LOG_KEY_REMAINING] = {"remaining", "REMAINING"},
        [LOG_KEY_RESET] = {"reset", "RESET"},
        [LOG_KEY_TRACE_ID] = {"trace_id", "TRACE_ID"},
        [LOG_KEY_REASON] = {"reason", "REASON"},
        [LOG_KEY_COUNT] = {"count", "COUNT"},
        [LOG_KEY_OFFSET] = {"offset", "OFFSET"},
        [LOG_KEY_ENTRY] = {"entry", "ENTRY"},
        [LOG_KEY_OF] = {"of", "OF"},
    };
    struct log_field fields[LOG_KEY_COUNT_OF_KEYS];

    for (int key = 0; key < LOG_KEY_COUNT_OF_KEYS; key++)
        fields[key] = log_int((enum log_key)key, key);
    start_capture(LOG_FORMAT_JOURNAL);
    log_line(LOG_LEVEL_INFO, "e", "m", fields, LOG_KEY_COUNT_OF_KEYS);
    (void)stop_capture();
    start_capture(LOG_FORMAT_JSON);
    log_line(LOG_LEVEL_INFO, "e", "m", fields, LOG_KEY_COUNT_OF_KEYS);
    const char *line = stop_capture();
    for (int key = 0; key < LOG_KEY_COUNT_OF_KEYS; key++) {
        char expected[64];

        snprintf(expected, sizeof(expected), ",\"%s\":%d", rows[key][0], key);
        cr_assert_not_null(strstr(line, expected), "%s", expected);
        snprintf(expected, sizeof(expected), "\nHERALD_%s=%d\n", rows[key][1], key);
        cr_assert_not_null(strstr(journal_entry, expected), "%s", expected);
    }
}

Test(log_format, empty_fields_are_left_out)
{
    start_capture(LOG_FORMAT_JSON);
    LOG(LOG_LEVEL_INFO, "e", "m", log_text(LOG_KEY_TO, NULL), log_text(LOG_KEY_REPLY, ""),
        log_bytes(LOG_KEY_REASON, "x", 0), (struct log_field){.key = LOG_KEY_CODE}, log_int(LOG_KEY_MS, 0));
    const char *line = stop_capture();
    cr_assert_not_null(strstr(line, "\"message\":\"m\",\"ms\":0}\n"), "%s", line);
}

Test(log_format, numbers_are_written_to_both_ends)
{
    start_capture(LOG_FORMAT_JSON);
    LOG(LOG_LEVEL_INFO, "e", "m", log_int(LOG_KEY_MS, INT64_MIN), log_int(LOG_KEY_COUNT, INT64_MAX));
    const char *line = stop_capture();
    cr_assert_not_null(strstr(line, "\"ms\":-9223372036854775808,\"count\":9223372036854775807}\n"), "%s",
                       line);
}

/* The message and a field take the same way; each row goes through both. */
Test(log_format, what_is_not_printable_utf8_is_escaped)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *json;
        const char *journal;
    } rows[] = {
        {"say \"hi\" \\", 10, "say \\\"hi\\\" \\\\", "say \"hi\" \\"},
        {"a\r\n\tb", 5, "a\\r\\n\\tb", "a\\r\\n\\tb"},
        {"\x1b[31m\x7f", 6, "\\u001b[31m\\u007f", "\\x1b[31m\\x7f"},
        {"a\0b", 3, "a\\u0000b", "a\\x00b"},
        {"\xc2\x9b", 2, "\\u009b", "\\x9b"},       /* C1: a terminal may take it as ESC [ */
        {"\xe2\x80\xa8", 3, "\\u2028", "\\u2028"}, /* line separator */
        {"\xe2\x80\xae", 3, "\\u202e", "\\u202e"}, /* right-to-left override */
        {"\xe2\x81\xa6", 3, "\\u2066", "\\u2066"}, /* an isolate */
        {"\xe2\x80\x8f", 3, "\\u200f", "\\u200f"}, /* right-to-left mark */
        {"\xef\xbb\xbf", 3, "\\ufeff", "\\ufeff"}, /* byte order mark */
        {"Gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xa7", 11, "Grüß 📧", "Grüß 📧"},
        {"\xff", 1, "\\\\xff", "\\xff"},
        {"\xc3(", 2, "\\\\xc3(", "\\xc3("},                              /* no second byte */
        {"\xc3", 1, "\\\\xc3", "\\xc3"},                                 /* cut off */
        {"\xc0\xaf", 2, "\\\\xc0\\\\xaf", "\\xc0\\xaf"},                 /* overlong */
        {"\xe0\x80\x8a", 3, "\\\\xe0\\\\x80\\\\x8a", "\\xe0\\x80\\x8a"}, /* overlong newline */
        {"\xed\xa0\x80", 3, "\\\\xed\\\\xa0\\\\x80", "\\xed\\xa0\\x80"}, /* surrogate */
        {"\xf4\x90\x80\x80", 4, "\\\\xf4\\\\x90\\\\x80\\\\x80", "\\xf4\\x90\\x80\\x80"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool is_text = memchr(rows[i].bytes, '\0', rows[i].len) == NULL;
        char message[32] = "m";
        char expected[200];

        if (is_text) {
            memcpy(message, rows[i].bytes, rows[i].len);
            message[rows[i].len] = '\0';
        }
        start_capture(LOG_FORMAT_JSON);
        LOG(LOG_LEVEL_INFO, "e", message, log_bytes(LOG_KEY_REASON, rows[i].bytes, rows[i].len));
        const char *line = stop_capture();
        snprintf(expected, sizeof(expected), "\"message\":\"%s\",\"reason\":\"%s\"}\n",
                 is_text ? rows[i].json : "m", rows[i].json);
        cr_assert_not_null(strstr(line, expected), "row %zu: %s", i, line);

        start_capture(LOG_FORMAT_JOURNAL);
        LOG(LOG_LEVEL_INFO, "e", message, log_bytes(LOG_KEY_REASON, rows[i].bytes, rows[i].len));
        (void)stop_capture();
        snprintf(expected, sizeof(expected), "\nHERALD_MESSAGE=%s\n", is_text ? rows[i].journal : "m");
        cr_assert_not_null(strstr(journal_entry, expected), "row %zu: %s", i, journal_entry);
        snprintf(expected, sizeof(expected), "\nHERALD_REASON=%s\n", rows[i].journal);
        cr_assert_not_null(strstr(journal_entry, expected), "row %zu: %s", i, journal_entry);
    }
}

/* How many times `c` stands in a row at the place where `before` ends. */
static size_t run_after(const char *line, const char *before, char c)
{
    const char *at = strstr(line, before);

    cr_assert_not_null(at, "%s", line);
    at += strlen(before);
    size_t count = 0;
    while (at[count] == c)
        count++;
    cr_assert_eq(strncmp(at + count, "…\"", 4), 0, "%s", at + count);
    return count;
}

Test(log_format, long_values_are_cut_and_say_so)
{
    char text[2000];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    start_capture(LOG_FORMAT_JSON);
    LOG(LOG_LEVEL_INFO, "e", text, log_text(LOG_KEY_REASON, text), log_text(LOG_KEY_REPLY, text));
    const char *line = stop_capture();
    cr_assert_eq(run_after(line, "\"message\":\"", 'a'), 480);
    cr_assert_eq(run_after(line, "\"reason\":\"", 'a'), 512);
    cr_assert_eq(run_after(line, "\"reply\":\"", 'a'), 200);
}

Test(log_format, values_are_cut_between_characters)
{
    char text[512];

    memset(text, 'a', 199);
    memcpy(text + 199, "üü", 5);
    start_capture(LOG_FORMAT_JSON);
    LOG(LOG_LEVEL_INFO, "e", "m", log_text(LOG_KEY_REPLY, text));
    cr_assert_eq(run_after(stop_capture(), "\"reply\":\"", 'a'), 199);
}

/* Every byte of every value takes six: far more than a line holds. */
Test(log_format, a_line_too_long_loses_fields_but_stays_whole)
{
    struct log_field fields[LOG_KEY_COUNT_OF_KEYS];
    char text[600];

    memset(text, '\1', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int key = 0; key < LOG_KEY_COUNT_OF_KEYS; key++)
        fields[key] = log_text((enum log_key)key, text);
    fields[LOG_KEY_COUNT_OF_KEYS - 1] = log_int(LOG_KEY_OFFSET, 7);

    for (enum log_format format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
        start_capture(format);
        log_line(LOG_LEVEL_INFO, "e", text, fields, LOG_KEY_COUNT_OF_KEYS);
        const char *line = stop_capture();
        const char *end =
            format == LOG_FORMAT_JSON ? ",\"offset\":7,\"cut\":true}\n" : " offset=7 cut=true\n";
        cr_assert_leq(strlen(line), PIPE_BUF);
        cr_assert_gt(strlen(line), PIPE_BUF / 2);
        cr_assert_str_eq(line + strlen(line) - strlen(end), end);
    }
    start_capture(LOG_FORMAT_JOURNAL);
    log_line(LOG_LEVEL_INFO, "e", text, fields, LOG_KEY_COUNT_OF_KEYS);
    (void)stop_capture();
    cr_assert_not_null(strstr(journal_entry, "\nHERALD_OFFSET=7\nMESSAGE=e  \\x01"), "%s", journal_entry);
    const char *end = "\nHERALD_CUT=true\n";
    cr_assert_str_eq(journal_entry + strlen(journal_entry) - strlen(end), end);
    cr_assert_leq(strlen(journal_entry), PIPE_BUF);
}
