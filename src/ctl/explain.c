/* explain.c - heraldctl explain and dead show: the whole story of one event. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "herald/clock.h"
#include "herald/log.h"
#include "herald/reply.h"
#include "lanes.h"
#include "record.h"
#include "text.h"

#define REJECTED_LOOK "1000" /* as many as the daemon keeps */

static const char *to_text(int64_t wall_ms, char ret[CLOCK_RFC3339_BYTES])
{
    clock_rfc3339(wall_ms, ret);
    return ret;
}

/* An event, how much of it is shown, and what its lanes have to do with its waiting. */
struct view {
    const struct record *record;
    bool is_whole;
    int64_t paused_ms[DELIVERY_MAX_PER_EVENT]; /* since when the lane is, of a delivery that waits; else 0 */
};

static bool look_at_lanes(const struct context *context, struct view *view, struct err *err)
{
    for (size_t i = 0; i < view->record->delivery_count; i++) {
        const struct ledger_record *delivery = &view->record->deliveries[i];
        struct lanes lanes;
        if (strchr("AD", delivery->state) == NULL || strlen(delivery->lane) > CONFIG_MAX_NAME)
            continue;
        if (!lanes_read_one(context, delivery->lane, &lanes, err))
            return false;
        view->paused_ms[i] = lanes.lanes[0].paused_ms;
    }
    return true;
}

/* One sentence that answers "why was it not sent?". */
static void describe(const struct view *view, unsigned ordinal, char *ret, size_t room)
{
    const struct record *record = view->record;
    const struct ledger_record *delivery = &record->deliveries[ordinal];
    char at[CLOCK_RFC3339_BYTES];
    const char *words = record_last_words(record, ordinal), *reason = record_reason(record, ordinal);
    const char *colon = words[0] != '\0' ? "; " : "";
    int64_t at_ms = record->accepted_ms + delivery->at_ms;
    if (view->paused_ms[ordinal] > 0) {
        char since[CLOCK_RFC3339_BYTES];
        snprintf(ret, room, "waits: its lane is paused since %s; heraldctl resume %s%s%s",
                 to_text(view->paused_ms[ordinal], since), delivery->lane, colon, words);
        return;
    }
    to_text(at_ms, at);
    switch (delivery->state) {
    case 'S':
        snprintf(ret, room, "sent at %s, attempt %u", at, delivery->attempts);
        break;
    case 'A':
        snprintf(ret, room,
                 at_ms > clock_wall_ms() ? "waits for %s%s%s"
                                         : "waits for a free place in its lane since %s%s%s",
                 at, colon, words);
        break;
    case 'D':
        snprintf(ret, room, "next try at %s, attempts so far: %u%s%s", at, delivery->attempts, colon, words);
        break;
    case 'L':
        snprintf(ret, room, "being sent by %s, whose lease ends at %s", delivery->owner, at);
        break;
    case 'U':
        snprintf(ret, room, "may have been sent; held since %s; %s", at, reason);
        break;
    case 'X':
        snprintf(ret, room, "given up at %s; %s", at, reason);
        break;
    case 'R':
        snprintf(ret, room, "dropped at %s; %s", at, words);
        break;
    default:
        snprintf(ret, room, "its record can't be read");
        break;
    }
}

/* ── the story: what was written down, and the beginning and the end, which cost Redis no line of their own
 *    ── */

struct story {
    size_t count;
    struct record_line lines[1 + RECORD_HISTORY + DELIVERY_MAX_PER_EVENT];
};

/* The line that Redis has of it, which holds the provider's words alone; NULL if it has none. */
static struct record_line *find_sent(struct story *story, unsigned ordinal)
{
    char name[8];
    snprintf(name, sizeof name, "%u", ordinal);
    for (size_t i = 1; i < story->count; i++)
        if (strcmp(story->lines[i].ordinal, name) == 0 && strncmp(story->lines[i].text, "sent", 4) == 0)
            return &story->lines[i];
    return NULL;
}

