/* delivery.c - the channels by name, and a delivery's end. Its beginning is in payload.c. Any thread. */
#include "herald/delivery.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const channel_names[CHANNEL_COUNT] = {
    [CHANNEL_EMAIL] = "email", [CHANNEL_PUSH] = "push", [CHANNEL_WEBHOOK] = "webhook"};

const char *channel_name(enum channel channel)
{
    assert(channel < CHANNEL_COUNT);
    return channel_names[channel];
}

bool channel_parse(const char *name, enum channel *ret)
{
    for (enum channel channel = 0; channel < CHANNEL_COUNT; channel++) {
        if (strcmp(name, channel_names[channel]) == 0) {
            *ret = channel;
            return true;
        }
    }
    return false;
}

void delivery_free(struct delivery *delivery)
{
    free(delivery);
}
