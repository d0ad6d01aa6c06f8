/* Builds the messages that message_python.py asks for: a JSON list of samples on standard input, and for each
 * of them its length in bytes on a line of its own and the message on standard output. */
#include "herald/message.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

static const char *text_of(struct json_object *sample, const char *member)
{
    return json_object_get_string(json_object_object_get(sample, member));
}

static size_t length_of(struct json_object *sample, const char *member)
{
    return (size_t)json_object_get_string_len(json_object_object_get(sample, member));
}

int main(void)
{
    struct json_object *samples = json_object_from_fd(0);
    int status = EXIT_SUCCESS;

    if (!json_object_is_type(samples, json_type_array)) {
        fprintf(stderr, "expected a JSON list on standard input\n");
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < json_object_array_length(samples); i++) {
        struct json_object *sample = json_object_array_get_idx(samples, i);
        struct message message = {
            .from = {text_of(sample, "from_name"), text_of(sample, "from")},
            .to = {text_of(sample, "to_name"), text_of(sample, "to")},
            .reply_to = {text_of(sample, "reply_to_name"), text_of(sample, "reply_to")},
            .subject = text_of(sample, "subject"),
            .text = text_of(sample, "text"),
            .text_len = length_of(sample, "text"),
            .html = text_of(sample, "html"),
            .html_len = length_of(sample, "html"),
            .date_ms = json_object_get_int64(json_object_object_get(sample, "date_ms")),
            .key = text_of(sample, "key"),
            .domain = text_of(sample, "domain"),
            .trace_id = text_of(sample, "trace_id"),
        };
        struct buffer out;
        struct err err = {0};

        buffer_init(&out, 16 << 20);
        if (message_build(&message, &out, &err)) {
            printf("%zu\n", out.len);
            fwrite(out.data, 1, out.len, stdout);
        } else {
            fprintf(stderr, "sample %zu: %s\n", i, err.text);
            status = EXIT_FAILURE;
        }
        buffer_done(&out);
    }
    json_object_put(samples);
    return status;
}
