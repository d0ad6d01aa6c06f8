/* json.c - the strict reader: one recursive descent over the bytes, bounded by JSON_MAX_DEPTH, and at each
 * object's end a sort of its members (json_order.h). Any thread. */
#include "herald/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "herald/utf8.h"
#include "json_order.h"

struct reader {
    const char *text;
    size_t len;
    size_t at;
    struct json_token *tokens; /* owned until the parse succeeds */
    uint32_t count;
    uint32_t capacity;
    struct err *err;
};

static bool parse_value(struct reader *reader, unsigned depth);

static bool complain(struct reader *reader, size_t at, const char *what)
{
    return err_set(reader->err, ERR_INPUT, "at byte %zu: %s", at, what);
}

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->len) {
        char c = reader->text[reader->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            break;
        reader->at++;
    }
}

static bool is_at(const struct reader *reader, char c)
{
    return reader->at < reader->len && reader->text[reader->at] == c;
}

static bool is_at_digit(const struct reader *reader)
{
    return reader->at < reader->len && reader->text[reader->at] >= '0' && reader->text[reader->at] <= '9';
}

static bool add_token(struct reader *reader, enum json_token_type type, size_t start, uint32_t *ret)
{
    if (reader->count == reader->capacity) {
        uint32_t capacity = reader->capacity * 2;
        struct json_token *tokens = realloc(reader->tokens, capacity * sizeof(*tokens));
        if (!tokens)
            return err_set(reader->err, ERR_NOMEM, "out of memory for %u JSON tokens", (unsigned)capacity);
        reader->tokens = tokens;
        reader->capacity = capacity;
    }
    reader->tokens[reader->count] = (struct json_token){.type = type, .start = (uint32_t)start};
    *ret = reader->count++;
    return true;
}

static void end_token(struct reader *reader, uint32_t index, size_t end)
{
    reader->tokens[index].end = (uint32_t)end;
    reader->tokens[index].next = reader->count;
}

/* Four hexadecimal digits at reader->at, which moves behind them. */
static bool read_hex4(struct reader *reader, uint32_t *ret)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        char c = reader->at < reader->len ? reader->text[reader->at] : '\0';
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            value = value << 4 | (uint32_t)(c - 'A' + 10);
        else
            return complain(reader, reader->at, "expected a hexadecimal digit");
        reader->at++;
    }
    *ret = value;
    return true;
}

/* A backslash is at reader->at. */
static bool check_escape(struct reader *reader)
{
    size_t start = reader->at++;
    char c = reader->at < reader->len ? reader->text[reader->at] : '\0';
    uint32_t unit, low;

    if (c != 'u') {
        if (c == '\0' || !strchr("\"\\/bfnrt", c))
            return complain(reader, reader->at, "expected one of \" \\ / b f n r t u behind a backslash");
        reader->at++;
        return true;
    }
    reader->at++;
    if (!read_hex4(reader, &unit))
        return false;
    if (unit == 0)
        return complain(reader, start, "a NUL is not allowed");
    if (unit >= 0xDC00 && unit <= 0xDFFF)
        return complain(reader, start, "a low surrogate without a high one");
    if (unit < 0xD800 || unit > 0xDBFF)
        return true;
    if (!is_at(reader, '\\') || reader->at + 1 >= reader->len || reader->text[reader->at + 1] != 'u')
        return complain(reader, start, "a high surrogate without a low one");
    reader->at += 2;
    if (!read_hex4(reader, &low))
        return false;
    if (low < 0xDC00 || low > 0xDFFF)
        return complain(reader, start, "a high surrogate without a low one");
    return true;
}

/* The opening quote is at reader->at. */
static bool parse_string(struct reader *reader)
{
    uint32_t index, code;
    bool has_escapes = false;

    reader->at++;
    if (!add_token(reader, JSON_STRING, reader->at, &index))
        return false;
    while (reader->at < reader->len) {
        unsigned char c = (unsigned char)reader->text[reader->at];
        if (c == '"') {
            end_token(reader, index, reader->at++);
            reader->tokens[index].has_escapes = has_escapes;
            return true;
        }
        if (c == '\\') {
            has_escapes = true;
            if (!check_escape(reader))
                return false;
        } else if (c < 0x20) {
            return complain(reader, reader->at, "a control character has to be escaped");
        } else if (c < 0x80) {
            reader->at++;
        } else {
            size_t width = utf8_read(reader->text + reader->at, reader->len - reader->at, &code);
            if (width == 0)
                return complain(reader, reader->at, "invalid UTF-8");
            reader->at += width;
        }
    }
    return complain(reader, reader->at, "expected the closing quote of a string");
}

static bool skip_digits(struct reader *reader)
{
    if (!is_at_digit(reader))
        return complain(reader, reader->at, "expected a digit");
    while (is_at_digit(reader))
        reader->at++;
    return true;
}

static bool parse_number(struct reader *reader)
{
    uint32_t index;

    if (!add_token(reader, JSON_NUMBER, reader->at, &index))
        return false;
    if (is_at(reader, '-'))
        reader->at++;
    if (is_at(reader, '0')) {
        reader->at++;
        if (is_at_digit(reader))
            return complain(reader, reader->at, "a number does not begin with 0");
    } else if (!skip_digits(reader)) {
        return false;
    }
    if (is_at(reader, '.')) {
        reader->at++;
        if (!skip_digits(reader))
            return false;
    }
    if (is_at(reader, 'e') || is_at(reader, 'E')) {
        reader->at++;
        if (is_at(reader, '+') || is_at(reader, '-'))
            reader->at++;
        if (!skip_digits(reader))
            return false;
    }
    end_token(reader, index, reader->at);
    return true;
}

