/* logline.c - see logline.h. */
#include "logline.h"

#include <stdlib.h>
#include <string.h>

#include "herald/json.h"
#include "herald/log.h"
#include "text.h"

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
};

#define LEVEL_COUNT ((int)(sizeof level_names / sizeof *level_names))

/* The keys of numbers: the journal has nothing but texts. */
static const char *const number_names[] = {"attempt",   "ms",    "code",  "wait_ms",
                                           "remaining", "reset", "count", "offset"};

void logline_init(struct logline *line)
{
    *line = (struct logline){.level = -1};
    buffer_init(&line->text, 2 * JSON_MAX_BYTES); /* a line unescaped is no longer than it was, and NULs */
}

void logline_done(struct logline *line)
{
    buffer_done(&line->text);
}

/* ── reading ── */

static void append_bytes(const struct json *json, const struct json_token *array, struct buffer *ret)
{
    /* What journalctl says of a value with bytes that are no text. */
    for (const struct json_token *token = array + 1; token < json->tokens + array->next; token++) {
        long byte = token->type == JSON_NUMBER ? strtol(json->text + token->start, NULL, 10) : 0;
        if (byte > 0 && byte < 256)
            buffer_char(ret, (char)byte);
    }
}

/* The value as text, appended. False: it is of a kind that no log line has. */
static bool append_value(const struct json *json, const struct json_token *value, struct buffer *ret)
{
    const struct json_token *first = value + 1;
    switch (value->type) {
    case JSON_STRING:
        json_unescape(json, value, ret);
        return true;
    case JSON_ARRAY: /* of the journal: one name given several times, or bytes */
        if (first == json->tokens + value->next)
            return false;
        if (first->type == JSON_STRING)
            json_unescape(json, first, ret);
        else
            append_bytes(json, value, ret);
        return true;
    case JSON_NUMBER:
    case JSON_TRUE:
    case JSON_FALSE:
        buffer_append(ret, json->text + value->start, value->end - value->start);
        return true;
    default:
        return false;
    }
}

static bool is_number(const char *name, const char *value)
{
    size_t digits = strspn(value + (value[0] == '-'), "0123456789");
    bool is_key = false;
    for (size_t i = 0; i < sizeof number_names / sizeof *number_names; i++)
        is_key = is_key || strcmp(name, number_names[i]) == 0;
    return is_key && digits > 0 && value[digits + (value[0] == '-')] == '\0';
}

/* "HERALD_ORDER_ID" is "order_id". */
static void lower(char *name)
{
    for (; *name != '\0'; name++)
        if (*name >= 'A' && *name <= 'Z')
            *name = (char)(*name - 'A' + 'a');
}

static void add_field(struct logline *line, const struct json *json, const struct json_token *name,
                      const char *prefix, bool is_journal)
{
    const struct json_token *value = name + 1;
    struct buffer *text = &line->text;
    struct logline_field field = {.name = text->len};
    const size_t prefix_len = strlen(prefix);
    if (line->count == LOGLINE_MAX_FIELDS)
        return;
    json_unescape(json, name, text);
    buffer_char(text, '\0');
    if (text->failed || strncmp(text->data + field.name, prefix, prefix_len) != 0) {
        text->len = field.name;
        return;
    }
    if (is_journal)
        lower(text->data + field.name);
    field.value = text->len;
    bool is_taken = append_value(json, value, text);
    buffer_char(text, '\0');
    if (!is_taken || text->failed) {
        text->len = field.name;
        return;
    }
    field.name += prefix_len;
    field.is_bare = is_journal ? is_number(text->data + field.name, text->data + field.value)
                               : value->type != JSON_STRING && value->type != JSON_ARRAY;
    line->fields[line->count++] = field;
}

static void level_of_name(struct logline *line, const struct json *json, const struct json_token *value)
{
    for (int i = 0; i < LEVEL_COUNT; i++)
        if (value != NULL && value->type == JSON_STRING && json_string_is(json, value, level_names[i]))
            line->level = i;
}

/* syslog's numbers; the three worse than an error are not heraldd's. */
static void level_of_priority(struct logline *line, const struct json *json, const struct json_token *value)
{
    static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_ERROR,   LOG_LEVEL_ERROR,
                                            LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE,
                                            LOG_LEVEL_INFO,  LOG_LEVEL_DEBUG};
    if (value == NULL || value->type != JSON_STRING || value->end != value->start + 1)
        return;
    char digit = json->text[value->start];
    if (digit >= '0' && digit <= '7')
        line->level = (int)levels[digit - '0'];
}