static void read_story(const struct record *record, struct story *ret)
{
    ret->lines[0] = (struct record_line){.at_ms = record->accepted_ms, .ordinal = "-", .text = "accepted"};
    if (record->history_forgotten > 0)
        snprintf(ret->lines[0].text, sizeof ret->lines[0].text,
                 "accepted; the %zu lines that followed are no longer kept", record->history_forgotten);
    memcpy(ret->lines + 1, record->history, record->history_count * sizeof *record->history);
    ret->count = 1 + record->history_count;
    for (unsigned i = 0; i < record->delivery_count; i++) {
        const struct ledger_record *delivery = &record->deliveries[i];
        struct record_line *told = find_sent(ret, i);
        if (delivery->state != 'S')
            continue;
        if (told != NULL) {
            char words[sizeof told->text];
            snprintf(words, sizeof words, "%s", told->text + strlen("sent"));
            const char *from = words + strspn(words, " ");
            snprintf(told->text, sizeof told->text, "sent by %s, attempt %u%s%.240s", delivery->lane,
                     delivery->attempts, *from != '\0' ? ": " : "", from);
            continue;
        }
        struct record_line sent = {.at_ms = record->accepted_ms + delivery->at_ms};
        snprintf(sent.ordinal, sizeof sent.ordinal, "%u", i);
        snprintf(sent.text, sizeof sent.text, "sent by %s, attempt %u", delivery->lane, delivery->attempts);
        size_t at = ret->count++;
        for (; at > 1 && ret->lines[at - 1].at_ms > sent.at_ms; at--)
            ret->lines[at] = ret->lines[at - 1];
        ret->lines[at] = sent;
    }
}

/* What the payload says of the event, while it is there. Texts are borrowed from *delivery. */
static struct delivery *read_delivery(const struct record *record, unsigned ordinal)
{
    struct delivery *delivery;
    struct err ignored;
    return record->payload != NULL && delivery_from_payload(record->payload, record->payload_len, record->eid,
                                                            ordinal, &delivery, &ignored)
               ? delivery
               : NULL;
}

/* ── for people ── */

static void print_head(const struct record *record)
{
    struct delivery *delivery = read_delivery(record, 0);
    printf("event %s", record->eid);
    if (delivery != NULL) {
        const char *const fields[][2] = {{"  id ", delivery->id},
                                         {"  source ", delivery->source},
                                         {"  notification ", delivery->notification}};
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
            fputs(fields[i][0], stdout);
            text_print(stdout, fields[i][1]);
        }
    }
    putchar('\n');
    delivery_free(delivery);
}

static void print_text(const struct view *view)
{
    const struct record *record = view->record;
    char at[CLOCK_RFC3339_BYTES], why[480];
    struct story story;
    print_head(record);
    for (unsigned i = 0; i < record->delivery_count; i++) {
        const struct ledger_record *one = &record->deliveries[i];
        struct delivery *delivery = read_delivery(record, i);
        char masked[LOG_MASKED_BYTES] = "";
        describe(view, i, why, sizeof why);
        if (delivery != NULL)
            delivery_masked_recipient(delivery, masked);
        printf("  delivery %u  %-9s lane ", i, record_state_name(one->state));
        text_print(stdout, one->lane);
        fputs(masked[0] != '\0' ? " to " : "", stdout);
        text_print(stdout, masked);
        fputs("\n              ", stdout);
        text_print(stdout, why);
        putchar('\n');
        if (view->is_whole)
            printf("              fence %" PRIu64 ", attempts %u, crashes %u, flags %u, owner %s\n",
                   one->fence, one->attempts, one->crashes, one->flags, one->owner);
        delivery_free(delivery);
    }
    puts("  history");
    read_story(record, &story);
    for (size_t i = 0; i < story.count; i++) {
        printf("    %s  %s  ", to_text(story.lines[i].at_ms, at), story.lines[i].ordinal);
        text_print(stdout, story.lines[i].text);
        putchar('\n');
    }
    if (!view->is_whole)
        return;
    puts(record->payload != NULL ? "  payload" : "  its payload is gone");
    for (char *line = record->payload; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        fputs("    ", stdout);
        text_print(stdout, line);
        putchar('\n');
        line = end != NULL ? end + 1 : NULL;
    }
}

/* ── for scripts ── */

static void print_member(const char *name, const char *text)
{
    printf(",\"%s\":", name);
    text_json(stdout, text, strlen(text));
}

static void print_json(const struct view *view)
{
    const struct record *record = view->record;
    char at[CLOCK_RFC3339_BYTES], why[480];
    struct story story;
    printf("{\"event\":\"%s\",\"accepted\":\"%s\",\"deliveries\":[", record->eid,
           to_text(record->accepted_ms, at));
    for (unsigned i = 0; i < record->delivery_count; i++) {
        const struct ledger_record *delivery = &record->deliveries[i];
        describe(view, i, why, sizeof why);
        printf("%s{\"delivery\":%u,\"state\":\"%s\",\"attempts\":%u,\"crashes\":%u,\"at\":\"%s\"",
               i > 0 ? "," : "", i, record_state_name(delivery->state), delivery->attempts, delivery->crashes,
               to_text(record->accepted_ms + delivery->at_ms, at));
        print_member("lane", delivery->lane);
        print_member("why", why);
        if (view->is_whole) {
            printf(",\"fence\":%" PRIu64 ",\"flags\":%u", delivery->fence, delivery->flags);
            print_member("owner", delivery->owner);
        }
        putchar('}');
    }
    fputs("],\"history\":[", stdout);
    read_story(record, &story);
    for (size_t i = 0; i < story.count; i++) {
        printf("%s{\"at\":\"%s\"", i > 0 ? "," : "", to_text(story.lines[i].at_ms, at));
        print_member("delivery", story.lines[i].ordinal);
        print_member("text", story.lines[i].text);
        putchar('}');
    }
    putchar(']');
    if (view->is_whole && record->payload != NULL) {
        fputs(",\"payload\":", stdout);
        text_json(stdout, record->payload, record->payload_len);
    }
    puts("}");
}

