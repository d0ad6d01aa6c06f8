/* heraldctl dead …, cancel, lane move: the deliveries an operator decides about. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "herald/clock.h"
#include "herald/log.h"
#include "herald/reply.h"
#include "record.h"

#define BATCH 100 /* a call, so that a hundred thousand block Redis for no longer than one call at a time */
#define DEFAULT_LIST 50

struct dead_name {
    char eid[EVENT_EID_CHARS + 1];
    char ordinal[24];
};

static bool split(const char *member, struct dead_name *ret)
{
    return member != NULL && sscanf(member, "%24[0-9a-f]:%23[0-9]", ret->eid, ret->ordinal) == 2;
}

static void print_one(const struct context *context, const struct dead_name *name)
{
    struct record record;
    struct err err;
    char at[CLOCK_RFC3339_BYTES], masked[LOG_MASKED_BYTES] = "";
    if (!record_read(context->client, name->eid, &record, &err))
        return;
    unsigned ordinal = (unsigned)strtoul(name->ordinal, NULL, 10);
    struct delivery *delivery = NULL;
    bool is_known = record.payload != NULL && delivery_from_payload(record.payload, record.payload_len,
                                                                    record.eid, ordinal, &delivery, &err);
    if (is_known)
        delivery_masked_recipient(delivery, masked);
    clock_rfc3339(
        record.accepted_ms + (ordinal < record.delivery_count ? record.deliveries[ordinal].at_ms : 0), at);
    printf("%s  %s:%s  %s  %s  %s  %s\n", at, name->eid, name->ordinal,
           is_known && delivery->id[0] != '\0' ? delivery->id : "-", is_known ? delivery->provider : "-",
           masked[0] != '\0' ? masked : "-", record_last_words(&record, ordinal));
    delivery_free(delivery);
    record_done(&record);
}

bool command_dead_list(const struct context *context, int argc, char **argv, struct err *err)
{
    char key[CLIENT_KEY_BYTES], last[16];
    const struct redisReply *reply;
    long count = argc > 0 ? strtol(argv[0], NULL, 10) : DEFAULT_LIST;
    if (count < 1 || count > 100000)
        return err_set(err, ERR_CONFIG, "COUNT is a number from 1 to 100000");
    snprintf(last, sizeof last, "%ld", count - 1);
    if (!client_run(context->client, 4,
                    (const char *[]){"ZREVRANGE", client_key(context->client, "dead", key), "0", last}, NULL,
                    &reply, err))
        return false;
    /* The reply goes with the next call, so the names are copied first. */
    size_t found = reply_count(reply), used = 0;
    struct dead_name *names = calloc(found > 0 ? found : 1, sizeof *names);
    if (names == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < found; i++)
        used += split(reply_text(reply_at(reply, i), NULL), &names[used]);
    for (size_t i = 0; i < used; i++)
        print_one(context, &names[i]);
    free(names);
    return true;
}

static bool ask(const struct context *context, const char *question, struct err *err)
{
    if (context->is_sure)
        return true;
    if (!isatty(STDIN_FILENO))
        return err_set(err, ERR_CONFIG, "this can't be undone: say --yes");
    char answer[16];
    printf("%s [y/N] ", question);
    fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y'))
        return err_set(err, ERR_CONFIG, "nothing was done");
    return true;
}

/* Runs a script over names: its first arguments, then the count, then the pairs. Adds up what it answers. */
static bool run_over(const struct context *context, const char *script, const char *const *first,
                     int first_count, const struct dead_name *names, size_t count, long long *ret_done,
                     struct err *err)
{
    const char *argv[4 + 2 * BATCH];
    char number[16];
    const struct redisReply *reply;
    int argc = 0;
    for (int i = 0; i < first_count; i++)
        argv[argc++] = first[i];
    snprintf(number, sizeof number, "%zu", count);
    argv[argc++] = number;
    for (size_t i = 0; i < count; i++) {
        argv[argc++] = names[i].eid;
        argv[argc++] = names[i].ordinal;
    }
    if (!client_script(context->client, script, argc, argv, &reply, err))
        return false;
    for (size_t i = 0; i < reply_count(reply); i++)
        *ret_done += reply_number(reply_at(reply, i)) == 1;
    return true;
}

