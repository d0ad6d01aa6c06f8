/* encode.h - hexadecimal, base64 (RFC 4648) and decimal. Any thread. */
#ifndef HERALD_ENCODE_H
#define HERALD_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lower-case hex; ret has room for 2 * len + 1. */
void encode_hex(const void *bytes, size_t len, char *ret);

/* Standard base64 with padding, no line breaks; ret has room for ENCODE_BASE64_BYTES(len). */
#define ENCODE_BASE64_BYTES(len) (((len) + 2) / 3 * 4 + 1)
void encode_base64(const void *bytes, size_t len, char *ret);

/* Decimal digits behind a minus where there is one, without a NUL; returns how many characters. A tenth of
 * what snprintf takes: one delivery's calls to the ledger hold some forty numbers. */
#define ENCODE_DECIMAL_BYTES 20
size_t encode_decimal(int64_t number, char ret[ENCODE_DECIMAL_BYTES]);

/* Decodes standard or URL-safe base64 (both alphabets are taken), padded or not. ret has room for len / 4 * 3
 * + 3. False on any other character, a wrong length, or bits left over; *ret_len untouched. */
bool decode_base64(const char *text, size_t len, uint8_t *ret, size_t *ret_len);

#endif
