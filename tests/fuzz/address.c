/* address.c - what is accepted as an address can be said to an SMTP server: nothing in it ends a line, a
 * bracket or a word, and what its header says is what was accepted. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "header.h"
#include "herald/address.h"
#include "herald/utf8.h"

#define HEADER_ROOM 1024 /* an address, a fold and the field's name */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check(const char *address, size_t len)
{
    size_t at_signs = 0, dots_in_a_row = 0;
    assert(len >= 3 && len <= ADDRESS_MAX_BYTES && strlen(address) == len);
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)address[i];
        assert(byte > ' ' && byte != 0x7F && strchr("<>()[]\\,;:\"", byte) == NULL);
        assert(byte < 0x80 || at_signs == 1); /* beyond ASCII in the domain only */
        at_signs += byte == '@';
        dots_in_a_row = byte == '.' ? dots_in_a_row + 1 : 0;
        assert(dots_in_a_row < 2);
    }
    const char *domain = address_domain(address);
    assert(at_signs == 1 && domain > address + 1 && domain <= address + 1 + 64 && *domain != '\0');
    for (size_t i = (size_t)(domain - address), width; i < len; i += width) {
        uint32_t code;
        width = utf8_read(address + i, len - i, &code);
        /* What name preparation takes for '.' and '@', and what hides or turns text. */
        assert(width > 0 && code != 0x3002 && code != 0xFF0E && code != 0xFF61 && code != 0xFF20);
        assert(code != 0xAD && code != 0xFEFF && !(code >= 0x200B && code <= 0x202E));
    }
}

static void check_header(const char *address)
{
    struct buffer line;
    buffer_init(&line, HEADER_ROOM);
    header_mailbox("To", NULL, address, &line);
    assert(!line.failed && line.len > 6 && memcmp(line.data, "To:", 3) == 0);
    const char *token = line.data + 3;
    token += memcmp(token, "\r\n", 2) == 0 ? 3 : 1; /* a fold, or the space alone */
    size_t token_len = (size_t)(line.data + line.len - token) - 2;
    assert(token_len == strlen(address) && memcmp(token, address, token_len) == 0);
    assert(memcmp(line.data + line.len - 2, "\r\n", 2) == 0);
    buffer_done(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct err err = {0};
    char *address = strndup((const char *)bytes, len);
    if (address == NULL)
        return 0;
    /* The bytes as they came, a NUL among them included. */
    if (address_check((const char *)bytes, len, &err)) {
        check(address, len);
        check_header(address);
    } else {
        assert(err.kind == ERR_INPUT && strlen(err.text) > 0);
        /* A complaint goes into logs: it repeats nothing of any length. */
        assert(len < 8 || strstr(err.text, address) == NULL || strlen(address) < 8);
    }
    if (address_check_text((const char *)bytes, len, 256, &err)) {
        assert(len <= 256 && memchr(bytes, '\n', len) == NULL && memchr(bytes, '\r', len) == NULL);
        assert(memchr(bytes, '\0', len) == NULL && memchr(bytes, 0x1B, len) == NULL);
    }
    free(address);
    return 0;
}
