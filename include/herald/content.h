/* content.h - a notification's templates in all its languages, read from files.
 *
 *     DIR/order-confirmed/{subject.txt,body.txt,body.html,push.json,webhook.json}    the default
 *     DIR/order-confirmed.pt-BR/…                                                    one more language
 *     DIR/partials/NAME.{txt,html,json}                                              {{> NAME}} of all
 *
 * A language is two or three letters and subtags, in any case, with '-' or '_'; other names behind the dot
 * are not looked at.
 *
 * Loading blocks on files: at start, at reload and in heraldctl only. What is loaded is immutable.
 */
#ifndef HERALD_CONTENT_H
#define HERALD_CONTENT_H

#include <stdbool.h>

#include "herald/buffer.h"
#include "herald/err.h"

struct json_object;
struct content;

enum content_part {
    CONTENT_SUBJECT,
    CONTENT_TEXT,
    CONTENT_HTML,
    CONTENT_PUSH,
    CONTENT_WEBHOOK,
    CONTENT_PART_COUNT
};

/* ERR_CONFIG names the file and line. Errors are, besides broken templates: a notification without any
 * directory; a directory with none of the files, or with part of a mail (subject without body, body without
 * subject); one language twice; a partial that has no file. */
bool content_load(const char *dir, const char *notification, struct content **ret,
                  struct err *err) MUST_CHECK;
/* The same of texts, one for each part or NULL, in the default language; they name no partials. For what the
 * program itself has to say. */
bool content_make(const char *notification, const char *const texts[CONTENT_PART_COUNT], struct content **ret,
                  struct err *err) MUST_CHECK;
void content_free(struct content *content); /* NULL is fine */

/* True if the default language has the part: what `heraldd --check` asks of each notification's channels. */
bool content_has(const struct content *content, enum content_part part);

/* Renders one part in the best language: pt-BR, then pt, then the default; `locale` may be "". The language
 * is chosen per set of parts: by the first that has CONTENT_SUBJECT for mail parts, and by the part itself
 * for the others, so that no mail mixes two. A subject is made one line, each run of white space one space. A
 * JSON part's output is checked to be JSON. As in template_render, `data` is one thread's at a time. False
 * leaves *ret as it was: ERR_CONFIG if that language doesn't have the part or what it makes is not JSON,
 * which a better template mends; ERR_PERMANENT if rendering fails on this data. */
bool content_render(const struct content *content, enum content_part part, const char *locale,
                    struct json_object *data, struct buffer *ret, struct err *err) MUST_CHECK;
/* Whether content_render would find the part in that language. */
bool content_has_in(const struct content *content, enum content_part part, const char *locale);

/* What is no mistake and yet hardly meant: a file or directory in `dir` that no template's name fits, so that
 * nobody reads it (names with a dot in front are passed over), a subject that is empty whatever the data, and
 * a JSON part that makes no JSON of a sample. `contents` are those of all notifications. The text goes on
 * behind the path. Blocks on files. */
typedef void content_doubt_fn(void *arg, const char *path, const char *text);
void content_each_doubt(const char *dir, const struct content *const *contents, size_t count,
                        content_doubt_fn *on_doubt, void *arg);

#endif
