/* message.h - an RFC 5322 message from its parts. Pure; any thread.
 *
 * Deterministic: the same parts give the same bytes, so that a second attempt is the same message. All of it
 * is ASCII. Lines end in CRLF; none is longer than 76 bytes of body or 78 of header, unless a single address
 * is. Text parts are quoted-printable or base64 (by a count of bytes to escape: the shorter one, or near it),
 * headers follow RFC 2047.
 */
#ifndef HERALD_MESSAGE_H
#define HERALD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/buffer.h"
#include "herald/err.h"

struct mailbox_address {
    const char *name;    /* NULL or "": none; at most 256 bytes of UTF-8 without controls */
    const char *address; /* as address_check wants it; a domain that isn't ASCII is written as xn--… */
};

struct message {
    struct mailbox_address from;
    struct mailbox_address to;
    struct mailbox_address reply_to; /* address NULL: none */
    const char *subject; /* UTF-8; runs of spaces, line breaks, controls become one space, none at the ends */
    const char *text;    /* UTF-8; NULL: none; at least one of text and html */
    size_t text_len;
    const char *html; /* NULL: none */
    size_t html_len;
    int64_t date_ms;      /* wall */
    const char *key;      /* 1 to 64 hex digits; makes Message-ID <key@domain> and the MIME boundary */
    const char *domain;   /* of the Message-ID */
    const char *trace_id; /* header X-Trace-Id: 1 to 64 letters, digits, hyphens; NULL: none */
};

/* Appends the message. Any line end in text and html becomes CRLF; each ends in one. False leaves *ret as it
 * was: ERR_PERMANENT if a part or header can't be written safely, or the result passes the buffer's bound. No
 * error repeats a name or an address. */
bool message_build(const struct message *message, struct buffer *ret, struct err *err) MUST_CHECK;

/* Reads `"Example Shop" <orders@shop.example>`, the same without quotes, or a bare address into two heap
 * strings (name "" if none). ERR_CONFIG. */
bool message_parse_mailbox(const char *text, char **ret_name, char **ret_address, struct err *err) MUST_CHECK;

#endif
