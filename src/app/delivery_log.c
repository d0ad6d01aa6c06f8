/* The log lines about deliveries. Loop thread. */
#include "delivery_log.h"

#include <stdio.h>
#include <string.h>

#include "herald/buffer.h"
#include "herald/clock.h"
#include "herald/json.h"

#define NAME_BYTES (EVENT_EID_CHARS + 8)

void delivery_log(enum log_level level, const char *event, const char *message,
                  const struct delivery *delivery, int64_t wait_ms)
{
    char name[NAME_BYTES], masked[LOG_MASKED_BYTES], trace[EVENT_TRACE_ID_CHARS + 1];
    const struct attempt *attempt = &delivery->attempt;
    const char *to = delivery_masked_recipient(delivery, masked);
    snprintf(name, sizeof name, "%s:%u", delivery->eid, delivery->ordinal);
    int64_t took_us = attempt->ended_mono_us - attempt->started_mono_us;
    /* Since the event was read off the socket by us, if it was; else since the attempt began. */
    int64_t since_us = delivery->received_mono_us > 0 && attempt->ended_mono_us > 0
                           ? attempt->ended_mono_us - delivery->received_mono_us
                           : took_us;
    struct log_field none = {.type = LOG_NONE};
    LOG(level, event, message, log_text(LOG_KEY_EVENT_ID, delivery->eid),
        log_text(LOG_KEY_ORDER_ID, delivery->id), log_text(LOG_KEY_NOTIFICATION, delivery->notification),
        log_text(LOG_KEY_SOURCE, delivery->source), log_text(LOG_KEY_DELIVERY, name),
        log_text(LOG_KEY_CHANNEL, channel_name(delivery->channel)),
        log_text(LOG_KEY_PROVIDER, delivery->provider), log_text(LOG_KEY_TO, to),
        log_int(LOG_KEY_ATTEMPT, delivery->attempt_number), log_int(LOG_KEY_MS, since_us / 1000),
        attempt->code != 0 ? log_int(LOG_KEY_CODE, attempt->code) : none,
        log_text(LOG_KEY_REPLY, attempt->reply),
        delivery->outcome.class != OUTCOME_SENT ? log_text(LOG_KEY_REASON, delivery->outcome.reason) : none,
        wait_ms >= 0 ? log_int(LOG_KEY_WAIT_MS, wait_ms) : none,
        log_text(LOG_KEY_TRACE_ID, event_trace_id(delivery->traceparent, trace)));
}

/* The publisher's id out of the payload's meta line. */
static void read_id(const char *meta, char ret[EVENT_ID_MAX + 1])
{
    struct json json;
    struct err err;
    ret[0] = '\0';
    if (meta[0] == '\0' || !json_parse(meta, strlen(meta), &json, &err))
        return;
    const struct json_token *id = json_member(&json, 0, "id");
    if (id != NULL && id->type == JSON_STRING) {
        struct buffer text;
        buffer_init(&text, EVENT_ID_MAX);
        json_unescape(&json, id, &text);
        snprintf(ret, EVENT_ID_MAX + 1, "%s", text.data != NULL && !text.failed ? text.data : "");
        buffer_done(&text);
    }
    json_done(&json);
}

void delivery_log_limited(const struct config_provider *provider, const char *eid, unsigned ordinal,
                          const char *meta, const char *scope, int64_t wait_ms)
{
    char name[NAME_BYTES], id[EVENT_ID_MAX + 1];
    snprintf(name, sizeof name, "%s:%u", eid, ordinal);
    read_id(meta, id);
    LOG(LOG_LEVEL_INFO, "delivery.limited", "a limit makes it wait", log_text(LOG_KEY_EVENT_ID, eid),
        log_text(LOG_KEY_ORDER_ID, id), log_text(LOG_KEY_DELIVERY, name),
        log_text(LOG_KEY_CHANNEL, channel_name(provider->channel)),
        log_text(LOG_KEY_PROVIDER, provider->name), log_text(LOG_KEY_LIMIT, scope),
        log_int(LOG_KEY_REMAINING, 0), log_int(LOG_KEY_WAIT_MS, wait_ms),
        log_int(LOG_KEY_RESET, clock_wall_ms() + wait_ms));
}

void delivery_log_buried(const struct config_provider *provider, const char *eid, unsigned ordinal,
                         const char *meta, const char *reason)
{
    char name[NAME_BYTES], id[EVENT_ID_MAX + 1];
    snprintf(name, sizeof name, "%s:%u", eid, ordinal);
    read_id(meta, id);
    LOG(LOG_LEVEL_WARNING, "delivery.dead", "given up without another attempt",
        log_text(LOG_KEY_EVENT_ID, eid), log_text(LOG_KEY_ORDER_ID, id), log_text(LOG_KEY_DELIVERY, name),
        log_text(LOG_KEY_CHANNEL, channel_name(provider->channel)),
        log_text(LOG_KEY_PROVIDER, provider->name), log_text(LOG_KEY_REASON, reason));
}
