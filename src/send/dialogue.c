/* dialogue.c - which reply was that? See dialogue.h. */
#include "dialogue.h"

#include <ctype.h>
#include <string.h>

#include "herald/clock.h"
#include "worker.h"

void dialogue_begin(struct dialogue *dialogue, struct attempt *attempt)
{
    *dialogue = (struct dialogue){.attempt = attempt};
    attempt->stage = STAGE_NONE;
    attempt->code = 0;
    attempt->enhanced[0] = '\0';
    attempt->reply[0] = '\0';
}

void dialogue_ready(struct dialogue *dialogue)
{
    dialogue->is_ready = true;
}

static enum attempt_stage stage_of_next(const struct dialogue *dialogue, int code)
{
    enum attempt_stage last = dialogue->attempt->stage;

    if (!dialogue->is_ready) {
        if (last == STAGE_NONE)
            return STAGE_GREETING;
        /* 334 and 235 are AUTH's alone (RFC 4954); a refused AUTH is told apart by libcurl's error code. */
        return last == STAGE_AUTH || code == 334 || code == 235 ? STAGE_AUTH : STAGE_EHLO;
    }
    if (last < STAGE_MAIL)
        return STAGE_MAIL;
    return last < STAGE_FINAL ? last + 1 : STAGE_FINAL;
}

/* "5.1.1 text", RFC 2034: only if its class is that of the code. Returns the length of the enhanced code, or
 * 0. */
static size_t enhanced_len(const char *text, size_t len, char class)
{
    size_t at = 0;

    for (int part = 0; part < 3; part++) {
        size_t digits = 0;
        while (at < len && digits < 3 && isdigit((unsigned char)text[at])) {
            at++;
            digits++;
        }
        if (digits == 0 || (part == 0 && digits != 1))
            return 0;
        if (part < 2 && (at >= len || text[at++] != '.'))
            return 0;
    }
    return text[0] == class && (at == len || text[at] == ' ') ? at : 0;
}

static void take_words(struct attempt *attempt, const char *text, size_t len, char class)
{
    size_t enhanced = enhanced_len(text, len, class);

    if (enhanced > 0 && enhanced < sizeof(attempt->enhanced)) {
        memcpy(attempt->enhanced, text, enhanced);
        attempt->enhanced[enhanced] = '\0';
    }
    worker_note(attempt, text, len);
}

void dialogue_line(struct dialogue *dialogue, const char *line, size_t len)
{
    struct attempt *attempt = dialogue->attempt;

    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
        len--;
    if (len < 3 || !isdigit((unsigned char)line[0]) || !isdigit((unsigned char)line[1]) ||
        !isdigit((unsigned char)line[2]))
        return;
    int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    bool is_over = dialogue->is_refused && (dialogue->is_ready || attempt->stage == STAGE_GREETING);
    if (!dialogue->is_amid_reply) {
        if (is_over || (code == 221 && attempt->stage != STAGE_NONE))
            return; /* 221 answers QUIT and nothing else */
        attempt->stage = stage_of_next(dialogue, code);
        attempt->enhanced[0] = '\0';
        attempt->reply[0] = '\0';
    } else if (code != attempt->code) {
        attempt->enhanced[0] = '\0'; /* it explained the other code */
    }
    attempt->code = code;
    dialogue->is_amid_reply = len > 3 && line[3] == '-';
    if (len > 4)
        take_words(attempt, line + 4, len - 4, line[0]);
    if (!dialogue->is_amid_reply) {
        dialogue->is_refused = code >= 400;
        dialogue->refused_ms = dialogue->is_refused ? clock_mono_ms() : 0;
    }
}
