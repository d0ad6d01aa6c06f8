/* parked.c - see parked.h. */
#include "parked.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "confirm.h"
#include "herald/clock.h"
#include "herald/reply.h"
#include "items.h"
#include "record.h"
#include "text.h"

#define DEFAULT_LIST 50
#define STEPS_PER_S 10 /* of --rate: that often so many as are due */

/* One of them, with what a list shows and a selection asks about. Texts are borrowed
 * from record or delivery. */
struct look {
    struct record record;
    struct delivery *delivery; /* NULL if its payload is gone */
    unsigned ordinal;
    const char *reason;
};

static void look_done(struct look *look)
{
    delivery_free(look->delivery);
    record_done(&look->record);
}

/* False with ERR_INPUT if it has gone meanwhile. */
static bool look_at(const struct context *context, const struct item *item, struct look *ret, struct err *err)
{
    struct look look = {.ordinal = (unsigned)strtoul(item->ordinal, NULL, 10)};
    struct err ignored;
    if (!record_read(context->client, item->eid, &look.record, err))
        return false;
    if (look.ordinal >= look.record.delivery_count) {
        record_done(&look.record);
        return err_set(err, ERR_INPUT, "no delivery %s:%s", item->eid, item->ordinal);
    }
    if (look.record.payload != NULL &&
        !delivery_from_payload(look.record.payload, look.record.payload_len, look.record.eid, look.ordinal,
                               &look.delivery, &ignored))
        look.delivery = NULL;
    *ret = look;
    ret->reason = record_reason(&ret->record, ret->ordinal);
    return true;
}

static bool matches(const struct selection *selection, const struct look *look)
{
    const char *lane = look->record.deliveries[look->ordinal].lane;
    const char *notification = look->delivery != NULL ? look->delivery->notification : "";
    return (selection->provider == NULL || strcmp(selection->provider, lane) == 0) &&
           (selection->notification == NULL || strcmp(selection->notification, notification) == 0) &&
           (selection->reason == NULL || strstr(look->reason, selection->reason) != NULL);
}

/* Those that are there now, within the selection's ages; Redis's clock, as the index has it. */
static bool walk_begin(const struct context *context, const struct parked *parked, bool is_newest_first,
                       struct walk *ret, struct err *err)
{
    const struct selection *selection = &context->selection;
    const struct redisReply *reply;
    if (!client_run(context->client, 1, (const char *[]){"TIME"}, NULL, &reply, err))
        return false;
    int64_t now_ms = reply_number(reply_at(reply, 0)) * 1000 + reply_number(reply_at(reply, 1)) / 1000;
    *ret = (struct walk){
        .client = context->client, .index = parked->index, .is_newest_first = is_newest_first, .min = "-inf"};
    if (selection->newer_ms > 0)
        snprintf(ret->min, sizeof ret->min, "%" PRId64, now_ms - selection->newer_ms);
    snprintf(ret->max, sizeof ret->max, "%" PRId64, now_ms - selection->older_ms);
    return true;
}

static void print_one(const struct context *context, const struct item *item, const struct look *look,
                      bool is_first)
{
    const struct ledger_record *record = &look->record.deliveries[look->ordinal];
    char at[CLOCK_RFC3339_BYTES], masked[LOG_MASKED_BYTES] = "", name[sizeof *item + 1];
    const char *id = look->delivery != NULL ? look->delivery->id : "";
    const char *notification = look->delivery != NULL ? look->delivery->notification : "";
    if (look->delivery != NULL)
        delivery_masked_recipient(look->delivery, masked);
    clock_rfc3339(look->record.accepted_ms + record->at_ms, at);
    snprintf(name, sizeof name, "%s:%s", item->eid, item->ordinal);
    const char *const fields[][2] = {{"since", at},
                                     {"delivery", name},
                                     {"id", id},
                                     {"notification", notification},
                                     {"provider", record->lane},
                                     {"to", masked},
                                     {"reason", look->reason}};
    if (context->is_json)
        fputs(is_first ? "\n" : ",\n", stdout);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *text = fields[i][1];
        if (context->is_json) {
            printf("%s\"%s\":", i > 0 ? "," : "{", fields[i][0]);
            text_json(stdout, text, strlen(text));
        } else {
            fputs(i > 0 ? "  " : "", stdout);
            text_print(stdout, text[0] != '\0' ? text : "-");
        }
    }
    puts(context->is_json ? "}" : "");
}

bool parked_list(const struct context *context, const struct parked *parked, struct err *err)
{
    struct walk walk;
    size_t limit = context->limit > 0 ? (size_t)context->limit : DEFAULT_LIST, shown = 0;
    if (!walk_begin(context, parked, true, &walk, err) || !walk_next(&walk, err))
        return false;
    if (context->is_json)
        fputs("{\"deliveries\":[", stdout);
    while (walk.count > 0 && shown < limit) {
        for (size_t i = 0; i < walk.count && shown < limit; i++) {
            struct look look;
            if (!look_at(context, &walk.items[i], &look, err)) {
                if (err->kind != ERR_INPUT)
                    return false;
                continue;
            }
            if (matches(&context->selection, &look))
                print_one(context, &walk.items[i], &look, shown++ == 0);
            look_done(&look);
        }
        walk.kept += walk.count;
        if (!walk_next(&walk, err))
            return false;
    }
    if (context->is_json)
        puts("]}");
    return true;
}

