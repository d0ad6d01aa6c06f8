/* outcome.c - the promises of outcome.h: one row per fact of an attempt. */
#include "herald/outcome.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct row {
    struct attempt attempt;
    enum outcome_class class;
    const char *reason;
    bool should_suppress;
};

static void expect(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct outcome outcome;
        memset(&outcome, 0xAA, sizeof(outcome));
        outcome_classify(&rows[i].attempt, &outcome);
        cr_expect_eq(outcome.class, rows[i].class, "row %zu (%s): %s", i, rows[i].reason,
                     outcome_class_name(outcome.class));
        cr_expect_str_eq(outcome.reason, rows[i].reason, "row %zu: %s", i, outcome.reason);
        cr_expect_eq(outcome.should_suppress, rows[i].should_suppress, "row %zu (%s)", i, rows[i].reason);
    }
}

#define EXPECT(rows) expect((rows), sizeof(rows) / sizeof((rows)[0]))

/* clang-format off */
#define SMTP(at, reply_code, ...) {.protocol = ATTEMPT_SMTP, .stage = STAGE_##at, .code = (reply_code), __VA_ARGS__}
#define HTTP(status, ...) {.protocol = ATTEMPT_HTTP, .code = (status), __VA_ARGS__}
#define ENHANCED(text) .enhanced = text
#define REPLY(text) .reply = text
#define COMMITTED .is_committed = true
#define BROKEN .transport = TRANSPORT_BROKEN

