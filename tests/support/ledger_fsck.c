/* ledger_fsck.c - do all records and all indexes agree? Every record's entry is looked up with its score, and
 * the entries are counted: as many as there should be, so none is left over. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ledger_world.h"

#define FSCK_MAX_ITEMS 512 /* of one call of the script: what a test makes */

struct fsck {
    char text[4096]; /* complaints */
    size_t entries;  /* that the indexes should hold */
    int64_t dead_bytes;
};

static void complain(struct fsck *fsck, const char *format, ...)
{
    size_t len = strlen(fsck->text);
    va_list args;
    va_start(args, format);
    vsnprintf(fsck->text + len, sizeof fsck->text - len, format, args);
    va_end(args);
}

static const char *index_of(const struct ledger_record *record, char ret[96])
{
    const char *fixed = record->state == 'L'   ? "lease"
                        : record->state == 'X' ? "dead"
                        : record->state == 'U' ? "unknown"
                                               : NULL;
    if (record->state == 'S' || record->state == 'R')
        return NULL;
    if (fixed != NULL)
        snprintf(ret, 96, "herald:{0}:%s", fixed);
    else
        snprintf(ret, 96, "herald:{0}:%s:%s", record->state == 'D' || record->flags >= 4 ? "again" : "due",
                 record->lane);
    return ret;
}

static void check_record(struct fsck *fsck, const char *eid, const char *ordinal, const char *text,
                         size_t len, int64_t accepted_ms, int *open)
{
    struct ledger_record record;
    char key[96];
    if (len > 64)
        complain(fsck, "%s:%s has %zu bytes\n", eid, ordinal, len);
    if (!ledger_read_record(text, len, &record)) {
        complain(fsck, "%s:%s is damaged: %s\n", eid, ordinal, text);
        return;
    }
    if ((record.state == 'L') != (strcmp(record.owner, "-") != 0))
        complain(fsck, "%s:%s has an owner and no lease, or the reverse: %s\n", eid, ordinal, text);
    if (index_of(&record, key) == NULL)
        return;
    (*open)++;
    fsck->entries++;
    int64_t score = world_number("ZSCORE %s %s:%s", key, eid, ordinal);
    if (score != accepted_ms + record.at_ms)
        complain(fsck, "%s:%s %s: %s has %" PRId64 "\n", eid, ordinal, text, key, score);
    if (record.state == 'X')
        fsck->dead_bytes += world_number("STRLEN herald:{0}:p:%s", eid);
}

static void check_event(struct fsck *fsck, const char *key)
{
    const char *eid = strrchr(key, ':') + 1;
    redisReply *fields = redisCommand(world_redis(), "HGETALL %s", key);
    int64_t accepted_ms = world_number("HGET %s t", key);
    int64_t said_open = world_number("HGET %s o", key);
    int open = 0;
    if (fields->type != REDIS_REPLY_ARRAY) {
        complain(fsck, "%s is no hash\n", key);
        freeReplyObject(fields);
        return;
    }
    for (size_t i = 0; i < fields->elements; i += 2) {
        const char *name = fields->element[i]->str;
        if (name[0] >= '0' && name[0] <= '9')
            check_record(fsck, eid, name, fields->element[i + 1]->str, fields->element[i + 1]->len,
                         accepted_ms, &open);
    }
    freeReplyObject(fields);
    if (open != said_open)
        complain(fsck, "%s: %d open, o says %" PRId64 "\n", eid, open, said_open);
    if (world_number("EXISTS herald:{0}:p:%s", eid) != (open > 0))
        complain(fsck, "%s: %d open, and its payload is %s\n", eid, open, open > 0 ? "gone" : "there");
    int64_t event_ttl = world_number("PTTL %s", key);
    int64_t history_ttl = world_number("PTTL herald:{0}:x:%s", eid);
    if ((event_ttl < 0) != (open > 0))
        complain(fsck, "%s: %d open, TTL %" PRId64 "\n", eid, open, event_ttl);
    if (history_ttl != -2 && (history_ttl < 0) != (open > 0))
        complain(fsck, "%s: %d open, its history's TTL is %" PRId64 "\n", eid, open, history_ttl);
    if (strcmp(world_text("OBJECT ENCODING %s", key), "listpack") != 0)
        complain(fsck, "%s is no listpack\n", eid);
}

