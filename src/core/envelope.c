/* envelope.c - signed events: whoever can PUBLISH is not thereby allowed to write to the shop's customers.
 * Any thread. */
#include <stdlib.h>
#include <string.h>

#include "herald/address.h"
#include "herald/encode.h"
#include "herald/event.h"
#include "herald/hash.h"

#define AHEAD_MAX_MS (5 * 60 * 1000) /* clocks of machines that speak NTP differ by far less */
#define TIME_MAX_DIGITS 12           /* seconds: ends in the year 33658, and milliseconds of it fit easily */
#define SIGNATURE_MAX_BYTES 1024     /* twenty signatures; a rotation needs two */
#define SIGNATURE_BASE64_BYTES 44    /* of 32 bytes */

struct envelope {
    const struct json_token *id, *time, *body, *signature; /* borrowed from the parse */
};

static bool find_members(const struct json *json, struct envelope *ret, struct err *err)
{
    const struct {
        const char *name;
        enum json_token_type type;
        const struct json_token **place;
    } members[] = {{"id", JSON_STRING, &ret->id},
                   {"time", JSON_NUMBER, &ret->time},
                   {"body", JSON_STRING, &ret->body},
                   {"signature", JSON_STRING, &ret->signature}};
    const size_t count = sizeof(members) / sizeof(members[0]);

    if (json->tokens[0].type != JSON_OBJECT)
        return err_set(err, ERR_INPUT, "expected an object");
    for (size_t i = 0; i < count; i++) {
        *members[i].place = json_member(json, 0, members[i].name);
        if (*members[i].place == NULL || (*members[i].place)->type != members[i].type)
            return err_set(err, ERR_INPUT, "%s: expected a %s", members[i].name,
                           members[i].type == JSON_STRING ? "string" : "number");
    }
    /* All four are there and nothing is there twice: a ninth token is a fifth member. */
    if (json->count != 1 + 2 * count)
        return err_set(err, ERR_INPUT, "expected id, time, body and signature only");
    return true;
}

static bool check_id(const struct json *json, const struct json_token *token, struct err *err)
{
    char id[EVENT_ID_MAX];
    size_t len = json_string_copy(json, token, NULL);

    if (len == 0 || len > sizeof(id))
        return err_set(err, ERR_INPUT, "id: expected 1 to %d bytes, found %zu", EVENT_ID_MAX, len);
    json_string_copy(json, token, id);
    if (memchr(id, '.', len) != NULL)
        return err_set(err, ERR_INPUT, "id: a '.' is not allowed");
    return address_check_text(id, len, sizeof(id), err) || err_wrap(err, "id");
}

static bool check_time(const struct json *json, const struct json_token *token, int64_t now_ms,
                       int64_t max_age_ms, struct err *err)
{
    int64_t seconds = 0;

    if (token->end - token->start > TIME_MAX_DIGITS)
        return err_set(err, ERR_INPUT, "time: expected seconds since 1970");
    for (uint32_t i = token->start; i < token->end; i++) {
        char c = json->text[i];
        if (c < '0' || c > '9')
            return err_set(err, ERR_INPUT, "time: expected whole seconds since 1970");
        seconds = seconds * 10 + (c - '0');
    }
    if (seconds * 1000 < now_ms - max_age_ms)
        return err_set(err, ERR_INPUT, "time: signed too long ago");
    if (seconds * 1000 > now_ms + AHEAD_MAX_MS)
        return err_set(err, ERR_INPUT, "time: signed more than five minutes in the future");
    return true;
}

/* Whether one of the space-separated "v1,<base64>" is `expected`. */
static bool has_signature(const char *list, size_t len, const uint8_t expected[HASH_BYTES])
{
    const char *end = list + len;
    uint8_t found[SIGNATURE_BASE64_BYTES];
    bool has = false;

    for (const char *at = list; at < end;) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space != NULL ? space : end;
        size_t found_len = 0, text_len = (size_t)(stop - at);
        if (text_len > 3 && text_len <= 3 + SIGNATURE_BASE64_BYTES && memcmp(at, "v1,", 3) == 0 &&
            decode_base64(at + 3, text_len - 3, found, &found_len) && found_len == HASH_BYTES)
            has |= hash_is_equal(found, expected, HASH_BYTES);
        at = stop + 1;
    }
    return has;
}

static bool check_signature(const struct json *json, const struct json_token *token,
                            const struct buffer *content, const struct event_key *keys, size_t key_count,
                            struct err *err)
{
    char list[SIGNATURE_MAX_BYTES];
    size_t len = json_string_copy(json, token, NULL);
    bool matches = false;

    if (len > sizeof(list))
        return err_set(err, ERR_INPUT, "signature: %zu bytes, at most %d are allowed", len,
                       SIGNATURE_MAX_BYTES);
    json_string_copy(json, token, list);
    for (size_t i = 0; i < key_count; i++) {
        uint8_t expected[HASH_BYTES];
        hash_hmac_sha256(keys[i].bytes, keys[i].len, content->data, content->len, expected);
        matches |= has_signature(list, len, expected);
    }
    return matches || err_set(err, ERR_INPUT, "signature: made with none of our keys");
}

/* On true *content is what is signed, "id.time.body", and its last *ret_body_len bytes are the body. */
static bool open_envelope(const struct json *json, const struct event_key *keys, size_t key_count,
                          int64_t now_ms, int64_t max_age_ms, struct buffer *content, size_t *ret_body_len,
                          struct err *err)
{
    struct envelope envelope;

    if (!find_members(json, &envelope, err) || !check_id(json, envelope.id, err) ||
        !check_time(json, envelope.time, now_ms, max_age_ms, err))
        return false;
    json_unescape(json, envelope.id, content);
    buffer_char(content, '.');
    buffer_append(content, json->text + envelope.time->start, envelope.time->end - envelope.time->start);
    buffer_char(content, '.');
    size_t before = content->len;
    json_unescape(json, envelope.body, content);
    if (content->failed)
        return err_set(err, ERR_NOMEM, "out of memory");
    *ret_body_len = content->len - before;
    return check_signature(json, envelope.signature, content, keys, key_count, err);
}

bool event_open_envelope(const char *bytes, size_t len, const struct event_key *keys, size_t key_count,
                         int64_t now_ms, int64_t max_age_ms, char **ret, size_t *ret_len, struct err *err)
{
    struct buffer content;
    struct json json;
    char *body = NULL;
    size_t content_len, body_len = 0;

    if (!json_parse(bytes, len, &json, err))
        return err_wrap(err, "envelope");
    buffer_init(&content, json.len); /* the parts, unescaped, without their names and quotes */
    bool is_open = open_envelope(&json, keys, key_count, now_ms, max_age_ms, &content, &body_len, err);
    if (is_open && !buffer_take(&content, &body, &content_len))
        is_open = err_set(err, ERR_NOMEM, "out of memory");
    if (is_open) {
        memmove(body, body + content_len - body_len, body_len + 1); /* the NUL too */
        *ret = body;
        *ret_len = body_len;
    }
    buffer_done(&content);
    json_done(&json);
    return is_open || err_wrap(err, "envelope");
}
