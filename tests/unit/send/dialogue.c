/* dialogue.c - the promises of dialogue.h, against conversations as servers hold them. */
#include <criterion/criterion.h>
#include <string.h>

#include "dialogue.h"

#define READY "(ready)"

/* Feeds lines; READY stands where libcurl reports the connection ready. */
static struct attempt hear(const char *const *lines)
{
    struct attempt attempt = {.protocol = ATTEMPT_SMTP};
    struct dialogue dialogue;

    dialogue_begin(&dialogue, &attempt);
    for (; *lines != NULL; lines++) {
        if (strcmp(*lines, READY) == 0)
            dialogue_ready(&dialogue);
        else
            dialogue_line(&dialogue, *lines, strlen(*lines));
    }
    return attempt;
}

#define HEAR(...) hear((const char *const[]){__VA_ARGS__, NULL})

static void expect(struct attempt attempt, enum attempt_stage stage, int code, const char *enhanced,
                   const char *reply)
{
    cr_expect_eq(attempt.stage, stage, "stage %d, not %d", attempt.stage, stage);
    cr_expect_eq(attempt.code, code, "code %d, not %d", attempt.code, code);
    cr_expect_str_eq(attempt.enhanced, enhanced);
    cr_expect_str_eq(attempt.reply, reply);
}

Test(dialogue, replies_are_placed_by_their_order)
{
    expect(HEAR("220 mx\r\n"), STAGE_GREETING, 220, "", "mx");
    expect(HEAR("220 mx", "250-mx", "250 SIZE 1"), STAGE_EHLO, 250, "", "mx SIZE 1");
    expect(HEAR("220 mx", "250 mx", "220 2.0.0 tls", "250 mx"), STAGE_EHLO, 250, "", "mx");
    expect(HEAR("220 mx", "250 mx", "334 VXNlcg=="), STAGE_AUTH, 334, "", "VXNlcg==");
    expect(HEAR("220 mx", "250 mx", "334 x", "535 5.7.8 no"), STAGE_AUTH, 535, "5.7.8", "5.7.8 no");
    expect(HEAR("220 mx", "250 mx", READY, "250 2.1.0 ok"), STAGE_MAIL, 250, "2.1.0", "2.1.0 ok");
    expect(HEAR(READY, "250 ok", "550 5.1.1 unknown"), STAGE_RCPT, 550, "5.1.1", "5.1.1 unknown");
    expect(HEAR(READY, "250 ok", "250 ok", "354 go"), STAGE_DATA, 354, "", "go");
    expect(HEAR(READY, "250 ok", "250 ok", "354 go", "250 2.0.0 queued as 1A"), STAGE_FINAL, 250, "2.0.0",
           "2.0.0 queued as 1A");
}

Test(dialogue, the_goodbye_behind_a_refusal_is_not_listened_to)
{
    expect(HEAR(READY, "250 ok", "550 5.1.1 unknown", "221 2.0.0 bye"), STAGE_RCPT, 550, "5.1.1",
           "5.1.1 unknown");
    expect(HEAR("554 5.7.1 go away", "250 hm", "221 bye"), STAGE_GREETING, 554, "5.7.1", "5.7.1 go away");
    expect(HEAR("220 mx", "250 mx", "334 x", "535 5.7.8 no", "221 bye"), STAGE_AUTH, 535, "5.7.8",
           "5.7.8 no");
}

Test(dialogue, a_refused_ehlo_may_be_followed_by_helo)
{
    expect(HEAR("220 mx", "502 5.5.1 what", "250 mx", READY, "250 ok"), STAGE_MAIL, 250, "", "ok");
}

Test(dialogue, all_lines_of_a_reply_are_kept_within_the_bound)
{
    char line[400] = "554-";
    memset(line + 4, 'x', 300);
    expect(HEAR(READY, "250 ok", "250 ok", "354 go", "554-5.7.1 spam", "554 5.7.1 see there"), STAGE_FINAL,
           554, "5.7.1", "5.7.1 spam 5.7.1 see there");
    struct attempt attempt = HEAR(READY, line, "554 more");
    cr_expect_eq(strlen(attempt.reply), (size_t)ATTEMPT_REPLY_BYTES);
    cr_expect_eq(attempt.code, 554);
}

Test(dialogue, an_enhanced_code_counts_only_if_its_class_is_the_codes)
{
    static const struct {
        const char *line, *enhanced;
    } rows[] = {
        {"450 4.7.1 wait", "4.7.1"},
        {"450 5.7.1 liar", ""},
        {"550 5.1.10 null mx", "5.1.10"},
        {"550 5.1.1", "5.1.1"},
        {"550 5.1.1x", ""},
        {"550 5.1 short", ""},
        {"550 15.1.1 long class", ""},
        {"550 5.1234.1 long", ""},
        {"550 5.123.456 all", "5.123.456"},
        {"550 .1.1 none", ""},
        {"550", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(HEAR(READY, rows[i].line).enhanced, rows[i].enhanced, "%s", rows[i].line);
}

Test(dialogue, an_enhanced_code_does_not_outlive_its_code_within_a_reply)
{
    expect(HEAR(READY, "550-5.1.1 gone", "250 ok after all"), STAGE_MAIL, 250, "", "5.1.1 gone ok after all");
    expect(HEAR(READY, "450-4.2.1 busy", "550-5.1.1 gone", "550 really"), STAGE_MAIL, 550, "5.1.1",
           "4.2.1 busy 5.1.1 gone really");
}

Test(dialogue, controls_become_spaces_and_no_character_is_cut)
{
    char line[300] = "550 ";
    for (size_t at = 4; at + 2 < 280; at += 2)
        memcpy(line + at, "\xc3\xa9", 2);
    struct attempt attempt = HEAR(READY, "550 a\tb\x01"
                                         "c\x7f");
    cr_expect_str_eq(attempt.reply, "a b c");
    attempt = HEAR(READY, "550-x", line); /* 'x', a space, and then two bytes a character */
    cr_expect_eq(strlen(attempt.reply), (size_t)ATTEMPT_REPLY_BYTES);
    attempt = HEAR(READY, "550-xy", line);
    cr_expect_eq(strlen(attempt.reply), (size_t)ATTEMPT_REPLY_BYTES - 1);
}

Test(dialogue, what_is_no_reply_is_ignored)
{
    expect(HEAR(READY, "25", "", "abc def", "2x0 no"), STAGE_NONE, 0, "", "");
}
