/* recipient.c - the promises of recipient.h. */
#include "herald/recipient.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct json json;
static struct recipient recipient;
static struct err err;

static void tear_down(void)
{
    json_done(&json);
    recipient_done(&recipient);
}

TestSuite(recipient, .fini = tear_down);

static bool from_json(const char *text)
{
    tear_down();
    cr_assert(json_parse(text, strlen(text), &json, &err), "%s: %s", text, err.text);
    return recipient_from_json(&json, &json.tokens[0], &recipient, &err);
}

static bool from_record(const char *email, const char *name, const char *locale, const char *push)
{
    struct recipient_record record = {.email = email, .name = name, .locale = locale, .push = push};

    record.email_len = email ? strlen(email) : 0;
    record.name_len = name ? strlen(name) : 0;
    record.locale_len = locale ? strlen(locale) : 0;
    record.push_len = push ? strlen(push) : 0;
    recipient_done(&recipient);
    return recipient_from_record(&record, &recipient, &err);
}

Test(recipient, an_event_s_recipient_is_read_whole)
{
    cr_assert(
        from_json("{\"email\":\"ann@shop.example\",\"name\":\"Ann \\u00c9\",\"locale\":\"pt_BR\",\"push\":["
                  "{\"token\":\"t1\", \"provider\":\"apns\"},{\"provider\":\"fcm\",\"x\":[1, 2]}]}"),
        "%s", err.text);
    cr_assert_str_eq(recipient.email, "ann@shop.example");
    cr_assert_str_eq(recipient.name, "Ann \xC3\x89");
    cr_assert_str_eq(recipient.locale, "pt-BR");
    cr_assert_eq(recipient.push_count, 2);
    cr_assert_str_eq(recipient.push[0].provider, "apns");
    cr_assert_str_eq(recipient.push[0].device, "{\"provider\":\"apns\",\"token\":\"t1\"}");
    cr_assert_str_eq(recipient.push[1].provider, "fcm");
    cr_assert_str_eq(recipient.push[1].device, "{\"provider\":\"fcm\",\"x\":[1,2]}");
}

Test(recipient, a_record_is_read_whole)
{
    cr_assert(from_record("ann@shop.example", "Ann", "de", "[{\"provider\":\"apns\",\"token\":\"t\"}]"), "%s",
              err.text);
    cr_assert_str_eq(recipient.email, "ann@shop.example");
    cr_assert_str_eq(recipient.name, "Ann");
    cr_assert_str_eq(recipient.locale, "de");
    cr_assert_eq(recipient.push_count, 1);
    cr_assert_str_eq(recipient.push[0].device, "{\"provider\":\"apns\",\"token\":\"t\"}");
}

Test(recipient, everything_is_optional)
{
    cr_assert(from_json("{}"));
    cr_assert_null(recipient.email);
    cr_assert_null(recipient.name);
    cr_assert_null(recipient.locale);
    cr_assert_eq(recipient.push_count, 0);
    cr_assert(from_json("{\"name\":\"\",\"locale\":\"\",\"push\":[]}"));
    cr_assert_null(recipient.name);
    cr_assert_null(recipient.locale);
    cr_assert(from_record(NULL, NULL, NULL, NULL));
    cr_assert(from_record("", "", "", ""));
    cr_assert_null(recipient.email);
    cr_assert(from_record(NULL, NULL, NULL, "[]"));
    cr_assert_eq(recipient.push_count, 0);
}

