/* reader.c - streams by consumer group; see reader.h.
 *
 * One thing at a time on the connection: `reader_go_on` asks Redis for the next thing, and is called again
 * when all of that is answered, when a batch was answered by the owner, or by the timer. In its order:
 * acknowledge what is safe, make the groups that are missing, look for what dead consumers left, tidy, read
 * what is ours already, and at last wait for new entries. Nothing is read before Redis has confirmed what was
 * read before: entries that can't be acknowledged would come again at the next start, perhaps when the ledger
 * has forgotten them, and be sent again.
 *
 * A batch outlives its connection: an entry's id means the same on the next one. Loop thread.
 */
#include "herald/reader.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "entries.h"
#include "group.h"
#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/link.h"
#include "herald/reply.h"
#include "reader_private.h"

#define BLOCK_MS 2000      /* a wait in Redis: its end is a sign of life, and the time for the rest */
#define FIRST_COUNT 16     /* entries asked for of one stream; doubled while batches fit, */
#define MOST_COUNT 256     /* halved when one did not, or when the connection broke while it came */
#define HEAL_MS 50         /* until a group that was forgotten is made again: no spinning if that goes on */
#define FIRST_TIDY_MS 5000 /* after the start, which has other things to do */

static size_t origin_of(const struct stream *stream)
{
    return (size_t)(stream - stream->reader->streams);
}

/* ── asking ── */

bool reader_ask(struct reader *reader, int argc, const char *const *argv, link_reply_fn *on_reply, void *arg)
{
    struct err err;
    /* Not ready: on_link_lost has come or is about to, and the next connection begins anew. */
    if (!link_command(reader->link, argc, argv, NULL, on_reply, arg, &err))
        return false;
    reader->awaited++;
    return true;
}

bool reader_is_answered(struct reader *reader, const redisReply *reply)
{
    reader->awaited--;
    return reply != NULL && reader->state == UP;
}

static void on_timer(uv_timer_t *timer);

static void go_on_at(struct reader *reader, int64_t at_ms)
{
    int64_t left_ms = at_ms - clock_mono_ms();
    uv_timer_start(&reader->timer, on_timer, left_ms > 1 ? (uint64_t)left_ms : 1, 0);
}

/* ── what Redis refuses ── */

bool reader_is_error(const char *error, const char *code)
{
    return strncmp(error, code, strlen(code)) == 0;
}

/* The groups are made again, or found to be there: only then it is known which stream is to blame. */
void reader_lose_groups(struct reader *reader, const char *error)
{
    bool is_forgotten = reader_is_error(error, "NOGROUP") || reader_is_error(error, "UNBLOCKED");
    for (size_t i = 0; i < reader->options.stream_count; i++)
        reader->streams[i].has_group = false;
    reader->is_reading = false;
    reader->group_at_ms = clock_mono_ms() + (is_forgotten ? HEAL_MS : READER_AGAIN_MS);
}

void reader_note_refusal(struct stream *stream, enum refusal what, const char *error)
{
    static const char *const messages[REFUSALS] = {
        [REFUSED_GROUP] = "this stream can't be read; trying for ever",
        [REFUSED_READ] = "streams can't be read; trying for ever",
        [REFUSED_CLAIM] = "what dead consumers left can't be taken over; trying for ever",
        [REFUSED_ACK] = "entries can't be acknowledged, and no more are read until they are; trying for ever",
        [REFUSED_TIDY] = "what is done with can't be removed from this stream; trying for ever",
    };
    const struct reader_callbacks *callbacks = &stream->reader->options.callbacks;
    bool is_new = error != NULL && !stream->is_said[what];
    stream->is_said[what] = error != NULL;
    if (is_new)
        callbacks->on_refused(callbacks->arg, origin_of(stream), messages[what], error);
}

/* ── reading ── */

static void hand_up(struct reader *reader)
{
    uv_timer_stop(&reader->timer);
    reader->is_batch_out = true;
    reader->options.callbacks.on_batch(reader->options.callbacks.arg, reader->entries.items,
                                       reader->entries.count);
}

