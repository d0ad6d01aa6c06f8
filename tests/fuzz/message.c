/* message.c - a mail from hostile parts (separated by NUL): every line ends in CR LF and is short enough for
 * SMTP, nothing but ASCII leaves, and no part makes a header of its own. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "herald/message.h"

#define MAX_PART 4096
#define MAX_MESSAGE (1024 * 1024)
#define MAX_LINE 998 /* RFC 5322 2.1.1 */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t take_part(const uint8_t **bytes, size_t *len, char ret[MAX_PART])
{
    const uint8_t *end = memchr(*bytes, 0, *len);
    size_t whole = end != NULL ? (size_t)(end - *bytes) : *len;
    size_t part = whole < MAX_PART ? whole : MAX_PART - 1;
    memcpy(ret, *bytes, part);
    ret[part] = '\0';
    *bytes += end != NULL ? whole + 1 : whole;
    *len -= end != NULL ? whole + 1 : whole;
    return part;
}

static void check(const char *message, size_t len)
{
    size_t line = 0;
    int headers_named_subject = 0, is_body = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)message[i];
        assert(byte < 0x80 && byte != '\0');
        assert(byte != '\n' || (i > 0 && message[i - 1] == '\r'));
        assert(byte != '\r' || (i + 1 < len && message[i + 1] == '\n'));
        if (!is_body && line == 0 && len - i > 8 && strncmp(message + i, "Subject:", 8) == 0)
            headers_named_subject++;
        is_body = is_body || (line == 0 && byte == '\r');
        line = byte == '\n' ? 0 : line + 1;
        assert(line <= MAX_LINE);
    }
    assert(is_body && headers_named_subject == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static char name[MAX_PART], subject[MAX_PART], text[MAX_PART], html[MAX_PART];
    take_part(&bytes, &len, name);
    take_part(&bytes, &len, subject);
    size_t text_len = take_part(&bytes, &len, text), html_len = take_part(&bytes, &len, html);
    struct message message = {
        .from = {.name = name, .address = "orders@shop.example"},
        .to = {.name = name, .address = "ana@shop.example"},
        .subject = subject,
        .text = text,
        .text_len = text_len,
        .html = html_len > 0 ? html : NULL,
        .html_len = html_len,
        .date_ms = INT64_C(1767261600000),
        .key = "0123456789abcdef0123456789abcdef",
        .domain = "shop.example",
    };
    struct buffer out;
    struct err err;
    buffer_init(&out, MAX_MESSAGE);
    if (message_build(&message, &out, &err))
        check(out.data, out.len);
    else
        assert(err.kind == ERR_PERMANENT);
    buffer_done(&out);
    return 0;
}
