/* outcome.c - from the facts of an attempt to what becomes of the delivery.
 *
 * Three questions in this order: was it stopped by us; did a final answer come; if none did, how far had it
 * got? What is surely not sent costs nothing to repeat; what may have been sent is unknown, and somebody else
 * decides. Pure; the loop thread. */
#include "herald/outcome.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

const char *outcome_class_name(enum outcome_class class)
{
    switch (class) {
    case OUTCOME_SENT:
        return "sent";
    case OUTCOME_PERMANENT:
        return "permanent";
    case OUTCOME_TEMPORARY:
        return "temporary";
    case OUTCOME_THROTTLED:
        return "throttled";
    case OUTCOME_DESTINATION:
        return "destination";
    case OUTCOME_UNKNOWN:
        return "unknown";
    case OUTCOME_RELEASED:
        return "released";
    }
    return "?";
}

/* Reasons are metric labels: so the list is closed, and a server that invents codes can't grow it. */
#define STAGES 8
struct smtp_reason {
    int code;
    const char *at[STAGES]; /* by enum attempt_stage */
};
#define SMTP(code, text)                                                                                     \
    {                                                                                                        \
        code,                                                                                                \
        {                                                                                                    \
            "smtp " text, "smtp " text " at greeting", "smtp " text " at EHLO", "smtp " text " at AUTH",     \
                "smtp " text " at MAIL", "smtp " text " at RCPT", "smtp " text " at DATA",                   \
                "smtp " text " at the end"                                                                   \
        }                                                                                                    \
    }
/* clang-format off */
static const struct smtp_reason smtp_reasons[] = {
    SMTP(421, "421"), SMTP(450, "450"), SMTP(451, "451"), SMTP(452, "452"), SMTP(454, "454"), SMTP(455, "455"),
    SMTP(500, "500"), SMTP(501, "501"), SMTP(502, "502"), SMTP(503, "503"), SMTP(504, "504"), SMTP(521, "521"),
    SMTP(530, "530"), SMTP(534, "534"), SMTP(535, "535"), SMTP(538, "538"), SMTP(550, "550"), SMTP(551, "551"),
    SMTP(552, "552"), SMTP(553, "553"), SMTP(554, "554"), SMTP(555, "555"), SMTP(556, "556"),
};
static const struct smtp_reason smtp_other[] = {
    SMTP(0, "without a final reply"), SMTP(100, "1xx"), SMTP(200, "2xx"),
    SMTP(300, "3xx"), SMTP(400, "4xx"), SMTP(500, "5xx"),
};
#define HTTP(code) { code, "http " #code }
static const struct http_reason {
    int code;
    const char *text;
} http_reasons[] = {
    HTTP(301), HTTP(302), HTTP(303), HTTP(307), HTTP(308), HTTP(400), HTTP(401), HTTP(403), HTTP(404),
    HTTP(405), HTTP(407), HTTP(408), HTTP(409), HTTP(410), HTTP(411), HTTP(413), HTTP(415), HTTP(421),
    HTTP(422), HTTP(425), HTTP(429), HTTP(500), HTTP(501), HTTP(502), HTTP(503), HTTP(504), HTTP(505),
    HTTP(507), HTTP(508), HTTP(511),
};
static const char *const http_other[] = {
    "http without an answer", "http 1xx", "http 2xx", "http 3xx", "http 4xx", "http 5xx",
};
/* clang-format on */

static size_t hundreds(int code)
{
    return code >= 100 && code < 600 ? (size_t)code / 100 : 0;
}

static const char *smtp_reason(int code, enum attempt_stage stage)
{
    for (size_t i = 0; i < sizeof(smtp_reasons) / sizeof(smtp_reasons[0]); i++)
        if (smtp_reasons[i].code == code)
            return smtp_reasons[i].at[stage];
    return smtp_other[hundreds(code)].at[stage];
}

static const char *http_reason(int code)
{
    for (size_t i = 0; i < sizeof(http_reasons) / sizeof(http_reasons[0]); i++)
        if (http_reasons[i].code == code)
            return http_reasons[i].text;
    return http_other[hundreds(code)];
}

static const char *code_reason(const struct attempt *attempt)
{
    return attempt->protocol == ATTEMPT_HTTP ? http_reason(attempt->code)
                                             : smtp_reason(attempt->code, attempt->stage);
}

static const char *transport_reason(const struct attempt *attempt)
{
    switch (attempt->transport) {
    case TRANSPORT_OK:
        return code_reason(attempt);
    case TRANSPORT_RESOLVE:
        return "resolve";
    case TRANSPORT_CONNECT:
        return "connect";
    case TRANSPORT_TLS:
        return "tls";
    case TRANSPORT_LOGIN:
        return "login";
    case TRANSPORT_TIMEOUT:
        return "timeout";
    case TRANSPORT_BROKEN:
        return "broken connection";
    case TRANSPORT_REFUSED_STREAM:
        return "refused stream";
    case TRANSPORT_INTERNAL:
        return "internal";
    }
    return "?";
}

static void decide(struct outcome *ret, enum outcome_class class, const char *reason)
{
    *ret = (struct outcome){.class = class, .reason = reason};
}

/* "rate" where a word begins ("rate limited", not "separate"), or "too many", in any case. */
static bool speaks_of_rate(const char *reply)
{
    for (const char *at = reply; *at != '\0'; at++)
        if (strncasecmp(at, "too many", 8) == 0 ||
            (strncasecmp(at, "rate", 4) == 0 && (at == reply || !isalpha((unsigned char)at[-1]))))
            return true;
    return false;
}

