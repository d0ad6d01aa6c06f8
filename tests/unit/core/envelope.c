/* envelope.c - the promises of event_open_envelope. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "herald/encode.h"
#include "herald/event.h"
#include "herald/hash.h"

#define NOW_S 1767261600 /* 2026-01-01T10:00:00Z */
#define NOW_MS (INT64_C(1000) * NOW_S)
#define MAX_AGE_MS INT64_C(3600000)

static const struct event_key keys[] = {{"first key, the one that retires", 31}, {"second\0key", 10}};
static struct err err;
static char *body;
static size_t body_len;

static void tear_down(void)
{
    free(body);
    body = NULL;
}

TestSuite(envelope, .fini = tear_down);

static void sign(const struct event_key *key, const char *content, char ret[64])
{
    uint8_t hash[HASH_BYTES];

    hash_hmac_sha256(key->bytes, key->len, content, strlen(content), hash);
    memcpy(ret, "v1,", 3);
    encode_base64(hash, sizeof(hash), ret + 3);
}

static bool open_text(const char *text, size_t key_count)
{
    tear_down();
    return event_open_envelope(text, strlen(text), keys, key_count, NOW_MS, MAX_AGE_MS, &body, &body_len,
                               &err);
}

/* Opens {"id":ID,"time":TIME,"body":BODY,"signature":BEFORE + signature over `content` + BEHIND}, each given
 * as JSON. */
static bool open_signed(const char *id, const char *time, const char *json_body, const char *content,
                        const struct event_key *key, const char *before, const char *behind)
{
    struct buffer text;
    char signature[64];

    sign(key, content, signature);
    buffer_init(&text, 1 << 20);
    buffer_printf(&text, "{\"id\":%s,\"time\":%s,\"body\":%s,\"signature\":\"%s%s%s\"}", id, time, json_body,
                  before, signature, behind);
    bool is_open = open_text(text.data, 2);
    buffer_done(&text);
    return is_open;
}

#define CONTENT "m-1.1767261600.{\"orderId\":\"o-1\"}"
#define BODY "\"{\\\"orderId\\\":\\\"o-1\\\"}\""

Test(envelope, a_known_signature_opens_it)
{
    /* Computed independently: printf '%s' CONTENT | openssl dgst -sha256 -hmac KEY -binary | base64 */
    cr_assert(open_text("{\"id\":\"m-1\",\"time\":1767261600,\"body\":" BODY
                        ",\"signature\":\"v1,nsG5Xki03hGNW745AzYkdtY6csD9BEeWLSqMaBCjNrs=\"}",
                        2),
              "%s", err.text);
    cr_assert_str_eq(body, "{\"orderId\":\"o-1\"}");
}

Test(envelope, any_one_signature_by_any_one_key_opens_it)
{
    for (size_t key = 0; key < 2; key++) {
        cr_assert(open_signed("\"m-1\"", "1767261600", BODY, CONTENT, &keys[key], "", ""), "%s", err.text);
        cr_assert_eq(body_len, strlen("{\"orderId\":\"o-1\"}"));
        cr_assert_str_eq(body, "{\"orderId\":\"o-1\"}");
        cr_assert(
            open_signed("\"m-1\"", "1767261600", BODY, CONTENT, &keys[key], "v1,AAAA v2,x  ", " v1a,QUFB "),
            "%s", err.text);
    }
}

Test(envelope, what_is_signed_is_the_unescaped_text)
{
    cr_assert(open_signed("\"\\u006d-1\"", "1767261600", "\"\\u007b\\\"a\\\":\\u0022\\n\xC3\xA9\\\"}\"",
                          "m-1.1767261600.{\"a\":\"\n\xC3\xA9\"}", &keys[0], "", ""),
              "%s", err.text);
    cr_assert_str_eq(body, "{\"a\":\"\n\xC3\xA9\"}");
}

