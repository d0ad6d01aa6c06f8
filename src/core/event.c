/* event.c - the border: everything behind it may trust an event's members, nothing before it may.
 *
 * Runs on the loop thread for every message, so it reads the bytes once and asks for memory twice: tokens and
 * canonical form. */
#include "herald/event.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "herald/address.h"
#include "herald/clock.h"
#include "herald/encode.h"
#include "herald/hash.h"

/* the longest sensible RFC 3339 text has 35: nine digits of fraction and an offset */
#define TIME_MAX_BYTES 40
#define TRACEPARENT_BYTES 55

static void short_hash(const uint8_t hash[HASH_BYTES], char ret[EVENT_EID_CHARS + 1])
{
    encode_hex(hash, EVENT_EID_CHARS / 2, ret);
}

void event_eid(const char *space, const char *id, char ret[EVENT_EID_CHARS + 1])
{
    const struct hash_part parts[] = {{space, strlen(space)}, {id, strlen(id)}};
    uint8_t hash[HASH_BYTES];

    hash_parts(parts, 2, hash);
    short_hash(hash, ret);
}

/* The eid of an event without an id. No id is empty, so this third part keeps the two kinds apart. */
static void anonymous_eid(const char *space, const char *content, char ret[EVENT_EID_CHARS + 1])
{
    const struct hash_part parts[] = {{space, strlen(space)}, {"", 0}, {content, strlen(content)}};
    uint8_t hash[HASH_BYTES];

    hash_parts(parts, 3, hash);
    short_hash(hash, ret);
}

static bool is_integer(const struct json *json, const struct json_token *token)
{
    if (token->type != JSON_NUMBER)
        return false;
    for (uint32_t i = token->start; i < token->end; i++)
        if (strchr(".eE", json->text[i]) != NULL)
            return false;
    return true;
}

/* A string of 1 to EVENT_ID_MAX bytes without controls, or an integer, as text. */
static bool read_id(const struct json *json, const struct json_token *value, const char *name,
                    char ret[EVENT_ID_MAX + 1], struct err *err)
{
    bool is_number = is_integer(json, value);

    if (!is_number && value->type != JSON_STRING)
        return err_set(err, ERR_INPUT, "%s: expected a string or an integer", name);
    size_t len = is_number ? value->end - value->start : json_string_copy(json, value, NULL);
    if (len == 0 || len > EVENT_ID_MAX)
        return err_set(err, ERR_INPUT, "%s: expected 1 to %d bytes, found %zu", name, EVENT_ID_MAX, len);
    if (is_number)
        memcpy(ret, json->text + value->start, len);
    else
        json_string_copy(json, value, ret);
    ret[len] = '\0';
    return address_check_text(ret, len, EVENT_ID_MAX, err) || err_wrap(err, "%s", name);
}

static bool read_identity(const struct json *json, const struct event_rules *rules, struct event *event,
                          struct err *err)
{
    const char *name = rules->id_member != NULL ? rules->id_member : "eventId";
    const struct json_token *value = json_member(json, 0, name);

    if (value == NULL && rules->id_member != NULL)
        return err_set(err, ERR_INPUT, "%s: missing; this source's events are known by it", name);
    if (value == NULL)
        value = json_member(json, 0, name = "orderId");
    if (value != NULL && !read_id(json, value, name, event->id, err))
        return false;
    value = json_member(json, 0, "userId");
    return value == NULL || read_id(json, value, "userId", event->user_id, err);
}

/* *ret stays 0 if there is no such member. */
static bool read_time(const struct json *json, const char *name, int64_t now_ms, int64_t *ret,
                      struct err *err)
{
    const struct json_token *value = json_member(json, 0, name);
    char text[TIME_MAX_BYTES];
    int64_t time_ms;

    if (value == NULL)
        return true;
    size_t len = value->type == JSON_STRING ? json_string_copy(json, value, NULL) : 0;
    if (len > 0 && len <= sizeof(text))
        json_string_copy(json, value, text);
    if (len == 0 || len > sizeof(text) || !clock_parse_rfc3339(text, len, &time_ms))
        return err_set(err, ERR_INPUT, "%s: expected a time such as \"2026-01-01T10:00:00Z\" (RFC 3339)",
                       name);
    if (time_ms > now_ms + EVENT_SEND_AT_MAX_MS)
        return err_set(err, ERR_INPUT, "%s: more than 366 days ahead", name);
    *ret = time_ms > 0 ? time_ms
                       : 1; /* 0 means absent, and an event that expired in 1970 must not live for ever */
    return true;
}

