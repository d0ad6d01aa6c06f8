/* sample.c - see sample.h. */
#include "sample.h"

#include <stddef.h>

#include "herald/clock.h"

bool sample_delivery(const struct payload *payload, const struct config *config, struct delivery **ret,
                     struct err *err)
{
    struct buffer text;
    struct delivery *delivery = NULL;
    buffer_init(&text, EVENT_MAX_BYTES * 2);
    payload_write(payload, &text);
    bool is_done = text.failed
                       ? err_set(err, ERR_INPUT, "the event is too large")
                       : delivery_from_payload(text.data, text.len, payload->event->eid, 0, &delivery, err);
    buffer_done(&text);
    if (!is_done)
        return false;
    delivery->accepted_ms = clock_wall_ms();
    delivery->config = config_ref((struct config *)config);
    *ret = delivery;
    return true;
}

void sample_free(struct delivery *delivery)
{
    if (delivery == NULL)
        return;
    config_unref(delivery->config);
    delivery_free(delivery);
}