/* Copies the entries of one stream; what does not fit stays pending for us, and is read as that. */
static void take(struct stream *stream, const redisReply *list)
{
    struct reader *reader = stream->reader;
    for (size_t i = 0; i < reply_count(list); i++) {
        if (!entries_add(&reader->entries, origin_of(stream), reply_at(list, i))) {
            stream->has_own = true;
            reader->count = reader->count > 1 ? reader->count / 2 : 1;
            return;
        }
    }
    if (reply_count(list) == reader->count && reader->count < MOST_COUNT)
        reader->count *= 2;
}

static struct stream *find_stream(struct reader *reader, const redisReply *key)
{
    const char *text = reply_text(key, NULL);
    for (size_t i = 0; text != NULL && i < reader->options.stream_count; i++)
        if (strcmp(reader->options.streams[i].key, text) == 0)
            return &reader->streams[i];
    return NULL;
}

static void on_entries(void *arg, const redisReply *reply)
{
    struct reader *reader = arg;
    if (!reader_is_answered(reader, reply)) {
        reader->count = reader->count > 1 ? reader->count / 2 : 1; /* perhaps it was too much at once */
        return;
    }
    const char *error = reply_error(reply);
    bool is_forbidden = error != NULL && reader_is_error(error, "NOPERM");
    /* A right that is missing is no matter of groups: making them again would only hide it. One command reads
     * all streams: which of them it is, the words of Redis don't tell. */
    reader_note_refusal(&reader->streams[0], REFUSED_READ, is_forbidden ? error : NULL);
    if (is_forbidden) {
        go_on_at(reader, clock_mono_ms() + READER_AGAIN_MS);
        return;
    }
    if (error != NULL)
        reader_lose_groups(reader, error);
    for (size_t i = 0; i < reply_count(reply); i++) {
        const redisReply *part = reply_at(reply, i);
        struct stream *stream = find_stream(reader, reply_at(part, 0));
        if (stream == NULL)
            continue;
        /* Only a read of what is ours already is answered with an empty list: then there is no more of it. */
        stream->has_own = stream->has_own && reply_count(reply_at(part, 1)) > 0;
        take(stream, reply_at(part, 1));
    }
    entries_settle(&reader->entries);
    if (reader->entries.count > 0)
        FAULT("entries-read");
    reader->is_ack_owed = reader->entries.count == 0 && reader->entries.id_count > 0;
    if (reader->entries.count > 0)
        hand_up(reader);
    else
        reader_go_on(reader);
}

static int64_t block_ms(const struct reader *reader)
{
    int64_t most_ms = reader->options.redis->command_timeout_ms / 2;
    int64_t left_ms = reader->claim_at_ms - clock_mono_ms();
    most_ms = most_ms < BLOCK_MS ? most_ms : BLOCK_MS;
    most_ms = most_ms < left_ms ? most_ms : left_ms;
    return most_ms > 1 ? most_ms : 1; /* 0 would be for ever */
}

/* What is ours already, a stream at a time, for Redis does not count across them; else what is new. */
static void read_entries(struct reader *reader)
{
    char count[24], block[24];
    const char *argv[10 + 2 * CONFIG_MAX_SECTIONS] = {
        "XREADGROUP", "GROUP", reader->options.group, reader->options.consumer, "COUNT", count};
    struct stream *chosen[CONFIG_MAX_SECTIONS];
    size_t n = 0;
    int argc = 6;
    bool is_own = false;
    snprintf(count, sizeof count, "%u", reader->count);
    snprintf(block, sizeof block, "%" PRId64, block_ms(reader));
    for (size_t i = 0; i < reader->options.stream_count && !is_own; i++) {
        struct stream *stream = &reader->streams[i];
        is_own = stream->has_group && stream->has_own;
        if (is_own)
            n = 0;
        if (stream->has_group)
            chosen[n++] = stream;
    }
    if (n == 0) {
        go_on_at(reader, reader->group_at_ms);
        return;
    }
    if (!is_own) {
        argv[argc++] = "BLOCK";
        argv[argc++] = block;
    }
    argv[argc++] = "STREAMS";
    for (size_t i = 0; i < n; i++)
        argv[argc++] = chosen[i]->options->key;
    for (size_t i = 0; i < n; i++)
        argv[argc++] = is_own ? "0" : ">";
    if (!reader_ask(reader, argc, argv, on_entries, reader))
        go_on_at(reader, clock_mono_ms() + READER_AGAIN_MS);
}

