/* reader.c - streams by consumer group; see reader.h.
 *
 * One thing at a time on the connection: `go_on` asks Redis for the next thing, and is called again when all
 * of that is answered, when a batch was answered by the owner, or by the timer. In its order: acknowledge
 * what is safe, make the groups that are missing, look for what dead consumers left, tidy, read what is ours
 * already, and at last wait for new entries. Acknowledging goes in front of the next read on the same
 * connection, so that no read can bring again what was acknowledged.
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
#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/link.h"
#include "herald/reply.h"

#define BLOCK_MS 2000      /* a wait in Redis: its end is a sign of life, and the time for the rest */
#define FIRST_COUNT 16     /* entries asked for of one stream; doubled while batches fit, */
#define MOST_COUNT 256     /* halved when one did not, or when the connection broke while it came */
#define REGROUP_MS 1000    /* until a stream that could not be read is tried again */
#define HEAL_MS 50         /* until a group that was forgotten is made again: no spinning if that goes on */
#define CLAIM_MAX_MS 15000 /* between two looks for what dead consumers left */
#define CLAIM_MIN_MS 100
#define CLAIM_COUNT "100" /* entries a look; it goes on at once where more are left */
#define TIDY_MS 5000
#define TIDY_ENTRIES "50000" /* a call: 10,000 a second, and under a millisecond of Redis's time */
#define CONSUMER_KEPT_MS                                                                                     \
    "86400000" /* a consumer that was not seen for a day and owes nothing is forgotten                       \
                */

/* An entry is done with when it was delivered and nobody owes its acknowledgement: the first that is not
 * bounds what is removed. In one step, or an entry could be delivered and become pending in between. ~
 * removes whole nodes only, and never more than was asked for. */
static const char tidy_script[] =
    "local groups, ours = redis.call('XINFO', 'GROUPS', KEYS[1])\n"
    "for _, flat in ipairs(groups) do\n"
    "    local group = {}\n"
    "    for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end\n"
    "    if group.name == ARGV[1] then ours = group end\n"
    "end\n"
    "if not ours then return 0 end\n"
    "for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do\n"
    "    local consumer = {}\n"
    "    for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end\n"
    "    if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then\n"
    "        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)\n"
    "    end\n"
    "end\n"
    "if #groups > 1 or ARGV[4] == 'no' then return 0 end\n"
    "local first = ours['last-delivered-id']\n"
    "if ours.pending > 0 then first = redis.call('XPENDING', KEYS[1], ARGV[1])[2] end\n"
    "return redis.call('XTRIM', KEYS[1], 'MINID', '~', first, 'LIMIT', ARGV[3])\n";

enum state { DOWN, UP, CLOSING };

struct stream {
    struct reader *reader;
    const struct reader_stream *options;
    bool has_group;
    bool has_own;                  /* entries may be pending for us that were not read on this connection */
    bool is_refused;               /* and it was said */
    char cursor[ENTRIES_ID_BYTES]; /* where the look for dead consumers' entries goes on */
};

struct reader {
    struct reader_options options;
    enum state state;
    struct link *link; /* owned; closed by reader_close */
    uv_timer_t timer;  /* hands up again, or goes on later */
    unsigned open_handles;
    struct stream streams[CONFIG_MAX_SECTIONS];
    size_t awaited;                             /* answers that are not in yet */
    bool is_reading;                            /* every stream has its group, and that was told */
    bool is_read_forbidden, is_claim_forbidden; /* and that was said */
    bool is_paused;
    unsigned count;         /* entries to ask for */
    struct entries entries; /* with the owner while is_batch_out */
    bool is_batch_out;
    bool is_ack_owed;                             /* the owner has answered, and Redis has not been told */
    int64_t group_at_ms, claim_at_ms, tidy_at_ms; /* mono */

    void (*on_closed)(void *arg);
    void *closed_arg;
};

static void go_on(struct reader *reader);

static size_t origin_of(const struct stream *stream)
{
    return (size_t)(stream - stream->reader->streams);
}

/* ── asking ── */

static bool ask(struct reader *reader, int argc, const char *const *argv, link_reply_fn *on_reply, void *arg)
{
    struct err err;
    /* Not ready: on_link_lost has come or is about to, and the next connection begins anew. */
    if (!link_command(reader->link, argc, argv, NULL, on_reply, arg, &err))
        return false;
    reader->awaited += on_reply != NULL;
    return true;
}

