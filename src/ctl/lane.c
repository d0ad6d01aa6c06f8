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
#include "lanes.h"
#include "record.h"
#include "text.h"

#define MOVE_STEP "100"

bool command_lane_list(const struct context *context, int argc, char **argv, struct err *err)
{
    struct lanes lanes;
    (void)argc;
    (void)argv;
    if (!lanes_read(context, &lanes, err))
        return false;
    if (context->is_json)
        fputs("{\"lanes\":[", stdout);
    for (size_t i = 0; i < lanes.count; i++) {
        const char *name = lanes.lanes[i].name;
        bool is_orphaned = !lanes.lanes[i].is_configured;
        int64_t due = lanes.lanes[i].due + lanes.lanes[i].due_later;
        int64_t again = lanes.lanes[i].again + lanes.lanes[i].again_later;
        if (context->is_json) {
            fputs(i > 0 ? ",{\"lane\":" : "{\"lane\":", stdout);
            text_json(stdout, name, strlen(name));
            printf(",\"due\":%" PRId64 ",\"again\":%" PRId64 ",\"orphaned\":%s,\"paused\":%s}", due, again,
                   is_orphaned ? "true" : "false", lanes.lanes[i].paused_ms > 0 ? "true" : "false");
        } else {
            text_print(stdout, name);
            printf("  new %" PRId64 "  again %" PRId64 "%s%s\n", due, again,
                   lanes.lanes[i].paused_ms > 0 ? "  PAUSED" : "",
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
        if (!client_script(context->client, "move", 4, (const char *[]){from, to, MOVE_STEP, "ignore"},
                           &reply, err))
            return false;
        moved += reply_number(reply_at(reply, 0));
        left = reply_number(reply_at(reply, 1));
    } while (left > 0 && left < before);
    printf(context->is_json ? "{\"moved\":%" PRId64 ",\"left\":%" PRId64 "}\n"
                            : "%" PRId64 " moved, %" PRId64 " left\n",
           moved, left);
    return left == 0 || err_set(err, ERR_PERMANENT, "lane '%s' is being filled: try again", from);
}
