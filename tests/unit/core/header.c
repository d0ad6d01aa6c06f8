/* Folding and encoded words, byte by byte where the limits are. Whole messages are read back by
 * message_python.py. */
#include "header.h"

#include <criterion/criterion.h>
#include <string.h>

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define E_ACUTE "\xC3\xA9"
#define LI "\xE6\x9D\x8E"

static void check(struct buffer *out, const char *wanted)
{
    cr_assert_not(out->failed);
    cr_expect_str_eq(out->data, wanted, "got <%s>, wanted <%s>", out->data, wanted);
    buffer_done(out);
}

Test(header, texts_are_folded_at_spaces_or_encoded)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"", "Subject: \r\n"},
        {"Order o-1 is on its way", "Subject: Order o-1 is on its way\r\n"},
        {"a=b ?c? =?", "Subject: =?utf-8?B?YT1iID9jPyA9Pw==?=\r\n"},
        {"caf" E_ACUTE " au lait", "Subject: =?utf-8?Q?caf=C3=A9_au_lait?=\r\n"},
        {LI LI, "Subject: =?utf-8?B?5p2O5p2O?=\r\n"},
        /* 78 bytes with the field's name; then one more. */
        {X60 " 12345678", "Subject: " X60 " 12345678\r\n"},
        {X60 " 123456789", "Subject: " X60 "\r\n 123456789\r\n"},
        {"123456789 " X60 X10 "1234567", "Subject: 123456789\r\n " X60 X10 "1234567\r\n"},
        /* A word that fits no line. The first word shares its line with the field's name. */
        {"123456789 " X60 X10 "12345678", "Subject: =?utf-8?Q?123456789_" X10 X10 X10 X10
                                          "xxxxx?=\r\n =?utf-8?Q?xxxxx" X10 X10 "12345678?=\r\n"},
        {X60 "1234567890",
         "Subject: =?utf-8?Q?" X10 X10 X10 X10 X10 "xxxxx?=\r\n =?utf-8?Q?xxxxx1234567890?=\r\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buffer out;
        buffer_init(&out, 1 << 10);
        header_text("Subject", rows[i].text, &out);
        check(&out, rows[i].wanted);
    }
}

Test(header, encoded_words_are_cut_between_characters_only)
{
    struct buffer out;
    char text[4 * 40 + 1] = "";

    /* Four bytes each, of which the first line's 55 can't hold a multiple. */
    for (int i = 0; i < 40; i++)
        memcpy(text + 4 * i, "\xF0\x9F\x8E\x89", 5);
    buffer_init(&out, 1 << 10);
    header_text("Subject", text, &out);
    check(&out, "Subject: =?utf-8?B?8J+OifCfjonwn46J8J+OifCfjonwn46J8J+OifCfjonwn46J?=\r\n"
                " =?utf-8?B?8J+OifCfjonwn46J8J+OifCfjonwn46J8J+OifCfjonwn46J8J+OifCfjok=?=\r\n"
                " =?utf-8?B?8J+OifCfjonwn46J8J+OifCfjonwn46J8J+OifCfjonwn46J8J+OifCfjok=?=\r\n"
                " =?utf-8?B?8J+OifCfjonwn46J8J+OifCfjonwn46J8J+OifCfjonwn46J?=\r\n");
}

Test(header, names_are_atoms_quoted_or_encoded)
{
    static const struct {
        const char *name, *wanted;
    } rows[] = {
        {NULL, "To: a@b.example\r\n"},
        {"", "To: a@b.example\r\n"},
        {"Ann Lee", "To: Ann Lee <a@b.example>\r\n"},
        {"O'Neil & sons!", "To: O'Neil & sons! <a@b.example>\r\n"},
        {"Dr. Lee", "To: \"Dr. Lee\" <a@b.example>\r\n"},
        {"Lee, Ann", "To: \"Lee, Ann\" <a@b.example>\r\n"},
        {"Ann \"Nan\" \\", "To: \"Ann \\\"Nan\\\" \\\\\" <a@b.example>\r\n"},
        {"Ann  Lee", "To: \"Ann  Lee\" <a@b.example>\r\n"},
        {" Ann", "To: \" Ann\" <a@b.example>\r\n"},
        {"Ann ", "To: \"Ann \" <a@b.example>\r\n"},
        {"x <y@z>", "To: \"x <y@z>\" <a@b.example>\r\n"},
        {"=?utf-8?Q?x?=", "To: =?utf-8?B?PT91dGYtOD9RP3g/PQ==?= <a@b.example>\r\n"},
        {"Ren" E_ACUTE "e Lee-Smith, jr", "To: =?utf-8?Q?Ren=C3=A9e_Lee-Smith=2C_jr?= <a@b.example>\r\n"},
        {LI, "To: =?utf-8?B?5p2O?= <a@b.example>\r\n"},
        /* 78 bytes, then 79. */
        {X60, "To: " X60 " <a@b.example>\r\n"},
        {X60 "x", "To: " X60 "x\r\n <a@b.example>\r\n"},
        /* A name that could need quotes and fits no line with them. */
        {X60 X10 "12", "To: " X60 X10 "12\r\n <a@b.example>\r\n"},
        {X60 X10 "123", "To: =?utf-8?Q?" X60 "?=\r\n =?utf-8?Q?" X10 "123?= <a@b.example>\r\n"},
        /* A line that holds an encoded word ends at 76. */
        {E_ACUTE X10 X10 X10 X10, "To: =?utf-8?Q?=C3=A9" X10 X10 X10 X10 "?= <a@b.example>\r\n"},
        {E_ACUTE X10 X10 X10 X10 "1", "To: =?utf-8?Q?=C3=A9" X10 X10 X10 X10 "1?=\r\n <a@b.example>\r\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buffer out;
        buffer_init(&out, 1 << 10);
        header_mailbox("To", rows[i].name, "a@b.example", &out);
        check(&out, rows[i].wanted);
    }
}

Test(header, tokens_move_to_a_line_of_their_own_and_are_never_broken)
{
    struct buffer out;

    buffer_init(&out, 1 << 10);
    header_token("Message-ID", "<" X60 "1234>", &out);
    header_token("Message-ID", "<" X60 "12345>", &out);
    header_token("Message-ID", "<" X60 X60 ">", &out);
    check(&out,
          "Message-ID: <" X60 "1234>\r\nMessage-ID:\r\n <" X60 "12345>\r\nMessage-ID:\r\n <" X60 X60 ">\r\n");
}
