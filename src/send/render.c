/* render.c - from a delivery to the bytes of its mail, push or webhook; see render_delivery in lane.h.
 *
 * What a template sees: the event's members, and three of ours that win over the event's, so that no
 * publisher can pretend to be them: `recipient` {name, email, locale}, `delivery` {key, id, notification,
 * source, channel}, and for a push `device`, the user's record of it. Numbers appear as they were published.
 * The lane's thread; pure but for memory. */
#include "render.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "herald/address.h"
#include "herald/config.h"
#include "herald/content.h"
#include "herald/json.h"
#include "herald/lane.h"
#include "herald/message.h"
#include "herald/template.h"

/* ---- data --------------------------------------------------------------------------------------------- */

struct reader {
    const struct json *json;
    char *text; /* owned: room for the longest string of the document */
};

static struct json_object *value_at(struct reader *reader, const struct json_token *token,
                                    bool *ret_has_memory);

static struct json_object *number(const struct json *json, const struct json_token *token)
{
    char text[64];
    size_t len = token->end - token->start;

    /* With its text beside it json-c writes the text: nothing is rounded, whatever the value became. */
    char *copy = len < sizeof(text) ? text : malloc(len + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, json->text + token->start, len);
    copy[len] = '\0';
    struct json_object *made = json_object_new_double_s(strtod(copy, NULL), copy);
    if (copy != text)
        free(copy);
    return made;
}

static struct json_object *string(struct reader *reader, const struct json_token *token)
{
    if (!token->has_escapes)
        return json_object_new_string_len(reader->json->text + token->start,
                                          (int)(token->end - token->start));
    size_t len = json_string_copy(reader->json, token, reader->text);
    return json_object_new_string_len(reader->text, (int)len); /* at most JSON_MAX_BYTES */
}

static struct json_object *array(struct reader *reader, const struct json_token *token, bool *ret_has_memory)
{
    const struct json_token *tokens = reader->json->tokens;
    struct json_object *made = json_object_new_array();

    for (uint32_t at = (uint32_t)(token - tokens) + 1; made != NULL && *ret_has_memory && at < token->next;
         at = tokens[at].next) {
        struct json_object *item = value_at(reader, &tokens[at], ret_has_memory);
        if (json_object_array_add(made, item) != 0) {
            json_object_put(item);
            *ret_has_memory = false;
        }
    }
    return made;
}

static struct json_object *object(struct reader *reader, const struct json_token *token, bool *ret_has_memory)
{
    const struct json_token *tokens = reader->json->tokens;
    struct json_object *made = json_object_new_object();

    for (uint32_t at = (uint32_t)(token - tokens) + 1; made != NULL && *ret_has_memory && at < token->next;) {
        uint32_t value = tokens[at].next;
        size_t len = json_string_copy(reader->json, &tokens[at], reader->text);
        reader->text[len] = '\0';
        char name[128];
        char *kept = len < sizeof(name) ? memcpy(name, reader->text, len + 1) : strdup(reader->text);
        struct json_object *member = kept == NULL ? NULL : value_at(reader, &tokens[value], ret_has_memory);
        if (kept == NULL || json_object_object_add(made, kept, member) != 0) {
            json_object_put(member);
            *ret_has_memory = false;
        }
        if (kept != name)
            free(kept);
        at = tokens[value].next;
    }
    return made;
}

/* Recursion is bounded by JSON_MAX_DEPTH. NULL is JSON's null, or no memory: then *ret_has_memory turns
 * false. */
static struct json_object *value_at(struct reader *reader, const struct json_token *token,
                                    bool *ret_has_memory)
{
    struct json_object *made = NULL;

    switch (token->type) {
    case JSON_NULL:
        return NULL;
    case JSON_FALSE:
    case JSON_TRUE:
        made = json_object_new_boolean(token->type == JSON_TRUE);
        break;
    case JSON_NUMBER:
        made = number(reader->json, token);
        break;
    case JSON_STRING:
        made = string(reader, token);
        break;
    case JSON_ARRAY:
        made = array(reader, token, ret_has_memory);
        break;
    case JSON_OBJECT:
        made = object(reader, token, ret_has_memory);
        break;
    }
    if (made == NULL)
        *ret_has_memory = false;
    return made;
}