static bool print_record(const struct context *context, const struct record *record, bool is_whole,
                         struct err *err)
{
    struct view view = {.record = record, .is_whole = is_whole};
    if (!look_at_lanes(context, &view, err))
        return false;
    if (context->is_json)
        print_json(&view);
    else
        print_text(&view);
    return true;
}

/* ── what was refused has no record, but its beginning is kept for a while ── */

static const char *field_of(const struct redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
        const char *text = reply_text(reply_at(fields, i), NULL);
        if (text != NULL && strcmp(text, name) == 0) {
            text = reply_text(reply_at(fields, i + 1), NULL);
            return text != NULL ? text : "";
        }
    }
    return "";
}

/* The id as a whole value: in quotes, or a number's digits. What was refused may be no JSON at all. */
static bool mentions(const char *head, const char *id)
{
    size_t len = strlen(id);
    for (const char *at = strstr(head, id); len > 0 && at != NULL; at = strstr(at + 1, id)) {
        char before = at > head ? at[-1] : '\0', after = at[len];
        if ((before == '"' && after == '"') ||
            (strchr(": \t", before) != NULL && strchr(",} \t", after) != NULL))
            return true;
    }
    return false;
}

/* The last refused messages that name it; *ret_found how many. */
static bool print_refused(const struct context *context, const char *id, size_t *ret_found, struct err *err)
{
    char key[CLIENT_KEY_BYTES], at[CLOCK_RFC3339_BYTES];
    const struct redisReply *reply;
    if (!client_run(context->client, 6,
                    (const char *[]){"XREVRANGE", client_key(context->client, "rejected", key), "+", "-",
                                     "COUNT", REJECTED_LOOK},
                    NULL, &reply, err))
        return false;
    for (size_t i = 0; i < reply_count(reply); i++) {
        const struct redisReply *entry = reply_at(reply, i), *fields = reply_at(entry, 1);
        const char *when = reply_text(reply_at(entry, 0), NULL);
        if (when == NULL || !mentions(field_of(fields, "head"), id))
            continue;
        to_text(strtoll(when, NULL, 10), at);
        if (context->is_json) {
            printf("%s{\"at\":\"%s\"", (*ret_found)++ > 0 ? "," : "{\"event\":null,\"rejected\":[", at);
            print_member("source", field_of(fields, "source"));
            print_member("reason", field_of(fields, "reason"));
            putchar('}');
        } else {
            (*ret_found)++;
            printf("refused at %s, from source ", at);
            text_print(stdout, field_of(fields, "source"));
            fputs(": ", stdout);
            text_print(stdout, field_of(fields, "reason"));
            putchar('\n');
        }
    }
    if (context->is_json && *ret_found > 0)
        puts("]}");
    return true;
}

bool command_explain(const struct context *context, int argc, char **argv, struct err *err)
{
    struct record record;
    int only;
    (void)argc;
    if (!record_find(context->config, context->client, argv[0], &record, &only, err)) {
        size_t found = 0;
        struct err unknown = *err;
        if (err->kind != ERR_INPUT || !print_refused(context, argv[0], &found, err))
            return false;
        *err = unknown;
        return found > 0;
    }
    bool is_done = print_record(context, &record, false, err);
    record_done(&record);
    return is_done;
}

bool command_dead_show(const struct context *context, int argc, char **argv, struct err *err)
{
    struct record record;
    bool is_dead = false;
    int only;
    (void)argc;
    if (!record_find(context->config, context->client, argv[0], &record, &only, err))
        return false;
    for (size_t i = 0; i < record.delivery_count; i++)
        is_dead = is_dead || record.deliveries[i].state == 'X';
    bool is_done =
        is_dead ? print_record(context, &record, true, err)
                : err_set(err, ERR_INPUT, "nothing of '%s' is dead: heraldctl explain says what became of it",
                          argv[0]);
    record_done(&record);
    return is_done;
}
