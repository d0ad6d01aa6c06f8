/* utf8.h - one character in, one character out. Strict: what is not well formed is not a character. Any
 * thread. */
#ifndef HERALD_UTF8_H
#define HERALD_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_MAX_BYTES 4

/* How many bytes (1 to 4) the character at `bytes` has, its number in *ret_code; 0 if none of the first `len`
 * bytes begin a well-formed one: overlong forms, surrogates and numbers past U+10FFFF are not (Unicode, table
 * 3-7). */
size_t utf8_read(const char *bytes, size_t len, uint32_t *ret_code);

/* Writes the character; returns its length. `code` must be a scalar value. */
size_t utf8_write(uint32_t code, char ret[UTF8_MAX_BYTES]);

#endif
