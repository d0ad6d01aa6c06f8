/* buffer.c - the promises of buffer.h. */
#include "herald/buffer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct buffer buffer;

static void tear_down(void)
{
    buffer_done(&buffer);
}

TestSuite(buffer, .fini = tear_down);

Test(buffer, a_new_buffer_has_allocated_nothing)
{
    buffer_init(&buffer, 100);
    cr_assert_null(buffer.data);
    cr_assert_eq(buffer.len, 0);
    cr_assert_eq(buffer.cap, 0);
}

Test(buffer, appends_follow_each_other_and_end_with_a_nul)
{
    buffer_init(&buffer, 1000);
    buffer_text(&buffer, "one");
    buffer_char(&buffer, ' ');
    buffer_append(&buffer, "two, not this", 3);
    buffer_printf(&buffer, " %d %s", 3, "four");
    buffer_append(&buffer, NULL, 0);
    cr_assert_not(buffer.failed);
    cr_assert_eq(buffer.len, 14);
    cr_assert_str_eq(buffer.data, "one two 3 four");
}

Test(buffer, bytes_may_be_nul)
{
    buffer_init(&buffer, 1000);
    buffer_append(&buffer, "a\0b", 3);
    cr_assert_eq(buffer.len, 3);
    cr_assert_eq(memcmp(buffer.data, "a\0b", 4), 0);
}

Test(buffer, it_can_be_filled_to_its_bound_and_no_further)
{
    buffer_init(&buffer, 300);
    for (int i = 0; i < 300; i++)
        buffer_char(&buffer, (char)('a' + i % 26));
    cr_assert_not(buffer.failed);
    cr_assert_eq(buffer.len, 300);
    cr_assert_leq(buffer.cap, 301);
    buffer_char(&buffer, '!');
    cr_assert(buffer.failed);
    cr_assert_eq(buffer.len, 300);
    cr_assert_eq(buffer.data[299], 'a' + 299 % 26);
    cr_assert_eq(buffer.data[300], '\0');
}

Test(buffer, an_append_past_the_bound_leaves_the_bytes_and_stops_later_ones)
{
    buffer_init(&buffer, 10);
    buffer_text(&buffer, "12345678");
    buffer_printf(&buffer, "%s", "9abc");
    cr_assert(buffer.failed);
    buffer_char(&buffer, '9');
    buffer_text(&buffer, "");
    cr_assert_null(buffer_reserve(&buffer, 1));
    cr_assert(buffer.failed);
    cr_assert_str_eq(buffer.data, "12345678");
    cr_assert_eq(buffer.len, 8);
}

Test(buffer, a_length_that_would_wrap_around_fails)
{
    buffer_init(&buffer, 1000);
    buffer_text(&buffer, "x");
    cr_assert_null(buffer_reserve(&buffer, (size_t)-1));
    cr_assert(buffer.failed);
}

Test(buffer, reset_empties_and_forgives_but_keeps_the_memory)
{
    buffer_init(&buffer, 10);
    buffer_text(&buffer, "12345678");
    buffer_text(&buffer, "123");
    char *data = buffer.data;
    size_t cap = buffer.cap;

    buffer_reset(&buffer);
    cr_assert_not(buffer.failed);
    cr_assert_eq(buffer.len, 0);
    cr_assert_str_eq(buffer.data, "");
    buffer_text(&buffer, "again");
    cr_assert_eq(buffer.data, data);
    cr_assert_eq(buffer.cap, cap);
    cr_assert_str_eq(buffer.data, "again");
}

Test(buffer, done_leaves_it_as_after_init)
{
    buffer_init(&buffer, 10);
    buffer_text(&buffer, "123456789012");
    buffer_done(&buffer);
    cr_assert_null(buffer.data);
    cr_assert_eq(buffer.cap, 0);
    cr_assert_not(buffer.failed);
    buffer_text(&buffer, "again");
    cr_assert_str_eq(buffer.data, "again");
    buffer_text(&buffer, "123456");
    cr_assert(buffer.failed);
}

Test(buffer, consume_removes_the_first_bytes)
{
    buffer_init(&buffer, 100);
    buffer_consume(&buffer, 0);
    buffer_text(&buffer, "first second");
    buffer_consume(&buffer, 6);
    cr_assert_str_eq(buffer.data, "second");
    cr_assert_eq(buffer.len, 6);
    buffer_consume(&buffer, 6);
    cr_assert_str_eq(buffer.data, "");
    buffer_text(&buffer, "third");
    cr_assert_str_eq(buffer.data, "third");
}

Test(buffer, reserved_room_is_written_by_the_caller)
{
    buffer_init(&buffer, 1000);
    buffer_text(&buffer, "head ");
    char *to = buffer_reserve(&buffer, 500);
    cr_assert_eq(to, buffer.data + 5);
    memset(to, 'x', 500);
    buffer.len += 3;
    buffer_text(&buffer, " tail");
    cr_assert_str_eq(buffer.data, "head xxx tail");
    cr_assert_not_null(buffer_reserve(&buffer, 1000 - buffer.len));
    cr_assert_null(buffer_reserve(&buffer, 1000 - buffer.len + 1));
}

Test(buffer, take_gives_the_block_away)
{
    char *block;
    size_t len;

    buffer_init(&buffer, 10);
    memcpy(buffer_reserve(&buffer, 4), "abcd", 4);
    buffer.len += 3;
    cr_assert(buffer_take(&buffer, &block, &len));
    cr_assert_str_eq(block, "abc");
    cr_assert_eq(len, 3);
    free(block);
    cr_assert_null(buffer.data);
    buffer_text(&buffer, "again");
    cr_assert_str_eq(buffer.data, "again");
    buffer_text(&buffer, "123456");
    cr_assert(buffer.failed);
}

Test(buffer, take_of_an_empty_buffer_is_an_empty_block)
{
    char *block;
    size_t len = 99;

    buffer_init(&buffer, 0);
    cr_assert(buffer_take(&buffer, &block, &len));
    cr_assert_str_eq(block, "");
    cr_assert_eq(len, 0);
    free(block);
}

Test(buffer, take_of_a_failed_buffer_is_refused)
{
    char *block = NULL;
    size_t len = 99;

    buffer_init(&buffer, 3);
    buffer_text(&buffer, "ab");
    buffer_text(&buffer, "cd");
    cr_assert_not(buffer_take(&buffer, &block, &len));
    cr_assert_null(block);
    cr_assert_eq(len, 99);
}
