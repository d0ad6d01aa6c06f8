/* json.c - the promises of json.h. */
#include "herald/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/clock.h"

#define TEXT(literal) (literal), sizeof(literal) - 1

static struct json json;
static struct buffer buffer;
static struct err err;

static void set_up(void)
{
    buffer_init(&buffer, 4 * JSON_MAX_BYTES);
}

static void tear_down(void)
{
    json_done(&json);
    buffer_done(&buffer);
}

TestSuite(json, .init = set_up, .fini = tear_down);

static void parse(const char *text)
{
    json_done(&json);
    cr_assert(json_parse(text, strlen(text), &json, &err), "%s: %s", text, err.text);
}

/* `count` times `text` into the buffer, which is emptied before. */
static void repeat(const char *before, const char *text, size_t count, const char *behind)
{
    buffer_reset(&buffer);
    buffer_text(&buffer, before);
    for (size_t i = 0; i < count; i++)
        buffer_text(&buffer, text);
    buffer_text(&buffer, behind);
}

Test(json, what_is_not_json_is_refused_with_place_and_reason)
{
    static const struct {
        const char *text;
        size_t len;
        const char *complaint;
    } rows[] = {
        {TEXT(""), "at byte 0: expected a value"},
        {TEXT(" \t\r\n"), "at byte 4: expected a value"},
        {TEXT("\xEF\xBB\xBF{}"), "at byte 0: a byte-order mark is not allowed"},
        {TEXT("\xEF\xBB"), "at byte 0: expected a value"},
        {TEXT("\xFE\xFF\0{\0}"), "at byte 0: expected a value"},
        {TEXT("{} {}"), "at byte 3: expected nothing behind the value"},
        {TEXT("{}\0"), "at byte 2: expected nothing behind the value"},
        {TEXT("{},"), "at byte 2: expected nothing behind the value"},
        {TEXT("1 2"), "at byte 2: expected nothing behind the value"},
        {TEXT("nul"), "at byte 0: expected a value"},
        {TEXT("nulL"), "at byte 0: expected a value"},
        {TEXT("nulll"), "at byte 4: expected nothing behind the value"},
        {TEXT("True"), "at byte 0: expected a value"},
        {TEXT("tru"), "at byte 0: expected a value"},
        {TEXT("fals"), "at byte 0: expected a value"},
        {TEXT("NaN"), "at byte 0: expected a value"},
        {TEXT("Infinity"), "at byte 0: expected a value"},
        {TEXT("-Infinity"), "at byte 1: expected a digit"},
        {TEXT("undefined"), "at byte 0: expected a value"},
        {TEXT("'a'"), "at byte 0: expected a value"},
        {TEXT("\0"), "at byte 0: expected a value"},
        {TEXT("\v1"), "at byte 0: expected a value"},
        {TEXT("\xC2\xA0"
              "1"),
         "at byte 0: expected a value"},
        {TEXT("/* c */ 1"), "at byte 0: expected a value"},
        {TEXT("1 // c"), "at byte 2: expected nothing behind the value"},
        /* numbers */
        {TEXT("-"), "at byte 1: expected a digit"},
        {TEXT("+1"), "at byte 0: expected a value"},
        {TEXT(".5"), "at byte 0: expected a value"},
        {TEXT("5."), "at byte 2: expected a digit"},
        {TEXT("5.e1"), "at byte 2: expected a digit"},
        {TEXT("01"), "at byte 1: a number does not begin with 0"},
        {TEXT("-01"), "at byte 2: a number does not begin with 0"},
        {TEXT("00"), "at byte 1: a number does not begin with 0"},
        {TEXT("0x10"), "at byte 1: expected nothing behind the value"},
        {TEXT("1e"), "at byte 2: expected a digit"},
        {TEXT("1e+"), "at byte 3: expected a digit"},
        {TEXT("1E-x"), "at byte 3: expected a digit"},
        {TEXT("1.2.3"), "at byte 3: expected nothing behind the value"},
        {TEXT("1_000"), "at byte 1: expected nothing behind the value"},
        {TEXT("--1"), "at byte 1: expected a digit"},
        /* arrays */
        {TEXT("["), "at byte 1: expected a value"},
        {TEXT("[1"), "at byte 2: expected ',' or ']'"},
        {TEXT("[1,"), "at byte 3: expected a value"},
        {TEXT("[1,]"), "at byte 3: expected a value"},
        {TEXT("[,1]"), "at byte 1: expected a value"},
        {TEXT("[1 2]"), "at byte 3: expected ',' or ']'"},
        {TEXT("[1}"), "at byte 2: expected ',' or ']'"},
        {TEXT("]"), "at byte 0: expected a value"},
        /* objects */
        {TEXT("{"), "at byte 1: expected a member name in quotes"},
        {TEXT("{a:1}"), "at byte 1: expected a member name in quotes"},
        {TEXT("{1:1}"), "at byte 1: expected a member name in quotes"},
        {TEXT("{'a':1}"), "at byte 1: expected a member name in quotes"},
        {TEXT("{,}"), "at byte 1: expected a member name in quotes"},
        {TEXT("{\"a\""), "at byte 4: expected ':'"},
        {TEXT("{\"a\" 1}"), "at byte 5: expected ':'"},
        {TEXT("{\"a\":"), "at byte 5: expected a value"},
        {TEXT("{\"a\":}"), "at byte 5: expected a value"},
        {TEXT("{\"a\":1"), "at byte 6: expected ',' or '}'"},
        {TEXT("{\"a\":1,"), "at byte 7: expected a member name in quotes"},
        {TEXT("{\"a\":1,}"), "at byte 7: expected a member name in quotes"},
        {TEXT("{\"a\":1 \"b\":2}"), "at byte 7: expected ',' or '}'"},
        {TEXT("{\"a\":1]"), "at byte 6: expected ',' or '}'"},
        {TEXT("{\"a\"::1}"), "at byte 5: expected a value"},
        /* strings */
        {TEXT("\""), "at byte 1: expected the closing quote of a string"},
        {TEXT("\"abc"), "at byte 4: expected the closing quote of a string"},
        {TEXT("\"a\nb\""), "at byte 2: a control character has to be escaped"},
        {TEXT("\"a\tb\""), "at byte 2: a control character has to be escaped"},
        {TEXT("\"\x1F\""), "at byte 1: a control character has to be escaped"},
        {TEXT("\"a\0b\""), "at byte 2: a control character has to be escaped"},
        {TEXT("\"\\"), "at byte 2: expected one of \" \\ / b f n r t u behind a backslash"},
        {TEXT("\"\\\0\""), "at byte 2: expected one of \" \\ / b f n r t u behind a backslash"},
        {TEXT("\"\\x41\""), "at byte 2: expected one of \" \\ / b f n r t u behind a backslash"},
        {TEXT("\"\\'\""), "at byte 2: expected one of \" \\ / b f n r t u behind a backslash"},
        {TEXT("\"\\a\""), "at byte 2: expected one of \" \\ / b f n r t u behind a backslash"},
        {TEXT("\"\\N\""), "at byte 2: expected one of \" \\ / b f n r t u behind a backslash"},
        {TEXT("\"\\U0041\""), "at byte 2: expected one of \" \\ / b f n r t u behind a backslash"},
        {TEXT("\"\\u"), "at byte 3: expected a hexadecimal digit"},
        {TEXT("\"\\u12\""), "at byte 5: expected a hexadecimal digit"},
        {TEXT("\"\\u12G4\""), "at byte 5: expected a hexadecimal digit"},
        {TEXT("\"\\u+123\""), "at byte 3: expected a hexadecimal digit"},
        {TEXT("\"\\u0000\""), "at byte 1: a NUL is not allowed"},
        {TEXT("{\"\\u0000\":1}"), "at byte 2: a NUL is not allowed"},
        {TEXT("\"\\uD800\""), "at byte 1: a high surrogate without a low one"},
        {TEXT("\"\\uD800x\""), "at byte 1: a high surrogate without a low one"},
        {TEXT("\"\\uD800\\n\""), "at byte 1: a high surrogate without a low one"},
        {TEXT("\"\\uD800\\"), "at byte 1: a high surrogate without a low one"},
        {TEXT("\"\\uDBFF\\uDBFF\""), "at byte 1: a high surrogate without a low one"},
        {TEXT("\"\\uD800\\u0041\""), "at byte 1: a high surrogate without a low one"},
        {TEXT("\"\\uD800\\uDC0"), "at byte 12: expected a hexadecimal digit"},
        {TEXT("\"\\uDC00\""), "at byte 1: a low surrogate without a high one"},
        {TEXT("\"\\uDFFF\\uD800\""), "at byte 1: a low surrogate without a high one"},
        /* UTF-8 */
        {TEXT("\"\x80\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xBF\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xC0\x80\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xC1\xBF\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xC3\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xC3\x28\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xC3"), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xE0\x80\x80\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xE0\x9F\xBF\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xE2\x82\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xE2\x28\xA1\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xED\xA0\x80\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xED\xBF\xBF\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xF0\x8F\xBF\xBF\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xF0\x9F\x98\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xF4\x90\x80\x80\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xF5\x80\x80\x80\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xF8\x88\x80\x80\x80\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"\xFF\""), "at byte 1: invalid UTF-8"},
        {TEXT("\"ok\xC3\xA9\xC3\""), "at byte 5: invalid UTF-8"},
        /* duplicates */
        {TEXT("{\"a\":1,\"a\":1}"), "at byte 8: duplicate member name"},
        {TEXT("{\"a\":1,\"b\":2,\"a\":3}"), "at byte 14: duplicate member name"},
        {TEXT("{\"a\":1,\"\\u0061\":2}"), "at byte 8: duplicate member name"},
        {TEXT("{\"\\u0061\":1,\"a\":2}"), "at byte 13: duplicate member name"},
        {TEXT("{\"\\/\":1,\"/\":2}"), "at byte 9: duplicate member name"},
        {TEXT("{\"\":1,\"\":2}"), "at byte 7: duplicate member name"},
        {TEXT("{\"\xF0\x9F\x98\x80\":1,\"\\uD83D\\uDE00\":2}"), "at byte 11: duplicate member name"},
        {TEXT("{\"x\":{\"a\":1,\"a\":2}}"), "at byte 13: duplicate member name"},
        {TEXT("[{\"a\":1,\"a\":2}]"), "at byte 9: duplicate member name"},
        {TEXT("{\"longer than eight\":1,\"longer than eight\":2}"), "at byte 24: duplicate member name"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        err = (struct err){0};
        /* Exactly the text on the heap, so that a sanitizer sees a byte read too many. */
        char *text = malloc(rows[i].len + 1);
        memcpy(text, rows[i].text, rows[i].len);
        char *exact = realloc(text, rows[i].len > 0 ? rows[i].len : 1);
        struct json untouched = {.len = 42};
        cr_expect_not(json_parse(exact, rows[i].len, &untouched, &err), "row %zu: %s", i, rows[i].text);
        cr_expect_eq(err.kind, ERR_INPUT, "row %zu", i);
        cr_expect_str_eq(err.text, rows[i].complaint, "row %zu: %s", i, rows[i].text);
        cr_expect_eq(untouched.len, 42, "row %zu", i);
        free(exact);
    }
}

