/* json_text.c - from tokens to text and back: escapes read and written, and the canonical form.
 *
 * Works only on what json_parse has checked, so nothing here can fail but the buffer. Any thread. */
#include <assert.h>
#include <string.h>

#include "herald/json.h"
#include "herald/utf8.h"

static uint32_t hex4(const char *at)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        char c = at[i];
        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* Reads the escape whose backslash is at *at, which moves behind it; returns the
 * character's length in bytes. */
static size_t read_escape(const char **at, char ret[UTF8_MAX_BYTES])
{
    char c = (*at)[1];

    if (c == 'u') {
        uint32_t code = hex4(*at + 2);
        *at += 6;
        if (code >= 0xD800 && code <= 0xDBFF) {
            code = 0x10000 + ((code - 0xD800) << 10) + (hex4(*at + 2) - 0xDC00);
            *at += 6;
        }
        return utf8_write(code, ret);
    }
    *at += 2;
    switch (c) {
    case 'b':
        ret[0] = '\b';
        break;
    case 'f':
        ret[0] = '\f';
        break;
    case 'n':
        ret[0] = '\n';
        break;
    case 'r':
        ret[0] = '\r';
        break;
    case 't':
        ret[0] = '\t';
        break;
    default:
        ret[0] = c;
        break;
    }
    return 1;
}

/* The run of bytes up to the next escape, or, at one, the character it stands for; *at moves behind. Never
 * both empty. */
static size_t next_run(const char **at, const char *end, char scratch[UTF8_MAX_BYTES], const char **ret)
{
    if (**at == '\\') {
        *ret = scratch;
        return read_escape(at, scratch);
    }
    const char *start = *at;
    const char *backslash = memchr(start, '\\', (size_t)(end - start));
    *at = backslash ? backslash : end;
    *ret = start;
    return (size_t)(*at - start);
}

size_t json_string_copy(const struct json *json, const struct json_token *token, char *ret)
{
    const char *at = json->text + token->start, *end = json->text + token->end, *run;
    char scratch[UTF8_MAX_BYTES];
    size_t len = 0;

    assert(token->type == JSON_STRING);
    if (!token->has_escapes && ret == NULL)
        return (size_t)(end - at);
    while (at < end) {
        size_t run_len = next_run(&at, end, scratch, &run);
        if (ret)
            memcpy(ret + len, run, run_len);
        len += run_len;
    }
    return len;
}

static bool is_escaped_text(const char *at, const char *end, const char *text)
{
    char scratch[UTF8_MAX_BYTES];
    const char *run;

    while (at < end) {
        size_t run_len = next_run(&at, end, scratch, &run);
        /* The run holds no NUL, so this stops at the text's end. */
        if (strncmp(text, run, run_len) != 0)
            return false;
        text += run_len;
    }
    return *text == '\0';
}

bool json_string_is(const struct json *json, const struct json_token *token, const char *text)
{
    const char *at = json->text + token->start;
    size_t len = token->end - token->start;

    assert(token->type == JSON_STRING);
    if (token->has_escapes)
        return is_escaped_text(at, at + len, text);
    if (len > 0 && *at != *text) /* a look-up ends here for most names: not worth a call */
        return false;
    return strncmp(text, at, len) == 0 && text[len] == '\0';
}

void json_unescape(const struct json *json, const struct json_token *token, struct buffer *ret)
{
    if (!token->has_escapes) {
        buffer_append(ret, json->text + token->start, token->end - token->start);
        return;
    }
    size_t len = json_string_copy(json, token, NULL);
    char *to = buffer_reserve(ret, len);
    if (to != NULL) {
        ret->len += json_string_copy(json, token, to);
        to[len] = '\0';
    }
}

void json_escape(const char *text, size_t len, struct buffer *ret)
{
    /* What stands behind the backslash, by control character; 0: \u00XX. */
    static const char letters[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    size_t start = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_append(ret, text + start, i - start);
        start = i + 1;
        char escape[6] = {'\\', 'u', '0', '0', (char)('0' + (c >> 4)), "0123456789abcdef"[c & 0xF]};
        if (c < 0x20 && letters[c] == 0) {
            buffer_append(ret, escape, 6);
        } else {
            escape[1] = c < 0x20 ? letters[c] : (char)c;
            buffer_append(ret, escape, 2);
        }
    }
    buffer_append(ret, text + start, len - start);
}

/* With fewer escapes, perhaps, than it came with. */
static void write_escaped(const char *at, const char *end, struct buffer *ret)
{
    char scratch[UTF8_MAX_BYTES];
    const char *run;

    buffer_char(ret, '"');
    while (at < end) {
        bool is_escape = *at == '\\';
        size_t run_len = next_run(&at, end, scratch, &run);
        if (is_escape)
            json_escape(run, run_len, ret);
        else
            buffer_append(ret, run, run_len);
    }
    buffer_char(ret, '"');
}

static void write_string(const struct json *json, const struct json_token *token, struct buffer *ret)
{
    const char *at = json->text + token->start, *end = json->text + token->end;

    /* Without escapes it holds neither quote, backslash nor control: it is canonical as it stands, its quotes
     * too. */
    if (token->has_escapes)
        write_escaped(at, end, ret);
    else
        buffer_append(ret, at - 1, (size_t)(end - at) + 2);
}

static bool is_skipped(const struct json *json, const struct json_token *name, const char *const *skip)
{
    for (; skip != NULL && *skip != NULL; skip++)
        if (json_string_is(json, name, *skip))
            return true;
    return false;
}

static void write_value(const struct json *json, const struct json_token *value, const char *const *skip,
                        struct buffer *ret);

static void write_object(const struct json *json, const struct json_token *object, const char *const *skip,
                         struct buffer *ret)
{
    bool is_first = true;

    buffer_char(ret, '{');
    for (uint32_t name = object->sorted; name != 0; name = json->tokens[name].sorted) {
        if (is_skipped(json, &json->tokens[name], skip))
            continue;
        if (!is_first)
            buffer_char(ret, ',');
        is_first = false;
        write_string(json, &json->tokens[name], ret);
        buffer_char(ret, ':');
        write_value(json, &json->tokens[name + 1], NULL, ret);
    }
    buffer_char(ret, '}');
}

static void write_array(const struct json *json, const struct json_token *array, struct buffer *ret)
{
    uint32_t first = (uint32_t)(array - json->tokens) + 1;

    buffer_char(ret, '[');
    for (uint32_t item = first; item < array->next; item = json->tokens[item].next) {
        if (item != first)
            buffer_char(ret, ',');
        write_value(json, &json->tokens[item], NULL, ret);
    }
    buffer_char(ret, ']');
}

static void write_value(const struct json *json, const struct json_token *value, const char *const *skip,
                        struct buffer *ret)
{
    switch (value->type) {
    case JSON_STRING:
        write_string(json, value, ret);
        break;
    case JSON_ARRAY:
        write_array(json, value, ret);
        break;
    case JSON_OBJECT:
        write_object(json, value, skip, ret);
        break;
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
    case JSON_NUMBER:
        buffer_append(ret, json->text + value->start, value->end - value->start);
        break;
    }
}

void json_canonical(const struct json *json, const char *const *skip, struct buffer *ret)
{
    write_value(json, &json->tokens[0], skip, ret);
}

void json_canonical_value(const struct json *json, const struct json_token *value, struct buffer *ret)
{
    write_value(json, value, NULL, ret);
}
