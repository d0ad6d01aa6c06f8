/* err.c - filling and wrapping a struct err; see err.h. Any thread. */
#include "herald/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char ellipsis[] = "\xe2\x80\xa6";

/* Makes `text`, which holds the first bytes of a text of `wanted` bytes, one line
 * that says when it was cut. */
static void finish(char *text, size_t room, size_t wanted)
{
    if (wanted >= room) {
        size_t at = room - sizeof(ellipsis);

        /* A code point is kept whole or not at all: bytes 10xxxxxx continue one. */
        while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
            at--;
        memcpy(text + at, ellipsis, sizeof(ellipsis));
    }
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
}

bool(err_set)(struct err *err, enum err_kind kind, const char *format, ...)
{
    char text[sizeof(err->text)]; /* the arguments may point into err->text */
    va_list args;

    va_start(args, format);
    int wanted = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (wanted < 0) /* the C library could not format: the kind still counts */
        text[0] = '\0';
    finish(text, sizeof(text), wanted < 0 ? 0 : (size_t)wanted);
    err->kind = kind;
    memcpy(err->text, text, sizeof(text));
    return false;
}

bool(err_wrap)(struct err *err, const char *format, ...)
{
    char text[sizeof(err->text)];
    va_list args;

    va_start(args, format);
    int outer = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (outer < 0)
        return false;

    size_t wanted = (size_t)outer;
    if (wanted < sizeof(text)) {
        int inner = snprintf(text + wanted, sizeof(text) - wanted, ": %s", err->text);
        wanted += inner < 0 ? 0 : (size_t)inner;
    }
    finish(text, sizeof(text), wanted);
    memcpy(err->text, text, sizeof(text));
    return false;
}