/* Asks fsck.lua about everything there is. */
size_t world_fsck_script(bool is_repair, char *ret, size_t room)
{
    const char *argv[7 + 2 * FSCK_MAX_ITEMS] = {"EVAL", ledger_script("fsck", NULL), "1", "herald:{0}"};
    static char words[FSCK_MAX_ITEMS][2][96];
    char count[16];
    size_t used = 0;
    redisReply *keys = redisCommand(world_redis(), "KEYS herald:{0}:*");
    for (size_t i = 0; i < keys->elements; i++) {
        const char *kind = keys->element[i]->str + strlen("herald:{0}:");
        const char *colon = strchr(kind, ':');
        bool is_index = strncmp(kind, "due:", 4) == 0 || strncmp(kind, "again:", 6) == 0 ||
                        strcmp(kind, "lease") == 0 || strcmp(kind, "dead") == 0 ||
                        strcmp(kind, "unknown") == 0;
        redisReply *members =
            is_index ? redisCommand(world_redis(), "ZRANGE herald:{0}:%s 0 -1", kind) : NULL;
        for (size_t j = 0; members != NULL && j < members->elements && used < FSCK_MAX_ITEMS; j++, used++) {
            snprintf(words[used][0], sizeof words[used][0], "%s", kind);
            snprintf(words[used][1], sizeof words[used][1], "%s", members->element[j]->str);
        }
        if (members != NULL)
            freeReplyObject(members);
        if (is_index || colon == NULL || used == FSCK_MAX_ITEMS)
            continue;
        snprintf(words[used][0], sizeof words[used][0], "%.*s", (int)(colon - kind), kind);
        snprintf(words[used][1], sizeof words[used][1], "%s", colon + 1);
        used++;
    }
    freeReplyObject(keys);
    snprintf(count, sizeof count, "%zu", used);
    argv[4] = is_repair ? "1" : "0";
    argv[5] = "259200000";
    argv[6] = count;
    for (size_t i = 0; i < used; i++) {
        argv[7 + 2 * i] = words[i][0];
        argv[8 + 2 * i] = words[i][1];
    }
    redisReply *reply = redisCommandArgv(world_redis(), (int)(7 + 2 * used), argv, NULL);
    size_t found = reply->type == REDIS_REPLY_ARRAY ? (reply->elements - 1) / 4 : SIZE_MAX;
    ret[0] = '\0';
    if (found == SIZE_MAX)
        snprintf(ret, room, "%s\n", reply->str);
    for (size_t i = 0; found != SIZE_MAX && i < found; i++)
        snprintf(ret + strlen(ret), room - strlen(ret), "fsck.lua: %s %s: %s (%lld)\n",
                 reply->element[1 + 4 * i]->str, reply->element[2 + 4 * i]->str,
                 reply->element[3 + 4 * i]->str, reply->element[4 + 4 * i]->integer);
    freeReplyObject(reply);
    return found;
}

const char *world_fsck(void)
{
    static struct fsck fsck;
    fsck = (struct fsck){0};
    redisReply *keys = redisCommand(world_redis(), "KEYS herald:{0}:*");
    size_t entries = 0;
    for (size_t i = 0; i < keys->elements; i++) {
        const char *key = keys->element[i]->str;
        const char *kind = key + strlen("herald:{0}:");
        if (strncmp(kind, "e:", 2) == 0)
            check_event(&fsck, key);
        else if (strncmp(kind, "p:", 2) == 0 && world_number("EXISTS herald:{0}:e:%s", kind + 2) != 1)
            complain(&fsck, "%s has no event\n", key);
        else if (strncmp(kind, "x:", 2) == 0 && world_number("EXISTS herald:{0}:e:%s", kind + 2) != 1)
            complain(&fsck, "%s has no event\n", key);
        else if (strncmp(kind, "due:", 4) == 0 || strncmp(kind, "again:", 6) == 0 ||
                 strcmp(kind, "lease") == 0 || strcmp(kind, "dead") == 0 || strcmp(kind, "unknown") == 0)
            entries += (size_t)world_number("ZCARD %s", key);
        else if (strncmp(kind, "limit:", 6) == 0 && world_number("PTTL %s", key) < 0)
            complain(&fsck, "%s has no TTL\n", key);
    }
    freeReplyObject(keys);
    if (entries != fsck.entries)
        complain(&fsck, "the indexes hold %zu entries, the records ask for %zu\n", entries, fsck.entries);
    int64_t dead_bytes = world_number("GET herald:{0}:dead-bytes");
    if ((dead_bytes == INT64_MIN ? 0 : dead_bytes) != fsck.dead_bytes)
        complain(&fsck, "dead-bytes is %" PRId64 ", the dead weigh %" PRId64 "\n", dead_bytes,
                 fsck.dead_bytes);
    /* The operator's fsck may not find anything where there is nothing. */
    if (fsck.text[0] == '\0')
        world_fsck_script(false, fsck.text, sizeof fsck.text);
    return fsck.text;
}
