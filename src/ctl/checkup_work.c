/* checkup_work.c - who is there, what waits, what was given up, and who else hears the same events. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "checkup.h"
#include "herald/reply.h"
#include "instances.h"
#include "lanes.h"

#define LATE_MS (5 * 60 * 1000) /* due for so long although its lane is served: more comes than goes */

static bool is_alive(const struct instance *instance)
{
    return strcmp(instance->standing, "alive") == 0;
}

static size_t count_alive(const struct instances *instances)
{
    size_t count = 0;
    for (size_t i = 0; i < instances->count; i++)
        count += is_alive(&instances->list[i]);
    return count;
}

/* ── instances ── */

static void look_at_breaker(struct checkup *checkup, const struct instance *instance, const char *name)
{
    struct instance_lane lane;
    if (!is_alive(instance) || !instance_lane(instance, name, &lane) || strcmp(lane.breaker, "closed") == 0)
        return;
    checkup_say(checkup, HEALTH_WARN, "lane",
                "it tries again by itself; heraldctl test shows what the provider says",
                "%s at %s: its breaker is %s: %s", name, instance->name, lane.breaker, lane.trouble);
}

static void look_at_instances(struct checkup *checkup, const struct instances *instances)
{
    const char *version = NULL;
    size_t alive = count_alive(instances);
    if (alive == 0)
        checkup_say(checkup, HEALTH_FAIL, "instances",
                    "systemctl start heraldd; heraldctl tail says why it ended",
                    "no heraldd is alive under the prefix %s: what comes by stream waits, PUBLISH is lost",
                    checkup->config->prefix);
    else
        checkup_say(checkup, HEALTH_OK, "instances", NULL, "%zu alive", alive);
    for (size_t i = 0; i < instances->count; i++) {
        const struct instance *one = &instances->list[i];
        if (strcmp(one->standing, "dead") == 0)
            checkup_say(checkup, HEALTH_WARN, "instances",
                        "start it again; what it held, the others take over. It is forgotten after a day",
                        "%s on %s did not take its leave, and was last heard of %" PRId64 " s ago", one->name,
                        one->host, one->age_ms / 1000);
        if (!is_alive(one))
            continue;
        if (version != NULL && strcmp(version, one->version) != 0)
            checkup_say(checkup, HEALTH_WARN, "instances", "finish the upgrade",
                        "two versions are alive: %s and, at %s, %s", version, one->name, one->version);
        version = one->version;
    }
}

/* ── lanes ── */

static bool is_served(const struct instances *instances, const char *lane)
{
    struct instance_lane ignored;
    for (size_t i = 0; i < instances->count; i++)
        if (is_alive(&instances->list[i]) && instance_lane(&instances->list[i], lane, &ignored))
            return true;
    return false;
}

static void look_at_lane(struct checkup *checkup, const struct instances *instances,
                         const struct lane_depth *lane)
{
    const int64_t waiting = lane->due + lane->due_later + lane->again + lane->again_later;
    if (!lane->is_configured && waiting > 0)
        checkup_say(checkup, HEALTH_FAIL, "lane",
                    "heraldctl lane move FROM TO, or `was` in the section of the provider that it is now",
                    "%s is orphaned: %" PRId64 " wait there, and no provider has that name", lane->name,
                    waiting);
    else if (lane->is_configured && waiting > 0 && count_alive(instances) > 0 &&
             !is_served(instances, lane->name))
        checkup_say(checkup, HEALTH_FAIL, "lane",
                    "systemctl reload heraldd: the running ones have another configuration",
                    "%s is served by no instance that is alive, and %" PRId64 " wait", lane->name, waiting);
    else if (lane->paused_ms > 0)
        checkup_say(checkup, HEALTH_WARN, "lane", "heraldctl resume, when it is time",
                    "%s is paused, and %" PRId64 " wait", lane->name, waiting);
    else if (lane->oldest_ms > LATE_MS)
        checkup_say(
            checkup, HEALTH_WARN, "lane",
            "heraldctl status and limits show what holds it up: its rate, its connections, its provider",
            "%s is behind: the oldest has been due for %" PRId64 " s", lane->name, lane->oldest_ms / 1000);
}

