/* payload.c - an event's way through Redis and back: written at accept, read again at every claim, perhaps by
 * another version of this program on another machine. So what comes back is outside input too: anybody with
 * Redis access may have written it, and an address from there reaches an SMTP server. The loop thread. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "herald/address.h"
#include "herald/delivery.h"
#include "herald/encode.h"
#include "herald/hash.h"

#define PAYLOAD_VERSION '1'
/* Of any text in a payload but device and event: the longest is a name, RECIPIENT_MAX_NAME. */
#define TEXT_MAX_BYTES 256

/* What tells one recipient of a channel from another. A webhook has one. */
static const char *identity(enum channel channel, const char *email, const char *device)
{
    return channel == CHANNEL_EMAIL ? email : channel == CHANNEL_PUSH ? device : "";
}

void payload_scope(enum channel channel, const char *user_id, const char *recipient,
                   char ret[PAYLOAD_SCOPE_CHARS + 1])
{
    const char *name = channel_name(channel);
    const char *who = user_id[0] != '\0' ? user_id : recipient;
    const struct hash_part parts[] = {{name, strlen(name)}, {who, strlen(who)}};
    uint8_t hash[HASH_BYTES];

    hash_parts(parts, 2, hash);
    encode_hex(hash, PAYLOAD_SCOPE_CHARS / 2, ret);
}

/* Writes ',"name":"text"', unless there is no text. */
static void write_member(const char *name, const char *text, struct buffer *ret)
{
    if (text == NULL || text[0] == '\0')
        return;
    buffer_printf(ret, ",\"%s\":\"", name);
    json_escape(text, strlen(text), ret);
    buffer_char(ret, '"');
}

static void write_target(const struct payload *payload, const struct payload_target *target,
                         struct buffer *ret)
{
    assert((target->channel == CHANNEL_EMAIL) == (target->email != NULL));
    assert((target->channel == CHANNEL_PUSH) == (target->device != NULL));
    char scope[PAYLOAD_SCOPE_CHARS + 1];
    payload_scope(target->channel, payload->event->user_id,
                  identity(target->channel, target->email, target->device), scope);
    buffer_text(ret, scope);
    buffer_printf(ret, " {\"channel\":\"%s\"", channel_name(target->channel));
    write_member("provider", target->provider, ret);
    write_member("email", target->email, ret);
    write_member("name", payload->name, ret);
    write_member("locale", payload->locale, ret);
    if (target->device != NULL) {
        buffer_text(ret, ",\"device\":");
        buffer_text(ret, target->device); /* canonical, so it holds no line break */
    }
    buffer_text(ret, "}\n");
}

void payload_write(const struct payload *payload, struct buffer *ret)
{
    const struct event *event = payload->event;

    assert(payload->target_count >= 1 && payload->target_count <= DELIVERY_MAX_PER_EVENT);
    assert(strpbrk(payload->notification, " \n") == NULL && strpbrk(payload->source, " \n") == NULL);
    buffer_printf(ret, "%c %s %s %zu %lld %lld\n", PAYLOAD_VERSION, payload->notification, payload->source,
                  payload->target_count, (long long)event->send_at_ms, (long long)event->expires_at_ms);
    for (size_t i = 0; i < payload->target_count; i++)
        write_target(payload, &payload->targets[i], ret);
    /* The id first and always, so that the others begin with a comma. */
    buffer_text(ret, "{\"id\":\"");
    json_escape(event->id, strlen(event->id), ret);
    buffer_char(ret, '"');
    write_member("userId", event->user_id, ret);
    write_member("traceparent", event->traceparent, ret);
    buffer_text(ret, "}\n");
    buffer_append(ret, payload->bytes, payload->bytes_len);
}

/* A piece of the text that is read: not terminated. */
struct slice {
    const char *at;
    size_t len;
};

/* Everything up to the next `stop`, which is passed over; false if there is none. */
static bool take_until(struct slice *rest, char stop, struct slice *ret)
{
    const char *end = rest->len > 0 ? memchr(rest->at, stop, rest->len) : NULL;

    if (end == NULL)
        return false;
    *ret = (struct slice){rest->at, (size_t)(end - rest->at)};
    *rest = (struct slice){end + 1, rest->len - ret->len - 1};
    return true;
}

/* Decimal digits, at most 18 of them, so that no int64_t overflows. */
static bool read_number(struct slice text, int64_t *ret)
{
    int64_t number = 0;

    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        number = number * 10 + (text.at[i] - '0');
    }
    *ret = number;
    return true;
}

static bool is_name(struct slice text)
{
    struct err ignored;

    return text.len > 0 && address_check_text(text.at, text.len, TEXT_MAX_BYTES, &ignored);
}

struct header {
    struct slice notification, source;
    int64_t count, send_at_ms, expires_at_ms;
};