Test(recipient, what_is_wrong_in_an_event_is_refused_by_its_member)
{
    static const struct {
        const char *text, *complaint;
    } rows[] = {
        {"[]", "to: expected an object"},
        {"\"ann@shop.example\"", "to: expected an object"},
        {"null", "to: expected an object"},
        {"{\"mail\":\"a@b.c\"}", "to: at byte 2: expected email, name, locale or push"},
        {"{\"email\":\"a@b.c\",\"cc\":\"d@e.f\"}", "to: at byte 18: expected email, name, locale or push"},
        {"{\"email\":null}", "to.email: expected a string"},
        {"{\"email\":[\"a@b.c\"]}", "to.email: expected a string"},
        {"{\"email\":\"\"}", "to.email: byte 0: expected '@'"},
        {"{\"email\":\"a@b.c\\r\\nRSET\"}", "to.email: byte 5: 0x0d is not allowed in the domain"},
        {"{\"email\":\"a@b.c>\"}", "to.email: byte 5: 0x3e is not allowed in the domain"},
        {"{\"email\":\"\\u00e9@b.c\"}", "to.email: byte 0: 0xc3 is not allowed in the part before '@'"},
        {"{\"name\":1}", "to.name: expected a string"},
        {"{\"name\":\"Ann\\r\\nBcc: x@y.z\"}", "to.name: byte 3: U+000D is a control character"},
        {"{\"name\":\"\\u0085\"}", "to.name: byte 0: U+0085 is a control character"},
        {"{\"locale\":{}}", "to.locale: expected a string"},
        {"{\"locale\":\"../../etc\"}", "to.locale: byte 0: expected letters, digits and hyphens"},
        {"{\"locale\":\"de/x\"}", "to.locale: byte 2: expected letters, digits and hyphens"},
        {"{\"locale\":\"de.\"}", "to.locale: byte 2: expected letters, digits and hyphens"},
        {"{\"locale\":\"d\\u00e9\"}", "to.locale: byte 1: expected letters, digits and hyphens"},
        {"{\"locale\":\"abcdefghijklmnopqrstuvwxyzabcdefghij\"}",
         "to.locale: 36 bytes, at most 35 are allowed"},
        {"{\"push\":{}}", "to.push: expected an array"},
        {"{\"push\":\"[]\"}", "to.push: expected an array"},
        {"{\"push\":[1]}", "to.push[0]: expected an object"},
        {"{\"push\":[{\"provider\":\"a\"},\"x\"]}", "to.push[1]: expected an object"},
        {"{\"push\":[{}]}", "to.push[0].provider: expected a string"},
        {"{\"push\":[{\"provider\":null}]}", "to.push[0].provider: expected a string"},
        {"{\"push\":[{\"provider\":\"\"}]}", "to.push[0].provider: expected 1 to 64 bytes, found 0"},
        {"{\"push\":[{\"provider\":\"a\\nb\"}]}",
         "to.push[0].provider: byte 1: U+000A is a control character"},
        {"{\"push\":[{\"provider\":\"0123456789012345678901234567890123456789012345678901234567890123x\"}]}",
         "to.push[0].provider: expected 1 to 64 bytes, found 65"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_not(from_json(rows[i].text), "row %zu", i);
        cr_expect_eq(err.kind, ERR_INPUT, "row %zu", i);
        cr_expect_str_eq(err.text, rows[i].complaint, "row %zu: %s", i, err.text);
    }
}

Test(recipient, what_is_wrong_in_a_record_is_refused_by_its_field)
{
    static const struct {
        const char *email, *name, *locale, *push, *complaint;
    } rows[] = {
        {"a@b", NULL, NULL, NULL, "email: byte 2: expected a domain with a dot in it"},
        {"a@b.c", "x\ny", NULL, NULL, "name: byte 1: U+000A is a control character"},
        {"a@b.c", "x", "C.UTF-8", NULL, "locale: byte 1: expected letters, digits and hyphens"},
        {"a@b.c", "x", "de", "nonsense", "push: at byte 0: expected a value"},
        {"a@b.c", "x", "de", "{}", "push: expected an array"},
        {"a@b.c", "x", "de", "[{\"provider\":\"a\"},{}]", "push[1].provider: expected a string"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_not(from_record(rows[i].email, rows[i].name, rows[i].locale, rows[i].push), "row %zu", i);
        cr_expect_eq(err.kind, ERR_INPUT, "row %zu", i);
        cr_expect_str_eq(err.text, rows[i].complaint, "row %zu: %s", i, err.text);
        cr_expect_null(recipient.email, "row %zu", i);
    }
}

Test(recipient, a_record_s_fields_end_where_their_length_says)
{
    struct recipient_record record = {.email = "a@b.cX", .email_len = 5, .name = "a\0b", .name_len = 1};

    cr_assert(recipient_from_record(&record, &recipient, &err));
    cr_assert_str_eq(recipient.email, "a@b.c");
    record.name_len = 3;
    struct recipient refused;
    cr_assert_not(recipient_from_record(&record, &refused, &err));
    cr_assert_str_eq(err.text, "name: byte 1: U+0000 is a control character");
}

Test(recipient, names_are_bounded)
{
    char name[RECIPIENT_MAX_NAME + 2];
    memset(name, 'n', sizeof(name));
    name[RECIPIENT_MAX_NAME] = '\0';
    cr_assert(from_record(NULL, name, NULL, NULL));
    name[RECIPIENT_MAX_NAME] = 'n';
    name[RECIPIENT_MAX_NAME + 1] = '\0';
    cr_assert_not(from_record(NULL, name, NULL, NULL));
    cr_assert_str_eq(err.text, "name: 257 bytes, at most 256 are allowed");
}

static bool with_devices(int count, size_t token_len)
{
    struct buffer push;

    buffer_init(&push, 1 << 20);
    buffer_char(&push, '[');
    for (int i = 0; i < count; i++) {
        buffer_printf(&push, "%s{\"provider\":\"p\",\"token\":\"%02d", i ? "," : "", i);
        for (size_t n = 2; n < token_len; n++)
            buffer_char(&push, 't');
        buffer_text(&push, "\"}");
    }
    buffer_char(&push, ']');
    bool is_read = from_record(NULL, NULL, NULL, push.data);
    buffer_done(&push);
    return is_read;
}

Test(recipient, sixteen_devices_are_accepted_and_seventeen_refused)
{
    cr_assert(with_devices(16, 2));
    cr_assert_eq(recipient.push_count, 16);
    cr_assert_not(with_devices(17, 2));
    cr_assert_str_eq(err.text, "push: more than 16 devices");
}

Test(recipient, a_device_of_four_kibibytes_is_accepted_and_a_larger_one_refused)
{
    size_t frame = strlen("{\"provider\":\"p\",\"token\":\"\"}");
    cr_assert(with_devices(1, RECIPIENT_MAX_PUSH_BYTES - frame), "%s", err.text);
    cr_assert_eq(strlen(recipient.push[0].device), RECIPIENT_MAX_PUSH_BYTES);
    cr_assert_not(with_devices(1, RECIPIENT_MAX_PUSH_BYTES - frame + 1));
    cr_assert_str_eq(err.text, "push[0]: 4097 bytes, at most 4096 are allowed");
}

Test(recipient, a_device_listed_twice_counts_once)
{
    cr_assert(from_record(NULL, NULL, NULL,
                          "[{\"provider\":\"a\",\"token\":\"t\"},{\"provider\":\"b\",\"token\":\"t\"},"
                          "{ \"token\" : \"\\u0074\", \"provider\":\"a\"}]"));
    cr_assert_eq(recipient.push_count, 2);
    cr_assert_str_eq(recipient.push[1].provider, "b");
}

Test(recipient, a_refusal_leaves_the_recipient_as_it_was)
{
    struct recipient untouched = {.push_count = 0, .email = (char *)"same"};
    const char *text = "{\"email\":\"a@b.c\",\"push\":[{\"provider\":\"a\"},{}]}";
    cr_assert(json_parse(text, strlen(text), &json, &err));
    cr_assert_not(recipient_from_json(&json, &json.tokens[0], &untouched, &err));
    cr_assert_str_eq(untouched.email, "same");
}
