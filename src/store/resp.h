/* resp.h - where one RESP2 reply ends and where its parts lie, without building objects.
 *
 * redisReader can't say how many bytes a reply had: when it answers "incomplete" its position is already
 * inside the next one. Whoever takes exactly whole replies out of a socket needs lengths. Pure; any thread.
 *
 * Flat replies only, as a subscriber gets them: one line, one bulk, or an array of those. Anything else is a
 * stream out of step.
 */
#ifndef HERALD_STORE_RESP_H
#define HERALD_STORE_RESP_H

#include <stdbool.h>
#include <stddef.h>

#define RESP_MAX_ELEMENTS 8                 /* pmessage, the longest a subscriber gets, has four */
#define RESP_MAX_BULK (512UL * 1024 * 1024) /* Redis's own default limit (proto-max-bulk-len) */
#define RESP_MAX_LINE (64 * 1024)           /* the longest error text of Redis is far below */

enum resp_status {
    RESP_WHOLE,
    RESP_PARTIAL, /* right so far */
    RESP_BROKEN,  /* no reply looks like this */
};

struct resp_element {
    char type;     /* '$' ':' '+' '-' */
    size_t offset; /* of its content, from the reply's first byte */
    size_t len;    /* of its content; 0 for a nil */
};

struct resp_reply {
    char type;        /* '*', or the type of the only element */
    size_t count;     /* elements it has; 1 until an array has said how many */
    size_t known;     /* so many of them have their place and length in `elements`, though the last may not be
                         there yet */
    size_t frame_len; /* whole: its bytes. Partial: a lower bound of them, always more than were given */
    bool is_exact;    /* frame_len is no bound but the length */
    struct resp_element elements[RESP_MAX_ELEMENTS];
};

/* Looks at the reply that begins at bytes[0]. RESP_BROKEN leaves *ret undefined. A bulk's content is skipped,
 * not read: the cost does not depend on its length. */
enum resp_status resp_scan(const char *bytes, size_t len, struct resp_reply *ret);

/* Is the element the text? (Its content has to be in bytes.) */
bool resp_equals(const char *bytes, const struct resp_element *element, const char *text, size_t text_len);

#endif
