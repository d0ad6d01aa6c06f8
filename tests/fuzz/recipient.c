/* recipient.c - a user's record as anybody with Redis access may have written it: email, name, locale and
 * push, a line each. What is accepted is fit for a server and a header, and within its bounds; the same said
 * as the JSON of an event is accepted alike. */
#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "herald/address.h"
#include "herald/recipient.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const char *take_line(const uint8_t **bytes, size_t *len, size_t *ret_len)
{
    const uint8_t *line = *bytes, *end = *len > 0 ? memchr(line, '\n', *len) : NULL;
    *ret_len = end != NULL ? (size_t)(end - line) : *len;
    *bytes += *ret_len + (end != NULL);
    *len -= *ret_len + (end != NULL);
    return (const char *)line;
}

static void check_device(const struct recipient *recipient, size_t index)
{
    const struct recipient_push *push = &recipient->push[index];
    struct json json = {0};
    struct buffer canonical;
    struct err err;
    size_t len = strlen(push->device);
    assert(strlen(push->provider) >= 1 && strlen(push->provider) <= RECIPIENT_MAX_PROVIDER);
    assert(len <= RECIPIENT_MAX_PUSH_BYTES && strchr(push->device, '\n') == NULL);
    if (!json_parse(push->device, len, &json, &err))
        abort();
    buffer_init(&canonical, len + 1);
    json_canonical(&json, NULL, &canonical);
    assert(canonical.len == len && memcmp(canonical.data, push->device, len) == 0);
    const struct json_token *provider = json_member(&json, 0, "provider");
    assert(provider != NULL && json_string_is(&json, provider, push->provider));
    for (size_t i = 0; i < index; i++)
        assert(strcmp(recipient->push[i].device, push->device) != 0); /* counts once */
    buffer_done(&canonical);
    json_done(&json);
}

static void check(const struct recipient *recipient)
{
    struct err err;
    if (recipient->email != NULL && !address_check(recipient->email, strlen(recipient->email), &err))
        abort();
    if (recipient->name != NULL) {
        size_t len = strlen(recipient->name);
        assert(len >= 1 && len <= RECIPIENT_MAX_NAME);
        if (!address_check_text(recipient->name, len, len, &err))
            abort();
    }
    if (recipient->locale != NULL) {
        assert(strlen(recipient->locale) >= 1 && strlen(recipient->locale) <= RECIPIENT_MAX_LOCALE);
        for (const char *c = recipient->locale; *c != '\0'; c++)
            assert(isalnum((unsigned char)*c) || *c == '-'); /* it chooses among directories' names */
    }
    assert(recipient->push_count <= RECIPIENT_MAX_PUSH);
    for (size_t i = 0; i < recipient->push_count; i++)
        check_device(recipient, i);
}

static bool is_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* What a record says, as an event's `to`. */
static void check_as_json(const struct recipient *recipient)
{
    struct buffer text;
    struct json json = {0};
    struct recipient again = {0};
    struct err err;
    const char *const names[] = {"email", "name", "locale"};
    const char *const values[] = {recipient->email, recipient->name, recipient->locale};
    buffer_init(&text, JSON_MAX_BYTES);
    buffer_text(&text, "{\"push\":[");
    for (size_t i = 0; i < recipient->push_count; i++) {
        buffer_text(&text, i > 0 ? "," : "");
        buffer_text(&text, recipient->push[i].device);
    }
    buffer_char(&text, ']');
    for (size_t i = 0; i < 3; i++) {
        if (values[i] == NULL)
            continue;
        buffer_printf(&text, ",\"%s\":\"", names[i]);
        json_escape(values[i], strlen(values[i]), &text);
        buffer_char(&text, '"');
    }
    buffer_char(&text, '}');
    if (!json_parse(text.data, text.len, &json, &err) ||
        !recipient_from_json(&json, &json.tokens[0], &again, &err))
        abort();
    assert(is_equal(recipient->email, again.email) && is_equal(recipient->name, again.name));
    assert(is_equal(recipient->locale, again.locale) && recipient->push_count == again.push_count);
    for (size_t i = 0; i < again.push_count; i++)
        assert(strcmp(recipient->push[i].device, again.push[i].device) == 0);
    recipient_done(&again);
    json_done(&json);
    buffer_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct recipient_record record = {0};
    struct recipient recipient = {0};
    struct err err = {0};
    record.email = take_line(&bytes, &len, &record.email_len);
    record.name = take_line(&bytes, &len, &record.name_len);
    record.locale = take_line(&bytes, &len, &record.locale_len);
    record.push = take_line(&bytes, &len, &record.push_len);
    if (recipient_from_record(&record, &recipient, &err)) {
        check(&recipient);
        check_as_json(&recipient);
    } else {
        assert(err.kind == ERR_INPUT && strlen(err.text) > 0);
        assert(recipient.email == NULL && recipient.name == NULL && recipient.push_count == 0);
    }
    recipient_done(&recipient);
    return 0;
}
