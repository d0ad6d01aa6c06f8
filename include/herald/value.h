/* value.h - an option's value: from text, and what makes one acceptable. Pure; any thread. */
#ifndef HERALD_VALUE_H
#define HERALD_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"

/* "250ms", "30s", "10m", "24h", "30d": digits and one unit, nothing between. */
bool value_duration(const char *text, int64_t *ret_ms) MUST_CHECK;
/* The same the other way, in the largest unit that needs no fraction. */
#define VALUE_DURATION_BYTES 24
void value_write_duration(int64_t ms, char ret[VALUE_DURATION_BYTES]);

/* Decimal digits, no sign. */
bool value_count(const char *text, int64_t *ret) MUST_CHECK;

/* The place of `text` in a NULL-terminated list of words. */
bool value_choice(const char *text, const char *const *words, int *ret) MUST_CHECK;

/* Cuts at spaces and commas; calls back with each piece until one is refused. */
bool value_each_word(const char *text,
                     bool (*on_word)(void *arg, const char *word, size_t len, struct err *err), void *arg,
                     struct err *err) MUST_CHECK;

/* Claims about a text that is known to be UTF-8 without controls; `max` is its bound in bytes, 0 where the
 * claim has its own. */
bool value_is_text(const char *text, size_t max); /* not empty */
bool value_is_word(const char *text,
                   size_t max); /* no spaces, quotes or braces: it goes into keys and names */
bool value_is_key(const char *text, size_t max);  /* no spaces */
bool value_is_name(const char *text, size_t max); /* of a section: [a-z][a-z0-9-]*, at most CONFIG_MAX_NAME */
bool value_is_address(const char *text, size_t max); /* local@domain, see address.h */
bool value_is_host(const char *text, size_t max);    /* letters, digits, hyphens, dots; a domain too */
bool value_is_header(const char *text, size_t max);  /* "Name: value", the name a token of RFC 9110 */
bool value_is_channel(const char *text, size_t max);
bool value_is_target(const char *text, size_t max); /* CHANNEL or CHANNEL:NAME */
bool value_is_secret(const char *text, size_t max); /* visible ASCII: what may follow "Bearer " */

#endif