Test(envelope, an_empty_body_is_somebody_else_s_complaint)
{
    cr_assert(open_signed("\"m-1\"", "1767261600", "\"\"", "m-1.1767261600.", &keys[0], "", ""), "%s",
              err.text);
    cr_assert_eq(body_len, 0);
    cr_assert_str_eq(body, "");
}

Test(envelope, a_change_of_any_part_breaks_the_seal)
{
    static const struct event_key stranger = {"third", 5};
    static const struct {
        const char *id, *time, *body, *before, *behind;
        const struct event_key *key;
    } rows[] = {
        {"\"m-2\"", "1767261600", BODY, "", "", &keys[0]},
        {"\"m-1\"", "1767261601", BODY, "", "", &keys[0]},
        {"\"m-1\"", "1767261600", "\"{\\\"orderId\\\":\\\"o-2\\\"}\"", "", "", &keys[0]},
        {"\"m-1\"", "1767261600", "\"{\\\"orderId\\\":\\\"o-1\\\"} \"", "", "", &keys[0]},
        {"\"m-1\"", "1767261600", BODY, "", "", &stranger},
        {"\"m-1\"", "1767261600", BODY, "", "=", &keys[0]},
        {"\"m-1\"", "1767261600", BODY, "x", "", &keys[0]},
        {"\"m-1\"", "1767261600", BODY, "", ",", &keys[0]},
        {"\"m-1\"", "1767261600", BODY, "v1,", "", &keys[0]},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_not(open_signed(rows[i].id, rows[i].time, rows[i].body, CONTENT, rows[i].key,
                                  rows[i].before, rows[i].behind),
                      "row %zu", i);
        cr_expect_eq(err.kind, ERR_INPUT);
        cr_expect_str_eq(err.text, "envelope: signature: made with none of our keys", "row %zu: %s", i,
                         err.text);
    }
}

Test(envelope, signatures_that_are_none_open_nothing)
{
    static const char *const rows[] = {"",
                                       " ",
                                       "v1,",
                                       "v1",
                                       "v1,=",
                                       "v1,AAAA",
                                       "v1,!!!!",
                                       "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                                       "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer text;
        buffer_init(&text, 1 << 20);
        buffer_printf(&text, "{\"id\":\"m-1\",\"time\":1767261600,\"body\":\"{}\",\"signature\":\"%s\"}",
                      rows[i]);
        cr_expect_not(open_text(text.data, 2), "row %zu", i);
        cr_expect_str_eq(err.text, "envelope: signature: made with none of our keys", "row %zu: %s", i,
                         err.text);
        buffer_done(&text);
    }
}

Test(envelope, a_signature_of_another_version_opens_nothing)
{
    char signature[64];
    struct buffer text;

    sign(&keys[0], CONTENT, signature);
    signature[1] = '2';
    buffer_init(&text, 1 << 20);
    buffer_printf(&text, "{\"id\":\"m-1\",\"time\":1767261600,\"body\":%s,\"signature\":\"%s\"}", BODY,
                  signature);
    cr_expect_not(open_text(text.data, 2));
    cr_expect_str_eq(err.text, "envelope: signature: made with none of our keys");
    buffer_done(&text);
}

Test(envelope, without_a_key_nothing_opens)
{
    char signature[64];
    struct buffer text;

    sign(&keys[0], CONTENT, signature);
    buffer_init(&text, 1 << 20);
    buffer_printf(&text, "{\"id\":\"m-1\",\"time\":1767261600,\"body\":%s,\"signature\":\"%s\"}", BODY,
                  signature);
    cr_expect_not(open_text(text.data, 0));
    cr_expect(open_text(text.data, 1));
    buffer_done(&text);
}