/* RFC 3463: mailbox unknown, bad syntax, null MX. Not 5.7.x: that is about us. */
static bool is_address_gone(const struct attempt *attempt)
{
    static const char *const gone[] = {"5.1.1", "5.1.3", "5.1.10"};

    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        if (strcmp(attempt->enhanced, gone[i]) == 0)
            return true;
    return attempt->code == 551; /* "user not local": has no other meaning */
}

/* Up to MAIL the server has seen nothing of the message, so nothing can be its fault. Local providers have no
 * dialogue. */
static bool is_before_message(const struct attempt *attempt)
{
    return attempt->protocol == ATTEMPT_SMTP && attempt->stage <= STAGE_MAIL;
}

/* A reply of 4xx or 5xx. */
static void judge_smtp(const struct attempt *attempt, struct outcome *ret)
{
    const char *reason = code_reason(attempt);

    if (attempt->code < 500) {
        bool is_throttled = attempt->code == 421 || speaks_of_rate(attempt->reply);
        decide(ret, is_throttled ? OUTCOME_THROTTLED : OUTCOME_TEMPORARY, reason);
        return;
    }
    /* 552 at MAIL answers the SIZE we announced (RFC 1870 6.1): too large is the message's fault, and would
     * be for ever. */
    bool is_too_large = attempt->code == 552 && attempt->stage == STAGE_MAIL;
    if (attempt->code == 530 || attempt->code == 535 || (is_before_message(attempt) && !is_too_large)) {
        decide(ret, OUTCOME_DESTINATION, reason);
        return;
    }
    decide(ret, OUTCOME_PERMANENT, reason);
    ret->should_suppress = !is_too_large && is_address_gone(attempt);
}

/* An answer of 3xx, 4xx or 5xx. */
static void judge_http(const struct attempt *attempt, struct outcome *ret)
{
    const char *reason = code_reason(attempt);

    switch (attempt->code) {
    case 429:
        decide(ret, OUTCOME_THROTTLED, reason);
        return;
    case 401:
    case 407:
    case 502:
    case 503:
    case 504:
        decide(ret, OUTCOME_DESTINATION, reason);
        return;
    case 400:
    case 403:
    case 404:
    case 410:
    case 413:
    case 422:
        decide(ret, OUTCOME_PERMANENT, reason);
        ret->should_suppress = attempt->code == 410;
        return;
    default: /* 3xx: we don't follow, so an operator has to correct the URL */
        decide(ret, attempt->code < 400 ? OUTCOME_DESTINATION : OUTCOME_TEMPORARY, reason);
    }
}

static bool judge_abort(const struct attempt *attempt, struct outcome *ret)
{
    switch (attempt->abort) {
    case ABORT_NONE:
        return false;
    case ABORT_LEASE:
        decide(ret, OUTCOME_RELEASED, "lease");
        return true;
    case ABORT_STOPPED:
        decide(ret, OUTCOME_RELEASED, "stopped");
        return true;
    case ABORT_RENDER:
        decide(ret, OUTCOME_PERMANENT, "render");
        return true;
    case ABORT_CONTENT:
        decide(ret, OUTCOME_DESTINATION, "content");
        return true;
    }
    return false;
}

static bool judge_answer(const struct attempt *attempt, struct outcome *ret)
{
    size_t kind = hundreds(attempt->code);
    bool is_whole = attempt->transport == TRANSPORT_OK;
    bool is_yes = kind == 2 || (attempt->protocol == ATTEMPT_LOCAL && attempt->code == 0);

    /* An HTTP server may say 2xx before it has read all; an SMTP server's 250 to anything but the final dot
     * is no yes. */
    if (is_whole && is_yes && (attempt->is_committed || attempt->protocol != ATTEMPT_SMTP)) {
        decide(ret, OUTCOME_SENT, "sent");
        return true;
    }
    if (attempt->protocol == ATTEMPT_HTTP && (kind >= 4 || (kind == 3 && is_whole))) {
        judge_http(attempt, ret);
        return true;
    }
    if (attempt->protocol != ATTEMPT_HTTP && kind >= 4) {
        judge_smtp(attempt, ret);
        return true;
    }
    return false;
}

/* What is the lane's trouble, whatever the last reply said: an old code may still stand there. */
static bool is_destination(const struct attempt *attempt)
{
    switch (attempt->transport) {
    case TRANSPORT_RESOLVE:
    case TRANSPORT_CONNECT:
    case TRANSPORT_TLS:
    case TRANSPORT_LOGIN:
    case TRANSPORT_INTERNAL: /* no memory, no descriptor: the next delivery would not fare better */
        return true;
    case TRANSPORT_OK:
    case TRANSPORT_TIMEOUT:
    case TRANSPORT_BROKEN:
    case TRANSPORT_REFUSED_STREAM:
        return false;
    }
    return false;
}

void outcome_classify(const struct attempt *attempt, struct outcome *ret)
{
    /* Even committed: RFC 9113 8.7 promises that it was not processed. */
    if (attempt->transport == TRANSPORT_REFUSED_STREAM) {
        decide(ret, OUTCOME_DESTINATION, "refused stream");
        return;
    }
    if (!attempt->is_committed) {
        if (judge_abort(attempt, ret))
            return;
        if (is_destination(attempt)) {
            decide(ret, OUTCOME_DESTINATION, transport_reason(attempt));
            return;
        }
    }
    if (judge_answer(attempt, ret))
        return;
    if (attempt->is_committed) {
        decide(ret, OUTCOME_UNKNOWN, transport_reason(attempt));
        return;
    }
    bool is_greeting_lost = attempt->protocol == ATTEMPT_SMTP && attempt->stage < STAGE_MAIL;
    decide(ret, is_greeting_lost ? OUTCOME_DESTINATION : OUTCOME_TEMPORARY, transport_reason(attempt));
}
