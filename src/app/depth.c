/* One script that looks and changes nothing. See depth.h. */
#include "depth.h"

#include <stdio.h>
#include <string.h>

#include "herald/err.h"
#include "herald/reply.h"

#define HEAD 4     /* of the reply: now, dead, unknown, leased */
#define PER_LANE 6 /* see depth.lua */

static void on_answer(void *arg, const struct redisReply *reply)
{
    struct depth *depth = arg;
    struct config *config = depth->asked;
    depth->asked = NULL;
    depth->is_known = reply_count(reply) == HEAD + PER_LANE * config->provider_count;
    if (depth->is_known) {
        depth->dead = reply_number(reply_at(reply, 1));
        depth->unknown = reply_number(reply_at(reply, 2));
        depth->leased = reply_number(reply_at(reply, 3));
        depth->lane_count = config->provider_count;
        for (size_t i = 0; i < config->provider_count; i++) {
            struct vitals_depth *lane = &depth->lanes[i];
            size_t at = HEAD + PER_LANE * i;
            snprintf(lane->name, sizeof lane->name, "%s", config->providers[i].name);
            lane->waiting = reply_number(reply_at(reply, at)) + reply_number(reply_at(reply, at + 1));
            lane->retrying = reply_number(reply_at(reply, at + 2)) + reply_number(reply_at(reply, at + 3));
            lane->oldest_ms = reply_number(reply_at(reply, at + 4));
        }
    }
    config_unref(config);
}

void depth_ask(struct depth *depth, struct config *config)
{
    char base[LEDGER_KEY_BYTES];
    const char *argv[4 + CONFIG_MAX_SECTIONS] = {"EVAL", ledger_script("depth", NULL), "1", base};
    struct err err;
    if (depth->asked != NULL)
        return;
    ledger_key(depth->ledger, "", base);
    base[strlen(base) - 1] = '\0'; /* without the colon */
    for (size_t i = 0; i < config->provider_count; i++)
        argv[4 + i] = config->providers[i].name;
    if (link_command(depth->commands, (int)(4 + config->provider_count), argv, NULL, on_answer, depth, &err))
        depth->asked = config_ref(config);
    else
        depth->is_known = false;
}

void depth_forget(struct depth *depth)
{
    depth->is_known = false;
}

void depth_copy(const struct depth *depth, struct vitals *ret)
{
    ret->is_depth_known = depth->is_known;
    ret->dead = depth->dead;
    ret->unknown = depth->unknown;
    ret->leased = depth->leased;
    ret->depth_count = depth->lane_count;
    memcpy(ret->depths, depth->lanes, depth->lane_count * sizeof *depth->lanes);
}
