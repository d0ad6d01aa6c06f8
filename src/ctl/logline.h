/* logline.h - one line of heraldd's log, whichever way it was written: as JSON by the daemon itself, or as
 * `journalctl -o json` tells it. */
#ifndef HERALD_CTL_LOGLINE_H
#define HERALD_CTL_LOGLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "herald/buffer.h"
#include "herald/clock.h"

#define LOGLINE_MAX_FIELDS 64 /* the daemon has two dozen keys */

struct logline {
    char ts[CLOCK_RFC3339_BYTES];
    int level; /* of enum log_level; -1: not said */
    struct logline_field {
        size_t name, value; /* where in `text`, each NUL-terminated */
        bool is_bare;       /* in JSON it stands without quotes */
    } fields[LOGLINE_MAX_FIELDS];
    size_t count;
    struct buffer text; /* owned */
};

void logline_init(struct logline *line); /* allocates nothing; one may be read into again and again */
void logline_done(struct logline *line);

/* False if the bytes are no line of a log: not JSON, or neither of the two. An entry of the journal that
 * somebody else wrote about the unit is one, without the field "event". */
bool logline_read(const char *bytes, size_t len, struct logline *ret);

/* The value of a field, "event" and "message" among them; NULL: it has none. */
const char *logline_value(const struct logline *line, const char *name);

/* For people, in one line of plain ASCII; or as the daemon writes JSON, whichever way it came. */
void logline_print(FILE *file, const struct logline *line);
void logline_print_json(FILE *file, const struct logline *line);

#endif
