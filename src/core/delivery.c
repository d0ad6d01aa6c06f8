/* delivery.c - the channels by name, and a delivery's end. Its beginning is in payload.c. Any thread. */
#include "herald/delivery.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/json.h"

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

/* A device is known by its token, or a Web Push subscription by its endpoint. */
static void read_token(const char *device, char *ret, size_t room)
{
    struct json json;
    struct err err;
    ret[0] = '\0';
    if (!json_parse(device, strlen(device), &json, &err))
        return;
    const struct json_token *token = json_member(&json, 0, "token");
    if (token == NULL)
        token = json_member(&json, 0, "endpoint");
    if (token != NULL && token->type == JSON_STRING)
        snprintf(ret, room, "%.*s", (int)(token->end - token->start), device + token->start);
    json_done(&json);
}

const char *delivery_masked_recipient(const struct delivery *delivery, char ret[LOG_MASKED_BYTES])
{
    char token[64];
    if (delivery->channel == CHANNEL_EMAIL)
        return log_mask(delivery->email, ret);
    read_token(delivery->device, token, sizeof token);
    ret[0] = '\0';
    return token[0] != '\0' ? log_mask(token, ret) : ret;
}
