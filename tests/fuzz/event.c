/* event.c - an event from anybody: refused with a reason, or read into something whose parts keep their
 * bounds; the same bytes always have the same identity. The envelope of signed events is tried on the same
 * bytes. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "herald/address.h"
#include "herald/event.h"

#define NOW_MS INT64_C(1767261600000) /* 2026-01-01T10:00:00Z */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check(const struct event *event)
{
    assert(strlen(event->eid) == EVENT_EID_CHARS && strlen(event->content) == EVENT_EID_CHARS);
    assert(strlen(event->id) <= EVENT_ID_MAX && strlen(event->user_id) <= EVENT_ID_MAX);
    assert(event->send_at_ms <= NOW_MS + EVENT_SEND_AT_MAX_MS);
    if (event->has_to && event->to.email != NULL) {
        struct err err;
        if (!address_check(event->to.email, strlen(event->to.email), &err))
            abort();
    }
    assert(event->to.push_count <= RECIPIENT_MAX_PUSH);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const char *const volatile_members[] = {"confirmedAt", NULL};
    static const struct event_rules rules = {
        .space = "order-confirmed", .volatile_members = volatile_members, .recipient_in_event = true};
    static const struct event_key key = {.bytes = "0123456789abcdef", .len = 16};
    const char *text = (const char *)bytes;
    struct err err;

    struct event event = {0}, again = {0};
    if (event_read(text, len, &rules, NOW_MS, &event, &err)) {
        check(&event);
        if (!event_read(text, len, &rules, NOW_MS, &again, &err))
            abort();
        assert(strcmp(event.eid, again.eid) == 0 && strcmp(event.content, again.content) == 0);
        event_done(&again);
        event_done(&event);
    } else {
        assert(err.kind == ERR_INPUT && strlen(err.text) > 0);
    }

    char *body = NULL;
    size_t body_len = 0;
    if (event_open_envelope(text, len, &key, 1, NOW_MS, 3600000, &body, &body_len, &err))
        free(body);
    return 0;
}
