/* checkup_rights.c - may the configuration's Redis user do what heraldd does? Each command is tried on a key
 * that is not there, or in a form that changes nothing; what Redis thinks of its arguments is of no interest.
 */
#include <stdio.h>
#include <string.h>

#include "checkup.h"
#include "herald/buffer.h"
#include "herald/reply.h"

#define WORDS_MAX 9
#define MISSING_BYTES 600
#define NAME_BYTES 128 /* of a channel of ours: a prefix is at most LEDGER_MAX_PREFIX */

/* KEY and USER stand for a key of ours and a recipient's; so do CANARY and PLACE for what is being tried. */
static const char KEY[] = "K", USER[] = "U", CANARY[] = "C", PLACE[] = "P", GROUP[] = "G";

struct probe {
    const char *words[WORDS_MAX];
};

static const struct probe everywhere[] = {
    {{"PING"}},
    {{"INFO", "server"}},
    {{"CLIENT", "SETNAME", "herald-doctor"}},
    {{"EVAL", "return 1", "1", KEY}},
    {{"EVALSHA", "0000000000000000000000000000000000000000", "1", KEY}},
    {{"PUBLISH", CANARY, ""}},
    {{"TIME"}},
    {{"GET", KEY}},
    {{"SET", KEY, "", "XX"}},
    {{"DEL", KEY}},
    {{"EXISTS", KEY}},
    {{"STRLEN", KEY}},
    {{"GETRANGE", KEY, "0", "0"}},
    {{"INCRBY", KEY, "no-number"}},
    {{"PEXPIRE", KEY, "1"}},
    {{"PTTL", KEY}},
    {{"HEXISTS", KEY, "f"}},
    {{"HGET", KEY, "f"}},
    {{"HMGET", KEY, "f"}},
    {{"HSET", KEY, "f", "v", "odd"}},
    {{"HDEL", KEY, "f"}},
    {{"HKEYS", KEY}},
    {{"HLEN", KEY}},
    {{"HINCRBY", KEY, "f", "no-number"}},
    {{"ZADD", KEY, "XX", "1", "m"}},
    {{"ZCARD", KEY}},
    {{"ZCOUNT", KEY, "0", "1"}},
    {{"ZRANGE", KEY, "0", "0"}},
    {{"ZRANGEBYSCORE", KEY, "0", "1"}},
    {{"ZRANK", KEY, "m"}},
    {{"ZREM", KEY, "m"}},
    {{"ZREMRANGEBYRANK", KEY, "0", "0"}},
    {{"ZREMRANGEBYSCORE", KEY, "0", "1"}},
    {{"ZSCORE", KEY, "m"}},
    {{"XADD", KEY, "NOMKSTREAM", "*", "f", "v"}},
    {{"HMGET", USER, "email"}},
};

/* The group is one that nobody has. */
static const struct probe of_stream[] = {
    {{"XGROUP", "CREATE", PLACE, GROUP, "no-id"}},
    {{"XGROUP", "DELCONSUMER", PLACE, GROUP, "c"}},
    {{"XREADGROUP", "GROUP", GROUP, "c", "COUNT", "1", "STREAMS", PLACE, ">"}},
    {{"XAUTOCLAIM", PLACE, GROUP, "c", "3600000", "0"}},
    {{"XACK", PLACE, GROUP, "0-1"}},
    {{"XINFO", "GROUPS", PLACE}},
    {{"XINFO", "CONSUMERS", PLACE, GROUP}},
    {{"XPENDING", PLACE, GROUP}},
};

struct rights {
    struct checkup *checkup;
    char key[CLIENT_KEY_BYTES], user[CLIENT_KEY_BYTES], canary[NAME_BYTES];
    size_t tried, missing;
    struct buffer names; /* of what is missing */
};

static bool is_allowed(struct client *client, const char *const *words, int count)
{
    const struct redisReply *reply;
    struct err err;
    return client_run(client, count, words, NULL, &reply, &err) || strstr(err.text, "NOPERM") == NULL;
}

static void note(struct rights *rights, bool is_there, const char *right, const char *place)
{
    rights->tried++;
    if (is_there)
        return;
    rights->missing++;
    buffer_printf(&rights->names, "%s%s%s%s", rights->missing > 1 ? ", " : "", right,
                  place[0] != '\0' ? " " : "", place);
}

static void try_one(struct rights *rights, const struct probe *probe, const char *place)
{
    const char *words[WORDS_MAX];
    const char *about = "";
    int count = 0;
    for (; count < WORDS_MAX && probe->words[count] != NULL; count++) {
        const char *word = probe->words[count];
        words[count] = word == KEY      ? rights->key
                       : word == USER   ? rights->user
                       : word == CANARY ? rights->canary
                       : word == PLACE  ? place
                       : word == GROUP  ? "herald-doctor"
                                        : word;
        if (word == USER || word == CANARY || word == PLACE)
            about = words[count];
    }
    note(rights, is_allowed(rights->checkup->client, words, count), probe->words[0], about);
}

/* On a connection of its own, which hears only that from then on. */
static void try_channel(struct rights *rights, const char *channel)
{
    const struct config *config = rights->checkup->config;
    struct client *client = NULL;
    struct err err;
    if (client_open(&config->redis, config->prefix, &client, &err))
        note(rights, is_allowed(client, (const char *[]){"SUBSCRIBE", channel}, 2), "SUBSCRIBE", channel);
    client_close(client);
}

static void try_all(struct rights *rights)
{
    const struct config *config = rights->checkup->config;
    for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere; i++)
        try_one(rights, &everywhere[i], "");
    for (size_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        if (source->type == SOURCE_PUBSUB) {
            try_channel(rights, source->channel);
            continue;
        }
        for (size_t k = 0; k < sizeof of_stream / sizeof *of_stream; k++)
            try_one(rights, &of_stream[k], source->stream);
    }
}

/* heraldctl's own user walks over keys, which heraldd never does, and publishes no canary. */
static bool is_operator(struct rights *rights)
{
    struct client *client = rights->checkup->client;
    return is_allowed(client, (const char *[]){"SCAN", "0", "COUNT", "1"}, 4) &&
           !is_allowed(client, (const char *[]){"PUBLISH", rights->canary, ""}, 3);
}

void checkup_rights(struct checkup *checkup)
{
    struct rights rights = {.checkup = checkup};
    const char *who = checkup->config->redis.user != NULL ? checkup->config->redis.user : "default";
    client_key(checkup->client, "doctor", rights.key);
    client_user_key(checkup->client, "doctor", rights.user);
    snprintf(rights.canary, sizeof rights.canary, "%.100s:canary:doctor", checkup->config->prefix);
    if (is_operator(&rights)) {
        checkup_say(
            checkup, HEALTH_OK, "rights", NULL,
            "not tried: %s is an operator's user; doctor with heraldd's own configuration tries heraldd's",
            who);
        return;
    }
    buffer_init(&rights.names, MISSING_BYTES);
    try_all(&rights);
    if (rights.missing == 0)
        checkup_say(checkup, HEALTH_OK, "rights", NULL,
                    "the Redis user %s may do what heraldd does: %zu tried", who, rights.tried);
    else
        checkup_say(checkup, HEALTH_FAIL, "rights", "give it the rights of `herald` in redis-acl.example",
                    "the Redis user %s lacks %zu of %zu rights: %s", who, rights.missing, rights.tried,
                    rights.names.failed ? "most" : rights.names.data);
    buffer_done(&rights.names);
}
