/* punycode.h - a domain name in the form that may stand in a header (RFC 3492). Pure; any thread. */
#ifndef HERALD_CORE_PUNYCODE_H
#define HERALD_CORE_PUNYCODE_H

#include <stdbool.h>

#include "herald/buffer.h"

/* Appends the domain; labels that aren't ASCII become xn--… Only ASCII letters are put in lower case: a name
 * in another form than the registered one stays what it is. False if it isn't UTF-8 or a label gets longer
 * than 63 bytes; what was appended by then stays. */
bool punycode_domain(const char *domain, struct buffer *ret);

#endif
