/* hash.c - the promises of hash.h. */
#include "herald/hash.h"

#include <criterion/criterion.h>
#include <string.h>

#include "herald/encode.h"

static void expect(const uint8_t hash[HASH_BYTES], const char *hex)
{
    char text[2 * HASH_BYTES + 1];

    encode_hex(hash, HASH_BYTES, text);
    cr_assert_str_eq(text, hex);
}

Test(hash, sha256_is_that_of_fips_180)
{
    uint8_t hash[HASH_BYTES];

    hash_sha256("", 0, hash);
    expect(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_sha256("abc", 3, hash);
    expect(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

Test(hash, hmac_is_that_of_rfc_4231)
{
    uint8_t hash[HASH_BYTES];
    uint8_t long_key[131];
    const char *long_key_text = "Test Using Larger Than Block-Size Key - Hash Key First";

    hash_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, hash);
    expect(hash, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(long_key, 0xaa, sizeof(long_key));
    hash_hmac_sha256(long_key, sizeof(long_key), long_key_text, strlen(long_key_text), hash);
    expect(hash, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

Test(hash, hmac_of_nothing_with_no_key_is_defined)
{
    uint8_t hash[HASH_BYTES];

    hash_hmac_sha256(NULL, 0, "", 0, hash);
    expect(hash, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

Test(hash, equal_looks_at_every_byte)
{
    char a[HASH_BYTES] = "the same";
    char b[HASH_BYTES] = "the same";

    cr_assert(hash_is_equal(a, b, sizeof(a)));
    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] ^= 1;
        cr_assert_not(hash_is_equal(a, b, sizeof(a)), "byte %zu", i);
        b[i] ^= 1;
    }
    cr_assert(hash_is_equal(a, b, 0));
}

Test(hash, parts_are_told_apart)
{
    static const struct {
        struct hash_part parts[3];
        size_t count;
    } rows[] = {
        {{{"ab", 2}, {"c", 1}}, 2}, {{{"a", 1}, {"bc", 2}}, 2},          {{{"abc", 3}}, 1},
        {{{"abc", 3}, {"", 0}}, 2}, {{{"", 0}, {"abc", 3}}, 2},          {{{NULL, 0}}, 0},
        {{{NULL, 0}}, 1},           {{{"a", 1}, {"b", 1}, {"c", 1}}, 3},
    };
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    uint8_t hashes[ROWS][HASH_BYTES];

    for (int i = 0; i < ROWS; i++) {
        hash_parts(rows[i].parts, rows[i].count, hashes[i]);
        for (int j = 0; j < i; j++)
            cr_assert(memcmp(hashes[i], hashes[j], HASH_BYTES) != 0, "rows %d and %d", i, j);
    }
}

/* Ids in Redis are made of it: an upgrade that changed the framing would forget what was already sent. */
Test(hash, parts_are_framed_by_eight_bytes_of_length_for_ever)
{
    const struct hash_part parts[] = {{"orders", 6}, {"o-1001", 6}};
    const char framed[] = "\0\0\0\0\0\0\0\6orders\0\0\0\0\0\0\0\6o-1001";
    uint8_t expected[HASH_BYTES];
    uint8_t hash[HASH_BYTES];

    hash_sha256(framed, sizeof(framed) - 1, expected);
    hash_parts(parts, 2, hash);
    cr_assert_eq(memcmp(hash, expected, HASH_BYTES), 0);
}

Test(hash, random_fills_all_of_it_and_never_repeats)
{
    enum { BYTES = 1000 }; /* more than one getrandom promises at once */
    uint8_t a[BYTES] = {0};
    uint8_t b[BYTES] = {0};
    size_t zeros = 0;

    hash_random(a, sizeof(a));
    hash_random(b, sizeof(b));
    cr_assert(memcmp(a, b, sizeof(a)) != 0);
    for (size_t i = 0; i < sizeof(a); i++)
        zeros += a[i] == 0 ? 1 : 0;
    cr_assert_lt(zeros, 40); /* about 4 are expected */
    cr_assert(memcmp(a + BYTES - 16, (uint8_t[16]){0}, 16) != 0);
}