Test(envelope, a_time_too_old_or_in_the_future_is_refused)
{
    static const struct {
        const char *time, *complaint;
    } rows[] = {
        {"1767258000", NULL}, /* exactly MAX_AGE_MS */
        {"1767257999", "envelope: time: signed too long ago"},
        {"0", "envelope: time: signed too long ago"},
        {"1767261900", NULL}, /* exactly five minutes ahead */
        {"1767261901", "envelope: time: signed more than five minutes in the future"},
        {"999999999999", "envelope: time: signed more than five minutes in the future"},
        {"9999999999999", "envelope: time: expected seconds since 1970"},
        {"-1767261600", "envelope: time: expected whole seconds since 1970"},
        {"1767261600.5", "envelope: time: expected whole seconds since 1970"},
        {"1.7e9", "envelope: time: expected whole seconds since 1970"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer content;
        buffer_init(&content, 100);
        buffer_printf(&content, "m-1.%s.{}", rows[i].time);
        bool is_open = open_signed("\"m-1\"", rows[i].time, "\"{}\"", content.data, &keys[0], "", "");
        cr_expect_eq(is_open, rows[i].complaint == NULL, "row %zu: %s", i, err.text);
        if (rows[i].complaint)
            cr_expect_str_eq(err.text, rows[i].complaint, "row %zu: %s", i, err.text);
        buffer_done(&content);
    }
}

Test(envelope, what_is_no_envelope_is_refused_by_its_member)
{
    static const struct {
        const char *text, *complaint;
    } rows[] = {
        {"", "envelope: at byte 0: expected a value"},
        {"{\"orderId\":\"o-1\"}", "envelope: id: expected a string"},
        {"[]", "envelope: expected an object"},
        {"{\"id\":1,\"time\":1,\"body\":\"\",\"signature\":\"\"}", "envelope: id: expected a string"},
        {"{\"id\":\"a\",\"time\":\"1\",\"body\":\"\",\"signature\":\"\"}",
         "envelope: time: expected a number"},
        {"{\"id\":\"a\",\"time\":1,\"body\":{},\"signature\":\"\"}", "envelope: body: expected a string"},
        {"{\"id\":\"a\",\"time\":1,\"body\":\"\"}", "envelope: signature: expected a string"},
        {"{\"id\":\"a\",\"time\":1,\"body\":\"\",\"signature\":[]}",
         "envelope: signature: expected a string"},
        {"{\"id\":\"a\",\"time\":1,\"body\":\"\",\"signature\":\"\",\"x\":1}",
         "envelope: expected id, time, body and signature only"},
        {"{\"id\":\"\",\"time\":1,\"body\":\"\",\"signature\":\"\"}",
         "envelope: id: expected 1 to 128 bytes, found 0"},
        {"{\"id\":\"a.1\",\"time\":1,\"body\":\"\",\"signature\":\"\"}",
         "envelope: id: a '.' is not allowed"},
        {"{\"id\":\"a\\u002e\",\"time\":1,\"body\":\"\",\"signature\":\"\"}",
         "envelope: id: a '.' is not allowed"},
        {"{\"id\":\"a\\n\",\"time\":1,\"body\":\"\",\"signature\":\"\"}",
         "envelope: id: byte 1: U+000A is a control character"},
        {"{\"id\":\"a\",\"id\":\"a\",\"time\":1,\"body\":\"\",\"signature\":\"\"}",
         "envelope: at byte 11: duplicate member name"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_not(open_text(rows[i].text, 2), "row %zu", i);
        cr_expect_eq(err.kind, ERR_INPUT);
        cr_expect_str_eq(err.text, rows[i].complaint, "row %zu: %s", i, err.text);
        cr_expect_null(body);
    }
}

Test(envelope, a_list_of_signatures_is_bounded)
{
    char before[1200];
    memset(before, ' ', sizeof(before));
    before[sizeof(before) - 1] = '\0';
    cr_assert_not(open_signed("\"m-1\"", "1767261600", BODY, CONTENT, &keys[0], before, ""));
    cr_assert_str_eq(err.text, "envelope: signature: 1246 bytes, at most 1024 are allowed");
}
