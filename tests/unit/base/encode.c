/* encode.c - the promises of encode.h. */
#include "herald/encode.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(encode, hex_is_lower_case)
{
    char text[9];

    encode_hex("\x00\x7f\xab\xff", 4, text);
    cr_assert_str_eq(text, "007fabff");
    encode_hex("", 0, text);
    cr_assert_str_eq(text, "");
}

Test(encode, base64_is_that_of_rfc_4648)
{
    static const char *rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbe", "+/++"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = strlen(rows[i][0]);
        char text[ENCODE_BASE64_BYTES(8)];
        uint8_t back[16];
        size_t back_len;

        memset(text, 'x', sizeof(text));
        encode_base64(rows[i][0], len, text);
        cr_assert_str_eq(text, rows[i][1]);
        cr_assert_eq(strlen(text) + 1, ENCODE_BASE64_BYTES(len));
        cr_assert(decode_base64(text, strlen(text), back, &back_len), "%s", text);
        cr_assert_eq(back_len, len);
        cr_assert_eq(memcmp(back, rows[i][0], len), 0);
    }
}

/* With exactly the room the header asks for, so that AddressSanitizer sees one byte too many. */
Test(encode, every_byte_and_length_comes_back_padded_or_not)
{
    uint8_t bytes[256];

    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        char *text = malloc(ENCODE_BASE64_BYTES(len));

        encode_base64(bytes, len, text);
        for (size_t text_len = strlen(text); text_len > 0; text_len--) {
            uint8_t *back = malloc(text_len / 4 * 3 + 3);
            size_t back_len;

            cr_assert(decode_base64(text, text_len, back, &back_len), "%s", text);
            cr_assert_eq(back_len, len);
            cr_assert_eq(memcmp(back, bytes, len), 0);
            free(back);
            /* without any of its padding, if it has some */
            if (text[text_len - 1] != '=')
                break;
            if (text[text_len - 2] == '=')
                text_len--;
        }
        free(text);
    }
}

Test(encode, url_safe_base64_is_read)
{
    uint8_t bytes[8];
    size_t len;

    cr_assert(decode_base64("-_--", 4, bytes, &len));
    cr_assert_eq(len, 3);
    cr_assert_eq(memcmp(bytes, "\xfb\xff\xbe", 3), 0);
    cr_assert(decode_base64("-_8", 3, bytes, &len));
    cr_assert_eq(len, 2);
    cr_assert_eq(memcmp(bytes, "\xfb\xff", 2), 0);
}

Test(encode, what_is_not_base64_is_refused_and_leaves_the_length_alone)
{
    static const char *rows[] = {
        "Z",    "A",       "Zm9vA",    "Zm9vY", "=",        "==",    "====",   "Z===",
        "Zg=",  "Zm9=v",   "Zg==Zg==", "Zm9v=", "Zm9v====", "Zm 9v", "Zm9v\n", "Zm9v Zg",
        "Zm9$", "Zm9\xc3", "Zh==",     "Zh",    "Zm9=",     "Zm9",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bytes[16];
        size_t len = 99;

        cr_assert_not(decode_base64(rows[i], strlen(rows[i]), bytes, &len), "%s", rows[i]);
        cr_assert_eq(len, 99, "%s", rows[i]);
    }
    uint8_t bytes[16];
    size_t len = 99;
    cr_assert_not(decode_base64("Zm\0v", 4, bytes, &len));
}

Test(encode, decimal_is_what_printf_writes)
{
    static const int64_t numbers[] = {0, 1, 9, 10, 99, 100, -1, -10, 1795658312897, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        char expected[32], got[ENCODE_DECIMAL_BYTES + 1];
        snprintf(expected, sizeof(expected), "%" PRId64, numbers[i]);
        got[encode_decimal(numbers[i], got)] = '\0';
        cr_expect_str_eq(got, expected);
    }
}
