/* crc32.c - see crc32.h. Bit by bit: records are a few dozen bytes, and a table would cost more cache than it
 * saves. */
#include "herald/crc32.h"

#define POLYNOMIAL 0xEDB88320u

uint32_t crc32_of(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint32_t crc = 0xFFFFFFFFu;

    for (size_t i = 0; i < len; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
    }
    return ~crc;
}
