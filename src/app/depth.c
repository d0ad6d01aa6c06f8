/* One script that looks and changes nothing. See depth.h. */
#include "depth.h"

#include <stdio.h>
#include <string.h>

#include "herald/err.h"
#include "herald/reply.h"

static const char depth_script[] =
    "local base = string.sub(KEYS[1], 1, -6)\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "local found = {redis.call('ZCARD', KEYS[1]), redis.call('ZCARD', base .. ':unknown'),\n"
    "               redis.call('ZCARD', base .. ':lease')}\n"
    "for _, lane in ipairs(ARGV) do\n"
    "    local oldest = 0\n"
    "    for _, index in ipairs({':due:', ':again:'}) do\n"
    "        local key = base .. index .. lane\n"
    "        local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')\n"
    "        found[#found + 1] = redis.call('ZCARD', key)\n"
    "        if first[2] then oldest = math.max(oldest, now - tonumber(first[2])) end\n"
    "    end\n"
    "    found[#found + 1] = oldest\n"
    "end\n"
    "return found\n";

static void on_answer(void *arg, const struct redisReply *reply)
{
    struct depth *depth = arg;
    struct config *config = depth->asked;
    depth->asked = NULL;
    depth->is_known = reply_count(reply) == 3 + 3 * config->provider_count;
    if (depth->is_known) {
        depth->dead = reply_number(reply_at(reply, 0));
        depth->unknown = reply_number(reply_at(reply, 1));
        depth->leased = reply_number(reply_at(reply, 2));
        depth->lane_count = config->provider_count;
        for (size_t i = 0; i < config->provider_count; i++) {
            struct vitals_depth *lane = &depth->lanes[i];
            snprintf(lane->name, sizeof lane->name, "%s", config->providers[i].name);
            lane->waiting = reply_number(reply_at(reply, 3 + 3 * i));
            lane->retrying = reply_number(reply_at(reply, 4 + 3 * i));
            lane->oldest_ms = reply_number(reply_at(reply, 5 + 3 * i));
        }
    }
    config_unref(config);
}

void depth_ask(struct depth *depth, struct config *config)
{
    char dead[LEDGER_KEY_BYTES];
    const char *argv[4 + CONFIG_MAX_SECTIONS] = {"EVAL", depth_script, "1", dead};
    struct err err;
    if (depth->asked != NULL)
        return;
    ledger_key(depth->ledger, "dead", dead);
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
