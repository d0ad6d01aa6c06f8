/* entries.c - from a stream's entry to the bytes of an event; see entries.h. Loop thread. */
#include "entries.h"

#include <stdio.h>
#include <string.h>

#include "herald/json.h"
#include "herald/reader.h"
#include "herald/reply.h"

#define KEPT_BYTES (256 * 1024) /* memory between batches: what an ordinary one needs */

void entries_init(struct entries *entries)
{
    /* One entry past the bound is looked at, and taken back if it does not fit. */
    buffer_init(&entries->bytes, (size_t)READER_MAX_BYTES + INCOMING_BEGINNING);
    entries->count = entries->id_count = 0;
}

void entries_done(struct entries *entries)
{
    buffer_done(&entries->bytes);
}

void entries_reset(struct entries *entries)
{
    if (entries->bytes.cap > KEPT_BYTES)
        buffer_done(&entries->bytes);
    buffer_reset(&entries->bytes);
    entries->count = entries->id_count = 0;
}

static void append_text(struct buffer *bytes, const redisReply *text)
{
    size_t len = 0;
    const char *at = reply_text(text, &len);
    buffer_char(bytes, '"');
    json_escape(at != NULL ? at : "", len, bytes);
    buffer_char(bytes, '"');
}

static bool is_event_field(const redisReply *name)
{
    size_t len = 0;
    const char *text = reply_text(name, &len);
    return text != NULL && len == 5 && memcmp(text, "event", 5) == 0;
}

/* How long the object may become at least: enough to refuse the large ones before they are written. */
static size_t sum_lengths(const redisReply *fields)
{
    size_t sum = 2;
    for (size_t i = 0; i < reply_count(fields); i++) {
        size_t len = 0;
        (void)reply_text(reply_at(fields, i), &len);
        sum += len + 3; /* quotes, and a colon or a comma */
    }
    return sum;
}

static void append_object(struct buffer *bytes, const redisReply *fields)
{
    buffer_char(bytes, '{');
    for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
        if (i > 0)
            buffer_char(bytes, ',');
        append_text(bytes, reply_at(fields, i));
        buffer_char(bytes, ':');
        append_text(bytes, reply_at(fields, i + 1));
    }
    buffer_char(bytes, '}');
}

/* The event's bytes behind those of the others; what is too large leaves its beginning. */
static void append_item(struct buffer *bytes, const redisReply *fields, struct incoming *item)
{
    size_t start = bytes->len, members = reply_count(fields) / 2, len = 0;
    bool has_event = false;
    for (size_t i = 0; i < members; i++)
        has_event = has_event || is_event_field(reply_at(fields, 2 * i));
    if (has_event && members > 1)
        item->refusal = "the field `event` stands alone in its entry, or is not there";
    const char *text = has_event && members == 1 ? reply_text(reply_at(fields, 1), &len) : NULL;
    if (text == NULL)
        len = sum_lengths(fields);
    item->total_len = len;
    if (text != NULL) {
        buffer_append(bytes, text, len > EVENT_MAX_BYTES ? INCOMING_BEGINNING : len);
    } else if (len > EVENT_MAX_BYTES) {
        size_t first_len = 0;
        const char *first = reply_text(reply_at(fields, 1), &first_len);
        buffer_append(bytes, first != NULL ? first : "",
                      first_len < INCOMING_BEGINNING ? first_len : INCOMING_BEGINNING);
    } else {
        append_object(bytes, fields);
        item->total_len = bytes->len - start; /* escapes have made it longer */
    }
    item->is_too_large = item->total_len > EVENT_MAX_BYTES;
    item->len = bytes->len - start;
    if (item->is_too_large && item->len > INCOMING_BEGINNING) {
        bytes->len = start + INCOMING_BEGINNING;
        item->len = INCOMING_BEGINNING;
    }
}

bool entries_add(struct entries *entries, size_t origin, const redisReply *entry)
{
    const redisReply *fields = reply_at(entry, 1);
    size_t id_len = 0;
    const char *id = reply_text(reply_at(entry, 0), &id_len);
    if (id == NULL || id_len == 0 || id_len >= ENTRIES_ID_BYTES)
        return true;
    if (entries->id_count == INCOMING_MAX_BATCH)
        return false;
    struct entry_id *kept = &entries->ids[entries->id_count];
    kept->origin = origin;
    snprintf(kept->text, sizeof kept->text, "%s", id);
    if (reply_is_array(fields)) {
        struct incoming item = {.origin = origin, .entry = kept->text};
        size_t start = entries->bytes.len;
        append_item(&entries->bytes, fields, &item);
        if (entries->bytes.failed || (entries->bytes.len > READER_MAX_BYTES && entries->count > 0)) {
            entries->bytes.failed = false;
            entries->bytes.len = start;
            return false;
        }
        entries->starts[entries->count] = start;
        entries->items[entries->count++] = item;
    }
    entries->id_count++;
    return true;
}

void entries_settle(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        entries->items[i].bytes = entries->bytes.data + entries->starts[i];
}