static bool parse_word(struct reader *reader, const char *word, enum json_token_type type)
{
    size_t word_len = strlen(word);
    uint32_t index;

    if (reader->len - reader->at < word_len || memcmp(reader->text + reader->at, word, word_len) != 0)
        return complain(reader, reader->at, "expected a value");
    if (!add_token(reader, type, reader->at, &index))
        return false;
    reader->at += word_len;
    end_token(reader, index, reader->at);
    return true;
}

static bool parse_array(struct reader *reader, unsigned depth)
{
    uint32_t index;

    if (!add_token(reader, JSON_ARRAY, reader->at, &index))
        return false;
    reader->at++;
    skip_space(reader);
    if (!is_at(reader, ']')) {
        for (;;) {
            if (!parse_value(reader, depth))
                return false;
            skip_space(reader);
            if (!is_at(reader, ','))
                break;
            reader->at++;
        }
    }
    if (!is_at(reader, ']'))
        return complain(reader, reader->at, "expected ',' or ']'");
    reader->at++;
    end_token(reader, index, reader->at);
    return true;
}

static bool parse_object(struct reader *reader, unsigned depth)
{
    uint32_t index, count = 0;
    size_t escaped_bytes =
        0; /* of the names that have escapes, as written: no less than they need unescaped */

    if (!add_token(reader, JSON_OBJECT, reader->at, &index))
        return false;
    reader->at++;
    skip_space(reader);
    if (!is_at(reader, '}')) {
        for (;;) {
            skip_space(reader);
            uint32_t name = reader->count;
            if (!is_at(reader, '"'))
                return complain(reader, reader->at, "expected a member name in quotes");
            if (!parse_string(reader))
                return false;
            if (reader->tokens[name].has_escapes)
                escaped_bytes += reader->tokens[name].end - reader->tokens[name].start;
            skip_space(reader);
            if (!is_at(reader, ':'))
                return complain(reader, reader->at, "expected ':'");
            reader->at++;
            if (!parse_value(reader, depth))
                return false;
            count++;
            skip_space(reader);
            if (!is_at(reader, ','))
                break;
            reader->at++;
        }
    }
    if (!is_at(reader, '}'))
        return complain(reader, reader->at, "expected ',' or '}'");
    reader->at++;
    end_token(reader, index, reader->at);
    return count == 0 || json_order(reader->text, reader->tokens, index, count, escaped_bytes, reader->err);
}

static bool parse_value(struct reader *reader, unsigned depth)
{
    skip_space(reader);
    switch (reader->at < reader->len ? reader->text[reader->at] : '\0') {
    case '{':
    case '[':
        if (depth == JSON_MAX_DEPTH)
            return complain(reader, reader->at, "nested too deeply");
        return reader->text[reader->at] == '{' ? parse_object(reader, depth + 1)
                                               : parse_array(reader, depth + 1);
    case '"':
        return parse_string(reader);
    case 't':
        return parse_word(reader, "true", JSON_TRUE);
    case 'f':
        return parse_word(reader, "false", JSON_FALSE);
    case 'n':
        return parse_word(reader, "null", JSON_NULL);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return parse_number(reader);
    default:
        return complain(reader, reader->at, "expected a value");
    }
}

static bool parse_document(struct reader *reader)
{
    if (reader->len >= 3 && memcmp(reader->text, "\xEF\xBB\xBF", 3) == 0)
        return complain(reader, 0, "a byte-order mark is not allowed");
    if (!parse_value(reader, 0))
        return false;
    skip_space(reader);
    if (reader->at < reader->len)
        return complain(reader, reader->at, "expected nothing behind the value");
    return true;
}

bool json_parse(const char *text, size_t len, struct json *ret, struct err *err)
{
    if (len > JSON_MAX_BYTES)
        return err_set(err, ERR_INPUT, "at byte %d: too large: %zu bytes", JSON_MAX_BYTES, len);

    /* One token per eight bytes is more than events have: usually this is the only allocation. */
    struct reader reader = {.text = text, .len = len, .capacity = (uint32_t)(len / 8 + 8), .err = err};
    reader.tokens = malloc(reader.capacity * sizeof(*reader.tokens));
    if (!reader.tokens)
        return err_set(err, ERR_NOMEM, "out of memory for %u JSON tokens", (unsigned)reader.capacity);
    if (!parse_document(&reader)) {
        free(reader.tokens);
        return false;
    }
    *ret = (struct json){.text = text, .len = len, .tokens = reader.tokens, .count = reader.count};
    return true;
}

void json_done(struct json *json)
{
    free(json->tokens);
    *json = (struct json){0};
}

const struct json_token *json_member(const struct json *json, uint32_t object, const char *name)
{
    assert(object < json->count);
    if (json->tokens[object].type != JSON_OBJECT)
        return NULL;
    for (uint32_t i = object + 1; i < json->tokens[object].next; i = json->tokens[i + 1].next)
        if (json_string_is(json, &json->tokens[i], name))
            return &json->tokens[i + 1];
    return NULL;
}
