/* address.c - the promises of address.h. */
#include "herald/address.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) (literal), sizeof(literal) - 1
#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static struct err err;

struct row {
    const char *text;
    size_t len;
    const char *complaint;
};

/* Exactly the text on the heap, so that a sanitizer sees a byte read too many. */
static char *exact_copy(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

Test(address, what_is_no_plain_mailbox_is_refused_with_place_and_reason)
{
    static const struct row rows[] = {
        {TEXT(""), "byte 0: expected '@'"},
        {TEXT("nobody"), "byte 6: expected '@'"},
        {TEXT("@shop.example"), "byte 0: nothing before '@'"},
        {TEXT("@"), "byte 0: nothing before '@'"},
        {TEXT("a@"), "byte 2: an empty label in the domain"},
        {TEXT("a@@b.c"), "byte 2: 0x40 is not allowed in the domain"},
        {TEXT("a@b@c.d"), "byte 3: 0x40 is not allowed in the domain"},
        {TEXT("a@b.c,d@e.f"), "byte 5: 0x2c is not allowed in the domain"},
        {TEXT("a,b@c.d"), "byte 1: 0x2c is not allowed in the part before '@'"},
        {TEXT("a;b@c.d"), "byte 1: 0x3b is not allowed in the part before '@'"},
        {TEXT("a:b@c.d"), "byte 1: 0x3a is not allowed in the part before '@'"},
        {TEXT("(a)b@c.d"), "byte 0: 0x28 is not allowed in the part before '@'"},
        {TEXT("a b@c.d"), "byte 1: 0x20 is not allowed in the part before '@'"},
        {TEXT(" a@c.d"), "byte 0: 0x20 is not allowed in the part before '@'"},
        {TEXT("a@c.d "), "byte 5: 0x20 is not allowed in the domain"},
        {TEXT("a@ c.d"), "byte 2: 0x20 is not allowed in the domain"},
        {TEXT("a\tb@c.d"), "byte 1: 0x09 is not allowed in the part before '@'"},
        {TEXT("<a@b.c>"), "byte 0: 0x3c is not allowed in the part before '@'"},
        {TEXT("a@b.c>"), "byte 5: 0x3e is not allowed in the domain"},
        {TEXT("Ann <a@b.c>"), "byte 3: 0x20 is not allowed in the part before '@'"},
        {TEXT("inj@x.y>\r\nRSET"), "byte 7: 0x3e is not allowed in the domain"},
        {TEXT("a@b.c\r\nRSET"), "byte 5: 0x0d is not allowed in the domain"},
        {TEXT("a@b.c\n"), "byte 5: 0x0a is not allowed in the domain"},
        {TEXT("a\r\n@b.c"), "byte 1: 0x0d is not allowed in the part before '@'"},
        {TEXT("a@b.c\0"), "byte 5: 0x00 is not allowed in the domain"},
        {TEXT("a\0@b.c"), "byte 1: 0x00 is not allowed in the part before '@'"},
        {TEXT("a\x7F@b.c"), "byte 1: 0x7f is not allowed in the part before '@'"},
        {TEXT("\"a b\"@c.d"), "byte 0: 0x22 is not allowed in the part before '@'"},
        {TEXT("a\\@b.c"), "byte 1: 0x5c is not allowed in the part before '@'"},
        {TEXT("\xC3\xA9@b.c"), "byte 0: 0xc3 is not allowed in the part before '@'"},
        {TEXT(".a@b.c"), "byte 0: a dot has to stand between two other characters"},
        {TEXT("a.@b.c"), "byte 1: a dot has to stand between two other characters"},
        {TEXT("a..b@b.c"), "byte 2: a dot has to stand between two other characters"},
        {TEXT(L63 "ab@b.c"), "byte 64: more than 64 bytes before '@'"},
        {TEXT("a@b"), "byte 2: expected a domain with a dot in it"},
        {TEXT("a@localhosts"), "byte 2: expected a domain with a dot in it"},
        {TEXT("a@ocalhost"), "byte 2: expected a domain with a dot in it"},
        {TEXT("a@.b.c"), "byte 2: an empty label in the domain"},
        {TEXT("a@b..c"), "byte 4: an empty label in the domain"},
        {TEXT("a@b.c."), "byte 6: an empty label in the domain"},
        {TEXT("a@-b.c"), "byte 2: a label can't begin or end with a hyphen"},
        {TEXT("a@b-.c"), "byte 3: a label can't begin or end with a hyphen"},
        {TEXT("a@b.c-"), "byte 5: a label can't begin or end with a hyphen"},
        {TEXT("a@b_c.d"), "byte 3: 0x5f is not allowed in the domain"},
        {TEXT("a@b!c.d"), "byte 3: 0x21 is not allowed in the domain"},
        {TEXT("a@b%c.d"), "byte 3: 0x25 is not allowed in the domain"},
        {TEXT("a@[127.0.0.1]"), "byte 2: 0x5b is not allowed in the domain"},
        {TEXT("a@[IPv6:::1]"), "byte 2: 0x5b is not allowed in the domain"},
        {TEXT("a@127.0.0.1"), "byte 10: a domain can't end in a number"},
        {TEXT("a@b.25"), "byte 4: a domain can't end in a number"},
        {TEXT("a@b.c:25"), "byte 5: 0x3a is not allowed in the domain"},
        {TEXT("a@b.c/d"), "byte 5: 0x2f is not allowed in the domain"},
        {TEXT("a@" L63 "l.c"), "byte 2: a label of more than 63 bytes in the domain"},
        {TEXT("a@b.\xC3"), "byte 4: invalid UTF-8"},
        {TEXT("a@b\xC3.c"), "byte 3: invalid UTF-8"},
        {TEXT("a@b\xC0\xAE"
              "c"),
         "byte 3: invalid UTF-8"},
        {TEXT("a@b\xFF.c"), "byte 3: invalid UTF-8"},
        {TEXT("a@b\xED\xA0\x80.c"), "byte 3: invalid UTF-8"},
        {TEXT("a@b\xC2\x85.c"), "byte 3: U+0085 is not allowed in the domain"},
        {TEXT("a@b\xC2\xA0.c"), "byte 3: U+00A0 is not allowed in the domain"},
        {TEXT("a@b\xC2\xAD.c"), "byte 3: U+00AD is not allowed in the domain"},
        {TEXT("a@b\xE2\x80\x8B.c"), "byte 3: U+200B is not allowed in the domain"},
        {TEXT("a@b\xE2\x80\xAE.c"), "byte 3: U+202E is not allowed in the domain"},
        {TEXT("a@b\xE2\x80\xA8.c"), "byte 3: U+2028 is not allowed in the domain"},
        {TEXT("a@shop\xE3\x80\x82"
              "example"),
         "byte 6: U+3002 is not allowed in the domain"},
        {TEXT("a@b\xEF\xBC\x8E"
              "c.d"),
         "byte 3: U+FF0E is not allowed in the domain"},
        {TEXT("a@b\xEF\xBD\xA1"
              "c.d"),
         "byte 3: U+FF61 is not allowed in the domain"},
        {TEXT("a@b\xEF\xBC\xA0"
              "c.d"),
         "byte 3: U+FF20 is not allowed in the domain"},
        {TEXT("a@\xEF\xBB\xBF"
              "b.c"),
         "byte 2: U+FEFF is not allowed in the domain"},
        {TEXT("a@b\xF0\x9F\x98\x80.c"), "byte 3: U+1F600 is not allowed in the domain"},
        {TEXT("a@b\xF3\xA0\x80\x81.c"), "byte 3: U+E0001 is not allowed in the domain"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = exact_copy(rows[i].text, rows[i].len);
        err = (struct err){0};
        cr_expect_not(address_check(text, rows[i].len, &err), "row %zu: %s", i, rows[i].text);
        cr_expect_eq(err.kind, ERR_INPUT, "row %zu", i);
        cr_expect_str_eq(err.text, rows[i].complaint, "row %zu: %s", i, rows[i].text);
        free(text);
    }
}

Test(address, no_control_byte_or_separator_passes_anywhere)
{
    const char *address = "ab@cd.ef";

    for (unsigned c = 0; c < 256; c++) {
        bool is_control = c < 0x20 || c == 0x7F;
        bool is_separator = c != 0 && strchr(" <>(),:;\"[]\\@", (int)c) != NULL;
        for (size_t at = 0; at < strlen(address); at++) {
            char text[16];
            strncpy(text, address, sizeof(text));
            text[at] = (char)c;
            if (is_control || (is_separator && at != 2) || c >= 0x80)
                cr_expect_not(address_check(text, strlen(address), &err), "0x%02x at %zu", c, at);
        }
    }
}

Test(address, plain_mailboxes_are_accepted)
{
    static const char *const rows[] = {
        "a@b.c",
        "ann.other@shop.example",
        "a+tag@b.c",
        "!#$%&'*+-/=?^_`{|}~@b.c",
        "1@2.c3",
        "a@localhost",
        "A@LocalHost",
        "a@b-c.d",
        "a@b--c.d",
        "a@xn--bcher-kva.example",
        "a@b\xC3\xBC"
        "cher.example",
        "a@\xE4\xBE\x8B\xE3\x81\x88.jp",
        "a@paral\xC2\xB7lel.cat",
        "a@\xE1\x83\x91.ge",
        "a@1.1.c",
        "a@b.c1",
        "a@1c.2d",
        "a@" L63 ".c",
        L63 "a@b.c",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = exact_copy(rows[i], strlen(rows[i]));
        cr_expect(address_check(text, strlen(rows[i]), &err), "%s: %s", rows[i], err.text);
        free(text);
    }
}

Test(address, two_hundred_fifty_four_bytes_are_accepted_and_one_more_refused)
{
    const char *longest =
        "a@" L63 "." L63 "." L63 ".abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk";
    cr_assert_eq(strlen(longest), 257);
    cr_assert(address_check(longest, 254, &err), "%s", err.text);
    cr_assert_not(address_check(longest, 255, &err));
    cr_assert_str_eq(err.text, "255 bytes, at most 254 are allowed");
}

Test(address, the_complaint_does_not_repeat_the_address)
{
    cr_assert_not(address_check(TEXT("ann.secret@shop example"), &err));
    cr_assert_null(strstr(err.text, "ann"));
    cr_assert_null(strstr(err.text, "shop"));
}

Test(address, the_domain_is_what_stands_behind_the_at)
{
    cr_assert_str_eq(address_domain("a.b@shop.example"), "shop.example");
}

Test(address, text_with_controls_or_invalid_bytes_is_refused)
{
    static const struct row rows[] = {
        {TEXT("a\0b"), "byte 1: U+0000 is a control character"},
        {TEXT("a\r\nBcc: x"), "byte 1: U+000D is a control character"},
        {TEXT("\n"), "byte 0: U+000A is a control character"},
        {TEXT("a\tb"), "byte 1: U+0009 is a control character"},
        {TEXT("\x1B[2J"), "byte 0: U+001B is a control character"},
        {TEXT("\x7F"), "byte 0: U+007F is a control character"},
        {TEXT("a\xC2\x80"), "byte 1: U+0080 is a control character"},
        {TEXT("a\xC2\x85"), "byte 1: U+0085 is a control character"},
        {TEXT("a\xC2\x9F"), "byte 1: U+009F is a control character"},
        {TEXT("a\x85"), "byte 1: invalid UTF-8"},
        {TEXT("\xC3"), "byte 0: invalid UTF-8"},
        {TEXT("\xC0\x8A"), "byte 0: invalid UTF-8"},
        {TEXT("12345678901"), "11 bytes, at most 10 are allowed"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = exact_copy(rows[i].text, rows[i].len);
        cr_expect_not(address_check_text(text, rows[i].len, 10, &err), "row %zu", i);
        cr_expect_eq(err.kind, ERR_INPUT);
        cr_expect_str_eq(err.text, rows[i].complaint, "row %zu: %s", i, err.text);
        free(text);
    }
}

Test(address, text_of_any_language_is_accepted_up_to_its_bound)
{
    cr_assert(address_check_text("", 0, 0, &err));
    cr_assert(address_check_text(TEXT("Ann \"O'Neil\" <>,;"), 64, &err));
    cr_assert(address_check_text(TEXT("\xC2\xA0\xC3\x9F\xE6\x97\xA5\xF0\x9F\x98\x80"), 11, &err), "%s",
              err.text);
    cr_assert(address_check_text(TEXT("1234567890"), 10, &err));
}
