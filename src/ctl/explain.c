/* heraldctl explain: the whole story of one event. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "herald/buffer.h"
#include "herald/clock.h"
#include "herald/json.h"
#include "herald/log.h"
#include "record.h"

static const char *to_text(int64_t wall_ms, char ret[CLOCK_RFC3339_BYTES])
{
    clock_rfc3339(wall_ms, ret);
    return ret;
}

/* One sentence that answers "why was it not sent?". */
static void describe(const struct record *record, unsigned ordinal, char *ret, size_t room)
{
    const struct ledger_record *delivery = &record->deliveries[ordinal];
    char at[CLOCK_RFC3339_BYTES];
    const char *words = record_last_words(record, ordinal);
    to_text(record->accepted_ms + delivery->at_ms, at);
    switch (delivery->state) {
    case 'S':
        snprintf(ret, room, "sent at %s, attempt %u", at, delivery->attempts);
        break;
    case 'A':
        snprintf(ret, room,
                 delivery->at_ms > 0 ? "waits for %s%s%s" : "waits for a free place in its lane since %s%s%s",
                 at, words[0] != '\0' ? "; " : "", words);
        break;
    case 'D':
        snprintf(ret, room, "tried %u times, next at %s; %s", delivery->attempts, at, words);
        break;
    case 'L':
        snprintf(ret, room, "being sent by %s, whose lease ends at %s", delivery->owner, at);
        break;
    case 'U':
        snprintf(ret, room, "may have been sent; held since %s; %s", at, words);
        break;
    case 'X':
        snprintf(ret, room, "given up at %s; %s", at, words);
        break;
    case 'R':
        snprintf(ret, room, "dropped at %s; %s", at, words);
        break;
    default:
        snprintf(ret, room, "its record can't be read");
        break;
    }
}

static void print_text(const struct record *record)
{
    char at[CLOCK_RFC3339_BYTES], why[480];
    printf("event %s\n  accepted at %s\n", record->eid, to_text(record->accepted_ms, at));
    for (unsigned i = 0; i < record->delivery_count; i++) {
        struct delivery *delivery = NULL;
        struct err err;
        char masked[LOG_MASKED_BYTES] = "";
        describe(record, i, why, sizeof why);
        if (record->payload != NULL &&
            delivery_from_payload(record->payload, record->payload_len, record->eid, i, &delivery, &err))
            delivery_masked_recipient(delivery, masked);
        printf("  delivery %u  %-9s lane %s%s%s\n              %s\n", i,
               record_state_name(record->deliveries[i].state), record->deliveries[i].lane,
               masked[0] != '\0' ? " to " : "", masked, why);
        delivery_free(delivery);
    }
    if (record->history_count > 0)
        puts("  history");
    for (size_t i = 0; i < record->history_count; i++)
        printf("    %s  %s  %s\n", to_text(record->history[i].at_ms, at), record->history[i].ordinal,
               record->history[i].text);
}

static void append_json_text(struct buffer *buffer, const char *name, const char *text)
{
    buffer_printf(buffer, ",\"%s\":\"", name);
    json_escape(text, strlen(text), buffer);
    buffer_char(buffer, '"');
}

static bool print_json(const struct record *record, struct err *err)
{
    char at[CLOCK_RFC3339_BYTES], why[480];
    struct buffer out;
    buffer_init(&out, 64 * 1024); /* 24 deliveries and 8 lines of history, each under 1 KiB */
    buffer_printf(&out, "{\"event\":\"%s\",\"accepted\":\"%s\",\"deliveries\":[", record->eid,
                  to_text(record->accepted_ms, at));
    for (unsigned i = 0; i < record->delivery_count; i++) {
        const struct ledger_record *delivery = &record->deliveries[i];
        describe(record, i, why, sizeof why);
        buffer_printf(&out,
                      "%s{\"delivery\":%u,\"state\":\"%s\",\"lane\":\"%s\",\"attempts\":%u,\"crashes\":%u,"
                      "\"at\":\"%s\"",
                      i > 0 ? "," : "", i, record_state_name(delivery->state), delivery->lane,
                      delivery->attempts, delivery->crashes,
                      to_text(record->accepted_ms + delivery->at_ms, at));
        append_json_text(&out, "why", why);
        buffer_char(&out, '}');
    }
    buffer_text(&out, "],\"history\":[");
    for (size_t i = 0; i < record->history_count; i++) {
        buffer_printf(&out, "%s{\"at\":\"%s\",\"delivery\":\"%s\"", i > 0 ? "," : "",
                      to_text(record->history[i].at_ms, at), record->history[i].ordinal);
        append_json_text(&out, "text", record->history[i].text);
        buffer_char(&out, '}');
    }
    buffer_text(&out, "]}");
    bool is_whole = !out.failed;
    if (is_whole)
        puts(out.data);
    buffer_done(&out);
    return is_whole || err_set(err, ERR_NOMEM, "out of memory");
}

bool command_explain(const struct context *context, int argc, char **argv, struct err *err)
{
    struct record record;
    if (argc != 1)
        return err_set(err, ERR_CONFIG, "explain needs one ID: the publisher's, or the event's own");
    if (!record_find(context->config, context->client, argv[0], &record, err))
        return false;
    bool is_done = true;
    if (context->is_json)
        is_done = print_json(&record, err);
    else
        print_text(&record);
    record_done(&record);
    return is_done;
}
