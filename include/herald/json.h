/* json.h - a strict reader of untrusted JSON (RFC 8259, with RFC 7493's ban on duplicate members).
 *
 * Why not json-c here: identity needs what json-c throws away. It folds duplicate members, clips integers
 * past 64 bits and stops after the first value. This reader checks every byte once, keeps positions into the
 * caller's text and copies nothing; json-c still makes the data tree that templates walk. No I/O. Any thread.
 */
#ifndef HERALD_JSON_H
#define HERALD_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/buffer.h"
#include "herald/err.h"

#define JSON_MAX_BYTES (256 * 1024) /* an event; more is a mistake of the publisher */
#define JSON_MAX_DEPTH 32           /* bounds recursion here, in json-c and in templates */

/* Not json_type: that is json-c's, and some files include both. */
enum json_token_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* One value or member name. Tokens stand in document order; an object's children are name, value, name, value
 * … */
struct json_token {
    enum json_token_type type;
    uint32_t start;   /* first byte in the text; for a string, behind the quote */
    uint32_t end;     /* behind the last byte; for a string, at the closing quote */
    uint32_t next;    /* index of the token behind this one and all its children */
    uint32_t sorted;  /* canonical order: an object's first name, a name's next name; 0: none */
    bool has_escapes; /* a string with at least one backslash */
};

struct json {
    const char *text; /* borrowed: must outlive this */
    size_t len;
    struct json_token *tokens; /* owned */
    uint32_t count;            /* at least 1 after a successful parse; token 0 is the root */
};

/* Refuses: not one value and white space only, more than JSON_MAX_BYTES, deeper than JSON_MAX_DEPTH, invalid
 * UTF-8, NUL (raw or \u0000), lone surrogates, raw controls in strings, duplicate members (compared after
 * unescaping), a byte-order mark. *err is ERR_INPUT and says "at byte N: …", counted from 0, or ERR_NOMEM.
 * Never repeats the text: it is somebody's data. Time grows as n log n with the number of members. On true
 * the caller calls json_done. */
bool json_parse(const char *text, size_t len, struct json *ret, struct err *err) MUST_CHECK;
void json_done(struct json *json); /* a zeroed struct is fine */

/* The value of a member of the object at index `object` (usually 0, the root), or NULL; also if that is no
 * object. */
const struct json_token *json_member(const struct json *json, uint32_t object, const char *name);

/* A string's unescaped bytes, appended. The token must be a JSON_STRING. */
void json_unescape(const struct json *json, const struct json_token *token, struct buffer *ret);

/* The same into the caller's memory, not terminated; returns the length, never more than the token's own.
 * With ret NULL only the length is told. */
size_t json_string_copy(const struct json *json, const struct json_token *token, char *ret);

/* Whether a string's unescaped bytes are `text`. */
bool json_string_is(const struct json *json, const struct json_token *token, const char *text);

/* Canonical form, appended: no white space, members sorted by their unescaped UTF-8 bytes, strings with the
 * fewest escapes (RFC 8785 section 3.2.2.2), numbers as they were written. Root members named in `skip`
 * (NULL-terminated; NULL: none) are left out. So two texts that mean the same to a careful reader are equal,
 * and nothing is rounded. Never longer than the text. */
void json_canonical(const struct json *json, const char *const *skip, struct buffer *ret);
/* The canonical form of one value within. */
void json_canonical_value(const struct json *json, const struct json_token *value, struct buffer *ret);

/* Appends `text` as the inside of a JSON string (quotes not included), escaping what JSON requires. */
void json_escape(const char *text, size_t len, struct buffer *ret);

#endif
