/* header.h - one header field of a message, folded and encoded (RFC 5322, RFC 2047). Pure; any thread.
 *
 * Nothing here refuses anything: the caller has checked that names and texts are UTF-8 without controls. */
#ifndef HERALD_CORE_HEADER_H
#define HERALD_CORE_HEADER_H

#include "herald/buffer.h"

#define HEADER_MAX_LINE 78         /* bytes without CRLF: RFC 5322 2.1.1 */
#define HEADER_MAX_ENCODED_LINE 76 /* of a line with an encoded word: RFC 2047 2 */

/* "Field: text" CRLF; folded at spaces if it is plain ASCII, as encoded words if it isn't or can't be folded.
 * The text has no two spaces in a row, nor one at either end. */
void header_text(const char *field, const char *text, struct buffer *ret);

/* "Field: token" CRLF, the token on a line of its own if it needs one. Not even then is it broken. */
void header_token(const char *field, const char *token, struct buffer *ret);

/* "Field: Name <address>" CRLF, or the bare address if the name is NULL or "". */
void header_mailbox(const char *field, const char *name, const char *address, struct buffer *ret);

#endif
