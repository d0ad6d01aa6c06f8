/* heraldctl publish: events to a source, as an application would send them. All of the input is read with the
 * daemon's own parser before the first event goes out, so half a file is never sent because of a typing error
 * in the other half. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "herald/buffer.h"
#include "herald/clock.h"
#include "herald/event.h"
#include "herald/reply.h"
#include "text.h"

#define PROGRESS 1000
#define INPUT_MAX_BYTES (INT64_C(1) << 30) /* it is kept on disk meanwhile: more is a job for a loader */

/* As etc/publish.lua, but answers who heard it. */
static const char *const both_script = "redis.call('XADD', KEYS[1], '*', 'event', ARGV[2])\n"
                                       "return redis.call('PUBLISH', ARGV[1], ARGV[2])";

struct publication {
    const struct context *context;
    const struct config_source *channel, *stream; /* either may be NULL */
    const char *name;                             /* of the input, for complaints */
    FILE *spool;      /* owned: a nameless copy of the input, since it is read twice and may be a pipe */
    bool is_document; /* the whole input is one event, over as many lines as it likes */
    struct buffer text;
    size_t line, checked, sent;
    int64_t least_heard, most_heard;
};

static bool copy_input(struct publication *publication, FILE *file, struct err *err)
{
    char block[65536];
    int64_t total = 0;
    size_t got;
    while ((got = fread(block, 1, sizeof block, file)) > 0) {
        total += (int64_t)got;
        if (total > INPUT_MAX_BYTES)
            return err_set(err, ERR_INPUT, "%s: more than 1 GiB: publish it in parts", publication->name);
        if (fwrite(block, 1, got, publication->spool) != got)
            return err_set(err, ERR_PERMANENT, "a temporary file: %s", strerror(errno));
    }
    if (ferror(file))
        return err_set(err, ERR_INPUT, "%s: %s", publication->name, strerror(errno));
    return fflush(publication->spool) == 0 ||
           err_set(err, ERR_PERMANENT, "a temporary file: %s", strerror(errno));
}

/* Whether the first line that has anything in it ends as an object does. */
static bool is_first_line_whole(const char *text, size_t len)
{
    size_t begin = 0, end;
    while (begin < len && strchr(" \t\r\n", text[begin]) != NULL)
        begin++;
    for (end = begin; end < len && text[end] != '\n'; end++)
        ;
    while (end > begin && strchr(" \t\r", text[end - 1]) != NULL)
        end--;
    return end > begin && text[end - 1] == '}';
}

/* Whether all of it is one JSON text, be it a wrong one. A file of one line is that too, and it makes no
 * difference. */
static bool is_one_document(struct publication *publication)
{
    struct err ignored;
    struct json json = {0};
    struct buffer *text = &publication->text;
    rewind(publication->spool);
    char *room = buffer_reserve(text, EVENT_MAX_BYTES + 1);
    if (room == NULL)
        return false;
    size_t len = fread(room, 1, EVENT_MAX_BYTES + 1, publication->spool);
    if (len == 0 || len > EVENT_MAX_BYTES)
        return false;
    bool is_one = json_parse(room, len, &json, &ignored) || !is_first_line_whole(room, len);
    json_done(&json);
    return is_one;
}

/* The next event's bytes into `text`, without the line's end; *ret_is_there is false behind the last. */
static bool next_event(struct publication *publication, bool *ret_is_there, struct err *err)
{
    struct buffer *text = &publication->text;
    int c;
    *ret_is_there = false;
    do {
        buffer_reset(text);
        publication->line++;
        while ((c = getc(publication->spool)) != EOF && (c != '\n' || publication->is_document)) {
            buffer_char(text, (char)c);
            if (text->len > EVENT_MAX_BYTES || text->failed)
                return err_set(err, ERR_INPUT, "%s:%zu: too large: at most %d bytes are taken",
                               publication->name, publication->line, EVENT_MAX_BYTES);
        }
        while (text->len > 0 && (text->data[text->len - 1] == '\r' || text->data[text->len - 1] == '\n'))
            text->len--;
    } while (text->len == 0 && c != EOF);
    *ret_is_there = text->len > 0;
    return !ferror(publication->spool) ||
           err_set(err, ERR_PERMANENT, "a temporary file: %s", strerror(errno));
}