Test(outcome, a_refusal_by_smtp_is_judged_by_code_and_stage)
{
    static const struct row rows[] = {
        /* the message's fault */
        {SMTP(RCPT, 550, BROKEN), OUTCOME_PERMANENT, "smtp 550 at RCPT", false},
        {SMTP(RCPT, 550, ENHANCED("5.1.1"), BROKEN), OUTCOME_PERMANENT, "smtp 550 at RCPT", true},
        {SMTP(RCPT, 550, ENHANCED("5.1.10"), BROKEN), OUTCOME_PERMANENT, "smtp 550 at RCPT", true},
        {SMTP(RCPT, 553, ENHANCED("5.1.3"), BROKEN), OUTCOME_PERMANENT, "smtp 553 at RCPT", true},
        {SMTP(RCPT, 551, BROKEN), OUTCOME_PERMANENT, "smtp 551 at RCPT", true},
        {SMTP(RCPT, 550, ENHANCED("5.7.1"), BROKEN), OUTCOME_PERMANENT, "smtp 550 at RCPT", false},
        {SMTP(RCPT, 550, ENHANCED("5.2.2"), BROKEN), OUTCOME_PERMANENT, "smtp 550 at RCPT", false},
        {SMTP(RCPT, 550, ENHANCED("5.1.12"), BROKEN), OUTCOME_PERMANENT, "smtp 550 at RCPT", false},
        {SMTP(DATA, 554, BROKEN), OUTCOME_PERMANENT, "smtp 554 at DATA", false},
        {SMTP(FINAL, 554, COMMITTED, BROKEN), OUTCOME_PERMANENT, "smtp 554 at the end", false},
        {SMTP(FINAL, 550, COMMITTED, ENHANCED("5.1.1"), BROKEN), OUTCOME_PERMANENT, "smtp 550 at the end", true},
        {SMTP(FINAL, 552, COMMITTED, ENHANCED("5.3.4"), BROKEN), OUTCOME_PERMANENT, "smtp 552 at the end", false},
        {SMTP(MAIL, 552, ENHANCED("5.3.4"), BROKEN), OUTCOME_PERMANENT, "smtp 552 at MAIL", false},
        {SMTP(RCPT, 599, BROKEN), OUTCOME_PERMANENT, "smtp 5xx at RCPT", false},
        /* the provider's, or ours with it */
        {SMTP(NONE, 554, BROKEN), OUTCOME_DESTINATION, "smtp 554", false},
        {SMTP(GREETING, 554, BROKEN), OUTCOME_DESTINATION, "smtp 554 at greeting", false},
        {SMTP(EHLO, 550, BROKEN), OUTCOME_DESTINATION, "smtp 550 at EHLO", false},
        {SMTP(AUTH, 534, BROKEN), OUTCOME_DESTINATION, "smtp 534 at AUTH", false},
        {SMTP(AUTH, 535, ENHANCED("5.7.8"), BROKEN), OUTCOME_DESTINATION, "smtp 535 at AUTH", false},
        {SMTP(MAIL, 550, ENHANCED("5.1.1"), BROKEN), OUTCOME_DESTINATION, "smtp 550 at MAIL", false},
        {SMTP(MAIL, 530, BROKEN), OUTCOME_DESTINATION, "smtp 530 at MAIL", false},
        {SMTP(RCPT, 530, ENHANCED("5.7.0"), BROKEN), OUTCOME_DESTINATION, "smtp 530 at RCPT", false},
        {SMTP(DATA, 535, BROKEN), OUTCOME_DESTINATION, "smtp 535 at DATA", false},
        {SMTP(FINAL, 530, COMMITTED, BROKEN), OUTCOME_DESTINATION, "smtp 530 at the end", false},
        /* not now */
        {SMTP(RCPT, 450, ENHANCED("4.7.1"), REPLY("greylisted"), BROKEN), OUTCOME_TEMPORARY, "smtp 450 at RCPT", false},
        {SMTP(RCPT, 452, ENHANCED("4.2.2"), BROKEN), OUTCOME_TEMPORARY, "smtp 452 at RCPT", false},
        {SMTP(FINAL, 451, COMMITTED, BROKEN), OUTCOME_TEMPORARY, "smtp 451 at the end", false},
        {SMTP(GREETING, 450, BROKEN), OUTCOME_TEMPORARY, "smtp 450 at greeting", false},
        {SMTP(RCPT, 499, BROKEN), OUTCOME_TEMPORARY, "smtp 4xx at RCPT", false},
        {SMTP(RCPT, 450, ENHANCED("5.1.1"), BROKEN), OUTCOME_TEMPORARY, "smtp 450 at RCPT", false},
        /* not so fast */
        {SMTP(GREETING, 421, BROKEN), OUTCOME_THROTTLED, "smtp 421 at greeting", false},
        {SMTP(FINAL, 421, COMMITTED, BROKEN), OUTCOME_THROTTLED, "smtp 421 at the end", false},
        {SMTP(RCPT, 451, REPLY("Rate limit exceeded"), BROKEN), OUTCOME_THROTTLED, "smtp 451 at RCPT", false},
        {SMTP(MAIL, 450, REPLY("4.7.0 Sending rate-limited"), BROKEN), OUTCOME_THROTTLED, "smtp 450 at MAIL", false},
        {SMTP(RCPT, 452, REPLY("TOO MANY messages"), BROKEN), OUTCOME_THROTTLED, "smtp 452 at RCPT", false},
        {SMTP(RCPT, 451, REPLY("separate corporate queue, generated"), BROKEN), OUTCOME_TEMPORARY, "smtp 451 at RCPT", false},
        {SMTP(RCPT, 451, REPLY("too man"), BROKEN), OUTCOME_TEMPORARY, "smtp 451 at RCPT", false},
        {SMTP(RCPT, 550, REPLY("rate limit"), BROKEN), OUTCOME_PERMANENT, "smtp 550 at RCPT", false},
    };
    EXPECT(rows);
}

