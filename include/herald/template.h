/* template.h - Mustache: logic-less templates over json-c data.
 *
 * Follows the Mustache specification (interpolation, sections, inverted sections, comments, partials,
 * delimiters). Where that leaves a choice: null, false, "" and [] are false, 0 is not; a list or an object
 * written as a value is its JSON; a number is written as it stood in the event. Data is never scanned again
 * for tags. A compiled template is immutable: any number of threads may render it.
 */
#ifndef HERALD_TEMPLATE_H
#define HERALD_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/buffer.h"
#include "herald/err.h"

struct json_object;
struct template;

#define TEMPLATE_MAX_BYTES (256 * 1024)   /* a template file: far more than any mail program shows */
#define TEMPLATE_MAX_DEPTH 32             /* sections and partials within each other: bounds recursion */
#define TEMPLATE_MAX_OUTPUT (1024 * 1024) /* one rendered part; mail servers refuse tens of MiB */

/* How {{name}} is written; {{{name}}} and {{&name}} write the value as it is, but in ESCAPE_JSON. */
enum template_escape {
    ESCAPE_NONE, /* text and subject */
    ESCAPE_HTML, /* & < > " ' */
    ESCAPE_JSON, /* the inside of a JSON string; {{{name}}} writes a whole value, null if there is none */
};

/* Looks up a partial's template, or NULL (which renders as nothing, as the specification says). */
typedef const struct template *template_partial_fn(void *arg, const char *name);

/* The text is UTF-8, with or without a byte-order mark. The specification's optional blocks and parents are
 * refused.
 * On true the caller owns *ret; on false *ret is untouched and *err (ERR_CONFIG) reads "<name>:LINE: …". */
bool template_compile(const char *name, const char *text, size_t len, enum template_escape escape,
                      struct template **ret, struct err *err) MUST_CHECK;
void template_free(struct template *template); /* NULL is fine */

/* Appends the rendered text; json-c keeps texts it makes inside `data`, so that is one thread's at a time.
 * `partial` may be NULL: no partials. False leaves *ret as it was, with ERR_PERMANENT when nesting passes
 * TEMPLATE_MAX_DEPTH, the output TEMPLATE_MAX_OUTPUT or the buffer's bound, or the work a bound that only a
 * list within itself reaches. */
bool template_render(const struct template *template, struct json_object *data, template_partial_fn *partial,
                     void *arg, struct buffer *ret, struct err *err) MUST_CHECK;

#endif