Test(json, every_value_of_the_grammar_is_accepted)
{
    static const char *const rows[] = {"null",
                                       "true",
                                       "false",
                                       "0",
                                       "-0",
                                       "-1",
                                       "10",
                                       "1.5",
                                       "-0.5e10",
                                       "1E+2",
                                       "1e-2",
                                       "0e0",
                                       "\"\"",
                                       "\"a\"",
                                       "[]",
                                       "[ ]",
                                       "[[]]",
                                       "[1,2 , 3]",
                                       "{}",
                                       "{ }",
                                       "{\"\":1}",
                                       "{\"a\":{\"a\":{\"a\":1}}}",
                                       "[{\"a\":1},{\"a\":1}]",
                                       " \t\r\n{ \"a\" : [ true , null ] } \n",
                                       "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\uABCD\\uabcd\"",
                                       "\"\\uD800\\uDC00\\uDBFF\\uDFFF\"",
                                       "\"\x7F\"",
                                       "\"\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF\"",
                                       "\"\xEE\x80\x80 \xEF\xBF\xBF \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF\"",
                                       "12345678901234567890123456789012345678901234567890",
                                       "1e999999",
                                       "{\"a\":1,\"A\":2,\"aa\":3,\"\\u0061\\u0061a\":4}"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        parse(rows[i]);
}

Test(json, the_nul_of_u0000_is_known_from_a_nul_in_another_number)
{
    parse("\"\\u0001\\u0010\\u0100\\u1000\"");
}

Test(json, thirty_two_levels_are_accepted_and_thirty_three_refused)
{
    repeat("", "[", 32, "");
    for (int i = 0; i < 32; i++)
        buffer_char(&buffer, ']');
    cr_assert(json_parse(buffer.data, buffer.len, &json, &err), "%s", err.text);
    json_done(&json);

    repeat("", "{\"a\":", 32, "[");
    cr_assert_not(json_parse(buffer.data, buffer.len, &json, &err));
    cr_assert_str_eq(err.text, "at byte 160: nested too deeply");

    repeat("", "[", JSON_MAX_BYTES, "");
    cr_assert_not(json_parse(buffer.data, buffer.len, &json, &err));
    cr_assert_str_eq(err.text, "at byte 32: nested too deeply");
}

Test(json, as_many_bytes_as_allowed_are_accepted_and_one_more_refused)
{
    repeat("\"", "x", JSON_MAX_BYTES - 2, "\"");
    cr_assert(json_parse(buffer.data, buffer.len, &json, &err), "%s", err.text);
    buffer_char(&buffer, ' ');
    cr_assert_not(json_parse(buffer.data, buffer.len, &json, &err));
    cr_assert_str_eq(err.text, "at byte 262144: too large: 262145 bytes");
    cr_assert_eq(err.kind, ERR_INPUT);
}

Test(json, the_length_counts_and_not_a_nul)
{
    cr_assert(json_parse("[1]garbage", 3, &json, &err));
    cr_assert_eq(json.len, 3);
}

Test(json, tokens_stand_in_document_order_and_lead_past_their_children)
{
    parse(" {\"a\" : [1, \"x\\n\"], \"b\": null}");
    static const struct json_token expected[] = {
        {JSON_OBJECT, 1, 31, 7, 1, false}, {JSON_STRING, 3, 4, 2, 5, false},
        {JSON_ARRAY, 8, 18, 5, 0, false},  {JSON_NUMBER, 9, 10, 4, 0, false},
        {JSON_STRING, 13, 16, 5, 0, true}, {JSON_STRING, 21, 22, 6, 0, false},
        {JSON_NULL, 25, 29, 7, 0, false}};
    cr_assert_eq(json.count, 7);
    for (uint32_t i = 0; i < 7; i++) {
        const struct json_token *token = &json.tokens[i];
        cr_expect_eq(token->type, expected[i].type, "token %u", i);
        cr_expect_eq(token->next, expected[i].next, "token %u", i);
        cr_expect_eq(token->sorted, expected[i].sorted, "token %u: %u", i, token->sorted);
        cr_expect_eq(token->has_escapes, expected[i].has_escapes, "token %u", i);
        if (i != 0 && i != 6 && i != 2) {
            cr_expect_eq(token->start, expected[i].start, "token %u: %u", i, token->start);
            cr_expect_eq(token->end, expected[i].end, "token %u: %u", i, token->end);
        }
    }
    cr_expect_eq(memcmp(json.text + json.tokens[2].start, "[1, \"x\\n\"]", 10), 0);
    cr_expect_eq(json.tokens[2].end - json.tokens[2].start, 10);
    cr_expect_eq(json.tokens[0].end, json.len);
}

Test(json, a_member_is_found_by_its_unescaped_name_at_its_own_level)
{
    parse("{\"x\":{\"to\":1},\"t\\u006f\":2,\"too\":3,\"t\":4,\"\":5,\"list\":[\"to\"]}");
    const struct json_token *value = json_member(&json, 0, "to");
    cr_assert_not_null(value);
    cr_assert_eq(json.text[value->start], '2');
    cr_assert_eq(json.text[json_member(&json, 0, "")->start], '5');
    cr_assert_eq(json.text[json_member(&json, 0, "t")->start], '4');
    cr_assert_null(json_member(&json, 0, "1"));
    cr_assert_null(json_member(&json, 0, "lis"));
    cr_assert_null(json_member(&json, 0, "listx"));
    uint32_t nested = (uint32_t)(json_member(&json, 0, "x") - json.tokens);
    cr_assert_eq(json.text[json_member(&json, nested, "to")->start], '1');
    cr_assert_null(json_member(&json, nested, "too"));
    uint32_t list = (uint32_t)(json_member(&json, 0, "list") - json.tokens);
    cr_assert_null(json_member(&json, list, "to"));
}

Test(json, escapes_are_undone)
{
    static const struct {
        const char *text, *plain;
    } rows[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"a\\u0041\\u00e9\\u20AC\\uFFFF\\ud83d\\uDE00z\"",
         "aA\xC3\xA9\xE2\x82\xAC\xEF\xBF\xBF\xF0\x9F\x98\x80z"},
        {"\"\\u007f\\u0080\\u07FF\\u0800\"", "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80"},
        {"\"\\uDBFF\\uDFFF\\uD800\\uDC00\"", "\xF4\x8F\xBF\xBF\xF0\x90\x80\x80"},
        {"\"\\\\u0041\"", "\\u0041"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char copy[64] = "";
        parse(rows[i].text);
        buffer_reset(&buffer);
        buffer_text(&buffer, "<");
        json_unescape(&json, &json.tokens[0], &buffer);
        cr_expect_str_eq(buffer.data + 1, rows[i].plain, "row %zu", i);
        cr_expect_eq(buffer.len, 1 + strlen(rows[i].plain), "row %zu", i);
        cr_expect_eq(json_string_copy(&json, &json.tokens[0], copy), strlen(rows[i].plain));
        cr_expect_str_eq(copy, rows[i].plain, "row %zu", i);
        cr_expect(json_string_is(&json, &json.tokens[0], rows[i].plain), "row %zu", i);
        cr_expect_not(json_string_is(&json, &json.tokens[0], "plai"), "row %zu", i);
        cr_expect_not(json_string_is(&json, &json.tokens[0], "plain "), "row %zu", i);
    }
}

Test(json, unescaping_needs_no_more_room_than_the_plain_text)
{
    struct buffer narrow;
    buffer_init(&narrow, 2);
    parse("\"\\u0041\\u0042\"");
    json_unescape(&json, &json.tokens[0], &narrow);
    cr_assert_not(narrow.failed);
    cr_assert_str_eq(narrow.data, "AB");
    buffer_done(&narrow);
}

Test(json, texts_that_mean_the_same_have_one_canonical_form)
{
    static const struct {
        const char *text, *canonical;
    } rows[] = {
        {"null", "null"},
        {" [ 1 , true,false ] ", "[1,true,false]"},
        {"{}", "{}"},
        {"[ ]", "[]"},
        {"{ \"b\" : 1 , \"a\" : { \"d\":[{}], \"c\":2 } }", "{\"a\":{\"c\":2,\"d\":[{}]},\"b\":1}"},
        {"{\"b\":1,\"\\u0061\":2}", "{\"a\":2,\"b\":1}"},
        {"{\"a\":1,\"\":2,\"aa\":3,\"A\":4}", "{\"\":2,\"A\":4,\"a\":1,\"aa\":3}"},
        {"{\"abcdefghj\":1,\"abcdefghi\":2,\"abcdefgh\":3}",
         "{\"abcdefgh\":3,\"abcdefghi\":2,\"abcdefghj\":1}"},
        /* By UTF-8 bytes, so U+FFFF stands before U+10000 (by UTF-16 units it would not). */
        {"{\"\xF0\x90\x80\x80\":1,\"\xEF\xBF\xBF\":2,\"\xC3\xA9\":3,\"z\":4}",
         "{\"z\":4,\"\xC3\xA9\":3,\"\xEF\xBF\xBF\":2,\"\xF0\x90\x80\x80\":1}"},
        {"\"\\/\\u0041\\u00e9\\ud83d\\ude00\"", "\"/A\xC3\xA9\xF0\x9F\x98\x80\""},
        {"\"\\u0008\\u0009\\u000A\\u000c\\u000D\\u0022\\u005C\"", "\"\\b\\t\\n\\f\\r\\\"\\\\\""},
        {"\"\\u001F\\u0001\\u007F\"", "\"\\u001f\\u0001\x7F\""},
        {"\"x\\\"y\\\\z\"", "\"x\\\"y\\\\z\""},
        {"[1.0,1,1e0,-0,100000000000000000000001]", "[1.0,1,1e0,-0,100000000000000000000001]"},
        {"{\"q\\\"\\n\":\"\\\\\"}", "{\"q\\\"\\n\":\"\\\\\"}"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        parse(rows[i].text);
        buffer_reset(&buffer);
        json_canonical(&json, NULL, &buffer);
        cr_expect_str_eq(buffer.data, rows[i].canonical, "row %zu: %s", i, buffer.data);
        cr_expect_leq(buffer.len, json.len);
        /* And a canonical form is its own. */
        char *again = strdup(buffer.data);
        parse(again);
        buffer_reset(&buffer);
        json_canonical(&json, NULL, &buffer);
        cr_expect_str_eq(buffer.data, again);
        free(again);
    }
}

Test(json, skipped_members_are_left_out_at_the_root_only)
{
    static const char *const skip[] = {"b", "trace", NULL};
    static const struct {
        const char *text, *canonical;
    } rows[] = {
        {"{\"a\":1,\"b\":2,\"c\":{\"b\":3},\"trace\":4,\"traces\":5}",
         "{\"a\":1,\"c\":{\"b\":3},\"traces\":5}"},
        {"{\"\\u0062\":2}", "{}"},
        {"{\"b\":{\"x\":1},\"c\":[{\"b\":1}]}", "{\"c\":[{\"b\":1}]}"},
        {"[{\"b\":1}]", "[{\"b\":1}]"},
        {"{\"tra\":1}", "{\"tra\":1}"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        parse(rows[i].text);
        buffer_reset(&buffer);
        json_canonical(&json, skip, &buffer);
        cr_expect_str_eq(buffer.data, rows[i].canonical, "row %zu: %s", i, buffer.data);
    }
}

Test(json, one_value_within_has_a_canonical_form_of_its_own)
{
    parse("{\"list\":[1, {\"b\":2, \"a\":1}, 3]}");
    json_canonical_value(&json, &json.tokens[4], &buffer); /* root, name, array, 1, object */
    cr_assert_str_eq(buffer.data, "{\"a\":1,\"b\":2}");
}

Test(json, a_full_buffer_is_said_and_not_overrun)
{
    struct buffer narrow;
    buffer_init(&narrow, 5);
    parse("[1,2,3]");
    json_canonical(&json, NULL, &narrow);
    cr_assert(narrow.failed);
    buffer_done(&narrow);
}

Test(json, escaping_writes_what_reads_back_as_the_same)
{
    static const struct {
        const char *text;
        size_t len;
        const char *escaped;
    } rows[] = {
        {TEXT(""), ""},
        {TEXT("plain \xC3\xA9 / \x7F"), "plain \xC3\xA9 / \x7F"},
        {TEXT("\"\\\b\t\n\f\r"), "\\\"\\\\\\b\\t\\n\\f\\r"},
        {TEXT("a\x01\x1F\0z"), "a\\u0001\\u001f\\u0000z"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buffer_reset(&buffer);
        buffer_text(&buffer, "");
        json_escape(rows[i].text, rows[i].len, &buffer);
        cr_expect_str_eq(buffer.data, rows[i].escaped, "row %zu: %s", i, buffer.data);
    }
}

Test(json, many_members_are_sorted_and_the_last_duplicate_of_many_is_found)
{
    for (int count = 1; count <= 40;
         count++) { /* both sides of the change from one way of sorting to the other */
        buffer_reset(&buffer);
        buffer_char(&buffer, '{');
        for (int i = 0; i < count; i++)
            buffer_printf(&buffer, "\"%s%02d\":%d,", i % 3 ? "n" : "\\u006e", (i * 17) % 41, i);
        size_t before = buffer.len;
        buffer_text(&buffer, "\"z\":0}");
        json_done(&json);
        cr_assert(json_parse(buffer.data, buffer.len, &json, &err), "%d: %s", count, err.text);
        int seen = 0;
        char last[16] = "", name[16];
        for (uint32_t i = json.tokens[0].sorted; i != 0; i = json.tokens[i].sorted, seen++) {
            name[json_string_copy(&json, &json.tokens[i], name)] = '\0';
            cr_assert_gt(strcmp(name, last), 0, "%s behind %s", name, last);
            memcpy(last, name, sizeof(last));
        }
        cr_assert_eq(seen, count + 1);

        buffer.len = before;
        buffer_text(&buffer, "\"n00\":0}"); /* the first member's name */
        struct json refused;
        cr_assert_not(json_parse(buffer.data, buffer.len, &refused, &err), "%d", count);
        char expected[64];
        snprintf(expected, sizeof(expected), "at byte %zu: duplicate member name", before + 1);
        cr_assert_str_eq(err.text, expected);
    }
}

/* A bound far above what a sort needs (a few ms) and far below what comparing each
 * with each needs (seconds). */
Test(json, as_many_members_as_fit_are_no_attack)
{
    static const char *const beginnings[] = {"", "same beginning ", "\\u0061"};

    for (size_t row = 0; row < 3; row++) {
        buffer_reset(&buffer);
        buffer_char(&buffer, '{');
        for (unsigned i = 0; buffer.len < JSON_MAX_BYTES - 40; i++)
            buffer_printf(&buffer, "\"%s%05x\":1,", beginnings[row], i * 7919u % 1048573u);
        buffer_text(&buffer, "\"\":1}");
        int64_t start = clock_mono_us();
        json_done(&json);
        cr_assert(json_parse(buffer.data, buffer.len, &json, &err), "%s", err.text);
        struct buffer canonical;
        buffer_init(&canonical, json.len);
        json_canonical(&json, NULL, &canonical);
        int64_t took = clock_mono_us() - start;
        cr_assert_not(canonical.failed);
        buffer_done(&canonical);
        cr_assert_lt(took, 500000, "row %zu: %lld us", row, (long long)took);
    }
}