static void read_journal(struct logline *line, const struct json *json, const struct json_token *time)
{
    const struct json_token *message = json_member(json, 0, "MESSAGE");
    clock_rfc3339(strtoll(json->text + time->start, NULL, 10) / 1000, line->ts);
    level_of_priority(line, json, json_member(json, 0, "PRIORITY"));
    if (message != NULL && json_member(json, 0, "HERALD_MESSAGE") == NULL) /* systemd's, about us */
        add_field(line, json, message - 1, "", true);
    for (uint32_t at = 1; at < json->tokens[0].next; at = json->tokens[at + 1].next)
        add_field(line, json, &json->tokens[at], "HERALD_", true);
}

static void read_daemons(struct logline *line, const struct json *json, const struct json_token *time)
{
    size_t len = time->end - time->start;
    snprintf(line->ts, sizeof line->ts, "%.*s", (int)(len < sizeof line->ts ? len : 0),
             json->text + time->start);
    level_of_name(line, json, json_member(json, 0, "level"));
    for (uint32_t at = 1; at < json->tokens[0].next; at = json->tokens[at + 1].next) {
        const struct json_token *name = &json->tokens[at];
        if (!json_string_is(json, name, "ts") && !json_string_is(json, name, "level"))
            add_field(line, json, name, "", false);
    }
}

bool logline_read(const char *bytes, size_t len, struct logline *ret)
{
    struct json json = {0};
    struct err ignored;
    ret->count = 0;
    ret->level = -1;
    buffer_reset(&ret->text);
    if (!json_parse(bytes, len, &json, &ignored))
        return false;
    const struct json_token *journals = json_member(&json, 0, "__REALTIME_TIMESTAMP"),
                            *daemons = json_member(&json, 0, "ts"), *event = json_member(&json, 0, "event");
    bool is_journals = journals != NULL && journals->type == JSON_STRING;
    bool is_daemons =
        daemons != NULL && daemons->type == JSON_STRING && event != NULL && event->type == JSON_STRING;
    if (is_journals)
        read_journal(ret, &json, journals);
    else if (is_daemons)
        read_daemons(ret, &json, daemons);
    json_done(&json);
    return is_journals || is_daemons;
}

const char *logline_value(const struct logline *line, const char *name)
{
    for (size_t i = 0; i < line->count; i++)
        if (strcmp(line->text.data + line->fields[i].name, name) == 0)
            return line->text.data + line->fields[i].value;
    return NULL;
}

/* ── writing ── */

static bool is_in_head(const char *name)
{
    return strcmp(name, "event") == 0 || strcmp(name, "message") == 0;
}

void logline_print(FILE *file, const struct logline *line)
{
    const char *event = logline_value(line, "event"), *message = logline_value(line, "message");
    text_print(file, line->ts);
    fprintf(file, " %s ", line->level >= 0 ? level_names[line->level] : "-");
    text_print(file, event != NULL ? event : "-");
    fputs("  ", file);
    text_print(file, message != NULL ? message : "");
    for (size_t i = 0, shown = 0; i < line->count; i++) {
        const char *name = line->text.data + line->fields[i].name,
                   *value = line->text.data + line->fields[i].value;
        if (is_in_head(name))
            continue;
        bool has_quotes = strpbrk(value, " =\"") != NULL;
        fputs(shown++ == 0 ? "  " : " ", file);
        text_print(file, name);
        fputs(has_quotes ? "=\"" : "=", file);
        text_print(file, value);
        fputs(has_quotes ? "\"" : "", file);
    }
    fputc('\n', file);
}

static void print_text(FILE *file, const char *text)
{
    if (text != NULL)
        text_json(file, text, strlen(text));
    else
        fputs("null", file);
}

void logline_print_json(FILE *file, const struct logline *line)
{
    static const char *const head[] = {"event", "message"};
    fputs("{\"ts\":", file);
    print_text(file, line->ts);
    fputs(",\"level\":", file);
    print_text(file, line->level >= 0 ? level_names[line->level] : NULL);
    for (size_t i = 0; i < 2; i++) {
        fprintf(file, ",\"%s\":", head[i]);
        print_text(file, logline_value(line, head[i]));
    }
    for (size_t i = 0; i < line->count; i++) {
        const char *name = line->text.data + line->fields[i].name,
                   *value = line->text.data + line->fields[i].value;
        if (is_in_head(name))
            continue;
        fputc(',', file);
        print_text(file, name);
        fputc(':', file);
        if (line->fields[i].is_bare)
            fputs(value, file);
        else
            print_text(file, value);
    }
    fputs("}\n", file);
}
