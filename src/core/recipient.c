/* recipient.c - who is to be told, and where. Both sources are outside input: the event's, and a record that
 * anybody with Redis access may have written. Any thread. */
#include "herald/recipient.h"

#include <stdlib.h>
#include <string.h>

#include "herald/address.h"

void recipient_done(struct recipient *recipient)
{
    free(recipient->email);
    free(recipient->name);
    free(recipient->locale);
    for (size_t i = 0; i < recipient->push_count; i++) {
        free(recipient->push[i].provider);
        free(recipient->push[i].device);
    }
    *recipient = (struct recipient){0};
}

static bool copy(const char *text, size_t len, char **ret, struct err *err)
{
    char *bytes = strndup(text, len); /* what is copied has been checked and holds no NUL */

    if (bytes == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    *ret = bytes;
    return true;
}

static bool set_email(struct recipient *recipient, const char *text, size_t len, struct err *err)
{
    return address_check(text, len, err) && copy(text, len, &recipient->email, err);
}

static bool set_name(struct recipient *recipient, const char *text, size_t len, struct err *err)
{
    return len == 0 ||
           (address_check_text(text, len, RECIPIENT_MAX_NAME, err) && copy(text, len, &recipient->name, err));
}

static bool set_locale(struct recipient *recipient, const char *text, size_t len, struct err *err)
{
    if (len == 0)
        return true;
    if (len > RECIPIENT_MAX_LOCALE)
        return err_set(err, ERR_INPUT, "%zu bytes, at most %d are allowed", len, RECIPIENT_MAX_LOCALE);
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
              c == '_'))
            return err_set(err, ERR_INPUT, "byte %zu: expected letters, digits and hyphens", i);
    }
    if (!copy(text, len, &recipient->locale, err))
        return false;
    for (char *at = recipient->locale; *at != '\0'; at++)
        if (*at == '_')
            *at = '-';
    return true;
}

static const struct field {
    const char *name;
    bool (*set)(struct recipient *recipient, const char *text, size_t len, struct err *err);
} fields[] = {{"email", set_email}, {"name", set_name}, {"locale", set_locale}};

#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static bool set_from_token(const struct field *field, const struct json *json, const struct json_token *value,
                           struct recipient *ret, struct err *err)
{
    if (value->type != JSON_STRING)
        return err_set(err, ERR_INPUT, "expected a string");
    if (!value->has_escapes)
        return field->set(ret, json->text + value->start, value->end - value->start, err);

    struct buffer text;
    buffer_init(&text, value->end - value->start);
    json_unescape(json, value, &text);
    bool is_set = text.failed ? err_set(err, ERR_NOMEM, "out of memory")
                              : field->set(ret, text.len > 0 ? text.data : "", text.len, err);
    buffer_done(&text);
    return is_set;
}

static bool read_provider(const struct json *json, uint32_t object, char **ret, struct err *err)
{
    const struct json_token *value = json_member(json, object, "provider");
    char provider[RECIPIENT_MAX_PROVIDER];

    if (value == NULL || value->type != JSON_STRING)
        return err_set(err, ERR_INPUT, "expected a string");
    size_t len = json_string_copy(json, value, NULL);
    if (len == 0 || len > sizeof(provider))
        return err_set(err, ERR_INPUT, "expected 1 to %d bytes, found %zu", RECIPIENT_MAX_PROVIDER, len);
    json_string_copy(json, value, provider);
    return address_check_text(provider, len, sizeof(provider), err) && copy(provider, len, ret, err);
}

static bool read_device(const struct json *json, const struct json_token *object, char **ret, struct err *err)
{
    struct buffer device;
    size_t device_len;

    buffer_init(&device, object->end - object->start); /* the canonical form is never longer */
    json_canonical_value(json, object, &device);
    bool is_read = false;
    if (device.failed)
        err_set(err, ERR_NOMEM, "out of memory");
    else if (device.len > RECIPIENT_MAX_PUSH_BYTES)
        err_set(err, ERR_INPUT, "%zu bytes, at most %d are allowed", device.len, RECIPIENT_MAX_PUSH_BYTES);
    else
        is_read = buffer_take(&device, ret, &device_len) || err_set(err, ERR_NOMEM, "out of memory");
    buffer_done(&device);
    return is_read;
}

