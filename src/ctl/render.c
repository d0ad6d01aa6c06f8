/* heraldctl render: what would be sent for an event, without sending it. Uses the daemon's own path from
 * bytes to message. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "herald/clock.h"
#include "herald/event.h"
#include "herald/lane.h"
#include "sample.h"

static bool read_file(const char *path, struct buffer *ret, struct err *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (file == NULL)
        return err_set(err, ERR_CONFIG, "%s: can't be opened", path);
    char *room;
    size_t got;
    do {
        room = buffer_reserve(ret, 4096);
        got = room != NULL ? fread(room, 1, 4096, file) : 0;
        ret->len += got;
    } while (got > 0);
    if (file != stdin)
        fclose(file);
    return !ret->failed || err_set(err, ERR_CONFIG, "%s: too large", path);
}

/* A recipient to look at, where the event names none itself. */
static void fill_sample(struct recipient *recipient)
{
    if (recipient->email == NULL)
        recipient->email = strdup("ada@example.org");
    if (recipient->name == NULL)
        recipient->name = strdup("Ada Example");
}

static bool render_target(const struct config_notification *notification, const struct config_target *target,
                          const struct config *config, const struct event *event, const struct buffer *bytes,
                          struct err *err)
{
    const struct recipient *recipient = &event->to;
    const struct config_provider *provider = target->provider;
    for (size_t i = 0; provider == NULL && i < config->provider_count; i++)
        if (config->providers[i].channel == target->channel)
            provider = &config->providers[i];
    if (provider == NULL)
        return err_set(err, ERR_CONFIG, "no provider serves %s", channel_name(target->channel));
    const struct payload_target one = {
        .channel = target->channel,
        .provider = provider->name,
        .email = target->channel == CHANNEL_EMAIL ? recipient->email : NULL,
        .device = target->channel != CHANNEL_PUSH ? NULL
                  : recipient->push_count > 0     ? recipient->push[0].device
                                                  : "{\"provider\":\"sample\",\"token\":\"sample-token\"}",
    };
    const struct payload payload = {.notification = notification->name,
                                    .source = "-",
                                    .event = event,
                                    .name = recipient->name,
                                    .locale = recipient->locale,
                                    .targets = &one,
                                    .target_count = 1,
                                    .bytes = bytes->data,
                                    .bytes_len = bytes->len};
    struct buffer out;
    struct delivery *delivery = NULL;
    buffer_init(&out, 8 * 1024 * 1024); /* a message of the largest parts, encoded */
    bool is_done = sample_delivery(&payload, config, &delivery, err) && render_delivery(delivery, &out, err);
    if (!is_done && err->kind == ERR_CONFIG)
        err->kind = ERR_PERMANENT; /* a template's fault, not the command line's */
    if (is_done)
        printf("%s%s", out.data, out.len > 0 && out.data[out.len - 1] == '\n' ? "" : "\n");
    sample_free(delivery);
    buffer_done(&out);
    return is_done;
}

bool command_render(const struct context *context, int argc, char **argv, struct err *err)
{
    if (argc < 2 || argc > 3)
        return err_set(err, ERR_CONFIG, "render needs NOTIFICATION EVENT.json [CHANNEL]");
    const struct config_notification *notification = config_notification(context->config, argv[0]);
    if (notification == NULL)
        return err_set(err, ERR_CONFIG, "no notification '%s' is configured", argv[0]);
    size_t wanted = 0;
    for (size_t i = 0; i < notification->target_count; i++)
        wanted += argc == 2 || strcmp(argv[2], channel_name(notification->targets[i].channel)) == 0;
    if (wanted == 0)
        return err_set(err, ERR_CONFIG, "'%s': notification '%s' is not sent that way", argv[2], argv[0]);
    struct buffer bytes;
    struct event event = {0};
    const struct event_rules rules = {.space = notification->name, .recipient_in_event = true};
    buffer_init(&bytes, EVENT_MAX_BYTES + 1);
    bool is_done =
        read_file(argv[1], &bytes, err) &&
        event_read(bytes.data != NULL ? bytes.data : "", bytes.len, &rules, clock_wall_ms(), &event, err);
    if (is_done)
        fill_sample(&event.to);
    for (size_t i = 0; is_done && i < notification->target_count; i++) {
        const struct config_target *target = &notification->targets[i];
        if (argc == 3 && strcmp(argv[2], channel_name(target->channel)) != 0)
            continue;
        is_done = render_target(notification, target, context->config, &event, &bytes, err);
    }
    /* fill_sample filled in the event's own recipient, whether it had one or not. */
    event.has_to = true;
    event_done(&event);
    buffer_done(&bytes);
    return is_done;
}
