/* json_order.h - the members of one object by name: what finds duplicates, and what the canonical form is
 * written in. Part of json.c; any thread. */
#ifndef HERALD_CORE_JSON_ORDER_H
#define HERALD_CORE_JSON_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"
#include "herald/json.h"

/* Links the `count` (at least 1) names of the object that ends with the last token read, in order of their
 * unescaped bytes, through json_token.sorted. `escaped_bytes`: how long the names with escapes are as
 * written, together. False: ERR_INPUT "at byte N: duplicate member name", or ERR_NOMEM. */
bool json_order(const char *text, struct json_token *tokens, uint32_t object, uint32_t count,
                size_t escaped_bytes, struct err *err) MUST_CHECK;

#endif