static bool has_device(const struct recipient *recipient, const char *device)
{
    for (size_t i = 0; i < recipient->push_count; i++)
        if (strcmp(recipient->push[i].device, device) == 0)
            return true;
    return false;
}

/* On false nothing has been added to *ret. */
static bool add_device(const struct json *json, uint32_t object, const char *prefix, size_t index,
                       struct recipient *ret, struct err *err)
{
    struct recipient_push push = {0};

    if (json->tokens[object].type != JSON_OBJECT) {
        err_set(err, ERR_INPUT, "expected an object");
        return err_wrap(err, "%spush[%zu]", prefix, index);
    }
    if (!read_device(json, &json->tokens[object], &push.device, err))
        return err_wrap(err, "%spush[%zu]", prefix, index);
    if (!read_provider(json, object, &push.provider, err)) {
        free(push.device);
        return err_wrap(err, "%spush[%zu].provider", prefix, index);
    }
    if (has_device(ret, push.device)) { /* one device gets one message, however often it was registered */
        free(push.device);
        free(push.provider);
        return true;
    }
    ret->push[ret->push_count++] = push;
    return true;
}

static bool add_devices(const struct json *json, const struct json_token *array, const char *prefix,
                        struct recipient *ret, struct err *err)
{
    size_t index = 0;

    if (array->type != JSON_ARRAY) {
        err_set(err, ERR_INPUT, "expected an array");
        return err_wrap(err, "%spush", prefix);
    }
    for (uint32_t i = (uint32_t)(array - json->tokens) + 1; i < array->next; i = json->tokens[i].next) {
        /* The listed ones are counted, not the different ones: a bound on what is worth looking at. */
        if (index == RECIPIENT_MAX_PUSH) {
            err_set(err, ERR_INPUT, "more than %d devices", RECIPIENT_MAX_PUSH);
            return err_wrap(err, "%spush", prefix);
        }
        if (!add_device(json, i, prefix, index++, ret, err))
            return false;
    }
    return true;
}

static bool read_member(const struct json *json, uint32_t name, struct recipient *ret, struct err *err)
{
    const struct json_token *value = &json->tokens[name + 1];

    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (json_string_is(json, &json->tokens[name], fields[i].name))
            return set_from_token(&fields[i], json, value, ret, err) ||
                   err_wrap(err, "to.%s", fields[i].name);
    if (json_string_is(json, &json->tokens[name], "push"))
        return add_devices(json, value, "to.", ret, err);
    return err_set(err, ERR_INPUT, "to: at byte %u: expected email, name, locale or push",
                   (unsigned)json->tokens[name].start);
}

bool recipient_from_json(const struct json *json, const struct json_token *object, struct recipient *ret,
                         struct err *err)
{
    struct recipient recipient = {0};

    if (object->type != JSON_OBJECT)
        return err_set(err, ERR_INPUT, "to: expected an object");
    for (uint32_t i = (uint32_t)(object - json->tokens) + 1; i < object->next; i = json->tokens[i + 1].next) {
        if (!read_member(json, i, &recipient, err)) {
            recipient_done(&recipient);
            return false;
        }
    }
    *ret = recipient;
    return true;
}

static bool read_record_push(const char *text, size_t len, struct recipient *ret, struct err *err)
{
    struct json json;

    if (!json_parse(text, len, &json, err))
        return err_wrap(err, "push");
    bool is_read = add_devices(&json, &json.tokens[0], "", ret, err);
    json_done(&json);
    return is_read;
}

static bool read_record(const struct recipient_record *record, struct recipient *ret, struct err *err)
{
    const struct {
        const char *text;
        size_t len;
    } values[FIELD_COUNT] = {{record->email, record->email_len},
                             {record->name, record->name_len},
                             {record->locale, record->locale_len}};

    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (values[i].text != NULL && values[i].len > 0 &&
            !fields[i].set(ret, values[i].text, values[i].len, err))
            return err_wrap(err, "%s", fields[i].name);
    return record->push == NULL || record->push_len == 0 ||
           read_record_push(record->push, record->push_len, ret, err);
}

bool recipient_from_record(const struct recipient_record *record, struct recipient *ret, struct err *err)
{
    struct recipient recipient = {0};

    if (!read_record(record, &recipient, err)) {
        recipient_done(&recipient);
        return false;
    }
    *ret = recipient;
    return true;
}
