/* address.h - may this text be an envelope recipient? libcurl does not ask (a CR LF in an address is sent as
 * an SMTP command of its own), so we do, byte by byte. No I/O; any thread. */
#ifndef HERALD_ADDRESS_H
#define HERALD_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/buffer.h"
#include "herald/err.h"

#define ADDRESS_MAX_BYTES 254 /* RFC 5321 4.5.3.1.3, less the angle brackets */

/* Accepts local@domain: local 1–64 bytes of dot-atom ASCII (RFC 5322 atext and single inner dots), domain a
 * dotted name of letters, digits, hyphens and UTF-8 letters, labels 1–63 bytes without a hyphen at either
 * end, at least two labels or "localhost", the last one not a number. Refused: quoted locals, domain
 * literals, non-ASCII locals (they need SMTPUTF8), controls, spaces, angle brackets, commas, more than one
 * '@', and in the domain whatever name preparation would turn into something else (full-width forms, U+3002)
 * or hide. On false *err is ERR_INPUT and says which byte and why, without repeating the address. */
bool address_check(const char *text, size_t len, struct err *err) MUST_CHECK;

/* The part behind '@'; the text must have passed address_check. */
const char *address_domain(const char *text);

/* with the domain in ASCII: at most 253 for it by RFC 1035, but more while it is made */
#define ADDRESS_ASCII_BYTES 512

/* Appends the address as it stands in an envelope and in a header: with its domain in ASCII (RFC 3492), so
 * that no server needs SMTPUTF8 for it. It must have passed address_check. False if the domain has no such
 * form; what was appended by then stays. */
bool address_ascii(const char *address, struct buffer *ret);

/* A header value or display name from outside: valid UTF-8 without C0/C1 controls, DEL or NUL, at most
 * `max` bytes; may be empty. */
bool address_check_text(const char *text, size_t len, size_t max, struct err *err) MUST_CHECK;

#endif
