/* encode.c - hexadecimal and base64; see encode.h. Any thread. */
#include "herald/encode.h"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void encode_hex(const void *bytes, size_t len, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;

    for (size_t i = 0; i < len; i++) {
        *ret++ = digits[from[i] >> 4];
        *ret++ = digits[from[i] & 15];
    }
    *ret = '\0';
}

void encode_base64(const void *bytes, size_t len, char *ret)
{
    const uint8_t *from = bytes;

    for (; len >= 3; len -= 3, from += 3) {
        *ret++ = base64[from[0] >> 2];
        *ret++ = base64[(from[0] & 3) << 4 | from[1] >> 4];
        *ret++ = base64[(from[1] & 15) << 2 | from[2] >> 6];
        *ret++ = base64[from[2] & 63];
    }
    if (len > 0) {
        unsigned second = len == 2 ? from[1] : 0;
        *ret++ = base64[from[0] >> 2];
        *ret++ = base64[(from[0] & 3u) << 4 | second >> 4];
        *ret++ = len == 2 ? base64[(second & 15) << 2] : '=';
        *ret++ = '=';
    }
    *ret = '\0';
}

/* The six bits of one character of either alphabet, or -1. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

bool decode_base64(const char *text, size_t len, uint8_t *ret, size_t *ret_len)
{
    uint32_t bits = 0;
    int bit_count = 0;
    size_t written = 0;

    /* Padding is all there or not at all: it only ever completes a last group of four. */
    if (len > 0 && len % 4 == 0 && text[len - 1] == '=')
        len -= text[len - 2] == '=' ? 2 : 1;
    if (len % 4 == 1)
        return false;

    for (size_t i = 0; i < len; i++) {
        int value = value_of(text[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            ret[written++] = (uint8_t)(bits >> bit_count);
            bits &= (1u << bit_count) - 1;
        }
    }
    if (bits != 0) /* two texts for the same bytes: one of them is not base64 */
        return false;
    *ret_len = written;
    return true;
}

size_t encode_decimal(int64_t number, char ret[ENCODE_DECIMAL_BYTES])
{
    char digits[ENCODE_DECIMAL_BYTES]; /* from the last one on */
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    size_t count = 0, len = 0;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        ret[len++] = '-';
    while (count > 0)
        ret[len++] = digits[--count];
    return len;
}
