/* json.c - whatever the reader accepts has one canonical form: reading that form again and writing it changes
 * nothing, and json-c reads it too. */
#include <assert.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "herald/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct json json = {0}, again = {0};
    struct err err;
    if (!json_parse((const char *)bytes, len, &json, &err)) {
        assert(err.kind == ERR_INPUT && strlen(err.text) > 0);
        return 0;
    }
    struct buffer once, twice;
    buffer_init(&once, len + 1);
    buffer_init(&twice, len + 1);
    json_canonical(&json, NULL, &once);
    assert(!once.failed && once.len <= len);
    if (!json_parse(once.data, once.len, &again, &err))
        abort();
    json_canonical(&again, NULL, &twice);
    assert(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);

    struct json_tokener *tokener = json_tokener_new_ex(JSON_MAX_DEPTH + 1);
    struct json_object *tree = json_tokener_parse_ex(tokener, once.data, (int)once.len + 1);
    assert(json_tokener_get_error(tokener) == json_tokener_success);
    json_object_put(tree);
    json_tokener_free(tokener);

    buffer_done(&once);
    buffer_done(&twice);
    json_done(&json);
    json_done(&again);
    return 0;
}
