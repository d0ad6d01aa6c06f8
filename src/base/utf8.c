/* utf8.c - one character in, one character out.
 *
 * The C library's mbrtowc depends on the locale, and a daemon's locale is whatever its starter had. */
#include "herald/utf8.h"

#include <assert.h>
#include <stdbool.h>

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

size_t utf8_read(const char *bytes, size_t len, uint32_t *ret_code)
{
    const unsigned char *at = (const unsigned char *)bytes;

    if (len == 0)
        return 0;
    if (at[0] < 0x80) {
        *ret_code = at[0];
        return 1;
    }
    if (at[0] >= 0xC2 && at[0] <= 0xDF) { /* C0 and C1 could only begin overlong forms */
        if (len < 2 || !is_continuation(at[1]))
            return 0;
        *ret_code = (uint32_t)(at[0] & 0x1F) << 6 | (at[1] & 0x3F);
        return 2;
    }
    if (at[0] >= 0xE0 && at[0] <= 0xEF) {
        if (len < 3 || !is_continuation(at[1]) || !is_continuation(at[2]))
            return 0;
        uint32_t code = (uint32_t)(at[0] & 0x0F) << 12 | (uint32_t)(at[1] & 0x3F) << 6 | (at[2] & 0x3F);
        if (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF))
            return 0;
        *ret_code = code;
        return 3;
    }
    if (at[0] >= 0xF0 && at[0] <= 0xF4) {
        if (len < 4 || !is_continuation(at[1]) || !is_continuation(at[2]) || !is_continuation(at[3]))
            return 0;
        uint32_t code = (uint32_t)(at[0] & 0x07) << 18 | (uint32_t)(at[1] & 0x3F) << 12 |
                        (uint32_t)(at[2] & 0x3F) << 6 | (at[3] & 0x3F);
        if (code < 0x10000 || code > 0x10FFFF)
            return 0;
        *ret_code = code;
        return 4;
    }
    return 0;
}

size_t utf8_write(uint32_t code, char ret[UTF8_MAX_BYTES])
{
    assert(code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF));
    if (code < 0x80) {
        ret[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        ret[0] = (char)(0xC0 | code >> 6);
        ret[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        ret[0] = (char)(0xE0 | code >> 12);
        ret[1] = (char)(0x80 | (code >> 6 & 0x3F));
        ret[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    ret[0] = (char)(0xF0 | code >> 18);
    ret[1] = (char)(0x80 | (code >> 12 & 0x3F));
    ret[2] = (char)(0x80 | (code >> 6 & 0x3F));
    ret[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}