/* One answer less. False: there is none (the connection is over), or the end has begun. */
static bool is_answered(struct reader *reader, const redisReply *reply)
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

/* ── groups ── */

static bool is_any_without_group(const struct reader *reader)
{
    for (size_t i = 0; i < reader->options.stream_count; i++)
        if (!reader->streams[i].has_group)
            return true;
    return false;
}

static bool is_error(const char *error, const char *code)
{
    return strncmp(error, code, strlen(code)) == 0;
}

/* The groups are made again, or found to be there: only then it is known which stream is to blame. */
static void on_refusal(struct reader *reader, const char *error)
{
    bool is_forgotten = is_error(error, "NOGROUP") || is_error(error, "UNBLOCKED");
    for (size_t i = 0; i < reader->options.stream_count; i++)
        reader->streams[i].has_group = false;
    reader->is_reading = false;
    reader->group_at_ms = clock_mono_ms() + (is_forgotten ? HEAL_MS : REGROUP_MS);
}

/* A right that is missing is no matter of groups: making them again would only hide it. Said once until what
 * it is for works. */
static bool is_forbidden(struct stream *stream, const redisReply *reply, bool *was_said)
{
    const struct reader_callbacks *callbacks = &stream->reader->options.callbacks;
    const char *error = reply_error(reply);
    bool is_new = !*was_said;
    *was_said = error != NULL && is_error(error, "NOPERM");
    if (*was_said && is_new)
        callbacks->on_refused(callbacks->arg, origin_of(stream), error);
    return *was_said;
}

static void on_created(void *arg, const redisReply *reply)
{
    struct stream *stream = arg;
    struct reader *reader = stream->reader;
    if (!is_answered(reader, reply))
        return;
    const char *error = reply_error(reply);
    stream->has_group = error == NULL || is_error(error, "BUSYGROUP");
    if (stream->has_group) {
        stream->has_own = true;
        stream->is_refused = false;
        snprintf(stream->cursor, sizeof stream->cursor, "0-0");
    } else if (is_error(error, "READONLY")) {
        /* The master has moved: the name may resolve to another address by now. */
        link_reset(reader->link, "Redis is a read-only replica");
        return;
    } else if (!stream->is_refused) {
        stream->is_refused = true;
        reader->options.callbacks.on_refused(reader->options.callbacks.arg, origin_of(stream), error);
    }
    if (reader->awaited > 0 || reader->state != UP)
        return;
    reader->group_at_ms = clock_mono_ms() + REGROUP_MS;
    if (!reader->is_reading && !is_any_without_group(reader)) {
        reader->is_reading = true;
        reader->options.callbacks.on_reading(reader->options.callbacks.arg);
    }
    go_on(reader);
}

/* From the beginning of the stream: what came before us, or while the group was forgotten, is not lost. */
static void make_groups(struct reader *reader)
{
    for (size_t i = 0; i < reader->options.stream_count; i++) {
        struct stream *stream = &reader->streams[i];
        const char *const argv[] = {"XGROUP", "CREATE",  stream->options->key, reader->options.group,
                                    "0",      "MKSTREAM"};
        if (!stream->has_group && !ask(reader, 6, argv, on_created, stream))
            return;
    }
}

/* ── acknowledging ── */

/* One command for each run of entries of one stream. Not awaited: if it is lost the entries come again, and
 * the ledger knows them. */
static void acknowledge(struct reader *reader)
{
    const struct entries *entries = &reader->entries;
    const char *argv[3 + INCOMING_MAX_BATCH] = {"XACK"};
    size_t i = 0;
    FAULT("entries-not-acknowledged");
    while (i < entries->id_count) {
        size_t origin = entries->ids[i].origin;
        int argc = 3;
        argv[1] = reader->options.streams[origin].key;
        argv[2] = reader->options.group;
        while (i < entries->id_count && entries->ids[i].origin == origin)
            argv[argc++] = entries->ids[i++].text;
        if (!ask(reader, argc, argv, NULL, NULL))
            return;
    }
    FAULT("entries-acknowledged");
    reader->is_ack_owed = false;
    entries_reset(&reader->entries);
}

/* ── what dead consumers left, and what is done with ── */

static int64_t claim_every_ms(const struct reader *reader)
{
    int64_t every_ms = reader->options.claim_idle_ms / 4;
    return every_ms > CLAIM_MAX_MS ? CLAIM_MAX_MS : every_ms < CLAIM_MIN_MS ? CLAIM_MIN_MS : every_ms;
}

