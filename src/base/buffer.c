/* buffer.c - bytes that grow up to a bound; see buffer.h. Whoever owns the buffer. */
#include "herald/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64 /* a short line fits without growing */

void buffer_init(struct buffer *buffer, size_t max_bytes)
{
    assert(max_bytes < SIZE_MAX / 2); /* so that doubling and the NUL cannot wrap around */
    *buffer = (struct buffer){.max = max_bytes};
}

void buffer_done(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){.max = buffer->max};
}

void buffer_reset(struct buffer *buffer)
{
    buffer->len = 0;
    buffer->failed = false;
    if (buffer->data != NULL)
        buffer->data[0] = '\0';
}

char *buffer_reserve(struct buffer *buffer, size_t len)
{
    if (buffer->failed)
        return NULL;
    if (len > buffer->max - buffer->len) {
        buffer->failed = true;
        return NULL;
    }

    size_t need = buffer->len + len + 1;
    if (need > buffer->cap) {
        size_t cap = buffer->cap < FIRST_CAP ? FIRST_CAP : buffer->cap * 2;
        if (cap > buffer->max + 1)
            cap = buffer->max + 1;
        if (cap < need)
            cap = need;
        char *data = realloc(buffer->data, cap);
        if (data == NULL) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->cap = cap;
    }
    buffer->data[buffer->len] = '\0';
    return buffer->data + buffer->len;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t len)
{
    char *to = buffer_reserve(buffer, len);

    if (to == NULL)
        return;
    if (len > 0) /* memcpy must not see NULL, not even for no bytes */
        memcpy(to, bytes, len);
    to[len] = '\0';
    buffer->len += len;
}

void buffer_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_char(struct buffer *buffer, char c)
{
    buffer_append(buffer, &c, 1);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *to = len < 0 ? NULL : buffer_reserve(buffer, (size_t)len);
    if (to != NULL) {
        vsnprintf(to, (size_t)len + 1, format, again); /* the byte behind is the reserved NUL */
        buffer->len += (size_t)len;
    }
    if (len < 0)
        buffer->failed = true;
    va_end(again);
    va_end(args);
}

void buffer_consume(struct buffer *buffer, size_t len)
{
    assert(len <= buffer->len);
    if (len == 0)
        return;
    buffer->len -= len;
    memmove(buffer->data, buffer->data + len, buffer->len);
    buffer->data[buffer->len] = '\0';
}

bool buffer_take(struct buffer *buffer, char **ret, size_t *ret_len)
{
    if (buffer_reserve(buffer, 0) == NULL) /* an empty buffer gives an empty block; bytes get their NUL */
        return false;
    *ret = buffer->data;
    *ret_len = buffer->len;
    buffer_init(buffer, buffer->max);
    return true;
}
