/* notification.c - what a [notification] and a [source] refer to: providers, templates, the notification an
 * event makes. The thread that loads; blocks on files. */
#include <stdlib.h>
#include <string.h>

#include "load.h"

static bool add_target(const struct loader *loader, const struct section *section,
                       struct config_notification *notification, const char *text, struct err *err)
{
    const struct config *config = loader->config;
    const struct config_provider *first = NULL, *second = NULL;
    size_t channel_len = strcspn(text, ":");
    const char *wanted = text[channel_len] == ':' ? text + channel_len + 1 : NULL;
    enum channel channel = CHANNEL_EMAIL;
    while (strlen(channel_name(channel)) != channel_len ||
           strncmp(text, channel_name(channel), channel_len) != 0)
        channel++; /* value_is_target has seen that it is one */

    for (size_t i = 0; i < notification->target_count; i++) {
        if (notification->targets[i].channel == channel)
            return load_refuse(loader, section, "channels", err, "'%s': %s is there already", text,
                               channel_name(channel));
    }
    if (channel == CHANNEL_PUSH && wanted != NULL)
        return load_refuse(loader, section, "channels", err,
                           "'%s': expected push alone: each device's record names its provider", text);
    for (size_t i = 0; i < config->provider_count; i++) {
        const struct config_provider *provider = &config->providers[i];
        if (provider->channel != channel || (wanted != NULL && strcmp(provider->name, wanted) != 0))
            continue;
        second = first != NULL && second == NULL ? provider : second;
        first = first != NULL ? first : provider;
    }
    if (first == NULL && wanted != NULL)
        return load_refuse(loader, section, "channels", err,
                           "'%s': there is no [provider %s] with channel = %s", text, wanted,
                           channel_name(channel));
    if (first == NULL)
        return load_refuse(loader, section, "channels", err, "'%s': there is no [provider] with channel = %s",
                           text, channel_name(channel));
    if (second != NULL && channel != CHANNEL_PUSH)
        return load_refuse(loader, section, "channels", err,
                           "'%s': expected one by name, such as %s:%s or %s:%s", text, text, first->name,
                           text, second->name);
    notification->targets[notification->target_count++] =
        (struct config_target){channel, channel == CHANNEL_PUSH ? NULL : first};
    return true;
}

/* A mail needs a sender: its notification's, or its provider's. */
static bool check_from(const struct loader *loader, const struct section *section,
                       const struct config_notification *notification, struct err *err)
{
    for (size_t i = 0; i < notification->target_count; i++) {
        const struct config_target *target = &notification->targets[i];
        if (target->channel == CHANNEL_EMAIL && notification->from_address == NULL &&
            target->provider->from_address == NULL)
            return load_refuse(loader, section, "from", err, "required here or in [provider %s]",
                               target->provider->name);
    }
    return true;
}

static bool check_content(const struct loader *loader, const struct section *section,
                          const struct config_notification *notification, struct err *err)
{
    const struct content *content = notification->content;
    const char *missing = NULL;
    for (size_t i = 0; i < notification->target_count; i++) {
        enum channel channel = notification->targets[i].channel;
        if (channel == CHANNEL_EMAIL && !content_has(content, CONTENT_SUBJECT))
            missing = "subject.txt";
        else if (channel == CHANNEL_EMAIL && !content_has(content, CONTENT_TEXT) &&
                 !content_has(content, CONTENT_HTML))
            missing = "body.txt or body.html";
        else if (channel == CHANNEL_PUSH && !content_has(content, CONTENT_PUSH))
            missing = "push.json";
        if (missing != NULL)
            return load_refuse(loader, section, "channels", err, "%s needs %s in %s/%s",
                               channel_name(channel), missing, loader->config->templates, notification->name);
    }
    return true;
}

bool notification_finish(const struct loader *loader, const struct section *section, struct err *err)
{
    struct config_notification *notification = load_base(loader, section);
    if (notification->channels[0] == NULL)
        return load_refuse(loader, section, "channels", err, "required");
    for (size_t i = 0; notification->channels[i] != NULL; i++) {
        if (!add_target(loader, section, notification, notification->channels[i], err))
            return false;
    }
    if (!check_from(loader, section, notification, err))
        return false;
    if (!content_load(loader->config->templates, notification->name, &notification->content, err))
        return load_wrap(loader, section, NULL, err);
    return check_content(loader, section, notification, err);
}

static const char *read_from(const struct config_source *source)
{
    return source->type == SOURCE_STREAM ? source->stream : source->channel;
}

bool source_finish(const struct loader *loader, const struct section *section, struct err *err)
{
    struct config_source *source = load_base(loader, section);
    const struct config *config = loader->config;
    bool is_stream = source->type == SOURCE_STREAM;
    const char *option = is_stream ? "stream" : "channel";
    if (read_from(source) == NULL)
        return load_refuse(loader, section, option, err, "required");
    if (source->channel != NULL && source->stream != NULL)
        return load_refuse(loader, section, is_stream ? "channel" : "stream", err,
                           "not for type = %s: give each its own [source]", is_stream ? "stream" : "pubsub");
    if (source->notification_name == NULL)
        return load_refuse(loader, section, "notification", err, "required");
    source->notification = config_notification(config, source->notification_name);
    if (source->notification == NULL)
        return load_refuse(loader, section, "notification", err, "'%s': there is no [notification %s]",
                           source->notification_name, source->notification_name);
    for (size_t i = 0; i < section->index; i++) {
        const struct config_source *other = &config->sources[i];
        if (other->type == source->type && strcmp(read_from(other), read_from(source)) == 0)
            return load_refuse(loader, section, option, err, "'%s': [source %s] has it already",
                               read_from(source), other->name);
    }
    if (source->space == NULL && (source->space = strdup(source->notification_name)) == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    return true;
}
