/* group.c - the consumer group on each stream; see group.h. Loop thread. */
#include "group.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/reply.h"
#include "reader_private.h"

#define CLAIM_MAX_MS 15000 /* between two looks for what dead consumers left */
#define CLAIM_MIN_MS 100
#define CLAIM_COUNT "100" /* entries a look; it goes on at once where more are left */
#define TIDY_MS 5000
#define TIDY_ENTRIES "50000"        /* a call: 10,000 a second, and under a millisecond of Redis's time */
#define CONSUMER_KEPT_MS "86400000" /* not seen for a day and owing nothing: forgotten */

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

/* ── made ── */

bool group_is_missing(const struct reader *reader)
{
    for (size_t i = 0; i < reader->options.stream_count; i++)
        if (!reader->streams[i].has_group)
            return true;
    return false;
}

static void on_created(void *arg, const redisReply *reply)
{
    struct stream *stream = arg;
    struct reader *reader = stream->reader;
    if (!reader_is_answered(reader, reply))
        return;
    const char *error = reply_error(reply);
    stream->has_group = error == NULL || reader_is_error(error, "BUSYGROUP");
    if (stream->has_group) {
        stream->has_own = true;
        snprintf(stream->cursor, sizeof stream->cursor, "0-0");
    } else if (reader_is_error(error, "READONLY")) {
        /* The master has moved: the name may resolve to another address by now. */
        link_reset(reader->link, "Redis is a read-only replica");
        return;
    }
    reader_note_refusal(stream, REFUSED_GROUP, stream->has_group ? NULL : error);
    if (reader->awaited > 0 || reader->state != UP)
        return;
    reader->group_at_ms = clock_mono_ms() + READER_AGAIN_MS;
    if (!reader->is_reading && !group_is_missing(reader)) {
        reader->is_reading = true;
        reader->options.callbacks.on_reading(reader->options.callbacks.arg);
    }
    reader_go_on(reader);
}

/* From the beginning of the stream: what came before us, or while the group was forgotten, is not lost. */
void group_make(struct reader *reader)
{
    for (size_t i = 0; i < reader->options.stream_count; i++) {
        struct stream *stream = &reader->streams[i];
        const char *const argv[] = {"XGROUP", "CREATE",  stream->options->key, reader->options.group,
                                    "0",      "MKSTREAM"};
        if (!stream->has_group && !reader_ask(reader, 6, argv, on_created, stream))
            return;
    }
}

/* ── acknowledging ── */

static struct stream *stream_of_run(struct reader *reader, size_t at)
{
    return &reader->streams[reader->entries.ids[at].origin];
}

static void on_acknowledged(void *arg, const redisReply *reply)
{
    struct stream *stream = arg;
    struct reader *reader = stream->reader;
    if (!reader_is_answered(reader, reply))
        return;
    const char *error = reply_error(reply);
    if (error != NULL && reader_is_error(error, "READONLY")) {
        link_reset(reader->link, "Redis is a read-only replica");
        return;
    }
    reader_note_refusal(stream, REFUSED_ACK, error);
    /* A key that is no stream any more has no pending entries either: the next read says so. */
    if (error != NULL && !reader_is_error(error, "WRONGTYPE"))
        reader->is_ack_clean = false;
    if (reader->awaited > 0)
        return;
    if (reader->is_ack_clean) {
        FAULT("entries-acknowledged");
        reader->is_ack_owed = false;
        entries_reset(&reader->entries);
    } else {
        reader->ack_at_ms = clock_mono_ms() + READER_AGAIN_MS;
    }
    reader_go_on(reader);
}

/* One command for each run of entries of one stream. If the connection is lost before the answers are in, all
 * is acknowledged again on the next one: it means the same twice. */
void group_acknowledge(struct reader *reader)
{
    const struct entries *entries = &reader->entries;
    const char *argv[3 + INCOMING_MAX_BATCH] = {"XACK"};
    size_t i = 0;
    FAULT("entries-not-acknowledged");
    reader->is_ack_clean = true;
    while (i < entries->id_count) {
        struct stream *stream = stream_of_run(reader, i);
        int argc = 3;
        argv[1] = stream->options->key;
        argv[2] = reader->options.group;
        while (i < entries->id_count && stream_of_run(reader, i) == stream)
            argv[argc++] = entries->ids[i++].text;
        if (!reader_ask(reader, argc, argv, on_acknowledged, stream))
            return;
    }
}

/* ── what dead consumers left ── */

static int64_t claim_every_ms(const struct reader *reader)
{
    int64_t every_ms = reader->options.claim_idle_ms / 4;
    return every_ms > CLAIM_MAX_MS ? CLAIM_MAX_MS : every_ms < CLAIM_MIN_MS ? CLAIM_MIN_MS : every_ms;
}

static void on_claimed(void *arg, const redisReply *reply)
{
    struct stream *stream = arg;
    struct reader *reader = stream->reader;
    if (!reader_is_answered(reader, reply))
        return;
    const char *cursor = reply_text(reply_at(reply, 0), NULL), *error = reply_error(reply);
    bool is_forbidden = error != NULL && reader_is_error(error, "NOPERM");
    /* A right that is missing is no matter of groups: what dead consumers left waits until the next look, and
     * the rest need not. */
    reader_note_refusal(stream, REFUSED_CLAIM, is_forbidden ? error : NULL);
    if (error != NULL && !is_forbidden) {
        reader_lose_groups(reader, error);
    } else if (cursor != NULL) {
        /* They are ours from here on, and read with what is ours already. */
        if (reply_count(reply_at(reply, 1)) > 0) {
            stream->has_own = true;
            FAULT("entries-claimed");
        }
        snprintf(stream->cursor, sizeof stream->cursor, "%s", cursor);
        if (strcmp(cursor, "0-0") != 0)
            reader->claim_at_ms = clock_mono_ms() + 1; /* after a read */
    }
    reader_go_on(reader);
}

void group_claim(struct reader *reader)
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
        if (stream->has_group && !reader_ask(reader, 9, argv, on_claimed, stream))
            return;
    }
}

/* ── what is done with ── */

static void on_tidied(void *arg, const redisReply *reply)
{
    struct stream *stream = arg;
    if (!reader_is_answered(stream->reader, reply))
        return;
    const char *error = reply_error(reply);
    /* That the stream or the group is gone, the next read finds out too, and has it made again. */
    bool is_gone =
        error != NULL && (strstr(error, "no such key") != NULL || strstr(error, "NOGROUP") != NULL);
    reader_note_refusal(stream, REFUSED_TIDY, is_gone ? NULL : error);
    reader_go_on(stream->reader);
}

void group_tidy(struct reader *reader)
{
    reader->tidy_at_ms = clock_mono_ms() + TIDY_MS;
    for (size_t i = 0; i < reader->options.stream_count; i++) {
        struct stream *stream = &reader->streams[i];
        const char *const argv[] = {"EVAL",
                                    tidy_script,
                                    "1",
                                    stream->options->key,
                                    reader->options.group,
                                    CONSUMER_KEPT_MS,
                                    TIDY_ENTRIES,
                                    stream->options->is_trimmed ? "yes" : "no"};
        if (stream->has_group && !reader_ask(reader, 8, argv, on_tidied, stream))
            return;
    }
}