/* What the daemon says to these bytes when they come from that source. */
static bool check(const struct context *context, const struct config_source *source,
                  const struct buffer *text, struct err *err)
{
    char *opened = NULL;
    const char *bytes = text->data;
    size_t len = text->len;
    struct event event = {0};
    const int64_t now_ms = clock_wall_ms();
    if (source == NULL)
        return true;
    if (source->signing_key_count > 0) {
        if (!event_open_envelope(bytes, len, source->signing_keys, source->signing_key_count, now_ms,
                                 context->config->dedupe_window_ms, &opened, &len, err))
            return false;
        bytes = opened;
    }
    const struct event_rules rules = {.space = source->space,
                                      .id_member = source->id_member,
                                      .volatile_members = (const char *const *)source->volatile_members,
                                      .recipient_in_event = source->recipient_in_event};
    bool is_good = event_read(bytes, len, &rules, now_ms, &event, err);
    event_done(&event);
    free(opened);
    return is_good;
}

static bool check_all(struct publication *publication, struct err *err)
{
    rewind(publication->spool);
    for (publication->line = 0;; publication->checked++) {
        bool is_there;
        if (!next_event(publication, &is_there, err))
            return false;
        if (!is_there)
            break;
        if (!check(publication->context, publication->channel, &publication->text, err) ||
            !check(publication->context, publication->stream, &publication->text, err))
            return publication->is_document ? err_wrap(err, "%s", publication->name)
                                            : err_wrap(err, "%s:%zu", publication->name, publication->line);
        if (publication->checked % PROGRESS == PROGRESS - 1 && isatty(STDERR_FILENO))
            fprintf(stderr, "\r%zu checked", publication->checked + 1);
    }
    return publication->checked > 0 || err_set(err, ERR_INPUT, "%s: no event in it", publication->name);
}

static bool send_one(struct publication *publication, struct err *err)
{
    const struct buffer *text = &publication->text;
    const struct redisReply *reply;
    struct client *client = publication->context->client;
    if (publication->channel == NULL) {
        const char *stream = publication->stream->stream;
        return client_run(client, 5, (const char *[]){"XADD", stream, "*", "event", text->data},
                          (const size_t[]){4, strlen(stream), 1, 5, text->len}, &reply, err);
    }
    const char *channel = publication->channel->channel;
    const size_t channel_len = strlen(channel);
    bool is_done;
    if (publication->stream == NULL) {
        is_done = client_run(client, 3, (const char *[]){"PUBLISH", channel, text->data},
                             (const size_t[]){7, channel_len, text->len}, &reply, err);
    } else {
        const char *stream = publication->stream->stream;
        is_done = client_run(
            client, 6, (const char *[]){"EVAL", both_script, "1", stream, channel, text->data},
            (const size_t[]){4, strlen(both_script), 1, strlen(stream), channel_len, text->len}, &reply, err);
    }
    if (!is_done)
        return false;
    int64_t heard = reply_number(reply);
    if (publication->sent == 0 || heard < publication->least_heard)
        publication->least_heard = heard;
    if (publication->sent == 0 || heard > publication->most_heard)
        publication->most_heard = heard;
    return true;
}

