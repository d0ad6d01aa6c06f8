/* log_format.c - one log line as text, JSON or journal fields; see log_format.h.
 *
 * Whatever a publisher or a provider wrote comes through here on its way to a terminal or to a log reader, so
 * nothing that could move a cursor, end a line or close a string leaves as it came. Any thread.
 */
#include "log_format.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "herald/clock.h"
#include "herald/utf8.h"

_Static_assert(LOG_LINE_BYTES <= PIPE_BUF, "a line must be one atomic write into a pipe");

#define TAIL_BYTES 24  /* kept free for what ends a line: the longest ends MESSAGE and is HERALD_CUT=true */
#define FOOT_BYTES 512 /* kept free for MESSAGE: the journal wants one, and most are shorter */
#define MESSAGE_BYTES 480 /* the text of a struct err; six bytes for each still fit a line */
#define VALUE_BYTES 512   /* an id has at most 128; what is longer is somebody's prose */
#define REPLY_BYTES 200   /* promised in log.h: enough of a provider's words to look them up */

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
};

static const char *const priorities[] = {
    [LOG_LEVEL_ERROR] = "3", [LOG_LEVEL_WARNING] = "4", [LOG_LEVEL_NOTICE] = "5",
    [LOG_LEVEL_INFO] = "6",  [LOG_LEVEL_DEBUG] = "7",
};

static const char *const key_names[LOG_KEY_COUNT_OF_KEYS] = {
    [LOG_KEY_SOURCE] = "source",       [LOG_KEY_EVENT_ID] = "event_id",
    [LOG_KEY_ORDER_ID] = "order_id",   [LOG_KEY_NOTIFICATION] = "notification",
    [LOG_KEY_DELIVERY] = "delivery",   [LOG_KEY_CHANNEL] = "channel",
    [LOG_KEY_PROVIDER] = "provider",   [LOG_KEY_TO] = "to",
    [LOG_KEY_ATTEMPT] = "attempt",     [LOG_KEY_MS] = "ms",
    [LOG_KEY_REPLY] = "reply",         [LOG_KEY_CODE] = "code",
    [LOG_KEY_WAIT_MS] = "wait_ms",     [LOG_KEY_LIMIT] = "limit",
    [LOG_KEY_REMAINING] = "remaining", [LOG_KEY_RESET] = "reset",
    [LOG_KEY_TRACE_ID] = "trace_id",   [LOG_KEY_REASON] = "reason",
    [LOG_KEY_COUNT] = "count",         [LOG_KEY_OFFSET] = "offset",
    [LOG_KEY_ENTRY] = "entry",         [LOG_KEY_OF] = "of",
};

/* The caller's bytes, filled from the front. Once something did not fit, nothing more goes in. */
struct line {
    char *bytes;
    size_t len;
    size_t room;
    bool is_full;
    bool has_fields;
};

/* How a value is written. */
enum style {
    STYLE_PLAIN,  /* only what is not printable is escaped */
    STYLE_QUOTED, /* and the quote and the backslash, for text between quotes */
    STYLE_JSON,   /* likewise, in JSON's words */
};