static bool read_header(struct slice line, struct header *ret)
{
    struct slice version, count, send_at;

    return take_until(&line, ' ', &version) && version.len == 1 && version.at[0] == PAYLOAD_VERSION &&
           take_until(&line, ' ', &ret->notification) && is_name(ret->notification) &&
           take_until(&line, ' ', &ret->source) && is_name(ret->source) && take_until(&line, ' ', &count) &&
           read_number(count, &ret->count) && ret->count >= 1 && ret->count <= DELIVERY_MAX_PER_EVENT &&
           take_until(&line, ' ', &send_at) && read_number(send_at, &ret->send_at_ms) &&
           read_number(line, &ret->expires_at_ms);
}

/* The three lines one delivery is made of, and the event: pieces of `all`. */
struct parts {
    struct slice all;
    struct header header;
    struct slice target, identity, event;
};

static bool cut(struct slice rest, unsigned ordinal, struct parts *ret, struct err *err)
{
    struct slice line, scope;

    if (!take_until(&rest, '\n', &line) || !read_header(line, &ret->header))
        return err_set(err, ERR_INPUT, "payload: damaged first line");
    if (ordinal >= ret->header.count)
        return err_set(err, ERR_INPUT, "payload: no delivery %u of %lld", ordinal,
                       (long long)ret->header.count);
    for (unsigned i = 0; i < ret->header.count; i++) {
        if (!take_until(&rest, '\n', &line))
            return err_set(err, ERR_INPUT, "payload: ends before delivery %u", i);
        if (i != ordinal)
            continue;
        if (!take_until(&line, ' ', &scope) || scope.len != PAYLOAD_SCOPE_CHARS)
            return err_set(err, ERR_INPUT, "payload: delivery %u has no recipient scope", i);
        ret->target = line;
    }
    if (!take_until(&rest, '\n', &ret->identity))
        return err_set(err, ERR_INPUT, "payload: ends before the identity");
    if (rest.len == 0 || rest.len > EVENT_MAX_BYTES)
        return err_set(err, ERR_INPUT, "payload: an event of %zu bytes", rest.len);
    ret->event = rest;
    return true;
}

/* A text member of a parsed line, on its way into a field of the delivery. */
static const struct text_field {
    const char *member;
    size_t field;     /* offset in struct delivery */
    bool is_identity; /* which of the two lines */
} text_fields[] = {
    {"provider", offsetof(struct delivery, provider), false},
    {"email", offsetof(struct delivery, email), false},
    {"name", offsetof(struct delivery, name), false},
    {"locale", offsetof(struct delivery, locale), false},
    {"id", offsetof(struct delivery, id), true},
    {"userId", offsetof(struct delivery, user_id), true},
    {"traceparent", offsetof(struct delivery, traceparent), true},
};

#define TEXT_FIELDS (sizeof(text_fields) / sizeof(text_fields[0]))

struct lines {
    struct json target, identity;
    const struct json_token *texts[TEXT_FIELDS]; /* NULL: absent */
    const struct json_token *device;             /* NULL: absent */
    enum channel channel;
};

static bool find_channel(struct lines *lines, struct err *err)
{
    const struct json_token *value = json_member(&lines->target, 0, "channel");

    for (enum channel channel = 0; channel < CHANNEL_COUNT; channel++) {
        if (value != NULL && value->type == JSON_STRING &&
            json_string_is(&lines->target, value, channel_name(channel))) {
            lines->channel = channel;
            return true;
        }
    }
    return err_set(err, ERR_INPUT, "channel: expected email, push or webhook");
}

/* Finds what a delivery is made of, and adds up its bytes. Members it does not know are a later version's. */
static bool find_fields(struct lines *lines, size_t *bytes, struct err *err)
{
    for (size_t i = 0; i < TEXT_FIELDS; i++) {
        const struct json *json = text_fields[i].is_identity ? &lines->identity : &lines->target;
        const struct json_token *value = json_member(json, 0, text_fields[i].member);
        if (value != NULL && value->type != JSON_STRING)
            return err_set(err, ERR_INPUT, "%s: expected a string", text_fields[i].member);
        lines->texts[i] = value;
        *bytes += 1 + (value != NULL ? json_string_copy(json, value, NULL) : 0);
    }
    if (!find_channel(lines, err))
        return false;
    lines->device = json_member(&lines->target, 0, "device");
    if (lines->device != NULL && lines->device->type != JSON_OBJECT)
        return err_set(err, ERR_INPUT, "device: expected an object");
    *bytes += 1 + (lines->device != NULL ? lines->device->end - lines->device->start : 0);
    if ((lines->channel == CHANNEL_PUSH) != (lines->device != NULL))
        return err_set(err, ERR_INPUT, "device: expected for push, and for push only");
    return true;
}

