/* check.c - see check.h. */
#include "check.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "herald/client.h"
#include "herald/content.h"
#include "herald/lane.h"
#include "herald/reply.h"
#include "herald/server.h"

bool check_providers(const struct config *config, struct err *err)
{
    for (size_t i = 0; i < config->provider_count; i++)
        if (!lane_check(&config->providers[i], err))
            return false;
    return true;
}

#define DOUBTS_MAX 50 /* lines about templates: more are one mistake, such as a wrong directory */

static void say_doubt(void *arg, const char *path, const char *text)
{
    size_t *said = arg;
    if ((*said)++ < DOUBTS_MAX)
        printf("warning: %s %s\n", path, text);
}

static void doubt_templates(const struct config *config)
{
    const struct content *contents[CONFIG_MAX_SECTIONS];
    size_t said = 0;
    for (size_t i = 0; i < config->notification_count; i++)
        contents[i] = config->notifications[i].content;
    if (config->notification_count > 0)
        content_each_doubt(config->templates, contents, config->notification_count, say_doubt, &said);
    if (said > DOUBTS_MAX)
        printf("warning: and %zu more of these in %s\n", said - DOUBTS_MAX, config->templates);
}

/* An editor leaves it there unseen, and the server only says that the password is wrong. */
static void doubt_password(const char *section, const char *name, const char *password)
{
    size_t len = password != NULL ? strlen(password) : 0;
    if (len > 0 && (password[0] == ' ' || password[len - 1] == ' '))
        printf("warning: [%s%s] its password begins or ends with a space\n", section, name);
}

void check_doubts(const struct config *config)
{
    if (config->source_count == 0)
        puts("warning: there is no [source]: nothing is listened to, and nothing sent");
    for (size_t i = 0; i < config->notification_count; i++) {
        const struct config_notification *notification = &config->notifications[i];
        bool is_made = false;
        for (size_t k = 0; k < config->source_count; k++)
            is_made = is_made || config->sources[k].notification == notification;
        if (!is_made)
            printf("warning: [notification %s] no source makes it\n", notification->name);
    }
    doubt_password("redis", "", config->redis.password);
    for (size_t i = 0; i < config->provider_count; i++)
        doubt_password("provider ", config->providers[i].name, config->providers[i].password);
    doubt_templates(config);
}

static void say_warning(void *arg, const char *topic, const char *text)
{
    (void)arg;
    printf("redis: warning: %s: %s\n", topic, text);
}

static bool ask_redis(struct client *client, struct server *ret, struct err *err)
{
    const struct redisReply *reply;
    size_t len = 0;
    if (!client_run(client, 1, (const char *[]){"INFO"}, NULL, &reply, err))
        return false;
    const char *info = reply_text(reply, &len);
    if (info == NULL)
        return err_set(err, ERR_TRANSIENT, "INFO: no text");
    server_read(info, len, ret);
    if (client_run(client, 3, (const char *[]){"CONFIG", "GET", "client-output-buffer-limit"}, NULL, &reply,
                   err) &&
        (info = reply_text(reply_at(reply, 1), NULL)) != NULL)
        server_read_limits(info, ret);
    return server_is_fit(ret, err);
}

static bool check_redis(const struct config *config)
{
    struct client *client = NULL;
    struct server server = {0};
    struct err err;
    bool is_fit =
        client_open(&config->redis, config->prefix, &client, &err) && ask_redis(client, &server, &err);
    client_close(client);
    if (is_fit) {
        printf("redis: reached, version %d.%d\n", server.version_major, server.version_minor);
        server_each_warning(&server, say_warning, NULL);
    } else {
        printf("redis: FAILED: %s\n", err.text);
    }
    return is_fit;
}

bool check_connections(const struct config *config)
{
    bool are_good = check_redis(config);
    for (size_t i = 0; i < config->provider_count; i++) {
        const struct config_provider *provider = &config->providers[i];
        struct err err;
        bool is_good = lane_probe(provider, &err);
        if (is_good)
            printf("provider %s: %s\n", provider->name,
                   provider->url != NULL ? "reached" : "nobody to connect to");
        else
            printf("%s\n", err.text);
        are_good = are_good && is_good;
    }
    return are_good;
}
