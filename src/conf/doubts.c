/* doubts.c - what no rule forbids and nobody is likely to have meant. See config.h. */
#include <stdio.h>
#include <string.h>

#include "herald/config.h"

#define TEMPLATES_MAX 50 /* about templates: more are one mistake, such as a wrong directory */
#define WHERE_BYTES (CONFIG_MAX_NAME + 32)

struct doubts {
    config_doubt_fn *on_doubt;
    void *arg;
    size_t about_templates;
};

static void on_template(void *arg, const char *path, const char *text)
{
    struct doubts *doubts = arg;
    if (doubts->about_templates++ < TEMPLATES_MAX)
        doubts->on_doubt(doubts->arg, path, text);
}

static void doubt_templates(const struct config *config, struct doubts *doubts)
{
    const struct content *contents[CONFIG_MAX_SECTIONS];
    char text[64];
    for (size_t i = 0; i < config->notification_count; i++)
        contents[i] = config->notifications[i].content;
    if (config->notification_count > 0)
        content_each_doubt(config->templates, contents, config->notification_count, on_template, doubts);
    if (doubts->about_templates <= TEMPLATES_MAX)
        return;
    snprintf(text, sizeof text, "has %zu more of these", doubts->about_templates - TEMPLATES_MAX);
    doubts->on_doubt(doubts->arg, config->templates, text);
}

/* An editor leaves it there unseen, and the server only says that the password is wrong. */
static void doubt_password(const struct doubts *doubts, const char *section, const char *name,
                           const char *password)
{
    size_t len = password != NULL ? strlen(password) : 0;
    char where[WHERE_BYTES];
    if (len == 0 || (password[0] != ' ' && password[len - 1] != ' '))
        return;
    snprintf(where, sizeof where, "[%s%s]", section, name);
    doubts->on_doubt(doubts->arg, where, "its password begins or ends with a space");
}

static void doubt_notification(const struct config *config, const struct config_notification *notification,
                               const struct doubts *doubts)
{
    char where[WHERE_BYTES];
    for (size_t i = 0; i < config->source_count; i++)
        if (config->sources[i].notification == notification)
            return;
    snprintf(where, sizeof where, "[notification %s]", notification->name);
    doubts->on_doubt(doubts->arg, where, "no source makes it");
}

void config_each_doubt(const struct config *config, config_doubt_fn *on_doubt, void *arg)
{
    struct doubts doubts = {.on_doubt = on_doubt, .arg = arg};
    if (config->source_count == 0)
        on_doubt(arg, "", "there is no [source]: nothing is listened to, and nothing sent");
    for (size_t i = 0; i < config->notification_count; i++)
        doubt_notification(config, &config->notifications[i], &doubts);
    doubt_password(&doubts, "redis", "", config->redis.password);
    for (size_t i = 0; i < config->provider_count; i++)
        doubt_password(&doubts, "provider ", config->providers[i].name, config->providers[i].password);
    doubt_templates(config, &doubts);
}
