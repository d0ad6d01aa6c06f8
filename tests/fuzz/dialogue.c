/* dialogue.c - an SMTP server that answers anything at all: what is kept of its replies stays printable, in
 * its bounds and in order, and nothing but a whole 2xx after the mail's last byte is ever a "sent". A line of
 * the input is a reply's; "=ready" and "=committed" stand for what libcurl says between them. */
#include "dialogue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_enhanced(const struct attempt *attempt)
{
    const char *at = attempt->enhanced;
    if (*at == '\0')
        return;
    assert(at[0] - '0' == attempt->code / 100 && at[1] == '.');
    for (int part = 0; part < 2; part++) {
        at = strchr(at, '.');
        assert(at != NULL);
        at++;
        size_t digits = strspn(at, "0123456789");
        assert(digits >= 1 && digits <= 3);
        at += digits;
    }
    assert(*at == '\0');
}

static void check(const struct dialogue *dialogue)
{
    const struct attempt *attempt = dialogue->attempt;
    assert(memchr(attempt->reply, '\0', sizeof(attempt->reply)) != NULL);
    assert(memchr(attempt->enhanced, '\0', sizeof(attempt->enhanced)) != NULL);
    assert(attempt->code >= 0 && attempt->code <= 999);
    for (const char *c = attempt->reply; *c != '\0'; c++)
        assert((unsigned char)*c >= ' ' && *c != 0x7F);
    check_enhanced(attempt);
    assert(dialogue->is_ready || attempt->stage < STAGE_MAIL);
    assert((attempt->stage == STAGE_NONE) == (attempt->code == 0 && attempt->reply[0] == '\0') ||
           attempt->code == 0);
    if (!dialogue->is_amid_reply)
        assert(dialogue->is_refused == (attempt->code >= 400));
}

/* Whatever the transfer itself came to. */
static void check_outcomes(const struct attempt *attempt)
{
    for (enum attempt_transport transport = TRANSPORT_OK; transport <= TRANSPORT_INTERNAL; transport++) {
        struct attempt ended = *attempt;
        struct outcome outcome;
        ended.transport = transport;
        outcome_classify(&ended, &outcome);
        assert(outcome.reason != NULL && outcome.reason[0] != '\0');
        if (outcome.class == OUTCOME_SENT)
            assert(transport == TRANSPORT_OK && ended.is_committed && ended.code >= 200 && ended.code < 300);
        if (outcome.should_suppress)
            assert(outcome.class == OUTCOME_PERMANENT && ended.code >= 500 && ended.stage > STAGE_MAIL);
        /* Committed and not answered: neither tried again nor called sent. */
        if (ended.is_committed && ended.code < 200 && transport != TRANSPORT_REFUSED_STREAM)
            assert(outcome.class == OUTCOME_UNKNOWN);
    }
}

static bool is_mark(const uint8_t *line, size_t len, const char *mark)
{
    return len == strlen(mark) && memcmp(line, mark, len) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct attempt attempt = {.protocol = ATTEMPT_SMTP}, bare_attempt = {.protocol = ATTEMPT_SMTP};
    struct dialogue dialogue, bare;
    enum attempt_stage last = STAGE_NONE;
    dialogue_begin(&dialogue, &attempt);
    dialogue_begin(&bare, &bare_attempt);

    while (len > 0) {
        const uint8_t *end = memchr(bytes, '\n', len);
        size_t line_len = end != NULL ? (size_t)(end - bytes) : len, whole = line_len + (end != NULL);
        size_t bare_len = line_len;
        while (bare_len > 0 && bytes[bare_len - 1] == '\r')
            bare_len--;
        if (is_mark(bytes, bare_len, "=ready")) {
            dialogue_ready(&dialogue);
            dialogue_ready(&bare);
        } else if (is_mark(bytes, bare_len, "=committed")) {
            attempt.is_committed = bare_attempt.is_committed = dialogue.is_ready;
        } else {
            /* Twice: as it came, and in memory of just its length without the line's end. */
            char *copy = malloc(bare_len > 0 ? bare_len : 1);
            if (copy == NULL)
                return 0;
            memcpy(copy, bytes, bare_len);
            dialogue_line(&dialogue, (const char *)bytes, whole);
            dialogue_line(&bare, copy, bare_len);
            free(copy);
        }
        assert(attempt.stage >= last);
        last = attempt.stage;
        check(&dialogue);
        assert(attempt.stage == bare_attempt.stage && attempt.code == bare_attempt.code);
        assert(strcmp(attempt.reply, bare_attempt.reply) == 0);
        assert(strcmp(attempt.enhanced, bare_attempt.enhanced) == 0);
        bytes += whole;
        len -= whole;
    }
    check_outcomes(&attempt);
    return 0;
}
