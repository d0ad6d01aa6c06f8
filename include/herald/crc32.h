/* crc32.h - CRC-32 (IEEE 802.3, reflected, as in gzip and RFC 1952): finds what a cut or a bad disk did to a
 * record. It keeps out no forger. Any thread. */
#ifndef HERALD_CRC32_H
#define HERALD_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_of(const void *bytes, size_t len);

#endif
