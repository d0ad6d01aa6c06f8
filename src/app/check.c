/* check.c - see check.h. */
#include "check.h"

#include <stddef.h>
#include <stdio.h>

#include "herald/client.h"
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

static void say_doubt(void *arg, const char *where, const char *text)
{
    (void)arg;
    printf("warning: %s%s%s\n", where, where[0] != '\0' ? " " : "", text);
}

void check_doubts(const struct config *config)
{
    config_each_doubt(config, say_doubt, NULL);
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