static void put(struct line *line, const char *bytes, size_t len)
{
    if (line->is_full || len > line->room - line->len) {
        line->is_full = true;
        return;
    }
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_number(struct line *line, int64_t number)
{
    char digits[20]; /* 2^63 has 19 */
    size_t at = sizeof(digits);
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        digits[--at] = '-';
    put(line, digits + at, sizeof(digits) - at);
}

/* Controls, and what ends a line or turns the direction of what follows. */
static bool is_printable(uint32_t code)
{
    return code >= 0x20 && (code < 0x7f || code > 0x9f) && code != 0x200e && code != 0x200f &&
           (code < 0x2028 || code > 0x202e) && (code < 0x2066 || code > 0x2069) && code != 0xfeff;
}

/* The lead, then `code` as so many hexadecimal digits, at most four. */
static void put_escape(struct line *line, const char *lead, uint32_t code, int digits)
{
    char hex[4];

    for (int i = digits; i-- > 0; code >>= 4)
        hex[i] = "0123456789abcdef"[code & 15];
    put_text(line, lead);
    put(line, hex, (size_t)digits);
}

static void put_unprintable(struct line *line, uint32_t code, enum style style)
{
    if (code == '\n')
        put_text(line, "\\n");
    else if (code == '\r')
        put_text(line, "\\r");
    else if (code == '\t')
        put_text(line, "\\t");
    else if (style == STYLE_JSON || code > 0xff) /* all of them are below U+10000 */
        put_escape(line, "\\u", code, 4);
    else
        put_escape(line, "\\x", code, 2);
}

/* The value, at most `max` bytes of it, cut between characters. */
static void put_value(struct line *line, const char *text, size_t len, size_t max, enum style style)
{
    size_t at = 0;

    while (at < len) {
        uint32_t code;
        size_t bytes = utf8_read(text + at, len - at, &code);

        if (at + (bytes == 0 ? 1 : bytes) > max) {
            put_text(line, "\xe2\x80\xa6");
            return;
        }
        if (bytes ==
            0) { /* not a character: JSON has no word for a byte, so its text says what the others say */
            put_escape(line, style == STYLE_JSON ? "\\\\x" : "\\x", (unsigned char)text[at], 2);
            at++;
            continue;
        }
        if (!is_printable(code)) {
            put_unprintable(line, code, style);
        } else {
            if (style != STYLE_PLAIN && (code == '"' || code == '\\'))
                put_text(line, "\\");
            put(line, text + at, bytes);
        }
        at += bytes;
    }
}

static size_t max_bytes(enum log_key key)
{
    return key == LOG_KEY_REPLY ? REPLY_BYTES : VALUE_BYTES;
}

/* A value of the text format stands bare unless a reader could not tell where it ends. */
static bool needs_quotes(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == ' ' || text[i] == '"' || text[i] == '=' || text[i] == '\\')
            return true;
    return false;
}

static void put_text_field(struct line *line, const struct log_field *field)
{
    put_text(line, line->has_fields ? " " : "  ");
    put_text(line, key_names[field->key]);
    put_text(line, "=");
    if (field->type == LOG_INT) {
        put_number(line, field->number);
        return;
    }

    bool quotes = needs_quotes(field->text, field->text_len);
    if (quotes)
        put_text(line, "\"");
    put_value(line, field->text, field->text_len, max_bytes(field->key), quotes ? STYLE_QUOTED : STYLE_PLAIN);
    if (quotes)
        put_text(line, "\"");
}

static void put_json_field(struct line *line, const struct log_field *field)
{
    put_text(line, ",\"");
    put_text(line, key_names[field->key]);
    put_text(line, "\":");
    if (field->type == LOG_INT) {
        put_number(line, field->number);
        return;
    }
    put_text(line, "\"");
    put_value(line, field->text, field->text_len, max_bytes(field->key), STYLE_JSON);
    put_text(line, "\"");
}

static void put_journal_field(struct line *line, const struct log_field *field)
{
    put_text(line, "HERALD_");
    for (const char *c = key_names[field->key]; *c != '\0'; c++) {
        char upper = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        put(line, &upper, 1);
    }
    put_text(line, "=");
    if (field->type == LOG_INT)
        put_number(line, field->number);
    else
        put_value(line, field->text, field->text_len, max_bytes(field->key), STYLE_PLAIN);
    put(line, "", 1);
}

static void put_message(struct line *line, const char *message, enum style style)
{
    put_value(line, message, strlen(message), MESSAGE_BYTES, style);
}

static void put_event_and_message(struct line *line, const struct log_entry *entry)
{
    put_text(line, entry->event);
    put_text(line, "  ");
    put_message(line, entry->message, STYLE_PLAIN);
}

static void put_text_head(struct line *line, const struct log_entry *entry)
{
    char ts[CLOCK_RFC3339_BYTES];

    clock_rfc3339(entry->wall_ms, ts);
    put(line, ts + 11, 12); /* the time of 2026-01-01T12:00:00.123Z: a terminal is watched today */
    put_text(line, " ");
    put_text(line, level_names[entry->level]);
    put_text(line, " ");
    put_event_and_message(line, entry);
}

