/* hash.h - SHA-256, HMAC-SHA-256 (RFC 2104, FIPS 180-4; libcrypto does the work) and randomness.
 * Any thread; never blocks; running out of memory inside libcrypto aborts, for nothing sensible can follow.
 */
#ifndef HERALD_HASH_H
#define HERALD_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32

void hash_sha256(const void *bytes, size_t len, uint8_t ret[HASH_BYTES]);

void hash_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                      uint8_t ret[HASH_BYTES]);

/* True when equal; takes the same time wherever they differ. */
bool hash_is_equal(const void *a, const void *b, size_t len);

/* The whole of several parts, each framed by its length, so that ("ab","c") and ("a","bc") differ. */
struct hash_part {
    const void *bytes;
    size_t len;
};
void hash_parts(const struct hash_part *parts, size_t count, uint8_t ret[HASH_BYTES]);

void hash_random(void *ret, size_t len); /* from the kernel, cryptographically strong */

#endif