void reader_go_on(struct reader *reader)
{
    if (reader->state != UP || reader->is_batch_out || reader->awaited > 0)
        return;
    uv_timer_stop(&reader->timer);
    int64_t now_ms = clock_mono_ms();
    if (reader->is_ack_owed) {
        if (now_ms >= reader->ack_at_ms)
            group_acknowledge(reader);
        else
            go_on_at(reader, reader->ack_at_ms);
        return;
    }
    if (reader->is_paused)
        return;
    if (group_is_missing(reader) && now_ms >= reader->group_at_ms)
        group_make(reader);
    else if (now_ms >= reader->claim_at_ms)
        group_claim(reader);
    else if (now_ms >= reader->tidy_at_ms)
        group_tidy(reader);
    if (reader->awaited == 0)
        read_entries(reader);
}

static void on_timer(uv_timer_t *timer)
{
    struct reader *reader = timer->data;
    if (reader->is_batch_out)
        hand_up(reader); /* the owner asked for the same batch again */
    else
        reader_go_on(reader);
}

/* ── the link's events ── */

static void on_link_ready(void *arg)
{
    struct reader *reader = arg;
    reader->state = UP;
    for (size_t i = 0; i < reader->options.stream_count; i++)
        reader->streams[i].has_group = false;
    reader->group_at_ms = reader->claim_at_ms = reader->ack_at_ms = 0;
    reader_go_on(reader);
}

static void on_link_lost(void *arg, const char *reason)
{
    struct reader *reader = arg;
    reader->state = DOWN;
    reader->is_reading = false;
    reader->options.callbacks.on_lost(reader->options.callbacks.arg, reason);
}

static void on_link_failed(void *arg, unsigned attempt, const char *reason)
{
    struct reader *reader = arg;
    reader->options.callbacks.on_failed(reader->options.callbacks.arg, attempt, reason);
}

/* ── the contract ── */

bool reader_open(const struct reader_options *options, struct reader **ret, struct err *err)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return err_set(err, ERR_NOMEM, "no memory to read streams");
    assert(options->stream_count > 0 && options->stream_count <= CONFIG_MAX_SECTIONS);
    reader->options = *options;
    reader->count = FIRST_COUNT;
    reader->tidy_at_ms = clock_mono_ms() + FIRST_TIDY_MS;
    for (size_t i = 0; i < options->stream_count; i++)
        reader->streams[i] = (struct stream){.reader = reader, .options = &options->streams[i]};
    entries_init(&reader->entries);
    const struct link_options link = {
        .loop = options->loop,
        .redis = options->redis,
        .client_name = options->client_name,
        .callbacks = {.on_ready = on_link_ready,
                      .on_lost = on_link_lost,
                      .on_failed = on_link_failed,
                      .arg = reader},
    };
    if (!link_open(&link, &reader->link, err)) {
        free(reader);
        return false;
    }
    uv_timer_init(options->loop, &reader->timer);
    reader->timer.data = reader;
    *ret = reader;
    return true;
}

static void release_one(struct reader *reader)
{
    if (--reader->open_handles > 0)
        return;
    void (*on_closed)(void *) = reader->on_closed;
    void *arg = reader->closed_arg;
    entries_done(&reader->entries);
    free(reader);
    if (on_closed != NULL)
        on_closed(arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_one(handle->data);
}

static void on_link_closed(void *arg)
{
    release_one(arg);
}

void reader_close(struct reader *reader, void (*on_closed)(void *arg), void *arg)
{
    assert(reader->state != CLOSING);
    reader->state = CLOSING;
    reader->on_closed = on_closed;
    reader->closed_arg = arg;
    reader->open_handles = 2;
    link_close(reader->link, on_link_closed, reader);
    uv_close((uv_handle_t *)&reader->timer, on_timer_closed);
}

void reader_consume(struct reader *reader)
{
    if (!reader->is_batch_out || reader->state == CLOSING)
        return;
    reader->is_batch_out = false;
    reader->is_ack_owed = true;
    reader_go_on(reader);
}

void reader_retry(struct reader *reader, int64_t delay_ms)
{
    if (reader->is_batch_out && reader->state != CLOSING)
        go_on_at(reader, clock_mono_ms() + delay_ms);
}

void reader_pause(struct reader *reader)
{
    reader->is_paused = true;
}

bool reader_is_reading(const struct reader *reader)
{
    return reader->is_reading;
}
