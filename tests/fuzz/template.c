/* template.c - a template and data, both hostile: the first line of the input is JSON, the rest the template.
 * Rendering ends, within its bound, and a failure leaves nothing behind. */
#include <assert.h>
#include <json-c/json.h>
#include <stdint.h>
#include <string.h>

#include "herald/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Every partial is the template itself: the deepest nesting there is. */
static const struct template *itself(void *arg, const char *name)
{
    (void)name;
    return *(struct template **)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const char *data_text = (const char *)bytes;
    const char *line_end = memchr(data_text, '\n', len);
    if (line_end == NULL)
        return 0;
    const char *text = line_end + 1;
    size_t text_len = len - (size_t)(text - data_text);
    struct json_tokener *tokener = json_tokener_new_ex(32);
    struct json_object *data = json_tokener_parse_ex(tokener, data_text, (int)(line_end - data_text));
    json_tokener_free(tokener);

    for (enum template_escape escape = ESCAPE_NONE; escape <= ESCAPE_JSON; escape++) {
        struct template *template = NULL;
        struct err err;
        struct buffer out;
        if (!template_compile("fuzz", text, text_len, escape, &template, &err)) {
            assert(err.kind == ERR_CONFIG);
            continue;
        }
        buffer_init(&out, TEMPLATE_MAX_OUTPUT);
        if (!template_render(template, data, itself, &template, &out, &err))
            assert(err.kind == ERR_PERMANENT && out.len == 0);
        buffer_done(&out);
        template_free(template);
    }
    json_object_put(data);
    return 0;
}
