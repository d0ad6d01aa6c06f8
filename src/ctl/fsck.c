/* fsck.c - heraldctl fsck: do the ledger's records and its indexes agree? Names are collected in small steps
 * and handed to fsck.lua, which looks (and mends) atomically: what the daemon moves meanwhile is no damage.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "confirm.h"
#include "herald/reply.h"
#include "items.h"
#include "scan.h"
#include "text.h"

#define SCRIPT_ITEMS 50 /* a call: with DELIVERY_MAX_PER_EVENT each still a few milliseconds */
#define DEFAULT_SHOWN 100
#define INDEXES_MAX 1024 /* two a lane, and three; more can only be damage */

struct fsck {
    const struct context *context;
    size_t events, entries, found, mended, shown, max_shown;
    const char *index;          /* whose members are being scanned */
    char *indexes[INDEXES_MAX]; /* owned */
    size_t index_count;
    int64_t weight; /* of the payloads weighed so far */
};

static void print_finding(struct fsck *fsck, const char *kind, const char *name, const char *words,
                          bool is_mended)
{
    fsck->found++;
    fsck->mended += is_mended;
    if (fsck->shown == fsck->max_shown)
        return;
    bool is_first = fsck->shown++ == 0;
    if (!fsck->context->is_json) {
        text_print(stdout, kind);
        putchar(' ');
        text_print(stdout, name);
        fputs(": ", stdout);
        text_print(stdout, words);
        puts(is_mended ? " (mended)" : "");
        return;
    }
    fputs(is_first ? "{\"kind\":" : ",{\"kind\":", stdout);
    text_json(stdout, kind, strlen(kind));
    fputs(",\"name\":", stdout);
    text_json(stdout, name, strlen(name));
    fputs(",\"finding\":", stdout);
    text_json(stdout, words, strlen(words));
    printf(",\"mended\":%s}", is_mended ? "true" : "false");
}

/* Pairs of kind and name. */
static bool check(struct fsck *fsck, const char *const *pairs, size_t count, struct err *err)
{
    const char *argv[3 + 2 * SCRIPT_ITEMS];
    char retain[24], number[24];
    const struct redisReply *reply;
    snprintf(retain, sizeof retain, "%" PRId64, fsck->context->config->dedupe_window_ms);
    snprintf(number, sizeof number, "%zu", count);
    argv[0] = fsck->context->is_repair ? "1" : "0";
    argv[1] = retain;
    argv[2] = number;
    memcpy(argv + 3, pairs, 2 * count * sizeof *pairs);
    if (!client_script(fsck->context->client, "fsck", (int)(3 + 2 * count), argv, &reply, err))
        return false;
    fsck->weight += reply_number(reply_at(reply, 0));
    for (size_t i = 1; i + 3 < reply_count(reply); i += 4) {
        const char *words[3];
        for (size_t j = 0; j < 3; j++) {
            words[j] = reply_text(reply_at(reply, i + j), NULL);
            if (words[j] == NULL)
                return err_set(err, ERR_PERMANENT, "fsck.lua: no text in its answer");
        }
        print_finding(fsck, words[0], words[1], words[2], reply_number(reply_at(reply, i + 3)) == 1);
    }
    return true;
}

static bool on_keys(void *arg, const char *const *names, size_t count, struct err *err)
{
    static const char *const kinds[] = {"e:", "p:", "x:", "limit:"};
    static const char *const words[] = {"e", "p", "x", "limit"};
    struct fsck *fsck = arg;
    const char *pairs[2 * SCRIPT_ITEMS];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            if (strncmp(names[i], kinds[k], strlen(kinds[k])) != 0)
                continue;
            fsck->events += k == 0;
            pairs[2 * used] = words[k];
            pairs[2 * used++ + 1] = names[i] + strlen(kinds[k]);
        }
        bool is_index = strncmp(names[i], "due:", 4) == 0 || strncmp(names[i], "again:", 6) == 0;
        if (is_index && fsck->index_count == INDEXES_MAX)
            return err_set(err, ERR_PERMANENT, "more than %d lanes in Redis", INDEXES_MAX / 2);
        if (is_index && (fsck->indexes[fsck->index_count++] = strdup(names[i])) == NULL)
            return err_set(err, ERR_NOMEM, "out of memory");
        if (used == SCRIPT_ITEMS || (used > 0 && i + 1 == count)) {
            if (!check(fsck, pairs, used, err))
                return false;
            used = 0;
        }
    }
    return true;
}