static void look_at_lanes(struct checkup *checkup, const struct instances *instances,
                          const struct lanes *lanes)
{
    size_t before = checkup->counts[HEALTH_WARN] + checkup->counts[HEALTH_FAIL];
    for (size_t i = 0; i < lanes->count; i++) {
        look_at_lane(checkup, instances, &lanes->lanes[i]);
        for (size_t k = 0; k < instances->count; k++)
            look_at_breaker(checkup, &instances->list[k], lanes->lanes[i].name);
    }
    if (checkup->counts[HEALTH_WARN] + checkup->counts[HEALTH_FAIL] == before)
        checkup_say(checkup, HEALTH_OK, "lanes", NULL, "%zu: none is orphaned, paused, behind or closed",
                    lanes->count);
    if (lanes->dead > 0)
        checkup_say(checkup, HEALTH_WARN, "dead", "heraldctl dead list; then replay or drop",
                    "given up: %" PRId64, lanes->dead);
    if (lanes->unknown > 0)
        checkup_say(checkup, HEALTH_WARN, "unknown", "heraldctl unknown list; then resend or drop",
                    "held, for they may have been sent: %" PRId64, lanes->unknown);
}

/* ── who else listens ── */

static void look_at_channel(struct checkup *checkup, const char *channel, size_t alive)
{
    const struct redisReply *reply;
    struct err err;
    if (!client_run(checkup->client, 3, (const char *[]){"PUBSUB", "NUMSUB", channel}, NULL, &reply, &err)) {
        checkup_say(checkup, HEALTH_WARN, "channel", "its user needs +pubsub|numsub: redis-acl.example",
                    "who listens on %s is not known: %s", channel, err.text);
        return;
    }
    const int64_t listeners = reply_number(reply_at(reply, 1));
    if (listeners == 0 && alive == 0)
        return; /* that nobody is there has been said */
    if (listeners > (int64_t)alive)
        checkup_say(checkup, HEALTH_WARN, "channel",
                    "if one is a staging herald, it sends to your customers: give it a Redis of its own, or "
                    "redirect_to. "
                    "(One more for a moment is a restart's kept subscription)",
                    "listening on %s: %" PRId64 ", but alive under the prefix %s: %zu", channel, listeners,
                    checkup->config->prefix, alive);
    else if (listeners < (int64_t)alive)
        checkup_say(checkup, HEALTH_WARN, "channel",
                    "heraldctl tail --event redis says why; they may be of another configuration",
                    "listening on %s: %" PRId64 ", but alive: %zu", channel, listeners, alive);
    else
        checkup_say(checkup, HEALTH_OK, "channel", NULL, "listening on %s: %zu, all of them ours", channel,
                    alive);
}

void checkup_work(struct checkup *checkup)
{
    const struct context context = {.config = checkup->config, .client = checkup->client};
    struct lanes lanes;
    struct instances instances;
    struct err err;
    if (!lanes_read(&context, &lanes, &err) ||
        !instances_read(checkup->client, lanes.now_ms, &instances, &err)) {
        checkup_say(checkup, HEALTH_WARN, "instances",
                    "heraldd's own user may not look: give doctor a configuration with herald-operator too",
                    "lanes and instances can't be looked at: %s", err.text);
        return;
    }
    look_at_instances(checkup, &instances);
    look_at_lanes(checkup, &instances, &lanes);
    for (size_t i = 0; i < checkup->config->source_count; i++)
        if (checkup->config->sources[i].type == SOURCE_PUBSUB)
            look_at_channel(checkup, checkup->config->sources[i].channel, count_alive(&instances));
    instances_done(&instances);
}
