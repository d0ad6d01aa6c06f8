/* err.c - the promises of err.h. */
#include "herald/err.h"

#include <criterion/criterion.h>
#include <string.h>

static struct err with_text(const char *text)
{
    struct err err = {0};

    (void)err_set(&err, ERR_TRANSIENT, "%s", text);
    return err;
}

Test(err, set_fills_the_kind_and_the_text_and_is_false)
{
    struct err err = {0};

    cr_assert_not(err_set(&err, ERR_CONFIG, "%s:%d", "herald.conf", 12));
    cr_assert_eq(err.kind, ERR_CONFIG);
    cr_assert_str_eq(err.text, "herald.conf:12");
}

Test(err, wrapped_text_reads_from_the_outside_in_and_keeps_its_kind)
{
    struct err err = with_text("expected COUNT/PERIOD");

    cr_assert_not(err_wrap(&err, "rate"));
    cr_assert_not(err_wrap(&err, "%s:%d", "herald.conf", 12));
    cr_assert_eq(err.kind, ERR_TRANSIENT);
    cr_assert_str_eq(err.text, "herald.conf:12: rate: expected COUNT/PERIOD");
}

Test(err, arguments_may_point_into_the_text_itself)
{
    struct err err = with_text("inner");

    (void)err_set(&err, ERR_INPUT, "outer of %s", err.text);
    cr_assert_str_eq(err.text, "outer of inner");
    (void)err_wrap(&err, "again %s", err.text);
    cr_assert_str_eq(err.text, "again outer of inner: outer of inner");
}

Test(err, text_is_one_line)
{
    cr_assert_str_eq(with_text("first\r\nsecond\tthird\x1b[0m\x7f").text, "first  second third [0m ");
}

Test(err, text_that_just_fits_is_whole)
{
    char text[sizeof(((struct err *)0)->text)];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    cr_assert_str_eq(with_text(text).text, text);
}

Test(err, longer_text_is_cut_with_an_ellipsis)
{
    char text[1000];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct err err = with_text(text);
    cr_assert_eq(strlen(err.text), sizeof(err.text) - 1);
    cr_assert_str_eq(err.text + sizeof(err.text) - 5, "a…");
}

/* Two-byte characters, from an even and from an odd place: one of the two cuts falls into a character. */
Test(err, cut_text_ends_between_characters)
{
    for (int odd = 0; odd < 2; odd++) {
        char text[1000] = "x";
        size_t len = (size_t)odd;

        while (len + 2 < sizeof(text)) {
            memcpy(text + len, "ü", 2);
            len += 2;
        }
        text[len] = '\0';
        struct err err = with_text(text);
        size_t cut = strlen(err.text);
        cr_assert_str_eq(err.text + cut - 5, "ü…", "from place %d", odd);
    }
}

Test(err, wrapping_past_the_room_keeps_the_outside)
{
    char text[470];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct err err = with_text(text);
    (void)err_wrap(&err, "provider smtp-main");
    cr_assert_eq(strncmp(err.text, "provider smtp-main: aaa", 23), 0);
    cr_assert_str_eq(err.text + strlen(err.text) - 4, "a…");
}
