/* log_mask.c - what may be shown of an address or a token; see log.h. Any thread. */
#include <string.h>

#include "herald/log.h"

#define STARS "***@"
#define ELLIPSIS "\xe2\x80\xa6"

/* Bytes of the first `count` characters of `text`, four bytes each at most, whatever the bytes are. */
static size_t head_bytes(const char *text, size_t count)
{
    size_t at = 0;

    for (; count > 0 && text[at] != '\0'; count--) {
        size_t end = at + 1;
        while (end < at + 4 && ((unsigned char)text[end] & 0xc0) == 0x80)
            end++;
        at = end;
    }
    return at;
}

/* The @ of an address, or NULL. A URL or a token may hold an @ too, and what follows that one can be a
 * secret: so before it no colon, slash or space, and behind it nothing but a domain. */
static const char *find_at(const char *text)
{
    const char *at = strrchr(text, '@');

    if (at == NULL || at == text || at[1] == '\0' || strcspn(text, ":/ \t\r\n") < (size_t)(at - text))
        return NULL;
    for (const char *c = at + 1; *c != '\0'; c++) {
        bool is_letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (unsigned char)*c >= 0x80;
        if (!is_letter && (*c < '0' || *c > '9') && *c != '.' && *c != '-')
            return NULL;
    }
    return at;
}

static size_t add(char *ret, size_t len, const char *bytes, size_t count)
{
    memcpy(ret + len, bytes, count);
    return len + count;
}

const char *log_mask(const char *text, char ret[LOG_MASKED_BYTES])
{
    size_t len = 0;

    if (text != NULL && text[0] != '\0') {
        const char *at = find_at(text);
        if (at != NULL) {
            len = add(ret, len, text, head_bytes(text, 1));
            len = add(ret, len, STARS, strlen(STARS));

            size_t domain = strlen(at + 1);
            size_t room = LOG_MASKED_BYTES - len - 1;
            if (domain > room) {
                domain = room - strlen(ELLIPSIS);
                while (domain > 0 && ((unsigned char)at[1 + domain] & 0xc0) == 0x80)
                    domain--;
                len = add(ret, len, at + 1, domain);
                len = add(ret, len, ELLIPSIS, strlen(ELLIPSIS));
            } else {
                len = add(ret, len, at + 1, domain);
            }
        } else {
            size_t shown = strlen(text) / 4; /* of a short token, four characters would be the token */
            len = add(ret, len, text, head_bytes(text, shown < 4 ? shown : 4));
            len = add(ret, len, ELLIPSIS, strlen(ELLIPSIS));
        }
    }
    ret[len] = '\0';
    return ret;
}