static bool out_of_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "out of memory");
}

/* Not json-c's own parser: it clips integers past 64 bits. */
static bool read_tree(const char *what, const char *text, size_t len, struct json_object **ret,
                      struct err *err)
{
    struct json json = {0};
    bool has_memory = true;

    if (!json_parse(text, len, &json, err))
        return err_wrap(err, "%s", what);
    struct reader reader = {.json = &json, .text = malloc(len + 1)};
    struct json_object *tree = reader.text == NULL ? NULL : value_at(&reader, &json.tokens[0], &has_memory);
    bool is_object = json.tokens[0].type == JSON_OBJECT;
    free(reader.text);
    json_done(&json);
    if (reader.text == NULL || !has_memory || !is_object) {
        json_object_put(tree);
        return is_object ? out_of_memory(err) : err_set(err, ERR_INPUT, "%s: expected an object", what);
    }
    *ret = tree;
    return true;
}

/* Takes the member. */
static bool put(struct json_object *object, const char *name, struct json_object *member)
{
    if (member != NULL && json_object_object_add(object, name, member) == 0)
        return true;
    json_object_put(member);
    return false;
}

static bool put_text(struct json_object *object, const char *name, const char *text)
{
    return text == NULL || text[0] == '\0' || put(object, name, json_object_new_string(text));
}

/* Both go in empty, and are filled where they then are. */
static bool put_ours(struct json_object *data, const struct delivery *delivery)
{
    struct json_object *recipient = json_object_new_object();
    if (!put(data, "recipient", recipient))
        return false;
    struct json_object *self = json_object_new_object();
    if (!put(data, "delivery", self))
        return false;
    return put_text(recipient, "name", delivery->name) && put_text(recipient, "email", delivery->email) &&
           put_text(recipient, "locale", delivery->locale) && put_text(self, "key", delivery->key) &&
           put_text(self, "id", delivery->id) && put_text(self, "notification", delivery->notification) &&
           put_text(self, "source", delivery->source) &&
           put_text(self, "channel", channel_name(delivery->channel));
}

static bool make_data(const struct delivery *delivery, struct json_object **ret, struct err *err)
{
    struct json_object *data = NULL;
    struct json_object *device = NULL;

    if (!read_tree("event", delivery->event, delivery->event_len, &data, err))
        return false;
    if (!put_ours(data, delivery)) {
        json_object_put(data);
        return out_of_memory(err);
    }
    if (delivery->channel == CHANNEL_PUSH) {
        if (!read_tree("device", delivery->device, strlen(delivery->device), &device, err)) {
            json_object_put(data);
            return false;
        }
        if (!put(data, "device", device)) {
            json_object_put(data);
            return out_of_memory(err);
        }
    }
    *ret = data;
    return true;
}

/* ---- mail --------------------------------------------------------------------------------------------- */

struct mail {
    struct buffer subject, text, html;
    bool has_text, has_html;
};

static const struct config_provider *provider_of(const struct delivery *delivery)
{
    return config_provider(delivery->config, delivery->provider);
}

static struct mailbox_address sender_of(const struct delivery *delivery)
{
    const struct config_notification *notification =
        config_notification(delivery->config, delivery->notification);
    const struct config_provider *provider = provider_of(delivery);

    if (notification != NULL && notification->from_address != NULL)
        return (struct mailbox_address){notification->from_name, notification->from_address};
    if (provider != NULL)
        return (struct mailbox_address){provider->from_name, provider->from_address};
    return (struct mailbox_address){NULL, NULL};
}

const char *render_sender(const struct delivery *delivery)
{
    return sender_of(delivery).address;
}

static bool render_parts(const struct delivery *delivery, const struct content *content,
                         struct json_object *data, struct mail *mail, struct err *err)
{
    const char *locale = delivery->locale;