/* ── deciding ── */

/* A run of an act over what was chosen. */
struct run {
    const struct context *context;
    const struct parked_act *act;
    const char *const *first;
    int first_count;
    int64_t begun_ms;
    size_t done;
};

static void wait_until(int64_t mono_ms)
{
    int64_t left_ms = mono_ms - clock_mono_ms();
    struct timespec left = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
    while (left_ms > 0 && nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* As many at once as the rate allows in a tenth of a second; one at least. */
static size_t step_of(const struct rate *rate)
{
    int64_t step =
        rate->count == 0 ? ITEMS_PAGE : (int64_t)rate->count * 1000 / STEPS_PER_S / rate->period_ms;
    return step < 1 ? 1 : step > ITEMS_PAGE ? ITEMS_PAGE : (size_t)step;
}

static bool run_over(struct run *run, const struct item *items, size_t count, struct err *err)
{
    const struct rate *rate = &run->context->rate;
    size_t step = step_of(rate);
    for (size_t at = 0; at < count; at += step) {
        if (rate->count > 0)
            wait_until(run->begun_ms + (int64_t)run->done * rate->period_ms / rate->count);
        if (!items_run(run->context->client, run->act->script, run->first, run->first_count, items + at,
                       count - at < step ? count - at : step, &run->done, err))
            return false;
    }
    return true;
}

static bool run_over_event(struct run *run, const struct parked *parked, const char *id, size_t *ret_found,
                           struct err *err)
{
    struct item items[DELIVERY_MAX_PER_EVENT];
    struct record record;
    size_t count = 0;
    int only;
    if (!record_find(run->context->config, run->context->client, id, &record, &only, err))
        return false;
    for (size_t i = 0; i < record.delivery_count; i++) {
        if (record.deliveries[i].state != parked->state || (only >= 0 && i != (size_t)only))
            continue;
        record_item(&record, (unsigned)i, &items[count++]);
    }
    record_done(&record);
    *ret_found = count;
    if (count == 0)
        return err_set(err, ERR_INPUT, "nothing of '%s' is %s", id, parked->index);
    return run_over(run, items, count, err);
}

static bool run_over_selection(struct run *run, const struct parked *parked, size_t *ret_found,
                               struct err *err)
{
    const struct context *context = run->context;
    size_t limit = context->limit > 0 ? (size_t)context->limit : SIZE_MAX;
    const struct selection *selection = &context->selection;
    bool has_words =
        selection->provider != NULL || selection->notification != NULL || selection->reason != NULL;
    struct walk walk;
    if (!walk_begin(context, parked, false, &walk, err) || !walk_next(&walk, err))
        return false;
    while (walk.count > 0 && *ret_found < limit) {
        struct item chosen[ITEMS_PAGE];
        size_t count = 0, before = run->done;
        for (size_t i = 0; i < walk.count && *ret_found + count < limit; i++) {
            struct look look;
            bool is_chosen = !has_words;
            if (has_words && look_at(context, &walk.items[i], &look, err)) {
                is_chosen = matches(selection, &look);
                look_done(&look);
            } else if (has_words && err->kind != ERR_INPUT) {
                return false;
            }
            if (is_chosen)
                chosen[count++] = walk.items[i];
        }
        if (count > 0 && !run_over(run, chosen, count, err))
            return false;
        *ret_found += count;
        walk.kept += walk.count - (run->done - before);
        if (!walk_next(&walk, err))
            return false;
    }
    return true;
}

static bool is_selected(const struct context *context)
{
    const struct selection *selection = &context->selection;
    return selection->provider != NULL || selection->notification != NULL || selection->reason != NULL ||
           selection->older_ms > 0 || selection->newer_ms > 0 || context->limit > 0;
}

bool parked_act(const struct context *context, const struct parked *parked, const struct parked_act *act,
                int argc, char **argv, struct err *err)
{
    char retain[24];
    size_t found = 0;
    snprintf(retain, sizeof retain, "%" PRId64, context->config->dedupe_window_ms);
    const char *const first[] = {retain, "by an operator"};
    struct run run = {.context = context,
                      .act = act,
                      .first = first,
                      .first_count = strcmp(act->script, "drop") == 0 ? 2 : 0,
                      .begun_ms = clock_mono_ms()};
    if (argc == 1 ? context->is_all || is_selected(context) : !context->is_all && !is_selected(context))
        return err_set(err, ERR_CONFIG, "expected one of: an ID, a selection such as --provider, or --all");
    if ((argc == 0 || act->is_one_asked) && !confirm(context, act->question, err))
        return false;
    bool is_done = argc == 1 ? run_over_event(&run, parked, argv[0], &found, err)
                             : run_over_selection(&run, parked, &found, err);
    /* What was done before a failure is done. */
    if (context->is_json)
        printf("{\"%s\":%zu,\"left\":%zu}\n", act->done, run.done, found > run.done ? found - run.done : 0);
    else if (is_done || run.done > 0)
        printf("%zu %s\n", run.done, act->done);
    if (is_done && run.done < found)
        return err_set(err, ERR_PERMANENT, "%zu not %s: %s", found - run.done, act->done, act->refused);
    return is_done;
}