Test(outcome, smtp_is_sent_only_with_a_whole_transfer_a_committed_body_and_a_2xx)
{
    static const struct row rows[] = {
        {SMTP(FINAL, 250, COMMITTED, .transport = TRANSPORT_OK), OUTCOME_SENT, "sent", false},
        {SMTP(FINAL, 252, COMMITTED, .transport = TRANSPORT_OK), OUTCOME_SENT, "sent", false},
        {SMTP(RCPT, 250, .transport = TRANSPORT_OK), OUTCOME_TEMPORARY, "smtp 2xx at RCPT", false},
        {SMTP(DATA, 354, COMMITTED, .transport = TRANSPORT_OK), OUTCOME_UNKNOWN, "smtp 3xx at DATA", false},
        {SMTP(FINAL, 250, COMMITTED, BROKEN), OUTCOME_UNKNOWN, "broken connection", false},
        {SMTP(DATA, 354, COMMITTED, BROKEN), OUTCOME_UNKNOWN, "broken connection", false},
        {SMTP(DATA, 354, COMMITTED, .transport = TRANSPORT_TIMEOUT), OUTCOME_UNKNOWN, "timeout", false},
        {SMTP(DATA, 354, COMMITTED, .transport = TRANSPORT_TLS), OUTCOME_UNKNOWN, "tls", false},
        {SMTP(DATA, 354, COMMITTED, .transport = TRANSPORT_CONNECT), OUTCOME_UNKNOWN, "connect", false},
        {SMTP(DATA, 354, COMMITTED, .transport = TRANSPORT_INTERNAL), OUTCOME_UNKNOWN, "internal", false},
        {SMTP(FINAL, 0, COMMITTED, .transport = TRANSPORT_OK), OUTCOME_UNKNOWN, "smtp without a final reply at the end", false},
        {SMTP(FINAL, 600, COMMITTED, .transport = TRANSPORT_OK), OUTCOME_UNKNOWN, "smtp without a final reply at the end", false},
    };
    EXPECT(rows);
}

Test(outcome, what_broke_before_the_commit_point_was_surely_not_sent)
{
    static const struct row rows[] = {
        {SMTP(NONE, 0, .transport = TRANSPORT_RESOLVE), OUTCOME_DESTINATION, "resolve", false},
        {SMTP(NONE, 0, .transport = TRANSPORT_CONNECT), OUTCOME_DESTINATION, "connect", false},
        {SMTP(EHLO, 454, .transport = TRANSPORT_TLS), OUTCOME_DESTINATION, "tls", false},
        {SMTP(AUTH, 454, .transport = TRANSPORT_LOGIN), OUTCOME_DESTINATION, "login", false},
        {SMTP(DATA, 354, .transport = TRANSPORT_INTERNAL), OUTCOME_DESTINATION, "internal", false},
        {SMTP(NONE, 0, BROKEN), OUTCOME_DESTINATION, "broken connection", false},
        {SMTP(GREETING, 220, .transport = TRANSPORT_TIMEOUT), OUTCOME_DESTINATION, "timeout", false},
        {SMTP(AUTH, 235, BROKEN), OUTCOME_DESTINATION, "broken connection", false},
        {SMTP(MAIL, 250, BROKEN), OUTCOME_TEMPORARY, "broken connection", false},
        {SMTP(RCPT, 250, .transport = TRANSPORT_TIMEOUT), OUTCOME_TEMPORARY, "timeout", false},
        {SMTP(DATA, 354, BROKEN), OUTCOME_TEMPORARY, "broken connection", false},
        {HTTP(0, .transport = TRANSPORT_RESOLVE), OUTCOME_DESTINATION, "resolve", false},
        {HTTP(0, .transport = TRANSPORT_CONNECT), OUTCOME_DESTINATION, "connect", false},
        {HTTP(0, .transport = TRANSPORT_TLS), OUTCOME_DESTINATION, "tls", false},
        {HTTP(0, .transport = TRANSPORT_TIMEOUT), OUTCOME_TEMPORARY, "timeout", false},
        {HTTP(0, BROKEN), OUTCOME_TEMPORARY, "broken connection", false},
        {HTTP(200, BROKEN), OUTCOME_TEMPORARY, "broken connection", false},
    };
    EXPECT(rows);
}