static bool on_members(void *arg, const char *const *names, size_t count, struct err *err)
{
    struct fsck *fsck = arg;
    const char *pairs[2 * SCRIPT_ITEMS];
    fsck->entries += count;
    for (size_t i = 0; i < count; i++) {
        size_t place = i % SCRIPT_ITEMS;
        pairs[2 * place] = fsck->index;
        pairs[2 * place + 1] = names[i];
        if ((place + 1 == SCRIPT_ITEMS || i + 1 == count) && !check(fsck, pairs, place + 1, err))
            return false;
    }
    return true;
}

static bool check_index(struct fsck *fsck, const char *index, struct err *err)
{
    fsck->index = index;
    if (scan_members(fsck->context->client, index, on_members, fsck, err))
        return true;
    if (err->kind != ERR_PERMANENT)
        return false;
    print_finding(fsck, "index", index, err->text, false);
    return true;
}

static bool dead_bytes(const struct context *context, char *ret, size_t room, struct err *err)
{
    char key[CLIENT_KEY_BYTES];
    const struct redisReply *reply;
    if (!client_run(context->client, 2,
                    (const char *[]){"GET", client_key(context->client, "dead-bytes", key)}, NULL, &reply,
                    err)) {
        if (err->kind != ERR_PERMANENT)
            return false;
        reply = NULL; /* it is no string: as good as none, for the script too */
    }
    const char *text = reply_text(reply, NULL);
    snprintf(ret, room, "%s", text != NULL ? text : "-");
    return true;
}

/* What the dead weigh can only be known by weighing them one page after the other; the script mends it only
 * if nothing moved meanwhile. */
static bool check_weight(struct fsck *fsck, struct err *err)
{
    char seen[32], text[96];
    size_t count = 0;
    struct walk walk = {.client = fsck->context->client, .index = "dead", .min = "-inf", .max = "+inf"};
    if (!dead_bytes(fsck->context, seen, sizeof seen, err))
        return false;
    fsck->weight = 0;
    do {
        const char *pairs[2 * SCRIPT_ITEMS];
        if (!walk_next(&walk, err))
            return false;
        for (size_t i = 0; i < walk.count; i++) {
            size_t place = i % SCRIPT_ITEMS;
            pairs[2 * place] = "weigh";
            pairs[2 * place + 1] = walk.items[i].eid;
            if ((place + 1 == SCRIPT_ITEMS || i + 1 == walk.count) && !check(fsck, pairs, place + 1, err))
                return false;
        }
        walk.kept += walk.count;
        count = walk.kept;
    } while (walk.count > 0);
    snprintf(text, sizeof text, "%s %" PRId64 " %zu", seen, fsck->weight, count);
    return check(fsck, (const char *[]){"weight", text}, 1, err);
}

static bool check_all(struct fsck *fsck, struct err *err)
{
    static const char *const fixed[] = {"lease", "dead", "unknown"};
    /* Events first: a record gets its entry before the entry that is wrong goes. */
    if (!scan_keys(fsck->context->client, "", on_keys, fsck, err))
        return false;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (!check_index(fsck, fixed[i], err))
            return false;
    for (size_t i = 0; i < fsck->index_count; i++)
        if (!check_index(fsck, fsck->indexes[i], err))
            return false;
    return check_weight(fsck, err);
}

bool command_fsck(const struct context *context, int argc, char **argv, struct err *err)
{
    struct fsck fsck = {.context = context,
                        .max_shown = context->limit > 0 ? (size_t)context->limit : DEFAULT_SHOWN};
    (void)argc;
    (void)argv;
    if (context->is_repair &&
        !confirm(context,
                 "Mend what is found? What lost its payload is dropped, what has no record is removed.", err))
        return false;
    if (context->is_json)
        fputs("{\"findings\":[", stdout);
    bool is_done = check_all(&fsck, err);
    for (size_t i = 0; i < fsck.index_count; i++)
        free(fsck.indexes[i]);
    if (context->is_json)
        printf("],\"events\":%zu,\"entries\":%zu,\"found\":%zu,\"mended\":%zu,\"complete\":%s}\n",
               fsck.events, fsck.entries, fsck.found, fsck.mended, is_done ? "true" : "false");
    else
        printf("%zu events, %zu index entries: %zu found, %zu mended\n", fsck.events, fsck.entries,
               fsck.found, fsck.mended);
    if (!is_done)
        return false;
    return fsck.found == fsck.mended ||
           err_set(err, ERR_PERMANENT, "%zu not mended%s", fsck.found - fsck.mended,
                   context->is_repair ? ": what they name has to be looked at"
                                      : ": --repair mends what it can");
}
