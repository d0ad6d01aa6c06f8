/* log_field.c - the fields of a line; see log.h. Any thread. */
#include <string.h>

#include "herald/log.h"

struct log_field log_text(enum log_key key, const char *text)
{
    return log_bytes(key, text, text == NULL ? 0 : strlen(text));
}

struct log_field log_bytes(enum log_key key, const char *text, size_t len)
{
    return (struct log_field){
        .key = key, .type = len == 0 ? LOG_NONE : LOG_TEXT, .text = text, .text_len = len};
}

struct log_field log_int(enum log_key key, int64_t number)
{
    return (struct log_field){.key = key, .type = LOG_INT, .number = number};
}
