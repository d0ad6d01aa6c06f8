/* buffer.h - bytes that grow up to a bound.
 *
 * Appending past the bound, or out of memory, sets `failed` and leaves the bytes as they were; later appends
 * do nothing. So a builder appends without looking and asks once at the end. Not shared between threads.
 */
#ifndef HERALD_BUFFER_H
#define HERALD_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data; /* owned; NULL while cap == 0; when not NULL, NUL-terminated behind len (but see
                   buffer_reserve) */
    size_t len;
    size_t cap;
    size_t max; /* len never passes this */
    bool failed;
};

void buffer_init(struct buffer *buffer, size_t max_bytes); /* allocates nothing */
void buffer_done(struct buffer *buffer);                   /* frees; the buffer is as after init */
void buffer_reset(struct buffer *buffer);                  /* empties, keeps the memory, clears failed */

void buffer_append(struct buffer *buffer, const void *bytes, size_t len);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_char(struct buffer *buffer, char c);
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first `len` bytes (len <= buffer->len). */
void buffer_consume(struct buffer *buffer, size_t len);

/* Room for at least `len` more bytes behind data + len: returns where to write them, or NULL (and failed)
 * past the bound. The caller then adds to len what it wrote; the NUL behind that comes with the next append
 * or take. */
char *buffer_reserve(struct buffer *buffer, size_t len);

/* Gives the bytes away: *ret is a NUL-terminated heap block of *ret_len bytes (free()); false if failed. */
bool buffer_take(struct buffer *buffer, char **ret, size_t *ret_len);

#endif