/* Copies to *at, which moves behind the NUL, and returns the copy. */
static const char *put(char **at, struct slice text)
{
    char *copy = *at;

    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

/* The delivery's bytes have room for all. */
static void fill(const struct parts *parts, const struct lines *lines, struct delivery *delivery)
{
    char *at = delivery->bytes;

    for (size_t i = 0; i < TEXT_FIELDS; i++) {
        const struct json *json = text_fields[i].is_identity ? &lines->identity : &lines->target;
        *(const char **)((char *)delivery + text_fields[i].field) = at;
        if (lines->texts[i] != NULL)
            at += json_string_copy(json, lines->texts[i], at);
        *at++ = '\0';
    }
    struct slice device = {"", 0};
    if (lines->device != NULL)
        device = (struct slice){lines->target.text + lines->device->start,
                                lines->device->end - lines->device->start};
    delivery->device = put(&at, device);
    delivery->notification = put(&at, parts->header.notification);
    delivery->source = put(&at, parts->header.source);
    delivery->payload = put(&at, parts->all);
    delivery->payload_len = parts->all.len;
    delivery->event = delivery->payload + (parts->event.at - parts->all.at);
    delivery->event_len = parts->event.len;
    delivery->channel = lines->channel;
    delivery->send_at_ms = parts->header.send_at_ms;
    delivery->expires_at_ms = parts->header.expires_at_ms;
    assert(at == delivery->bytes + delivery->bytes_len);
}

/* What goes into headers and to servers is checked again: see above. */
static bool check_fields(const struct delivery *delivery, struct err *err)
{
    for (size_t i = 0; i < TEXT_FIELDS; i++) {
        const char *text = *(const char *const *)((const char *)delivery + text_fields[i].field);
        if (!address_check_text(text, strlen(text), TEXT_MAX_BYTES, err))
            return err_wrap(err, "%s", text_fields[i].member);
    }
    if (delivery->channel == CHANNEL_EMAIL)
        return address_check(delivery->email, strlen(delivery->email), err) || err_wrap(err, "email");
    return delivery->email[0] == '\0' || err_set(err, ERR_INPUT, "email: expected for email only");
}

static void derive_key(struct delivery *delivery)
{
    const char *channel = channel_name(delivery->channel);
    const char *who = identity(delivery->channel, delivery->email, delivery->device);
    const struct hash_part parts[] = {
        {delivery->eid, strlen(delivery->eid)}, {channel, strlen(channel)}, {who, strlen(who)}};
    uint8_t hash[HASH_BYTES];

    hash_parts(parts, 3, hash);
    encode_hex(hash, DELIVERY_KEY_CHARS / 2, delivery->key);
}

/* NULL and *err if it can't be made. */
static struct delivery *make(const struct parts *parts, struct lines *lines, struct err *err)
{
    size_t bytes = parts->header.notification.len + 1 + parts->header.source.len + 1 + parts->all.len + 1;

    if (!find_fields(lines, &bytes, err))
        return NULL;
    struct delivery *delivery = calloc(1, sizeof(*delivery) + bytes);
    if (delivery == NULL) {
        err_set(err, ERR_NOMEM, "out of memory for a delivery of %zu bytes", bytes);
        return NULL;
    }
    atomic_init(&delivery->lease_until_ms, 0);
    delivery->bytes_len = bytes;
    fill(parts, lines, delivery);
    if (!check_fields(delivery, err)) {
        delivery_free(delivery);
        return NULL;
    }
    return delivery;
}

static struct delivery *read_lines(const struct parts *parts, struct err *err)
{
    struct lines lines = {0};
    struct delivery *delivery = NULL;

    if (json_parse(parts->target.at, parts->target.len, &lines.target, err) &&
        json_parse(parts->identity.at, parts->identity.len, &lines.identity, err))
        delivery = make(parts, &lines, err);
    json_done(&lines.target);
    json_done(&lines.identity);
    return delivery;
}

bool delivery_from_payload(const char *payload, size_t len, const char *eid, unsigned ordinal,
                           struct delivery **ret, struct err *err)
{
    struct parts parts = {0};

    if (strspn(eid, "0123456789abcdef") != EVENT_EID_CHARS || eid[EVENT_EID_CHARS] != '\0')
        return err_set(err, ERR_INPUT, "payload: expected an eid of %d hexadecimal digits", EVENT_EID_CHARS);
    parts.all = (struct slice){payload, len};
    if (!cut(parts.all, ordinal, &parts, err))
        return false;
    struct delivery *delivery = read_lines(&parts, err);
    if (delivery == NULL)
        return err_wrap(err, "payload: delivery %u", ordinal);
    memcpy(delivery->eid, eid, EVENT_EID_CHARS + 1);
    delivery->ordinal = ordinal;
    derive_key(delivery);
    *ret = delivery;
    return true;
}
