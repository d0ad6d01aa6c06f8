/* Reads what the ledger's scripts wrote: the packed records, the history and the payload of one event. */
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/clock.h"
#include "herald/reply.h"

const char *record_state_name(char state)
{
    switch (state) {
    case 'A':
        return "accepted";
    case 'D':
        return "deferred";
    case 'L':
        return "leased";
    case 'U':
        return "unknown";
    case 'X':
        return "dead";
    case 'S':
        return "sent";
    case 'R':
        return "dropped";
    default:
        return "?";
    }
}

/* Scripts write times as milliseconds and contents as hashes: people get dates, and what it means. */
static void write_words(const char *words, char *ret, size_t room)
{
    char verb[12], at[CLOCK_RFC3339_BYTES];
    long long ms;
    int rest = 0;
    if (sscanf(words, "dead limited until %lld%n", &ms, &rest) == 1 && words[rest] == '\0') {
        clock_rfc3339(ms, at);
        snprintf(ret, room, "dead limited: its turn would have come too late, at %s", at);
    } else if (strncmp(words, "conflict ", 9) == 0) {
        snprintf(ret, room, "conflict: the same id came with other content, which is not sent (content %s)",
                 words + 9);
    } else if (sscanf(words, "%11[a-z] %lld %n", verb, &ms, &rest) == 2 &&
               (strcmp(verb, "retry") == 0 || strcmp(verb, "limited") == 0)) {
        clock_rfc3339(ms, at);
        snprintf(ret, room, "%s, next at %s: %s%s", verb, at, words + rest, verb[0] == 'l' ? "'s limit" : "");
    } else {
        snprintf(ret, room, "%s", words);
    }
}

/* The order in which they were written, which their times don't tell within a millisecond, and when a clock
 * stepped back tell wrong. `written` is the number of the last. */
static void sort_history(struct record *record, unsigned long long written)
{
    struct record_line sorted[RECORD_HISTORY] = {0};
    size_t count = 0;
    for (unsigned step = 1; step <= RECORD_HISTORY; step++)
        for (size_t i = 0; i < record->history_count; i++)
            if (record->history[i].place == (written + step) % RECORD_HISTORY)
                sorted[count++] = record->history[i];
    memcpy(record->history, sorted, count * sizeof *sorted);
    record->history_count = count;
    record->history_forgotten = written > count ? (size_t)(written - count) : 0;
}

static bool read_history(struct client *client, struct record *record, struct err *err)
{
    char key[CLIENT_KEY_BYTES], suffix[EVENT_EID_CHARS + 8];
    const struct redisReply *reply;
    snprintf(suffix, sizeof suffix, "x:%s", record->eid);
    if (!client_run(client, 2, (const char *[]){"HGETALL", client_key(client, suffix, key)}, NULL, &reply,
                    err))
        return false;
    unsigned long long written = 0;
    for (size_t i = 0; i + 1 < reply_count(reply); i += 2) {
        struct record_line *line = &record->history[record->history_count];
        const char *name = reply_text(reply_at(reply, i), NULL);
        const char *words = reply_text(reply_at(reply, i + 1), NULL);
        long long at_ms;
        int at;
        if (name != NULL && words != NULL && strcmp(name, "n") == 0)
            written = strtoull(words, NULL, 10);
        if (name == NULL || words == NULL || name[0] != 'h' || name[1] < '0' ||
            name[1] >= '0' + RECORD_HISTORY || name[2] != '\0' ||
            sscanf(words, "%lld %7s %n", &at_ms, line->ordinal, &at) < 2)
            continue;
        line->at_ms = at_ms;
        line->place = (unsigned)(name[1] - '0');
        write_words(words + at, line->text, sizeof line->text);
        record->history_count++;
    }
    sort_history(record, written);
    return true;
}