Test(outcome, an_http_answer_is_judged_by_its_status)
{
    static const struct row rows[] = {
        {HTTP(200, COMMITTED), OUTCOME_SENT, "sent", false},
        {HTTP(201, COMMITTED), OUTCOME_SENT, "sent", false},
        {HTTP(204, COMMITTED), OUTCOME_SENT, "sent", false},
        {HTTP(202, .transport = TRANSPORT_OK), OUTCOME_SENT, "sent", false},
        {HTTP(400, COMMITTED), OUTCOME_PERMANENT, "http 400", false},
        {HTTP(403, COMMITTED), OUTCOME_PERMANENT, "http 403", false},
        {HTTP(404, COMMITTED), OUTCOME_PERMANENT, "http 404", false},
        {HTTP(410, COMMITTED), OUTCOME_PERMANENT, "http 410", true},
        {HTTP(413, COMMITTED), OUTCOME_PERMANENT, "http 413", false},
        {HTTP(413, BROKEN), OUTCOME_PERMANENT, "http 413", false},
        {HTTP(422, COMMITTED), OUTCOME_PERMANENT, "http 422", false},
        {HTTP(429, COMMITTED), OUTCOME_THROTTLED, "http 429", false},
        {HTTP(408, COMMITTED), OUTCOME_TEMPORARY, "http 408", false},
        {HTTP(500, COMMITTED), OUTCOME_TEMPORARY, "http 500", false},
        {HTTP(409, COMMITTED), OUTCOME_TEMPORARY, "http 409", false},
        {HTTP(499, COMMITTED), OUTCOME_TEMPORARY, "http 4xx", false},
        {HTTP(599, COMMITTED), OUTCOME_TEMPORARY, "http 5xx", false},
        {HTTP(301, COMMITTED), OUTCOME_DESTINATION, "http 301", false},
        {HTTP(307, COMMITTED), OUTCOME_DESTINATION, "http 307", false},
        {HTTP(304, COMMITTED), OUTCOME_DESTINATION, "http 3xx", false},
        {HTTP(401, COMMITTED), OUTCOME_DESTINATION, "http 401", false},
        {HTTP(407, COMMITTED), OUTCOME_DESTINATION, "http 407", false},
        {HTTP(502, COMMITTED), OUTCOME_DESTINATION, "http 502", false},
        {HTTP(503, COMMITTED), OUTCOME_DESTINATION, "http 503", false},
        {HTTP(503, COMMITTED, BROKEN), OUTCOME_DESTINATION, "http 503", false},
        {HTTP(504, COMMITTED), OUTCOME_DESTINATION, "http 504", false},
        /* committed, and no final answer */
        {HTTP(0, COMMITTED), OUTCOME_UNKNOWN, "http without an answer", false},
        {HTTP(100, COMMITTED), OUTCOME_UNKNOWN, "http 1xx", false},
        {HTTP(999, COMMITTED), OUTCOME_UNKNOWN, "http without an answer", false},
        {HTTP(-1, COMMITTED), OUTCOME_UNKNOWN, "http without an answer", false},
        {HTTP(200, COMMITTED, BROKEN), OUTCOME_UNKNOWN, "broken connection", false},
        {HTTP(302, COMMITTED, BROKEN), OUTCOME_UNKNOWN, "broken connection", false},
        {HTTP(0, COMMITTED, .transport = TRANSPORT_TIMEOUT), OUTCOME_UNKNOWN, "timeout", false},
        {HTTP(0, COMMITTED, BROKEN), OUTCOME_UNKNOWN, "broken connection", false},
        {HTTP(0, COMMITTED, .transport = TRANSPORT_CONNECT), OUTCOME_UNKNOWN, "connect", false},
        /* certainly not processed, committed or not */
        {HTTP(0, COMMITTED, .transport = TRANSPORT_REFUSED_STREAM), OUTCOME_DESTINATION, "refused stream", false},
        {HTTP(0, .transport = TRANSPORT_REFUSED_STREAM), OUTCOME_DESTINATION, "refused stream", false},
    };
    EXPECT(rows);
}