static bool send_all(struct publication *publication, struct err *err)
{
    rewind(publication->spool);
    for (publication->line = 0;; publication->sent++) {
        bool is_there;
        if (!next_event(publication, &is_there, err))
            return false;
        if (!is_there)
            break;
        /* Sending again what was sent already is harmless: an event has an identity. */
        if (!send_one(publication, err))
            return err_wrap(err, "%s:%zu: after %zu of %zu events", publication->name, publication->line,
                            publication->sent, publication->checked);
        if (publication->sent % PROGRESS == PROGRESS - 1 && isatty(STDERR_FILENO))
            fprintf(stderr, "\r%zu of %zu sent   ", publication->sent + 1, publication->checked);
    }
    if (publication->sent >= PROGRESS && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    return true;
}

/* The other half of a pair: an event that comes by both is one event, because they share the ids' space. */
static const struct config_source *find_partner(const struct config *config,
                                                const struct config_source *source)
{
    for (size_t i = 0; i < config->source_count; i++)
        if (config->sources[i].type != source->type &&
            config->sources[i].notification == source->notification &&
            strcmp(config->sources[i].space, source->space) == 0)
            return &config->sources[i];
    return NULL;
}

/* ERR_CONFIG: `what`, and which sources there are. */
static bool complain_of_sources(const struct config *config, const char *what, struct err *err)
{
    struct buffer names;
    buffer_init(&names, 512);
    for (size_t i = 0; i < config->source_count; i++)
        buffer_printf(&names, "%s%s", i > 0 ? ", " : "", config->sources[i].name);
    err_set(err, ERR_CONFIG, "%s: there is %s", what, names.len > 0 ? names.data : "none");
    buffer_done(&names);
    return false;
}

static bool choose_source(struct publication *publication, struct err *err)
{
    const struct config *config = publication->context->config;
    const char *wanted = publication->context->source;
    size_t at = 0;
    while (at < config->source_count && wanted != NULL && strcmp(config->sources[at].name, wanted) != 0)
        at++;
    if (at == config->source_count)
        return complain_of_sources(config, "publish needs a source that is configured", err);
    const struct config_source *source = &config->sources[at];
    const struct config_source *partner = find_partner(config, source);
    if (wanted == NULL && config->source_count > (partner != NULL ? 2 : 1))
        return complain_of_sources(config, "publish needs --source NAME", err);
    publication->channel = source->type == SOURCE_PUBSUB ? source : partner;
    publication->stream = source->type == SOURCE_STREAM ? source : partner;
    return true;
}

static void print_json(const struct publication *publication)
{
    const struct config_source *channel = publication->channel, *stream = publication->stream;
    printf("{\"published\":%zu", publication->sent);
    if (channel != NULL) {
        fputs(",\"channel\":", stdout);
        text_json(stdout, channel->channel, strlen(channel->channel));
        printf(",\"heard\":{\"least\":%" PRId64 ",\"most\":%" PRId64 "}", publication->least_heard,
               publication->most_heard);
    }
    if (stream != NULL) {
        fputs(",\"stream\":", stdout);
        text_json(stdout, stream->stream, strlen(stream->stream));
    }
    puts("}");
}

static void print_text(const struct publication *publication)
{
    printf("%zu published", publication->sent);
    if (publication->stream != NULL) {
        fputs(", kept in the stream ", stdout);
        text_print(stdout, publication->stream->stream);
    }
    if (publication->channel != NULL) {
        fputs(", on the channel ", stdout);
        text_print(stdout, publication->channel->channel);
        printf(" heard by %" PRId64, publication->least_heard);
        if (publication->most_heard != publication->least_heard)
            printf(" to %" PRId64, publication->most_heard);
        fputs(publication->most_heard == 1 ? " subscriber" : " subscribers", stdout);
    }
    putchar('\n');
}

static bool publish_file(struct publication *publication, FILE *file, struct err *err)
{
    publication->spool = tmpfile();
    if (publication->spool == NULL)
        return err_set(err, ERR_PERMANENT, "a temporary file: %s", strerror(errno));
    if (!copy_input(publication, file, err))
        return false;
    publication->is_document = is_one_document(publication);
    return check_all(publication, err) && send_all(publication, err);
}

bool command_publish(const struct context *context, int argc, char **argv, struct err *err)
{
    struct publication publication = {.context = context};
    const bool is_stdin = argc == 1 && strcmp(argv[0], "-") == 0;
    if (argc != 1)
        return err_set(err, ERR_CONFIG, "publish needs one FILE, or - for standard input");
    if (!choose_source(&publication, err))
        return false;
    publication.name = is_stdin ? "standard input" : argv[0];
    FILE *file = is_stdin ? stdin : fopen(argv[0], "rb");
    if (file == NULL)
        return err_set(err, ERR_INPUT, "%s: %s", argv[0], strerror(errno));
    buffer_init(&publication.text, EVENT_MAX_BYTES + 2); /* an event and the byte that is too many */
    bool is_done = publish_file(&publication, file, err);
    buffer_done(&publication.text);
    if (publication.spool != NULL)
        fclose(publication.spool);
    if (!is_stdin)
        fclose(file);
    if (!is_done)
        return false;
    if (context->is_json)
        print_json(&publication);
    else
        print_text(&publication);
    return publication.stream != NULL || publication.least_heard > 0 ||
           err_set(err, ERR_PERMANENT, "nobody heard some of it, and a channel keeps nothing");
}
