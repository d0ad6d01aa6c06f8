/* items.c - see items.h. */
#include "items.h"

#include <stdio.h>
#include <string.h>

#include "herald/reply.h"

#define MAX_FIRST 4

bool item_parse(const char *text, struct item *ret)
{
    int end = 0;
    return text != NULL && sscanf(text, "%24[0-9a-f]:%3[0-9]%n", ret->eid, ret->ordinal, &end) == 2 &&
           text[end] == '\0' && strlen(ret->eid) == EVENT_EID_CHARS;
}

bool walk_next(struct walk *walk, struct err *err)
{
    char key[CLIENT_KEY_BYTES], from[24], count[16];
    const struct redisReply *reply;
    snprintf(count, sizeof count, "%d", ITEMS_PAGE);
    client_key(walk->client, walk->index, key);
    walk->count = 0;
    /* A page of nothing but strays is not the end. */
    do {
        snprintf(from, sizeof from, "%zu", walk->kept);
        const char *const forward[] = {"ZRANGE", key, walk->min, walk->max, "BYSCORE", "LIMIT", from, count};
        const char *const backward[] = {"ZRANGE", key,     walk->max, walk->min, "BYSCORE",
                                        "REV",    "LIMIT", from,      count};
        if (!client_run(walk->client, walk->is_newest_first ? 9 : 8,
                        walk->is_newest_first ? backward : forward, NULL, &reply, err))
            return false;
        for (size_t i = 0; i < reply_count(reply) && i < ITEMS_PAGE; i++) {
            if (item_parse(reply_text(reply_at(reply, i), NULL), &walk->items[walk->count]))
                walk->count++;
            else
                walk->kept++;
        }
    } while (walk->count == 0 && reply_count(reply) > 0);
    return true;
}

bool items_run(struct client *client, const char *script, const char *const *first, int first_count,
               const struct item *items, size_t count, size_t *ret_done, struct err *err)
{
    const char *argv[MAX_FIRST + 1 + 2 * ITEMS_PAGE];
    char number[16];
    const struct redisReply *reply;
    int argc = 0;
    for (int i = 0; i < first_count; i++)
        argv[argc++] = first[i];
    snprintf(number, sizeof number, "%zu", count);
    argv[argc++] = number;
    for (size_t i = 0; i < count; i++) {
        argv[argc++] = items[i].eid;
        argv[argc++] = items[i].ordinal;
    }
    if (!client_script(client, script, argc, argv, &reply, err))
        return false;
    for (size_t i = 0; i < reply_count(reply); i++)
        *ret_done += reply_number(reply_at(reply, i)) == 1;
    return true;
}
