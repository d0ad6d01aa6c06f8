/* reply.h - reading what Redis answered without trusting its shape. hiredis's struct stays behind this
 * border. Any thread; a reply is borrowed from whoever handed it out. Each function takes NULL for "no such
 * element" and answers as for something of the wrong type. */
#ifndef HERALD_REPLY_H
#define HERALD_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redisReply;

/* Redis's words if it is an error, else NULL. */
const char *reply_error(const struct redisReply *reply);

/* The text of a string or status, NUL-terminated, which may hold NULs before its end; NULL for anything else.
 * ret_len may be NULL. */
const char *reply_text(const struct redisReply *reply, size_t *ret_len);

/* An integer, or a string of decimal digits; 0 for anything else. */
int64_t reply_number(const struct redisReply *reply);

bool reply_is_array(const struct redisReply *reply);
size_t reply_count(const struct redisReply *reply);                              /* 0 if it is no array */
const struct redisReply *reply_at(const struct redisReply *reply, size_t index); /* NULL past the end */

#endif
