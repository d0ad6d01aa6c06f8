/* follow.h - lines as they are written: from a file that is rotated, a pipe, or another program. Ends at
 * SIGINT and SIGTERM, with the end of what can end, and when nobody reads standard output any more. */
#ifndef HERALD_CTL_FOLLOW_H
#define HERALD_CTL_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"

#define FOLLOW_LINE_BYTES 65536 /* heraldd's are 4096, and journalctl adds its own fields */

/* A line without its end, borrowed for the call. False: enough. */
typedef bool follow_line_fn(void *arg, const char *line, size_t len);

struct follow {
    follow_line_fn *on_line;
    void *arg;
    int64_t lines;   /* of a file: begin with so many of those that are there */
    size_t overlong; /* lines that were longer than FOLLOW_LINE_BYTES, and are passed over */
};

/* A regular file is followed under its name: what has taken its place is read from its beginning, once the
 * old one is read to its end; one that was cut is read from there. Of anything else ("-": standard input) all
 * is read. ERR_INPUT: it can't be read. */
bool follow_file(struct follow *follow, const char *path, struct err *err) MUST_CHECK;

/* What a program writes, until it ends. It is ended with us. ERR_PERMANENT: it can't be run, or it failed. */
bool follow_program(struct follow *follow, char *const *argv, struct err *err) MUST_CHECK;

#endif
