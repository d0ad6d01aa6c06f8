/* resp.c - where replies end: tests of src/store/resp.h. */
#include "resp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum resp_status scan(const char *text, struct resp_reply *ret)
{
    return resp_scan(text, strlen(text), ret);
}

Test(resp, a_message_has_its_three_parts)
{
    const char *text = "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$5\r\nhe\r\nl\r\n:1\r\n";
    struct resp_reply reply;

    cr_assert_eq(scan(text, &reply), RESP_WHOLE);
    cr_assert_eq(reply.type, '*');
    cr_assert_eq(reply.count, 3);
    cr_assert_eq(reply.known, 3);
    cr_assert_eq(reply.frame_len, strlen(text) - 4, "what follows is not its own");
    cr_assert(resp_equals(text, &reply.elements[0], "message", 7));
    cr_assert(resp_equals(text, &reply.elements[1], "ch", 2));
    cr_assert(resp_equals(text, &reply.elements[2], "he\r\nl", 5), "a CRLF in a bulk ends nothing");
    cr_assert_not(resp_equals(text, &reply.elements[1], "c", 1));
    cr_assert_not(resp_equals(text, &reply.elements[1], "cx", 2));
}

Test(resp, whole_replies_have_their_length)
{
    static const struct {
        const char *text;
        size_t count;
        char type;
    } rows[] = {
        {"+OK\r\n", 1, '+'},
        {"+\r\n", 1, '+'},
        {"-ERR no\r\n", 1, '-'},
        {":-12\r\n", 1, ':'},
        {"$0\r\n\r\n", 1, '$'},
        {"$-1\r\n", 1, '$'},
        {"*0\r\n", 0, '*'},
        {"*-1\r\n", 0, '*'},
        {"*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n", 3, '*'},
        {"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", 3, '*'},
        {"*2\r\n$4\r\npong\r\n$0\r\n\r\n", 2, '*'},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct resp_reply reply;
        cr_expect_eq(scan(rows[i].text, &reply), RESP_WHOLE, "%s", rows[i].text);
        cr_expect_eq(reply.frame_len, strlen(rows[i].text), "%s", rows[i].text);
        cr_expect_eq(reply.count, rows[i].count, "%s", rows[i].text);
        cr_expect_eq(reply.type, rows[i].type, "%s", rows[i].text);
        cr_expect(reply.is_exact);
    }
}

Test(resp, every_beginning_of_a_reply_is_partial_and_its_bound_is_never_beyond_the_end)
{
    static const char *const whole[] = {
        "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$12\r\nhello\r\nworld\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n",
        "*2\r\n$-1\r\n+\r\n",
        "-NOPERM this user has no permissions\r\n",
        ":1234567\r\n",
    };

    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        size_t len = strlen(whole[i]);
        for (size_t n = 0; n < len; n++) {
            struct resp_reply reply;
            char *begun = malloc(n + 1); /* exactly n bytes: AddressSanitizer sees a look beyond */
            char *exact = realloc(begun, n > 0 ? n : 1);
            memcpy(exact, whole[i], n);
            cr_assert_eq(resp_scan(exact, n, &reply), RESP_PARTIAL, "%zu bytes of %s", n, whole[i]);
            cr_assert_gt(reply.frame_len, n, "%zu bytes of %s", n, whole[i]);
            cr_assert_leq(reply.frame_len, len, "%zu bytes of %s", n, whole[i]);
            cr_assert(!reply.is_exact || reply.frame_len == len, "%zu bytes of %s", n, whole[i]);
            free(exact);
        }
    }
}

Test(resp, the_header_of_a_bulk_tells_the_length_of_the_reply)
{
    const char *text = "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$67108864\r\n{";
    struct resp_reply reply;

    cr_assert_eq(scan(text, &reply), RESP_PARTIAL);
    cr_assert(reply.is_exact);
    cr_assert_eq(reply.known, 3);
    cr_assert_eq(reply.elements[2].len, 67108864);
    cr_assert_eq(reply.elements[2].offset, strlen(text) - 1);
    cr_assert_eq(reply.frame_len, strlen(text) - 1 + 67108864 + 2);
}

Test(resp, what_is_no_reply_is_refused)
{
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"A", "a first byte that begins none"},
        {"\r\n", "an empty line"},
        {"%2\r\n", "a map: RESP3 was never asked for"},
        {">3\r\n", "a push: RESP3 was never asked for"},
        {"*9\r\n", "more elements than any reply of a subscription"},
        {"*-2\r\n", "a negative count"},
        {"*x", "a count that is no number"},
        {"*\r\n", "no count"},
        {"*3\rx", "a CR without its LF"},
        {"*1\r\n*1\r\n", "an array in an array"},
        {"*1\r\nx", "an element of no type"},
        {"$-2\r\n", "a negative length"},
        {"$536870913\r\n", "longer than Redis sends"},
        {"$99999999999999999999", "a length that overflows"},
        {"$1x", "a length that goes on as text"},
        {"$3\r\nabcX", "a bulk that does not end where it said"},
        {"$3\r\nabc\rX", "a bulk whose end lacks its LF"},
        {":12a", "an integer that goes on as text"},
        {":\r\n", "an integer without digits"},
        {"+a\rb", "a line with a CR inside"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct resp_reply reply;
        cr_expect_eq(scan(rows[i].text, &reply), RESP_BROKEN, "%s", rows[i].why);
    }
}

Test(resp, a_line_that_never_ends_is_refused)
{
    size_t len = RESP_MAX_LINE + 2;
    char *line = malloc(len);
    struct resp_reply reply;

    memset(line, 'x', len);
    line[0] = '+';
    cr_assert_eq(resp_scan(line, len - 1, &reply), RESP_PARTIAL);
    cr_assert_eq(resp_scan(line, len, &reply), RESP_BROKEN);
    free(line);
}