static void on_claimed(void *arg, const redisReply *reply)
{
    struct stream *stream = arg;
    struct reader *reader = stream->reader;
    if (!is_answered(reader, reply))
        return;
    const char *cursor = reply_text(reply_at(reply, 0), NULL);
    if (is_forbidden(stream, reply, &reader->is_claim_forbidden)) {
        go_on(reader); /* what dead consumers left waits until the next look; the rest need not */
        return;
    }
    if (reply_error(reply) != NULL) {
        on_refusal(reader, reply_error(reply));
    } else if (cursor != NULL) {
        /* They are ours from here on, and read with what is ours already. */
        stream->has_own = stream->has_own || reply_count(reply_at(reply, 1)) > 0;
        snprintf(stream->cursor, sizeof stream->cursor, "%s", cursor);
        if (strcmp(cursor, "0-0") != 0)
            reader->claim_at_ms = clock_mono_ms() + 1; /* after a read */
    }
    go_on(reader);
}

static void claim(struct reader *reader)
{
    char idle[24];
    snprintf(idle, sizeof idle, "%" PRId64, reader->options.claim_idle_ms);
    reader->claim_at_ms = clock_mono_ms() + claim_every_ms(reader);
    for (size_t i = 0; i < reader->options.stream_count; i++) {
        struct stream *stream = &reader->streams[i];
        const char *const argv[] = {"XAUTOCLAIM",
                                    stream->options->key,
                                    reader->options.group,
                                    reader->options.consumer,
                                    idle,
                                    stream->cursor,
                                    "COUNT",
                                    CLAIM_COUNT,
                                    "JUSTID"};
        if (stream->has_group && !ask(reader, 9, argv, on_claimed, stream))
            return;
    }
}

static void tidy(struct reader *reader)
{
    reader->tidy_at_ms = clock_mono_ms() + TIDY_MS;
    for (size_t i = 0; i < reader->options.stream_count; i++) {
        const struct stream *stream = &reader->streams[i];
        const char *const argv[] = {"EVAL",
                                    tidy_script,
                                    "1",
                                    stream->options->key,
                                    reader->options.group,
                                    CONSUMER_KEPT_MS,
                                    TIDY_ENTRIES,
                                    stream->options->is_trimmed ? "yes" : "no"};
        if (stream->has_group && !ask(reader, 8, argv, NULL, NULL))
            return;
    }
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
    if (!is_answered(reader, reply)) {
        reader->count = reader->count > 1 ? reader->count / 2 : 1; /* perhaps it was too much at once */
        return;
    }
    /* One command reads all streams: which of them it is, the words of Redis don't tell. */
    if (is_forbidden(&reader->streams[0], reply, &reader->is_read_forbidden)) {
        go_on_at(reader, clock_mono_ms() + REGROUP_MS);
        return;
    }
    if (reply_error(reply) != NULL)
        on_refusal(reader, reply_error(reply));
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
        go_on(reader);
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
    if (!ask(reader, argc, argv, on_entries, reader))
        go_on_at(reader, clock_mono_ms() + REGROUP_MS);
}

static void go_on(struct reader *reader)
{
    if (reader->state != UP || reader->is_batch_out || reader->awaited > 0)
        return;
    uv_timer_stop(&reader->timer);
    if (reader->is_ack_owed)
        acknowledge(reader);
    if (reader->is_paused)
        return;
    int64_t now_ms = clock_mono_ms();
    if (is_any_without_group(reader) && now_ms >= reader->group_at_ms)
        make_groups(reader);
    else if (now_ms >= reader->claim_at_ms)
        claim(reader);
    if (reader->awaited > 0)
        return;
    if (now_ms >= reader->tidy_at_ms)
        tidy(reader);
    read_entries(reader);
}

static void on_timer(uv_timer_t *timer)
{
    struct reader *reader = timer->data;
    if (reader->is_batch_out)
        hand_up(reader); /* the owner asked for the same batch again */
    else
        go_on(reader);
}

/* ── the link's events ── */

static void on_link_ready(void *arg)
{
    struct reader *reader = arg;
    reader->state = UP;
    for (size_t i = 0; i < reader->options.stream_count; i++)
        reader->streams[i].has_group = false;
    reader->group_at_ms = reader->claim_at_ms = 0;
    go_on(reader);
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
    reader->tidy_at_ms = clock_mono_ms() + TIDY_MS;
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
    go_on(reader);
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
