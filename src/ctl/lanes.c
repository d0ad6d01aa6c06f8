/* lanes.c - see lanes.h. */
#include "lanes.h"

#include <stdio.h>
#include <string.h>

#include "herald/reply.h"
#include "scan.h"

#define HEAD 4 /* of depth.lua's reply: now, dead, unknown, leased */
#define PER_LANE 6

static bool add_lane(struct lanes *lanes, const char *name, bool is_configured, struct err *err)
{
    for (size_t i = 0; i < lanes->count; i++)
        if (strcmp(lanes->lanes[i].name, name) == 0)
            return true;
    if (lanes->count == LANES_MAX)
        return err_set(err, ERR_PERMANENT, "more than %d lanes in Redis: heraldctl fsck says what they hold",
                       LANES_MAX);
    struct lane_depth *lane = &lanes->lanes[lanes->count++];
    lane->is_configured = is_configured;
    snprintf(lane->name, sizeof lane->name, "%s", name);
    return true;
}

/* "due:mail", "again:mail". */
static bool on_indexes(void *arg, const char *const *names, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(strchr(names[i], ':') + 1) <= CONFIG_MAX_NAME &&
            !add_lane(arg, strchr(names[i], ':') + 1, false, err))
            return false;
    return true;
}

static bool find(const struct context *context, struct lanes *ret, struct err *err)
{
    for (size_t i = 0; i < context->config->provider_count; i++)
        if (!add_lane(ret, context->config->providers[i].name, true, err))
            return false;
    return scan_keys(context->client, "due:", on_indexes, ret, err) &&
           scan_keys(context->client, "again:", on_indexes, ret, err);
}

static bool measure(struct client *client, struct lanes *ret, struct err *err)
{
    const char *names[LANES_MAX];
    const struct redisReply *reply;
    for (size_t i = 0; i < ret->count; i++)
        names[i] = ret->lanes[i].name;
    if (!client_script(client, "depth", (int)ret->count, names, &reply, err))
        return false;
    ret->now_ms = reply_number(reply_at(reply, 0));
    ret->dead = reply_number(reply_at(reply, 1));
    ret->unknown = reply_number(reply_at(reply, 2));
    ret->leased = reply_number(reply_at(reply, 3));
    for (size_t i = 0; i < ret->count; i++) {
        struct lane_depth *lane = &ret->lanes[i];
        int64_t *const figures[PER_LANE] = {&lane->due,         &lane->due_later, &lane->again,
                                            &lane->again_later, &lane->oldest_ms, &lane->paused_ms};
        for (size_t j = 0; j < PER_LANE; j++)
            *figures[j] = reply_number(reply_at(reply, HEAD + PER_LANE * i + j));
    }
    return true;
}

bool lanes_read(const struct context *context, struct lanes *ret, struct err *err)
{
    *ret = (struct lanes){0};
    return find(context, ret, err) && measure(context->client, ret, err);
}

bool lanes_read_one(const struct context *context, const char *name, struct lanes *ret, struct err *err)
{
    *ret = (struct lanes){0};
    return add_lane(ret, name, config_provider(context->config, name) != NULL, err) &&
           measure(context->client, ret, err);
}
