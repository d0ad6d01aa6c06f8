/* instances.c - see instances.h. The words are upkeep.h's. */
#include "instances.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/reply.h"

static double number_of(const struct json *json, uint32_t object, const char *name)
{
    const struct json_token *token = json_member(json, object, name);
    return token != NULL && token->type == JSON_NUMBER ? strtod(json->text + token->start, NULL) : 0;
}

static void copy_text(const struct json *json, uint32_t object, const char *name, char *ret, size_t room)
{
    const struct json_token *token = json_member(json, object, name);
    size_t len = token != NULL && token->type == JSON_STRING ? json_string_copy(json, token, NULL) : room;
    ret[0] = '\0';
    if (len >= room)
        return;
    (void)json_string_copy(json, token, ret);
    ret[len] = '\0';
}

int64_t instance_number(const struct instance *instance, const char *name)
{
    return (int64_t)number_of(&instance->json, 0, name);
}

bool instance_lane(const struct instance *instance, const char *lane, struct instance_lane *ret)
{
    const struct json *json = &instance->json;
    const struct json_token *lanes = json_member(json, 0, "lanes");
    if (lanes == NULL)
        return false;
    const struct json_token *one = json_member(json, (uint32_t)(lanes - json->tokens), lane);
    if (one == NULL || one->type != JSON_OBJECT)
        return false;
    uint32_t at = (uint32_t)(one - json->tokens);
    *ret = (struct instance_lane){.held = (int64_t)number_of(json, at, "held"),
                                  .running = (int64_t)number_of(json, at, "running"),
                                  .capacity = (int64_t)number_of(json, at, "capacity"),
                                  .per_second = number_of(json, at, "per_second"),
                                  .p99_us = (int64_t)number_of(json, at, "p99_us")};
    copy_text(json, at, "breaker", ret->breaker, sizeof ret->breaker);
    copy_text(json, at, "trouble", ret->trouble, sizeof ret->trouble);
    return true;
}

static bool read_one(const char *name, const char *words, size_t len, int64_t now_ms, struct instance *ret)
{
    struct err ignored;
    struct json json;
    char *text = strndup(words, len);
    if (text == NULL || !json_parse(text, len, &json, &ignored)) {
        free(text);
        return false;
    }
    if (json.tokens[0].type != JSON_OBJECT) {
        json_done(&json);
        free(text);
        return false;
    }
    struct instance one = {.text = text, .json = json};
    snprintf(one.name, sizeof one.name, "%s", name);
    copy_text(&one.json, 0, "incarnation", one.incarnation, sizeof one.incarnation);
    copy_text(&one.json, 0, "host", one.host, sizeof one.host);
    copy_text(&one.json, 0, "version", one.version, sizeof one.version);
    one.since_ms = instance_number(&one, "since");
    one.at_ms = instance_number(&one, "at");
    one.age_ms = now_ms > one.at_ms ? now_ms - one.at_ms : 0;
    one.standing = "stopped";
    *ret = one;
    return true;
}

/* The list's members are "incarnation instance lane ...": who leaves takes itself off it. */
static bool read_standing(struct client *client, struct instances *instances, struct err *err)
{
    char key[CLIENT_KEY_BYTES];
    const struct redisReply *reply;
    if (!client_run(client, 4, (const char *[]){"ZRANGE", client_key(client, "instances", key), "0", "-1"},
                    NULL, &reply, err))
        return false;
    for (size_t i = 0; i < reply_count(reply); i++) {
        const char *member = reply_text(reply_at(reply, i), NULL);
        for (size_t j = 0; member != NULL && j < instances->count; j++) {
            struct instance *one = &instances->list[j];
            size_t len = strlen(one->incarnation);
            if (len > 0 && strncmp(member, one->incarnation, len) == 0 && member[len] == ' ')
                one->standing = one->age_ms < INSTANCE_FRESH_MS ? "alive" : "dead";
        }
    }
    return true;
}

bool instances_read(struct client *client, int64_t now_ms, struct instances *ret, struct err *err)
{
    char key[CLIENT_KEY_BYTES];
    const struct redisReply *reply;
    *ret = (struct instances){0};
    if (!client_run(client, 2, (const char *[]){"HGETALL", client_key(client, "status", key)}, NULL, &reply,
                    err))
        return false;
    for (size_t i = 0; i + 1 < reply_count(reply); i += 2) {
        size_t len = 0;
        const char *name = reply_text(reply_at(reply, i), NULL),
                   *words = reply_text(reply_at(reply, i + 1), &len);
        if (name != NULL && words != NULL && ret->count < INSTANCES_MAX &&
            read_one(name, words, len, now_ms, &ret->list[ret->count]))
            ret->count++;
        else
            ret->left_out++;
    }
    if (read_standing(client, ret, err))
        return true;
    instances_done(ret);
    return false;
}

void instances_done(struct instances *instances)
{
    for (size_t i = 0; i < instances->count; i++) {
        json_done(&instances->list[i].json);
        free(instances->list[i].text);
    }
    instances->count = 0;
}
