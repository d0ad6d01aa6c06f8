/* Text parts: RFC 2045's rules one by one. Whole messages are read back by message_python.py. */
#include "mime.h"

#include <criterion/criterion.h>
#include <string.h>

static void check(const char *text, size_t len, const char *wanted)
{
    struct buffer out;

    buffer_init(&out, 1 << 20);
    mime_text_part("plain", text, len, &out);
    cr_assert_not(out.failed);
    const char *body = strstr(out.data, "\r\n\r\n");
    cr_assert_not_null(body);
    cr_expect_str_eq(body + 4, wanted, "got <%s>, wanted <%s>", body + 4, wanted);
    buffer_done(&out);
}

#define X10 "xxxxxxxxxx"
#define X70 X10 X10 X10 X10 X10 X10 X10

Test(mime, headers_name_the_type_the_charset_and_the_encoding)
{
    struct buffer out;

    buffer_init(&out, 1 << 10);
    mime_text_part("html", "<p>", 3, &out);
    cr_expect_str_eq(out.data, "Content-Type: text/html; charset=utf-8\r\n"
                               "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>\r\n");
    buffer_reset(&out);
    mime_text_part("plain", "\xE6\x9D\x8E", 3, &out);
    cr_expect_str_eq(out.data, "Content-Type: text/plain; charset=utf-8\r\n"
                               "Content-Transfer-Encoding: base64\r\n\r\n5p2ODQo=\r\n");
    buffer_done(&out);
}

Test(mime, quoted_printable_follows_its_rules)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"", ""},
        {"a", "a\r\n"},
        {"1 + 1 = 2 ~ !\"#$@[\\]^`{|}", "1 + 1 =3D 2 ~ !\"#$@[\\]^`{|}\r\n"},
        {"five letters \xC3\xA9", "five letters =C3=A9\r\n"},
        {"control \x01 and del \x7F", "control =01 and del =7F\r\n"},
        {"trailing blank \nand tab\t\n", "trailing blank=20\r\nand tab=09\r\n"},
        {"a \t b\n", "a \t b\r\n"},
        /* Exactly 76, then one more: the soft break's sign is the 76th byte. */
        {X70 "123456\n", X70 "123456\r\n"},
        {X70 "1234567\n", X70 "12345=\r\n67\r\n"},
        /* An escape is never cut. */
        {X70 "123=\n", X70 "123=3D\r\n"},
        {X70 "1234=\n", X70 "1234=\r\n=3D\r\n"},
        {X70 "12=3\n", X70 "12=3D3\r\n"},
        {X70 "123=4\n", X70 "123=\r\n=3D4\r\n"},
        /* A blank before a soft break isn't at the end of a line; one at the end is an escape. */
        {X70 "1234 67\n", X70 "1234 =\r\n67\r\n"},
        {X70 "12345 \n", X70 "12345=\r\n=20\r\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check(rows[i].text, strlen(rows[i].text), rows[i].wanted);
}

Test(mime, every_kind_of_line_end_becomes_crlf_before_encoding)
{
    check("a\nb\rc\r\nd\n\re\r\r\n\n", 15, "a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\n\r\n");
    /* The same inside base64: e-acute, CR LF each time. */
    check("\xC3\xA9\n\xC3\xA9\r\xC3\xA9\r\n\xC3\xA9", 12, "w6kNCsOpDQrDqQ0Kw6kNCg==\r\n");
}

Test(mime, base64_is_chosen_where_it_is_shorter)
{
    struct buffer out;

    buffer_init(&out, 1 << 10);
    mime_text_part("plain", "12345\xC3\n", 7, &out);
    cr_expect_not_null(strstr(out.data, "quoted-printable"));
    buffer_reset(&out);
    mime_text_part("plain", "12345678\xC3\xA9\n", 11, &out);
    cr_expect_not_null(strstr(out.data, "base64"));
    buffer_done(&out);
}

Test(mime, base64_lines_are_76_bytes_and_hold_nul)
{
    static const char zeros[112]; /* with its line end two whole lines */

    check(zeros, sizeof(zeros),
          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"
          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0K\r\n");
}

Test(mime, a_part_past_the_bound_fails_the_buffer)
{
    struct buffer out;

    buffer_init(&out, 90);
    mime_text_part("plain", X70, 70, &out);
    cr_expect(out.failed);
    buffer_done(&out);
}
