/* One HMGET, and what follows from its answer. See pauses.h. */
#include "pauses.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/err.h"
#include "herald/log.h"
#include "herald/reply.h"

static const struct pauses_lane *find(const struct pauses *pauses, const char *lane)
{
    for (size_t i = 0; i < pauses->count; i++)
        if (strcmp(pauses->lanes[i].name, lane) == 0)
            return &pauses->lanes[i];
    return NULL;
}

/* What Redis was told and knows no more. The newest word holds, so nobody's is undone by it. */
static void tell_again(const struct pauses *pauses, const struct pauses_lane *lane)
{
    char base[LEDGER_KEY_BYTES], since[24];
    struct err err;
    ledger_key(pauses->ledger, "", base);
    base[strlen(base) - 1] = '\0'; /* without the colon */
    snprintf(since, sizeof since, "%" PRId64, lane->since_ms);
    const char *const argv[] = {"EVAL",     ledger_script("pause", NULL),           "1",  base,
                                lane->name, lane->is_paused ? "paused" : "resumed", since};
    if (link_command(pauses->commands, 7, argv, NULL, NULL, NULL, &err) && lane->is_paused)
        LOG(LOG_LEVEL_NOTICE, "lane.paused", "Redis has lost that the lane is paused, and is told again",
            log_text(LOG_KEY_PROVIDER, lane->name));
}

/* "paused 1700000000000", "resumed 1700000000000", or nothing. */
static struct pauses_lane read_word(const char *name, const char *text)
{
    struct pauses_lane ret = {0};
    const char *space = text != NULL ? strchr(text, ' ') : NULL;
    snprintf(ret.name, sizeof ret.name, "%s", name);
    ret.is_paused = space != NULL && strncmp(text, "paused ", 7) == 0;
    ret.since_ms = space != NULL ? strtoll(space + 1, NULL, 10) : 0;
    return ret;
}

static void say(const struct pauses_lane *lane)
{
    if (lane->is_paused)
        LOG(LOG_LEVEL_NOTICE, "lane.paused", "an operator paused the lane: what is not being sent waits",
            log_text(LOG_KEY_PROVIDER, lane->name));
    else
        LOG(LOG_LEVEL_NOTICE, "lane.resumed", "an operator resumed the lane: what waits is sent",
            log_text(LOG_KEY_PROVIDER, lane->name));
}

static void learn(struct pauses *pauses, const struct config *config, const struct redisReply *reply)
{
    struct pauses_lane lanes[CONFIG_MAX_SECTIONS] = {0};
    for (size_t i = 0; i < config->provider_count; i++) {
        const char *name = config->providers[i].name;
        const struct pauses_lane *known = find(pauses, name);
        bool was_paused = known != NULL && known->is_paused;
        lanes[i] = read_word(name, reply_text(reply_at(reply, i), NULL));
        if (known != NULL && known->since_ms > lanes[i].since_ms) {
            lanes[i] = *known;
            tell_again(pauses, known);
        }
        if (lanes[i].is_paused != was_paused)
            say(&lanes[i]);
        dispatch_pause(pauses->dispatch, name, lanes[i].is_paused);
    }
    memcpy(pauses->lanes, lanes, config->provider_count * sizeof *lanes);
    pauses->count = config->provider_count;
}

static void on_answer(void *arg, const struct redisReply *reply)
{
    struct pauses *pauses = arg;
    struct config *config = pauses->asked;
    pauses->asked = NULL;
    if (reply_count(reply) == config->provider_count)
        learn(pauses, config, reply);
    config_unref(config);
}

void pauses_ask(struct pauses *pauses, struct config *config)
{
    char key[LEDGER_KEY_BYTES];
    const char *argv[2 + CONFIG_MAX_SECTIONS] = {"HMGET", key};
    struct err err;
    if (pauses->asked != NULL)
        return;
    ledger_key(pauses->ledger, "paused", key);
    for (size_t i = 0; i < config->provider_count; i++)
        argv[2 + i] = config->providers[i].name;
    /* Not usable now: the next second asks again. */
    if (link_command(pauses->commands, (int)(2 + config->provider_count), argv, NULL, on_answer, pauses,
                     &err))
        pauses->asked = config_ref(config);
}