Test(outcome, what_we_stopped_ourselves_before_the_commit_point_was_not_tried)
{
    static const struct row rows[] = {
        {SMTP(DATA, 354, .abort = ABORT_LEASE, BROKEN), OUTCOME_RELEASED, "lease", false},
        {SMTP(NONE, 0, .abort = ABORT_STOPPED, BROKEN), OUTCOME_RELEASED, "stopped", false},
        {SMTP(NONE, 0, .abort = ABORT_RENDER, BROKEN), OUTCOME_PERMANENT, "render", false},
        {SMTP(NONE, 0, .abort = ABORT_CONTENT, BROKEN), OUTCOME_DESTINATION, "content", false},
        {HTTP(0, .abort = ABORT_LEASE, BROKEN), OUTCOME_RELEASED, "lease", false},
        {{.protocol = ATTEMPT_LOCAL, .abort = ABORT_STOPPED}, OUTCOME_RELEASED, "stopped", false},
        /* after it, it is too late to say so */
        {SMTP(DATA, 354, COMMITTED, .abort = ABORT_LEASE, BROKEN), OUTCOME_UNKNOWN, "broken connection", false},
        {HTTP(200, COMMITTED, .abort = ABORT_LEASE), OUTCOME_SENT, "sent", false},
    };
    EXPECT(rows);
}

Test(outcome, a_local_provider_answers_for_the_message_alone)
{
    static const struct row rows[] = {
        {{.protocol = ATTEMPT_LOCAL}, OUTCOME_SENT, "sent", false},
        {{.protocol = ATTEMPT_LOCAL, .code = 250}, OUTCOME_SENT, "sent", false},
        {{.protocol = ATTEMPT_LOCAL, .code = 550}, OUTCOME_PERMANENT, "smtp 550", false},
        {{.protocol = ATTEMPT_LOCAL, .code = 451}, OUTCOME_TEMPORARY, "smtp 451", false},
        {{.protocol = ATTEMPT_LOCAL, .code = 421}, OUTCOME_THROTTLED, "smtp 421", false},
        {{.protocol = ATTEMPT_LOCAL, .transport = TRANSPORT_INTERNAL}, OUTCOME_DESTINATION, "internal", false},
        {{.protocol = ATTEMPT_LOCAL, .transport = TRANSPORT_BROKEN}, OUTCOME_TEMPORARY, "broken connection", false},
        {{.protocol = ATTEMPT_LOCAL, .transport = TRANSPORT_BROKEN, COMMITTED}, OUTCOME_UNKNOWN, "broken connection", false},
    };
    EXPECT(rows);
}
/* clang-format on */

static void check_invariants(const struct attempt *attempt)
{
    struct outcome outcome = {.reason = NULL};
    outcome_classify(attempt, &outcome);
    cr_assert_not_null(outcome.reason);
    cr_assert(!outcome.should_suppress || outcome.class == OUTCOME_PERMANENT);
    if (outcome.class == OUTCOME_UNKNOWN)
        cr_assert(attempt->is_committed);
    if (outcome.class == OUTCOME_RELEASED)
        cr_assert(!attempt->is_committed && attempt->abort != ABORT_NONE);
    if (outcome.class == OUTCOME_SENT)
        cr_assert_eq(attempt->transport, TRANSPORT_OK);
}

Test(outcome, every_combination_of_facts_has_an_outcome_that_keeps_the_promises)
{
    for (int code = 0; code <= 600; code += code % 100 == 60 ? 40 : 1)
        for (unsigned bits = 0; bits < 3 * 5 * 9 * 8 * 2; bits++) {
            struct attempt attempt = {.protocol = bits % 3,
                                      .abort = bits / 3 % 5,
                                      .transport = bits / 15 % 9,
                                      .stage = bits / 135 % 8,
                                      .is_committed = bits / 1080 != 0,
                                      .code = code};
            check_invariants(&attempt);
        }
}

Test(outcome, classes_have_names)
{
    static const char *const names[] = {"sent",        "permanent", "temporary", "throttled",
                                        "destination", "unknown",   "released"};

    for (enum outcome_class class = OUTCOME_SENT; class <= OUTCOME_RELEASED; class ++)
        cr_expect_str_eq(outcome_class_name(class), names[class]);
}