/* All that is dead, a batch at a time. Each batch leaves the list or is passed over, so this ends. */
static bool over_all(const struct context *context, const char *script, const char *const *first,
                     int first_count, long long *ret_done, struct err *err)
{
    char key[CLIENT_KEY_BYTES], from[16], to[16];
    size_t passed = 0;
    for (;;) {
        const struct redisReply *reply;
        struct dead_name names[BATCH];
        size_t count = 0;
        long long before = *ret_done;
        snprintf(from, sizeof from, "%zu", passed);
        snprintf(to, sizeof to, "%zu", passed + BATCH - 1);
        if (!client_run(context->client, 4,
                        (const char *[]){"ZRANGE", client_key(context->client, "dead", key), from, to}, NULL,
                        &reply, err))
            return false;
        if (reply_count(reply) == 0)
            return true;
        for (size_t i = 0; i < reply_count(reply) && i < BATCH; i++)
            count += split(reply_text(reply_at(reply, i), NULL), &names[count]);
        if (count > 0 && !run_over(context, script, first, first_count, names, count, ret_done, err))
            return false;
        passed += count - (size_t)(*ret_done - before);
        if (count == 0)
            return true;
    }
}

static bool over_event(const struct context *context, const char *id, const char *script,
                       const char *const *first, int first_count, long long *ret_done, struct err *err)
{
    struct dead_name names[DELIVERY_MAX_PER_EVENT];
    struct record record;
    if (!record_find(context->config, context->client, id, &record, err))
        return false;
    for (size_t i = 0; i < record.delivery_count; i++) {
        memcpy(names[i].eid, record.eid, sizeof names[i].eid);
        snprintf(names[i].ordinal, sizeof names[i].ordinal, "%zu", i);
    }
    size_t count = record.delivery_count;
    record_done(&record);
    return run_over(context, script, first, first_count, names, count, ret_done, err);
}

static void print_done(const struct context *context, const char *what, long long done)
{
    if (context->is_json)
        printf("{\"%s\":%lld}\n", what, done);
    else
        printf("%lld %s\n", done, what);
}

static bool decide(const struct context *context, int argc, char **argv, const char *script,
                   const char *const *first, int first_count, const char *what, struct err *err)
{
    long long done = 0;
    if (argc != 1)
        return err_set(err, ERR_CONFIG, "needs one ID, or all");
    bool is_done = strcmp(argv[0], "all") == 0
                       ? over_all(context, script, first, first_count, &done, err)
                       : over_event(context, argv[0], script, first, first_count, &done, err);
    if (is_done)
        print_done(context, what, done);
    return is_done;
}

bool command_dead_replay(const struct context *context, int argc, char **argv, struct err *err)
{
    return decide(context, argc, argv, "replay", NULL, 0, "replayed", err);
}

bool command_dead_drop(const struct context *context, int argc, char **argv, struct err *err)
{
    char retain[24];
    snprintf(retain, sizeof retain, "%lld", (long long)context->config->dedupe_window_ms);
    const char *const first[] = {retain, "by an operator"};
    return ask(context, "Forget these deliveries for good?", err) &&
           decide(context, argc, argv, "drop", first, 2, "dropped", err);
}

bool command_cancel(const struct context *context, int argc, char **argv, struct err *err)
{
    if (argc == 1 && strcmp(argv[0], "all") == 0)
        return err_set(err, ERR_CONFIG, "cancel needs one ID");
    return decide(context, argc, argv, "cancel", NULL, 0, "cancelled", err);
}

bool command_lane_move(const struct context *context, int argc, char **argv, struct err *err)
{
    if (argc != 2)
        return err_set(err, ERR_CONFIG, "lane move needs two names: FROM TO");
    if (config_provider(context->config, argv[1]) == NULL)
        return err_set(err, ERR_CONFIG, "no provider '%s' is configured", argv[1]);
    long long moved = 0, left = 1;
    while (left > 0) {
        const struct redisReply *reply;
        if (!client_script(context->client, "move", 3, (const char *[]){argv[0], argv[1], "100"}, &reply,
                           err))
            return false;
        moved += reply_number(reply_at(reply, 0));
        left = reply_number(reply_at(reply, 0)) > 0 ? reply_number(reply_at(reply, 1)) : 0;
    }
    print_done(context, "moved", moved);
    return true;
}
