/* log_mask.c - what is shown of an address or a token. */
#include <criterion/criterion.h>
#include <string.h>

#include "herald/log.h"

Test(log_mask, shows_enough_to_recognise_and_not_enough_to_use)
{
    static const char *rows[][2] = {
        {"jane@example.org", "j***@example.org"},
        {"j@example.org", "j***@example.org"},
        {"über.jane@example.org", "ü***@example.org"},
        {"jane+tag@mail.example.org", "j***@mail.example.org"},
        {"jane@bücher.example", "j***@bücher.example"},
        {"\"odd@name\"@example.org", "\"***@example.org"},
        {"ab12cd34ef56ab78", "ab12…"},
        {"ab12cd34", "ab…"},
        {"abcd", "a…"},
        {"abc", "…"},
        {"a", "…"},
        {"", ""},
        {NULL, ""},
        {"äöüßäöüßäöüß", "äöüß…"},
        {"@example.org", "@ex…"},
        {"jane@", "j…"},
        {"https://push.example/send/jane@secret", "http…"}, /* not an address: its end is the secret */
        {"user:secret@redis.example", "user…"},
        {"token@with/its?secret=behind", "toke…"},
        {"jane doe@example.org", "jane…"},
        {"jane@example.org\r\nBcc: x", "jane…"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char masked[LOG_MASKED_BYTES];

        cr_assert_eq(log_mask(rows[i][0], masked), masked);
        cr_assert_str_eq(masked, rows[i][1]);
    }
}

Test(log_mask, a_long_domain_is_cut_between_characters)
{
    for (int odd = 0; odd < 2; odd++) {
        char address[300] = "j@x";
        char masked[LOG_MASKED_BYTES];
        size_t len = 2 + (size_t)odd;

        while (len < sizeof(address) - 2) {
            memcpy(address + len, "ü", 2);
            len += 2;
        }
        address[len] = '\0';
        log_mask(address, masked);
        cr_assert_leq(strlen(masked), LOG_MASKED_BYTES - 1);
        cr_assert_geq(strlen(masked), LOG_MASKED_BYTES - 3);
        cr_assert_eq(strncmp(masked, "j***@", 5), 0);
        cr_assert_str_eq(masked + strlen(masked) - 5, "ü…");
    }
}
