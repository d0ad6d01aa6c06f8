/* mime.h - one text of a message as a MIME part (RFC 2045, 2046). Pure; any thread. */
#ifndef HERALD_CORE_MIME_H
#define HERALD_CORE_MIME_H

#include <stddef.h>

#include "herald/buffer.h"

#define MIME_MAX_LINE 76 /* bytes of a body line, without CRLF: RFC 2045 6.7 (5) and 6.8 */

/* Appends Content-Type (text/<subtype>, UTF-8), Content-Transfer-Encoding, an empty line and the encoded
 * text. Line ends of any kind become CRLF before encoding, and a text that doesn't end in one gets one. The
 * result is ASCII and ends in CRLF. */
void mime_text_part(const char *subtype, const char *text, size_t len, struct buffer *ret);

#endif
