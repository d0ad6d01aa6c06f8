/* log_format.h - one log line as text, JSON or journal fields. Any thread; neither blocks nor allocates. */
#ifndef HERALD_BASE_LOG_FORMAT_H
#define HERALD_BASE_LOG_FORMAT_H

#include "herald/log.h"

/* A line never passes PIPE_BUF, so that one write puts it into a pipe whole or not at all. */
#define LOG_LINE_BYTES 4096

struct log_entry {
    enum log_level level;
    int64_t wall_ms;
    const char *event;
    const char *message;
    const struct log_field *fields; /* borrowed for the call, like the texts */
    size_t count;
};

/* Writes the entry into `ret` and returns its length. Text and JSON end with a newline. The journal's form is
 * NAME=value, NUL, for each field; the last NUL is counted. A field that does not fit is left out, and the
 * line then ends with the field `cut`. */
size_t log_format(enum log_format format, const struct log_entry *entry, char ret[LOG_LINE_BYTES]);

#endif
