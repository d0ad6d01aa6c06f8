/* lane.c - heraldctl lane: what waits in each, and bringing home what waits where nobody serves. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "confirm.h"
#include "herald/delivery.h"
#include "herald/reply.h"
#include "items.h"
#include "record.h"
#include "scan.h"
#include "text.h"

#define LANES_MAX 256 /* far past what a configuration holds; more can only be damage */
#define MOVE_STEP "100"

struct lanes {
    size_t count;
    char names[LANES_MAX][CONFIG_MAX_NAME + 1];
};

static bool add_lane(struct lanes *lanes, const char *name, struct err *err)
{
    for (size_t i = 0; i < lanes->count; i++)
        if (strcmp(lanes->names[i], name) == 0)
            return true;
    if (lanes->count == LANES_MAX)
        return err_set(err, ERR_PERMANENT, "more than %d lanes in Redis: heraldctl fsck says what they hold",
                       LANES_MAX);
    snprintf(lanes->names[lanes->count++], sizeof lanes->names[0], "%s", name);
    return true;
}

/* "due:mail", "again:mail". */
static bool on_indexes(void *arg, const char *const *names, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(strchr(names[i], ':') + 1) <= CONFIG_MAX_NAME &&
            !add_lane(arg, strchr(names[i], ':') + 1, err))
            return false;
    return true;
}

/* The configured ones first. */
static bool find_lanes(const struct context *context, struct lanes *ret, struct err *err)
{
    *ret = (struct lanes){0};
    for (size_t i = 0; i < context->config->provider_count; i++)
        if (!add_lane(ret, context->config->providers[i].name, err))
            return false;
    return scan_keys(context->client, "due:", on_indexes, ret, err) &&
           scan_keys(context->client, "again:", on_indexes, ret, err);
}

static bool depth_of(const struct context *context, const char *kind, const char *lane, int64_t *ret,
                     struct err *err)
{
    char key[CLIENT_KEY_BYTES], suffix[CONFIG_MAX_NAME + 8];
    const struct redisReply *reply;
    snprintf(suffix, sizeof suffix, "%s:%s", kind, lane);
    if (!client_run(context->client, 2, (const char *[]){"ZCARD", client_key(context->client, suffix, key)},
                    NULL, &reply, err))
        return false;
    *ret = reply_number(reply);
    return true;
}

bool command_lane_list(const struct context *context, int argc, char **argv, struct err *err)
{
    struct lanes lanes;
    (void)argc;
    (void)argv;
    if (!find_lanes(context, &lanes, err))
        return false;
    if (context->is_json)
        fputs("{\"lanes\":[", stdout);
    for (size_t i = 0; i < lanes.count; i++) {
        const char *name = lanes.names[i];
        bool is_orphaned = config_provider(context->config, name) == NULL;
        int64_t due, again;
        if (!depth_of(context, "due", name, &due, err) || !depth_of(context, "again", name, &again, err))
            return false;
        if (context->is_json) {
            fputs(i > 0 ? ",{\"lane\":" : "{\"lane\":", stdout);
            text_json(stdout, name, strlen(name));
            printf(",\"due\":%" PRId64 ",\"again\":%" PRId64 ",\"orphaned\":%s}", due, again,
                   is_orphaned ? "true" : "false");
        } else {
            text_print(stdout, name);
            printf("  new %" PRId64 "  again %" PRId64 "%s\n", due, again,
                   is_orphaned ? "  ORPHANED: no provider of this name is configured; heraldctl lane move"
                               : "");
        }
    }
    if (context->is_json)
        puts("]}");
    return true;
}

/* A mail can't go home to a lane of push messages. The first that waits speaks for its lane. */
static bool check_channel(const struct context *context, const char *from, const char *to, struct err *err)
{
    static const char *const kinds[] = {"due", "again"};
    enum channel channel = config_provider(context->config, to)->channel;
    for (size_t i = 0; i < 2; i++) {
        char suffix[CONFIG_MAX_NAME + 8];
        struct record record;
        struct delivery *delivery = NULL;
        snprintf(suffix, sizeof suffix, "%s:%s", kinds[i], from);
        struct walk walk = {.client = context->client, .index = suffix, .min = "-inf", .max = "+inf"};
        if (!walk_next(&walk, err))
            return false;
        if (walk.count == 0 || !record_read(context->client, walk.items[0].eid, &record, err))
            continue;
        struct err ignored;
        bool is_same =
            record.payload == NULL ||
            !delivery_from_payload(record.payload, record.payload_len, record.eid,
                                   (unsigned)strtoul(walk.items[0].ordinal, NULL, 10), &delivery, &ignored) ||
            delivery->channel == channel;
        const char *waiting = is_same ? "" : channel_name(delivery->channel);
        delivery_free(delivery);
        record_done(&record);
        if (!is_same)
            return err_set(err, ERR_CONFIG, "lane '%s' holds %s, and provider '%s' sends %s", from, waiting,
                           to, channel_name(channel));
    }
    return true;
}

bool command_lane_move(const struct context *context, int argc, char **argv, struct err *err)
{
    const char *from = argv[0], *to = argv[1];
    int64_t moved = 0, left = INT64_MAX, before;
    (void)argc;
    if (strcmp(from, to) == 0)
        return err_set(err, ERR_CONFIG, "lane move: '%s' twice: expected two lanes", from);
    if (strlen(from) > CONFIG_MAX_NAME)
        return err_set(err, ERR_INPUT, "no lane '%s'", from);
    if (config_provider(context->config, to) == NULL)
        return err_set(err, ERR_CONFIG, "no provider '%s' is configured in %s", to, context->config_path);
    if (!check_channel(context, from, to, err))
        return false;
    if (config_provider(context->config, from) != NULL &&
        !confirm(context, "A provider serves this lane. Move what waits in it all the same?", err))
        return false;
    /* Each step empties something, until one does not: entries without a record
     * leave too, and are not moved. */
    do {
        const struct redisReply *reply;
        before = left;
        if (!client_script(context->client, "move", 3, (const char *[]){from, to, MOVE_STEP}, &reply, err))
            return false;
        moved += reply_number(reply_at(reply, 0));
        left = reply_number(reply_at(reply, 1));
    } while (left > 0 && left < before);
    printf(context->is_json ? "{\"moved\":%" PRId64 ",\"left\":%" PRId64 "}\n"
                            : "%" PRId64 " moved, %" PRId64 " left\n",
           moved, left);
    return left == 0 || err_set(err, ERR_PERMANENT, "lane '%s' is being filled: try again", from);
}
