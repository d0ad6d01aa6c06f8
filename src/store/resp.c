/* resp.c - where one RESP2 reply ends and where its parts lie; see resp.h. Pure; any thread. */
#include "resp.h"

#include <stdint.h>
#include <string.h>

#define SHORTEST_ELEMENT 3 /* "+\r\n" */
#define MAX_DIGITS 19      /* of an int64 */

/* The content of the line that begins at *at: *ret_end is where its CR stands, and
 * *at moves behind its LF. */
static enum resp_status scan_line(const char *bytes, size_t len, size_t *at, size_t *ret_end)
{
    const char *cr = memchr(bytes + *at, '\r', len - *at);

    if (cr == NULL)
        return len - *at > RESP_MAX_LINE ? RESP_BROKEN : RESP_PARTIAL;

    size_t end = (size_t)(cr - bytes);
    if (end - *at > RESP_MAX_LINE)
        return RESP_BROKEN;
    if (end + 1 == len)
        return RESP_PARTIAL;
    if (bytes[end + 1] != '\n')
        return RESP_BROKEN;
    *ret_end = end;
    *at = end + 2;
    return RESP_WHOLE;
}

/* A number alone on its line, up to and with its CRLF. */
static enum resp_status scan_number(const char *bytes, size_t len, size_t *at, int64_t *ret)
{
    size_t i = *at;
    bool is_negative = i < len && bytes[i] == '-';
    int64_t value = 0;
    size_t digits = 0;

    if (is_negative)
        i++;
    for (; i < len && bytes[i] >= '0' && bytes[i] <= '9'; i++) {
        if (++digits == MAX_DIGITS) /* 18 digits can't overflow, and no length has more */
            return RESP_BROKEN;
        value = value * 10 + (bytes[i] - '0');
    }
    if (i == len)
        return RESP_PARTIAL;
    if (digits == 0 || bytes[i] != '\r')
        return RESP_BROKEN;
    if (i + 1 == len)
        return RESP_PARTIAL;
    if (bytes[i + 1] != '\n')
        return RESP_BROKEN;
    *ret = is_negative ? -value : value;
    *at = i + 2;
    return RESP_WHOLE;
}

/* A bulk behind its '$'. Its place is known as soon as its header is whole; *at then is where it ends, be it
 * there or not. */
static enum resp_status scan_bulk(const char *bytes, size_t len, size_t *at, struct resp_element *ret)
{
    int64_t content_len = 0;
    enum resp_status status = scan_number(bytes, len, at, &content_len);

    if (status != RESP_WHOLE)
        return status;
    if (content_len < -1 || content_len > (int64_t)RESP_MAX_BULK)
        return RESP_BROKEN;

    ret->type = '$';
    ret->offset = *at;
    ret->len = 0;
    if (content_len < 0) /* nil has no content and no second CRLF */
        return RESP_WHOLE;

    ret->len = (size_t)content_len;
    size_t end = ret->offset + ret->len;
    if ((end < len && bytes[end] != '\r') || (end + 1 < len && bytes[end + 1] != '\n'))
        return RESP_BROKEN;
    *at = end + 2;
    return RESP_WHOLE;
}

static enum resp_status scan_element(const char *bytes, size_t len, size_t *at, struct resp_element *ret)
{
    char type = bytes[*at];
    size_t begin = *at + 1;
    size_t end = 0;
    int64_t number = 0;
    enum resp_status status = RESP_BROKEN;

    *at = begin;
    switch (type) {
    case '$':
        return scan_bulk(bytes, len, at, ret);
    case ':':
        status = scan_number(bytes, len, at, &number);
        end = status == RESP_WHOLE ? *at - 2 : 0;
        break;
    case '+':
    case '-':
        status = scan_line(bytes, len, at, &end);
        break;
    default:
        return RESP_BROKEN;
    }
    if (status == RESP_WHOLE)
        *ret = (struct resp_element){.type = type, .offset = begin, .len = end - begin};
    return status;
}

enum resp_status resp_scan(const char *bytes, size_t len, struct resp_reply *ret)
{
    size_t at = 0;

    ret->count = 1;
    ret->known = 0;
    ret->is_exact = false;
    ret->frame_len = SHORTEST_ELEMENT > len ? SHORTEST_ELEMENT : len + 1;
    if (len == 0)
        return RESP_PARTIAL;

    ret->type = bytes[0];
    if (ret->type == '*') {
        int64_t count = 0;
        at = 1;
        enum resp_status status = scan_number(bytes, len, &at, &count);
        if (status != RESP_WHOLE)
            return status;
        if (count < -1 || count > RESP_MAX_ELEMENTS)
            return RESP_BROKEN;
        ret->count = count < 0 ? 0 : (size_t)count;
    }

    while (ret->known < ret->count && at < len) {
        size_t element_at = at;
        enum resp_status status = scan_element(bytes, len, &at, &ret->elements[ret->known]);
        if (status == RESP_BROKEN)
            return status;
        if (status == RESP_PARTIAL) {
            at = element_at; /* its length is unknown: the bound below counts it as a shortest one */
            break;
        }
        ret->known++;
    }

    /* `at` is where the known elements end, which may lie ahead of the bytes. */
    ret->is_exact = ret->known == ret->count;
    size_t bound = at + (ret->count - ret->known) * SHORTEST_ELEMENT;
    if (ret->is_exact && at <= len) {
        ret->frame_len = at;
        return RESP_WHOLE;
    }
    ret->frame_len = bound > len ? bound : len + 1;
    return RESP_PARTIAL;
}

bool resp_equals(const char *bytes, const struct resp_element *element, const char *text, size_t text_len)
{
    return element->len == text_len && memcmp(bytes + element->offset, text, text_len) == 0;
}