static void put_json_head(struct line *line, const struct log_entry *entry)
{
    char ts[CLOCK_RFC3339_BYTES];

    clock_rfc3339(entry->wall_ms, ts);
    put_text(line, "{\"ts\":\"");
    put_text(line, ts);
    put_text(line, "\",\"level\":\"");
    put_text(line, level_names[entry->level]);
    put_text(line, "\",\"event\":\"");
    put_text(line, entry->event);
    put_text(line, "\",\"message\":\"");
    put_message(line, entry->message, STYLE_JSON);
    put_text(line, "\"");
}

static void put_journal_head(struct line *line, const struct log_entry *entry)
{
    put_text(line, "PRIORITY=");
    put_text(line, priorities[entry->level]);
    put(line, "", 1);
    put_text(line, "SYSLOG_IDENTIFIER=heraldd");
    put(line, "", 1);
    put_text(line, "HERALD_EVENT=");
    put_text(line, entry->event);
    put(line, "", 1);
    put_text(line, "HERALD_MESSAGE=");
    put_message(line, entry->message, STYLE_PLAIN);
    put(line, "", 1);
}

/* What tells a reader nothing that another field doesn't, and is long. */
static bool is_for_machines(enum log_key key)
{
    return key == LOG_KEY_EVENT_ID || key == LOG_KEY_DELIVERY || key == LOG_KEY_TRACE_ID;
}

/* journalctl shows no more of an entry than this: so it is the line of the text format. It comes last, and
 * what finds no room in it is in the fields. */
static void put_journal_foot(struct line *line, const struct log_entry *entry)
{
    line->has_fields = false;
    put_text(line, "MESSAGE=");
    put_event_and_message(line, entry);
    for (size_t i = 0; i < entry->count && !line->is_full; i++) {
        if (entry->fields[i].type == LOG_NONE || is_for_machines(entry->fields[i].key))
            continue;
        put_text_field(line, &entry->fields[i]);
        line->has_fields = true;
    }
    line->is_full = false;
    line->room++; /* of what is kept free for the end */
    put(line, "", 1);
}

/* What makes one format: its head, each field, what stands behind them, and how a line ends that is whole or
 * cut. */
struct form {
    void (*put_head)(struct line *line, const struct log_entry *entry);
    void (*put_field)(struct line *line, const struct log_field *field);
    void (*put_foot)(struct line *line, const struct log_entry *entry); /* NULL: nothing */
    size_t foot_bytes;
    const char *end;
    size_t end_bytes;
    const char *cut;
    size_t cut_bytes;
};

#define ENDS(whole, cut) (whole), sizeof(whole) - 1, (cut), sizeof(cut) - 1

static const struct form forms[] = {
    [LOG_FORMAT_TEXT] = {put_text_head, put_text_field, NULL, 0, ENDS("\n", " cut=true\n")},
    [LOG_FORMAT_JSON] = {put_json_head, put_json_field, NULL, 0, ENDS("}\n", ",\"cut\":true}\n")},
    [LOG_FORMAT_JOURNAL] = {put_journal_head, put_journal_field, put_journal_foot, FOOT_BYTES,
                            ENDS("", "HERALD_CUT=true\0")},
};

size_t log_format(enum log_format format, const struct log_entry *entry, char ret[LOG_LINE_BYTES])
{
    assert(format != LOG_FORMAT_AUTO);
    const struct form *form = &forms[format];
    struct line line = {.bytes = ret, .room = LOG_LINE_BYTES - TAIL_BYTES - form->foot_bytes};
    bool is_cut = false;

    form->put_head(&line, entry);
    assert(!line.is_full); /* event names are ours and short, the message is bounded */
    for (size_t i = 0; i < entry->count; i++) {
        size_t before = line.len;

        if (entry->fields[i].type == LOG_NONE)
            continue;
        form->put_field(&line, &entry->fields[i]);
        if (line.is_full) {
            line.is_full = false;
            line.len = before;
            is_cut = true;
        } else {
            line.has_fields = true;
        }
    }
    line.room += form->foot_bytes;
    if (form->put_foot != NULL)
        form->put_foot(&line, entry);
    line.room = LOG_LINE_BYTES;
    put(&line, is_cut ? form->cut : form->end, is_cut ? form->cut_bytes : form->end_bytes);
    return line.len;
}
