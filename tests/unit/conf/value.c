/* value.c - tests of conf/value: durations, counts and the claims about texts. */
#include "herald/value.h"

#include <criterion/criterion.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

Test(value, durations_are_digits_and_one_unit)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"250ms", 250}, {"30s", 30000}, {"10m", 600000}, {"24h", 86400000}, {"30d", INT64_C(2592000000)},
        {"0s", 0}};
    static const char *const bad[] = {"",    "30",    "s",     "30 s", "-1s",  "+1s",           "1.5s",
                                      "30S", "30sec", "1h30m", " 30s", "30s ", "1234567890123d"};
    for (size_t i = 0; i < LENGTH(good); i++) {
        int64_t ms = -1;
        cr_expect(value_duration(good[i].text, &ms) && ms == good[i].ms, "%s", good[i].text);
    }
    for (size_t i = 0; i < LENGTH(bad); i++) {
        int64_t ms = -1;
        cr_expect(!value_duration(bad[i], &ms) && ms == -1, "%s", bad[i]);
    }
}

Test(value, durations_are_written_in_the_largest_unit_that_fits)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{0, "0s"},      {1, "1ms"},        {1500, "1500ms"}, {60000, "1m"},
                {90000, "90s"}, {86400000, "24h"}, {172800000, "2d"}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char text[VALUE_DURATION_BYTES];
        value_write_duration(rows[i].ms, text);
        cr_expect_str_eq(text, rows[i].text);
    }
}

Test(value, counts_are_decimal_digits_alone)
{
    static const char *const bad[] = {"", "-1", "+1", "1 ", " 1", "0x10", "1e3", "1,000", "1234567890123"};
    int64_t number = -1;
    cr_expect(value_count("100000", &number) && number == 100000);
    for (size_t i = 0; i < LENGTH(bad); i++)
        cr_expect_not(value_count(bad[i], &number), "%s", bad[i]);
}

static bool collect(void *arg, const char *word, size_t len, struct err *err)
{
    char *out = arg;
    (void)err;
    strncat(out, word, len);
    memcpy(out + strlen(out), ";", sizeof(";"));
    return strncmp(word, "stop", len) != 0;
}

Test(value, words_stand_between_spaces_and_commas)
{
    char out[64] = "";
    struct err err;
    cr_expect(value_each_word(" a, b  c,d ,", collect, out, &err));
    cr_expect_str_eq(out, "a;b;c;d;");
    out[0] = '\0';
    cr_expect(value_each_word("", collect, out, &err));
    cr_expect_not(value_each_word("a stop b", collect, out, &err));
    cr_expect_str_eq(out, "a;stop;");
}

Test(value, texts_are_what_they_claim_to_be)
{
    static const struct {
        bool (*is)(const char *text, size_t max);
        const char *text;
        size_t max;
        bool expected;
    } rows[] = {
        {value_is_text, "", 8, false},
        {value_is_text, "12345678", 8, true},
        {value_is_text, "123456789", 8, false},
        {value_is_word, "shop-1", 8, true},
        {value_is_word, "a b", 8, false},
        {value_is_word, "a{0}", 8, false},
        {value_is_word, "a}", 8, false},
        {value_is_word, "\"a\"", 8, false},
        {value_is_word, "123456789", 8, false},
        {value_is_key, "order:{x}", 16, true},
        {value_is_key, "a b", 16, false},
        {value_is_name, "order-confirmed", 0, true},
        {value_is_name, "a2345678901234567890", 0, true},
        {value_is_name, "a23456789012345678901", 0, false},
        {value_is_name, "", 0, false},
        {value_is_name, "Orders", 0, false},
        {value_is_name, "1a", 0, false},
        {value_is_name, "-a", 0, false},
        {value_is_name, "a_b", 0, false},
        {value_is_host, "mail.shop.example", 0, true},
        {value_is_host, "10.0.0.1", 0, true},
        {value_is_host, "a..b", 0, false},
        {value_is_host, ".a", 0, false},
        {value_is_host, "a.", 0, false},
        {value_is_host, "-a", 0, false},
        {value_is_host, "a-.b", 0, false},
        {value_is_host, "a_b", 0, false},
        {value_is_host, "a\r\nb", 0, false},
        {value_is_header, "X-Shop: a b", 32, true},
        {value_is_header, "X-Shop:a", 32, true},
        {value_is_header, "X Shop: a", 32, false},
        {value_is_header, ": a", 32, false},
        {value_is_header, "X-Shop", 32, false},
        {value_is_header, "X-Shop: ", 32, false},
        {value_is_header, "X: a\r\nY: b", 32, false},
        {value_is_header, "X: \xc3\xa9", 32, false},
        {value_is_target, "email", 0, true},
        {value_is_target, "webhook:erp", 0, true},
        {value_is_target, "sms", 0, false},
        {value_is_target, "webhook:", 0, false},
        {value_is_target, "webhook:ERP", 0, false},
        {value_is_target, ":erp", 0, false},
        {value_is_channel, "push", 0, true},
        {value_is_channel, "push:apns", 0, false},
        {value_is_secret, "abc.DEF-123", 64, true},
        {value_is_secret, "a b", 64, false},
        {value_is_secret, "", 64, false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++)
        cr_expect_eq(rows[i].is(rows[i].text, rows[i].max), rows[i].expected, "row %zu: %s", i, rows[i].text);
}