    mail->has_text = content_has_in(content, CONTENT_TEXT, locale);
    mail->has_html = content_has_in(content, CONTENT_HTML, locale);
    if (!mail->has_text && !mail->has_html)
        return err_set(err, ERR_CONFIG, "neither body.txt nor body.html");
    if (!content_render(content, CONTENT_SUBJECT, locale, data, &mail->subject, err))
        return false;
    if (mail->has_text && !content_render(content, CONTENT_TEXT, locale, data, &mail->text, err))
        return false;
    return !mail->has_html || content_render(content, CONTENT_HTML, locale, data, &mail->html, err);
}

static bool write_mail(const struct delivery *delivery, const struct config_notification *notification,
                       const struct mail *mail, struct buffer *ret, struct err *err)
{
    char trace_id[EVENT_TRACE_ID_CHARS + 1];
    struct message message = {
        .from = sender_of(delivery),
        .to = {delivery->name, delivery->email},
        .reply_to = {notification->reply_to_name, notification->reply_to_address},
        .subject = mail->subject.data != NULL ? mail->subject.data : "",
        .text = mail->has_text ? (mail->text.data != NULL ? mail->text.data : "") : NULL,
        .text_len = mail->text.len,
        .html = mail->has_html ? (mail->html.data != NULL ? mail->html.data : "") : NULL,
        .html_len = mail->html.len,
        .date_ms = delivery->accepted_ms, /* not now: a second attempt is the same message */
        .key = delivery->key,
    };

    if (message.from.address == NULL)
        return err_set(err, ERR_CONFIG, "neither it nor provider %s has a from address", delivery->provider);
    message.domain = address_domain(message.from.address);
    if (event_trace_id(delivery->traceparent, trace_id)[0] != '\0')
        message.trace_id = trace_id;
    return message_build(&message, ret, err);
}

static bool render_mail(const struct delivery *delivery, const struct config_notification *notification,
                        struct json_object *data, struct buffer *ret, struct err *err)
{
    struct mail mail = {0};

    buffer_init(&mail.subject, TEMPLATE_MAX_OUTPUT);
    buffer_init(&mail.text, TEMPLATE_MAX_OUTPUT);
    buffer_init(&mail.html, TEMPLATE_MAX_OUTPUT);
    bool is_done = render_parts(delivery, notification->content, data, &mail, err) &&
                   write_mail(delivery, notification, &mail, ret, err);
    buffer_done(&mail.html);
    buffer_done(&mail.text);
    buffer_done(&mail.subject);
    return is_done;
}

/* ---- all ---------------------------------------------------------------------------------------------- */

static bool render_channel(const struct delivery *delivery, const struct config_notification *notification,
                           struct json_object *data, struct buffer *ret, struct err *err)
{
    switch (delivery->channel) {
    case CHANNEL_EMAIL:
        return render_mail(delivery, notification, data, ret, err);
    case CHANNEL_PUSH:
        return content_render(notification->content, CONTENT_PUSH, delivery->locale, data, ret, err);
    case CHANNEL_WEBHOOK:
        /* Without a template of its own a webhook carries the event as it came. */
        if (!content_has_in(notification->content, CONTENT_WEBHOOK, delivery->locale)) {
            buffer_append(ret, delivery->event, delivery->event_len);
            return !ret->failed || err_set(err, ERR_PERMANENT, "the event is too large for a body");
        }
        return content_render(notification->content, CONTENT_WEBHOOK, delivery->locale, data, ret, err);
    case CHANNEL_COUNT:
        break;
    }
    return err_set(err, ERR_CONFIG, "no such channel");
}

bool render_delivery(const struct delivery *delivery, struct buffer *ret, struct err *err)
{
    const struct config_notification *notification =
        config_notification(delivery->config, delivery->notification);
    struct json_object *data = NULL;

    if (notification == NULL || notification->content == NULL)
        return err_set(err, ERR_CONFIG, "notification %s: not configured", delivery->notification);
    bool is_done = make_data(delivery, &data, err);
    if (is_done) {
        is_done = render_channel(delivery, notification, data, ret, err);
        json_object_put(data);
    }
    return is_done || err_wrap(err, "notification %s", delivery->notification);
}
