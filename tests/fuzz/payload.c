/* payload.c - what comes back from Redis at a claim, where anybody may have written: it is refused, or made
 * into a delivery whose texts are fit for servers and headers. And what we write ourselves comes back the
 * same. The input is tried as a payload, and as an event that becomes one. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "herald/address.h"
#include "herald/delivery.h"

#define NOW_MS INT64_C(1767261600000)
#define EID "0123456789abcdef01234567"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_text(const struct delivery *delivery, const char *text)
{
    struct err err;
    assert(text >= delivery->bytes && text + strlen(text) < delivery->bytes + delivery->bytes_len);
    if (!address_check_text(text, strlen(text), 256, &err))
        abort();
}

static void check(const struct delivery *delivery, const char *payload, size_t len)
{
    struct err err;
    char masked[LOG_MASKED_BYTES];
    const char *const texts[] = {delivery->notification, delivery->provider, delivery->source,
                                 delivery->id,           delivery->user_id,  delivery->email,
                                 delivery->name,         delivery->locale,   delivery->traceparent};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_text(delivery, texts[i]);
    assert(strpbrk(delivery->notification, " \n") == NULL && strpbrk(delivery->source, " \n") == NULL);
    assert(strlen(delivery->key) == DELIVERY_KEY_CHARS && strcmp(delivery->eid, EID) == 0);
    assert(delivery->channel < CHANNEL_COUNT && delivery->send_at_ms >= 0 && delivery->expires_at_ms >= 0);
    assert((delivery->channel == CHANNEL_EMAIL) == (delivery->email[0] != '\0'));
    if (delivery->channel == CHANNEL_EMAIL && !address_check(delivery->email, strlen(delivery->email), &err))
        abort();
    assert((delivery->channel == CHANNEL_PUSH) == (delivery->device[0] == '{'));
    assert(delivery->payload_len == len && memcmp(delivery->payload, payload, len) == 0);
    assert(delivery->event_len >= 1 && delivery->event_len <= EVENT_MAX_BYTES);
    assert(delivery->event + delivery->event_len == delivery->payload + len);
    const char *shown = delivery_masked_recipient(delivery, masked);
    /* One that looks masked already may stay as it is. */
    assert(strlen(delivery->email) < 6 || strstr(delivery->email, "***") != NULL ||
           strcmp(shown, delivery->email) != 0);
}

static void read_all(const char *payload, size_t len)
{
    for (unsigned ordinal = 0; ordinal < 3; ordinal++) {
        struct delivery *delivery = NULL;
        struct err err = {0};
        if (delivery_from_payload(payload, len, EID, ordinal, &delivery, &err)) {
            check(delivery, payload, len);
            assert(delivery->ordinal == ordinal);
            delivery_free(delivery);
        } else {
            assert(delivery == NULL && err.kind == ERR_INPUT && strncmp(err.text, "payload: ", 9) == 0);
        }
    }
}

static size_t choose_targets(const struct event *event, struct payload_target ret[DELIVERY_MAX_PER_EVENT])
{
    size_t count = 0;
    ret[count++] = (struct payload_target){.channel = CHANNEL_WEBHOOK, .provider = "hook"};
    if (event->has_to && event->to.email != NULL)
        ret[count++] = (struct payload_target){
            .channel = CHANNEL_EMAIL, .provider = "smtp-main", .email = event->to.email};
    for (size_t i = 0; event->has_to && i < event->to.push_count; i++)
        ret[count++] = (struct payload_target){.channel = CHANNEL_PUSH,
                                               .provider = event->to.push[i].provider,
                                               .device = event->to.push[i].device};
    return count;
}

static const char *or_none(const char *text)
{
    return text != NULL ? text : "";
}

static void check_round_trip(const struct event *event, const char *bytes, size_t len)
{
    struct payload_target targets[DELIVERY_MAX_PER_EVENT];
    struct payload payload = {.notification = "order-confirmed",
                              .source = "orders",
                              .event = event,
                              .name = event->has_to ? event->to.name : NULL,
                              .locale = event->has_to ? event->to.locale : NULL,
                              .targets = targets,
                              .target_count = choose_targets(event, targets),
                              .bytes = bytes,
                              .bytes_len = len};
    struct buffer written;
    buffer_init(&written, 4 * EVENT_MAX_BYTES);
    payload_write(&payload, &written);
    assert(!written.failed);
    for (unsigned i = 0; i < payload.target_count; i++) {
        struct delivery *delivery = NULL;
        struct err err;
        if (!delivery_from_payload(written.data, written.len, EID, i, &delivery, &err))
            abort();
        check(delivery, written.data, written.len);
        assert(delivery->channel == targets[i].channel &&
               strcmp(delivery->provider, targets[i].provider) == 0);
        assert(strcmp(delivery->email, or_none(targets[i].email)) == 0);
        assert(strcmp(delivery->device, or_none(targets[i].device)) == 0);
        assert(strcmp(delivery->name, or_none(payload.name)) == 0);
        assert(strcmp(delivery->locale, or_none(payload.locale)) == 0);
        assert(strcmp(delivery->id, event->id) == 0 && strcmp(delivery->user_id, event->user_id) == 0);
        assert(delivery->send_at_ms == event->send_at_ms && delivery->expires_at_ms == event->expires_at_ms);
        assert(delivery->event_len == len && memcmp(delivery->event, bytes, len) == 0);
        delivery_free(delivery);
    }
    buffer_done(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const struct event_rules rules = {.space = "order-confirmed", .recipient_in_event = true};
    const char *text = (const char *)bytes;
    struct event event = {0};
    struct err err;
    read_all(text, len);
    if (event_read(text, len, &rules, NOW_MS, &event, &err)) {
        check_round_trip(&event, text, len);
        event_done(&event);
    }
    return 0;
}
