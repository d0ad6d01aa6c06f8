/* mime.c - quoted-printable and base64 bodies; see mime.h.
 *
 * Always one of the two, even for plain ASCII: no line is then too long, and no bare LF reaches an SMTP
 * server that could take what follows it for a command. Pure; any thread.
 */
#include "mime.h"

#include <stdbool.h>
#include <string.h>

#include "herald/encode.h"

#define BASE64_LINE_BYTES (MIME_MAX_LINE / 4 * 3)

/* Takes the next line, without its end, off *at; false at the end of the text. CR
 * LF, LF and CR all end one. */
static bool next_line(const char **at, const char *end, const char **ret, size_t *ret_len)
{
    const char *start = *at;
    const char *stop = start;

    if (start == end)
        return false;
    while (stop < end && *stop != '\r' && *stop != '\n')
        stop++;
    *ret = start;
    *ret_len = (size_t)(stop - start);
    if (stop < end)
        stop += stop + 1 < end && stop[0] == '\r' && stop[1] == '\n' ? 2 : 1;
    *at = stop;
    return true;
}

/* May the byte stand for itself in quoted-printable, line ends and blanks before them aside? */
static bool is_plain(char c)
{
    return (c >= ' ' && c <= '~' && c != '=') || c == '\t';
}

static void quoted_printable(const char *text, size_t len, struct buffer *ret)
{
    static const char digits[] = "0123456789ABCDEF"; /* RFC 2045 asks for upper case */
    const char *end = text + len;
    const char *line;
    size_t line_len;

    while (next_line(&text, end, &line, &line_len)) {
        char row[MIME_MAX_LINE + 2];
        size_t used = 0;

        for (size_t i = 0; i < line_len; i++) {
            bool is_last = i + 1 == line_len;
            /* A blank at the end of a line may be lost on the way. */
            bool is_escaped = !is_plain(line[i]) || (is_last && (line[i] == ' ' || line[i] == '\t'));
            size_t size = is_escaped ? 3 : 1;

            if (used + size > MIME_MAX_LINE - (is_last ? 0U : 1U)) { /* the soft break's "=" needs a place */
                memcpy(row + used, "=\r\n", 3);
                buffer_append(ret, row, used + 3);
                used = 0;
            }
            if (is_escaped) {
                row[used] = '=';
                row[used + 1] = digits[(unsigned char)line[i] >> 4];
                row[used + 2] = digits[(unsigned char)line[i] & 0xF];
            } else {
                row[used] = line[i];
            }
            used += size;
        }
        memcpy(row + used, "\r\n", 2);
        buffer_append(ret, row, used + 2);
    }
}

static void base64(const char *text, size_t len, struct buffer *ret)
{
    const char *end = text + len;
    const char *line;
    size_t line_len;
    struct buffer whole; /* with the line ends that are to be encoded */

    buffer_init(&whole, 2 * len + 2); /* each byte a line end, and the one it may lack */
    while (next_line(&text, end, &line, &line_len)) {
        buffer_append(&whole, line, line_len);
        buffer_append(&whole, "\r\n", 2);
    }
    for (size_t at = 0; at < whole.len; at += BASE64_LINE_BYTES) {
        char row[ENCODE_BASE64_BYTES(BASE64_LINE_BYTES)];
        size_t size = whole.len - at < BASE64_LINE_BYTES ? whole.len - at : BASE64_LINE_BYTES;

        encode_base64(whole.data + at, size, row);
        buffer_text(ret, row);
        buffer_append(ret, "\r\n", 2);
    }
    ret->failed = ret->failed || whole.failed;
    buffer_done(&whole);
}

void mime_text_part(const char *subtype, const char *text, size_t len, struct buffer *ret)
{
    size_t escaped = 0;

    for (size_t i = 0; i < len; i++)
        escaped += !is_plain(text[i]) && text[i] != '\r' && text[i] != '\n';
    /* Base64 adds a third to every byte, quoted-printable two bytes to each escaped one. */
    bool is_base64 = escaped > len / 6;

    buffer_printf(ret,
                  "Content-Type: text/%s; charset=utf-8\r\n"
                  "Content-Transfer-Encoding: %s\r\n\r\n",
                  subtype, is_base64 ? "base64" : "quoted-printable");
    if (is_base64)
        base64(text, len, ret);
    else
        quoted_printable(text, len, ret);
}
