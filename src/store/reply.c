/* reply.c - hiredis's replies, read carefully. */
#include "herald/reply.h"

#include <stdlib.h>

#include <hiredis/hiredis.h>

const char *reply_error(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ERROR ? reply->str : NULL;
}

const char *reply_text(const redisReply *reply, size_t *ret_len)
{
    if (reply == NULL || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
        return NULL;
    if (ret_len != NULL)
        *ret_len = (size_t)reply->len;
    return reply->str;
}

int64_t reply_number(const redisReply *reply)
{
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        return reply->integer;
    const char *text = reply_text(reply, NULL);
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

bool reply_is_array(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY;
}

size_t reply_count(const redisReply *reply)
{
    return reply_is_array(reply) ? reply->elements : 0;
}

const redisReply *reply_at(const redisReply *reply, size_t index)
{
    return index < reply_count(reply) ? reply->element[index] : NULL;
}
