/* pause.c - heraldctl pause and resume: an operator's word on a lane, kept in Redis, where each instance asks
 * before it takes anything out of the lane. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "herald/clock.h"
#include "herald/reply.h"
#include "lanes.h"
#include "text.h"

/* One that is neither configured nor holds anything is a typing error. */
static bool find_lane(const struct context *context, const char *name, struct lanes *ret, struct err *err)
{
    const struct lane_depth *lane = &ret->lanes[0];
    if (strlen(name) > CONFIG_MAX_NAME)
        return err_set(err, ERR_INPUT, "no lane '%s'", name);
    if (!lanes_read_one(context, name, ret, err))
        return false;
    if (!lane->is_configured && lane->paused_ms == 0 &&
        lane->due + lane->due_later + lane->again + lane->again_later == 0)
        return err_set(err, ERR_INPUT,
                       "no lane '%s': no provider of this name is configured, and nothing waits there", name);
    return true;
}

static void print_pause(const char *name, int64_t since_ms, int64_t waiting, bool was_paused)
{
    char since[CLOCK_RFC3339_BYTES];
    clock_rfc3339(since_ms, since);
    fputs("lane ", stdout);
    text_print(stdout, name);
    printf(was_paused ? " has been paused since %s: %" PRId64 " wait\n"
                      : " is paused since %s: %" PRId64 " wait, until heraldctl resume\n"
                        "What is being sent is finished. What passes its expiresAt or its provider's max_age "
                        "meanwhile is not sent.\n",
           since, waiting);
}

static void print_resumption(const char *name, int64_t waiting, bool was_paused)
{
    fputs("lane ", stdout);
    text_print(stdout, name);
    printf(was_paused ? " is resumed: %" PRId64 " wait\n" : " was not paused: %" PRId64 " wait\n", waiting);
}

static bool say(const struct context *context, const char *name, const char *word, struct err *err)
{
    struct lanes lanes;
    const struct redisReply *reply;
    const struct lane_depth *lane = &lanes.lanes[0];
    bool is_pause = strcmp(word, "paused") == 0;
    if (!find_lane(context, name, &lanes, err))
        return false;
    bool was_paused = lane->paused_ms > 0;
    if (!client_script(context->client, "pause", 3, (const char *[]){name, word, ""}, &reply, err))
        return false;
    int64_t waiting = lane->due + lane->due_later + lane->again + lane->again_later;
    int64_t since_ms = was_paused ? lane->paused_ms : lanes.now_ms;
    if (context->is_json) {
        fputs("{\"lane\":", stdout);
        text_json(stdout, name, strlen(name));
        printf(",\"paused\":%s,\"was_paused\":%s,\"waiting\":%" PRId64 "}\n", is_pause ? "true" : "false",
               was_paused ? "true" : "false", waiting);
    } else if (is_pause) {
        print_pause(name, since_ms, waiting, was_paused);
    } else {
        print_resumption(name, waiting, was_paused);
    }
    return true;
}

bool command_pause(const struct context *context, int argc, char **argv, struct err *err)
{
    (void)argc;
    return say(context, argv[0], "paused", err);
}

bool command_resume(const struct context *context, int argc, char **argv, struct err *err)
{
    (void)argc;
    return say(context, argv[0], "resumed", err);
}
