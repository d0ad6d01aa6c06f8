/* hash.c - the only file that knows libcrypto's digests; see hash.h. Any thread. */
#include "herald/hash.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD
    *sha256; /* owned by the process; fetched once, because EVP_sha256() makes each digest look it up again */

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (sha256 == NULL)
        abort();
}

static const EVP_MD *fetched(void)
{
    pthread_once(&once, fetch);
    return sha256;
}

void hash_sha256(const void *bytes, size_t len, uint8_t ret[HASH_BYTES])
{
    if (EVP_Digest(bytes, len, ret, NULL, fetched(), NULL) != 1)
        abort();
}

void hash_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len, uint8_t ret[HASH_BYTES])
{
    assert(key_len <= INT_MAX);
    if (HMAC(fetched(), key, (int)key_len, bytes, len, ret, NULL) == NULL)
        abort();
}

bool hash_is_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void hash_parts(const struct hash_part *parts, size_t count, uint8_t ret[HASH_BYTES])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx != NULL && EVP_DigestInit_ex2(ctx, fetched(), NULL) == 1;

    for (size_t i = 0; ok && i < count; i++) {
        uint8_t frame[8]; /* big-endian, so that every machine agrees */
        for (int byte = 0; byte < 8; byte++)
            frame[byte] = (uint8_t)((uint64_t)parts[i].len >> (56 - 8 * byte));
        ok = EVP_DigestUpdate(ctx, frame, sizeof(frame)) == 1 &&
             EVP_DigestUpdate(ctx, parts[i].bytes, parts[i].len) == 1;
    }
    if (!ok || EVP_DigestFinal_ex(ctx, ret, NULL) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
}

void hash_random(void *ret, size_t len)
{
    uint8_t *at = ret;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) /* a kernel without randomness: no id of ours would be unique */
            abort();
        at += got;
        len -= (size_t)got;
    }
}