static bool read_payload(struct client *client, struct record *record, struct err *err)
{
    char key[CLIENT_KEY_BYTES], suffix[EVENT_EID_CHARS + 8];
    const struct redisReply *reply;
    snprintf(suffix, sizeof suffix, "p:%s", record->eid);
    if (!client_run(client, 2, (const char *[]){"GET", client_key(client, suffix, key)}, NULL, &reply, err))
        return false;
    size_t len = 0;
    const char *payload = reply_text(reply, &len);
    if (payload == NULL)
        return true;
    record->payload = malloc(len + 1);
    if (record->payload == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    memcpy(record->payload, payload, len + 1);
    record->payload_len = len;
    return true;
}

bool record_read(struct client *client, const char *eid, struct record *ret, struct err *err)
{
    char key[CLIENT_KEY_BYTES], suffix[EVENT_EID_CHARS + 8];
    const struct redisReply *reply;
    struct record record = {0};
    snprintf(record.eid, sizeof record.eid, "%s", eid);
    snprintf(suffix, sizeof suffix, "e:%s", record.eid);
    if (!client_run(client, 2, (const char *[]){"HGETALL", client_key(client, suffix, key)}, NULL, &reply,
                    err))
        return false;
    if (reply_count(reply) == 0)
        return err_set(err, ERR_INPUT, "no event %s", eid);
    for (size_t i = 0; i + 1 < reply_count(reply); i += 2) {
        size_t len = 0;
        const char *name = reply_text(reply_at(reply, i), NULL);
        const char *value = reply_text(reply_at(reply, i + 1), &len);
        if (name == NULL || value == NULL)
            continue;
        char *end;
        unsigned long ordinal = strtoul(name, &end, 10);
        if (strcmp(name, "t") == 0) {
            record.accepted_ms = strtoll(value, NULL, 10);
        } else if (end != name && *end == '\0' && ordinal < DELIVERY_MAX_PER_EVENT &&
                   ledger_read_record(value, len, &record.deliveries[ordinal])) {
            if (ordinal >= record.delivery_count)
                record.delivery_count = ordinal + 1;
        }
    }
    if (!read_history(client, &record, err) || !read_payload(client, &record, err)) {
        record_done(&record);
        return false;
    }
    *ret = record;
    return true;
}

void record_done(struct record *record)
{
    free(record->payload);
    record->payload = NULL;
}

static bool is_eid(const char *text)
{
    return strlen(text) == EVENT_EID_CHARS && strspn(text, "0123456789abcdef") == EVENT_EID_CHARS;
}

bool record_find(const struct config *config, struct client *client, const char *id, struct record *ret,
                 int *ret_only, struct err *err)
{
    char eid[EVENT_EID_CHARS + 1];
    struct item item;
    *ret_only = -1;
    for (size_t i = 0; i < config->source_count; i++) {
        event_eid(config->sources[i].space, id, eid);
        if (record_read(client, eid, ret, err))
            return true;
        if (err->kind != ERR_INPUT)
            return false;
    }
    if (is_eid(id))
        return record_read(client, id, ret, err);
    if (item_parse(id, &item)) {
        if (!record_read(client, item.eid, ret, err))
            return false;
        *ret_only = (int)strtol(item.ordinal, NULL, 10);
        return true;
    }
    return err_set(err, ERR_INPUT,
                   "no event '%s' is known: it never came, was refused (see the log), or is past the dedupe "
                   "window",
                   id);
}

void record_item(const struct record *record, unsigned ordinal, struct item *ret)
{
    memcpy(ret->eid, record->eid, sizeof ret->eid);
    snprintf(ret->ordinal, sizeof ret->ordinal, "%u", ordinal % 1000); /* never past DELIVERY_MAX_PER_EVENT */
}

const char *record_last_words(const struct record *record, unsigned ordinal)
{
    char name[8];
    snprintf(name, sizeof name, "%u", ordinal);
    for (size_t i = record->history_count; i > 0; i--)
        if (strcmp(record->history[i - 1].ordinal, name) == 0)
            return record->history[i - 1].text;
    return "";
}

const char *record_reason(const struct record *record, unsigned ordinal)
{
    static const char *const names[] = {"dead ", "unknown "};
    const char *words = record_last_words(record, ordinal);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(words, names[i], strlen(names[i])) == 0)
            return words + strlen(names[i]);
    return words;
}
