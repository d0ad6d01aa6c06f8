/* content_set.h - what content_load.c builds from files and content.c renders from. Immutable once built; any
 * thread. */
#ifndef HERALD_CORE_CONTENT_SET_H
#define HERALD_CORE_CONTENT_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/content.h"
#include "herald/template.h"

#define CONTENT_MAX_LOCALE 35       /* bytes; RFC 5646 4.4.1 */
#define CONTENT_MAX_PARTIAL_NAME 64 /* bytes; it becomes a file's name */

/* One row per kind of part. The suffix names the partials' files too. */
struct content_kind {
    const char *file;
    const char *suffix;
    enum template_escape escape;
};
extern const struct content_kind content_kinds[CONTENT_PART_COUNT];

struct language {
    char locale[CONTENT_MAX_LOCALE + 1];        /* as content_read_locale writes it; "" is the default */
    struct template *parts[CONTENT_PART_COUNT]; /* owned; NULL where there is no file */
};

struct partial {
    char name[CONTENT_MAX_PARTIAL_NAME + 1];
    const struct content_kind *kind; /* whose suffix and escaping it has; borrowed from the table */
    struct template *template;       /* owned */
};

struct content {
    char *notification;         /* owned */
    struct language *languages; /* owned */
    size_t language_count;
    struct partial *partials; /* owned */
    size_t partial_count;
};

/* Lower case and hyphens; false if it can't be a language: two or three letters, then subtags (RFC 5646). */
bool content_read_locale(const char *text, char ret[CONTENT_MAX_LOCALE + 1]);

/* Letters, digits, hyphens and underscores, not too long: a file's name that leads nowhere else. */
bool content_is_partial_name(const char *name);

/* Both NULL if there is none. The locale is as content_read_locale wrote it. */
const struct language *content_find_language(const struct content *content, const char *locale);
const struct partial *content_find_partial(const struct content *content, const struct content_kind *kind,
                                           const char *name);

/* content_sample.c: complains of what would make no JSON of a sample; see content_each_doubt. */
void content_try(const struct content *content, content_doubt_fn *on_doubt, void *arg);

#endif