static bool read_times(const struct json *json, int64_t now_ms, struct event *event, struct err *err)
{
    if (!read_time(json, "sendAt", now_ms, &event->send_at_ms, err) ||
        !read_time(json, "expiresAt", now_ms, &event->expires_at_ms, err))
        return false;
    if (event->expires_at_ms != 0 && event->expires_at_ms < event->send_at_ms)
        return err_set(err, ERR_INPUT, "expiresAt: before sendAt");
    return true;
}

static bool is_lower_hex(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") >= len;
}

static bool is_zero(const char *text, size_t len)
{
    return strspn(text, "0") >= len;
}

/* W3C Trace Context, version 00: 00-<32 hex>-<16 hex>-<2 hex>, neither id all zero. */
static bool is_traceparent(const char *text)
{
    return memcmp(text, "00-", 3) == 0 && text[35] == '-' && text[52] == '-' && is_lower_hex(text + 3, 32) &&
           is_lower_hex(text + 36, 16) && is_lower_hex(text + 53, 2) && !is_zero(text + 3, 32) &&
           !is_zero(text + 36, 16);
}

/* As the specification asks, a malformed one is treated as none: tracing must not cost an order its mail. */
static void read_traceparent(const struct json *json, struct event *event)
{
    const struct json_token *value = json_member(json, 0, "traceparent");
    char text[TRACEPARENT_BYTES + 1];

    if (value == NULL || value->type != JSON_STRING ||
        json_string_copy(json, value, NULL) != TRACEPARENT_BYTES)
        return;
    json_string_copy(json, value, text);
    text[TRACEPARENT_BYTES] = '\0';
    if (is_traceparent(text))
        memcpy(event->traceparent, text, sizeof(text));
}

const char *event_trace_id(const char *traceparent, char ret[EVENT_TRACE_ID_CHARS + 1])
{
    const bool has_one = strlen(traceparent) >= 3 + EVENT_TRACE_ID_CHARS;
    snprintf(ret, EVENT_TRACE_ID_CHARS + 1, "%.*s", EVENT_TRACE_ID_CHARS, has_one ? traceparent + 3 : "");
    return ret;
}

static bool read_to(const struct json *json, const struct event_rules *rules, struct event *event,
                    struct err *err)
{
    const struct json_token *value = json_member(json, 0, "to");

    if (value == NULL)
        return true;
    if (!rules->recipient_in_event)
        return err_set(err, ERR_INPUT, "to: this source does not allow a recipient in the event");
    if (!recipient_from_json(json, value, &event->to, err))
        return false;
    event->has_to = true;
    return true;
}

static bool hash_content(const struct json *json, const struct event_rules *rules, struct event *event,
                         struct err *err)
{
    const char *skip[EVENT_MAX_VOLATILE + 2] = {"traceparent"};
    uint8_t hash[HASH_BYTES];
    struct buffer canonical;

    for (size_t i = 0; rules->volatile_members != NULL && rules->volatile_members[i] != NULL; i++) {
        assert(i < EVENT_MAX_VOLATILE);
        skip[i + 1] = rules->volatile_members[i];
    }
    buffer_init(&canonical, json->len);
    buffer_reserve(&canonical, json->len); /* it is never longer, so this is all the memory it takes */
    json_canonical(json, skip, &canonical);
    if (!canonical.failed) {
        hash_sha256(canonical.data, canonical.len, hash);
        short_hash(hash, event->content);
    }
    bool is_hashed =
        !canonical.failed || err_set(err, ERR_NOMEM, "out of memory for the event's canonical form");
    buffer_done(&canonical);
    return is_hashed;
}

static bool read_members(const struct json *json, const struct event_rules *rules, int64_t now_ms,
                         struct event *event, struct err *err)
{
    if (json->tokens[0].type != JSON_OBJECT)
        return err_set(err, ERR_INPUT, "expected an object, found another JSON value");
    if (!read_identity(json, rules, event, err) || !read_times(json, now_ms, event, err) ||
        !read_to(json, rules, event, err) || !hash_content(json, rules, event, err))
        return false;
    read_traceparent(json, event);
    if (event->id[0] != '\0')
        event_eid(rules->space, event->id, event->eid);
    else
        anonymous_eid(rules->space, event->content, event->eid);
    return true;
}

bool event_read(const char *bytes, size_t len, const struct event_rules *rules, int64_t now_ms,
                struct event *ret, struct err *err)
{
    struct event event = {0};
    struct json json;

    if (!json_parse(bytes, len, &json, err))
        return false;
    bool is_read = read_members(&json, rules, now_ms, &event, err);
    json_done(&json);
    if (is_read)
        *ret = event;
    else
        event_done(&event);
    return is_read;
}

void event_done(struct event *event)
{
    if (event->has_to)
        recipient_done(&event->to);
    *event = (struct event){0};
}
