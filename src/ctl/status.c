/* heraldctl status: who is there, and what waits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "herald/clock.h"
#include "herald/reply.h"

#define FRESH_MS 20000 /* a heartbeat comes every five seconds */

static bool count_of(const struct context *context, const char *suffix, long long *ret, struct err *err)
{
    char key[CLIENT_KEY_BYTES];
    const struct redisReply *reply;
    if (!client_run(context->client, 2, (const char *[]){"ZCARD", client_key(context->client, suffix, key)},
                    NULL, &reply, err))
        return false;
    *ret = reply_number(reply);
    return true;
}

/* Each instance's own words, written with its heartbeat: already JSON. */
static bool print_instances(const struct context *context, struct err *err)
{
    char key[CLIENT_KEY_BYTES];
    const struct redisReply *reply;
    if (!client_run(context->client, 2,
                    (const char *[]){"HGETALL", client_key(context->client, "status", key)}, NULL, &reply,
                    err))
        return false;
    if (context->is_json)
        printf("\"instances\":{");
    for (size_t i = 0; i + 1 < reply_count(reply); i += 2) {
        const char *name = reply_text(reply_at(reply, i), NULL),
                   *text = reply_text(reply_at(reply, i + 1), NULL);
        if (context->is_json) {
            printf("%s\"%s\":%s", i > 0 ? "," : "", name, text);
            continue;
        }
        const char *at = strstr(text, "\"at\":");
        int64_t age_ms = at != NULL ? clock_wall_ms() - strtoll(at + 5, NULL, 10) : 0;
        printf("instance %s: %s (%lld s ago)\n  %s\n", name, age_ms < FRESH_MS ? "alive" : "silent",
               (long long)(age_ms / 1000), text);
    }
    if (context->is_json)
        printf("},");
    return true;
}

static bool print_lanes(const struct context *context, struct err *err)
{
    const struct config *config = context->config;
    if (context->is_json)
        printf("\"lanes\":{");
    for (size_t i = 0; i < config->provider_count; i++) {
        long long due, again;
        char suffix[64];
        snprintf(suffix, sizeof suffix, "due:%s", config->providers[i].name);
        if (!count_of(context, suffix, &due, err))
            return false;
        snprintf(suffix, sizeof suffix, "again:%s", config->providers[i].name);
        if (!count_of(context, suffix, &again, err))
            return false;
        if (context->is_json)
            printf("%s\"%s\":{\"due\":%lld,\"again\":%lld}", i > 0 ? "," : "", config->providers[i].name, due,
                   again);
        else
            printf("lane %-20s new %-8lld again %lld\n", config->providers[i].name, due, again);
    }
    if (context->is_json)
        printf("},");
    return true;
}

bool command_status(const struct context *context, int argc, char **argv, struct err *err)
{
    static const char *const names[] = {"lease", "dead", "unknown"};
    static const char *const labels[] = {"leased", "dead", "unknown"};
    (void)argv;
    if (argc != 0)
        return err_set(err, ERR_CONFIG, "status takes no arguments");
    if (context->is_json)
        putchar('{');
    if (!print_instances(context, err) || !print_lanes(context, err))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        long long count;
        if (!count_of(context, names[i], &count, err))
            return false;
        if (context->is_json)
            printf("%s\"%s\":%lld", i > 0 ? "," : "", labels[i], count);
        else
            printf("%s %lld%s", labels[i], count, i < 2 ? "  " : "\n");
    }
    if (context->is_json)
        puts("}");
    return true;
}
