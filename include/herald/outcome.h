/* outcome.h - from the facts of an attempt to what becomes of the delivery. Pure functions; the loop thread
 * runs them, so that lane threads only report and never decide. */
#ifndef HERALD_OUTCOME_H
#define HERALD_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

enum attempt_protocol { ATTEMPT_LOCAL /* maildir, null */, ATTEMPT_SMTP, ATTEMPT_HTTP };

/* How the transfer itself ended; the library's own error codes stop at the send layer. */
enum attempt_transport {
    TRANSPORT_OK,      /* it ran to its end: judge by code */
    TRANSPORT_RESOLVE, /* DNS */
    TRANSPORT_CONNECT, /* refused, unreachable, connect timeout, a forbidden address */
    TRANSPORT_TLS,
    TRANSPORT_LOGIN, /* credentials refused */
    TRANSPORT_TIMEOUT,
    TRANSPORT_BROKEN,         /* the connection broke, or what came was not the protocol */
    TRANSPORT_REFUSED_STREAM, /* HTTP/2: certainly not processed */
    TRANSPORT_INTERNAL,       /* ours: out of memory, no descriptor */
};

/* Where an SMTP dialogue stood when the last reply came. */
enum attempt_stage {
    STAGE_NONE,
    STAGE_GREETING,
    STAGE_EHLO,
    STAGE_AUTH,
    STAGE_MAIL,
    STAGE_RCPT,
    STAGE_DATA,
    STAGE_FINAL
};

enum attempt_abort {
    ABORT_NONE,
    ABORT_LEASE,   /* stopped at the commit point: lease over, epoch changed, or hurried. Nothing was sent */
    ABORT_RENDER,  /* the template failed on this data */
    ABORT_CONTENT, /* the notification or its template is not there (any more) */
    ABORT_STOPPED, /* the lane stopped before it was tried */
};

#define ATTEMPT_REPLY_BYTES 200 /* the provider's words: enough for an operator, too little for a body */

struct attempt {
    enum attempt_protocol protocol;
    enum attempt_abort abort;
    enum attempt_transport transport;
    enum attempt_stage stage;
    bool is_committed; /* the last body byte was handed over */
    int code;          /* last SMTP reply or HTTP status; 0: none */
    char enhanced[12]; /* RFC 3463, "5.1.1"; "" if none */
    char reply[ATTEMPT_REPLY_BYTES + 1];
    int64_t retry_after_ms; /* from Retry-After; 0: none */
    int64_t started_mono_us, first_byte_mono_us, ended_mono_us;
};

enum outcome_class {
    OUTCOME_SENT,
    OUTCOME_PERMANENT,   /* dead */
    OUTCOME_TEMPORARY,   /* attempt + 1, backoff */
    OUTCOME_THROTTLED,   /* waits as told; no attempt */
    OUTCOME_DESTINATION, /* the provider's fault, not the message's: breaker; no attempt */
    OUTCOME_UNKNOWN,     /* committed, no final answer */
    OUTCOME_RELEASED,    /* certainly not tried: back as it was */
};
const char *outcome_class_name(enum outcome_class class);

struct outcome {
    enum outcome_class class;
    const char
        *reason; /* static text: "smtp 550 at RCPT", "connect", "http 503" … for logs, records and metrics */
    bool should_suppress; /* the address or token is known to be gone */
};

/* delivery.md's table, in words: 2xx sent; an error before the commit point was surely not sent; after it
 * 4xx/5xx is a definite refusal and anything else unknown. sent         2xx of a transfer that ran to its
 * end; for SMTP only once committed permanent    SMTP 5xx at RCPT, DATA or the end, and 552 (too large) at
 * MAIL; HTTP 400 403 404 410 413 422; a render error temporary    other SMTP 4xx; HTTP 408 500; other
 * 4xx/5xx; a timeout or a broken connection before the commit point throttled    HTTP 429; SMTP 421, or 4xx
 * whose reply speaks of rate or too many destination  before the commit point resolve, connect, TLS, login,
 * internal, an SMTP connection lost before MAIL's reply; at any time a refused stream; HTTP 3xx 401 407 502
 * 503 504; SMTP 5xx at greeting, EHLO, AUTH, MAIL, 530 and 535 anywhere; missing content; 5.7.x is permanent
 * for one recipient (the loop turns five different ones into destination) An abort counts only before the
 * commit point. should_suppress: permanent with 551, 5.1.1, 5.1.3, 5.1.10 or HTTP 410. The reasons are a
 * closed list, fit to be metric labels; the exact code is in the attempt. */
void outcome_classify(const struct attempt *attempt, struct outcome *ret);

#endif
