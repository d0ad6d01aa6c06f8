/* header.c - folding and encoded words; see header.h. Pure; any thread. */
#include "header.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "herald/encode.h"
#include "herald/utf8.h"

#define WORD_MAX 75 /* bytes of an encoded word: RFC 2047 2 */
#define WORD_START_B "=?utf-8?B?"
#define WORD_START_Q "=?utf-8?Q?"
#define WORD_END "?="
#define WORD_FRAME (sizeof(WORD_START_B) - 1 + sizeof(WORD_END) - 1)
#define PAYLOAD_MAX (WORD_MAX - WORD_FRAME)
#define CHARACTER_MAX_PAYLOAD (3 * UTF8_MAX_BYTES) /* of one character in Q; B takes less */

/* A field being written; the column is that of its current line. */
struct line {
    struct buffer *out;
    size_t column;
    size_t max; /* of its current line */
};

static void put(struct line *line, const char *bytes, size_t len)
{
    buffer_append(line->out, bytes, len);
    line->column += len;
}

static void start(struct line *line, const char *field, struct buffer *out)
{
    *line = (struct line){.out = out, .max = HEADER_MAX_LINE};
    put(line, field, strlen(field));
    put(line, ": ", 2);
}

/* The next line; it begins with the space that made the fold possible. */
static void fold(struct line *line)
{
    buffer_text(line->out, "\r\n ");
    line->column = 1;
    line->max = HEADER_MAX_LINE;
}

static void finish(struct line *line)
{
    buffer_text(line->out, "\r\n");
}

/* ASCII that no reader would take for an encoded word. */
static bool is_plain(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            return false;
    return strstr(text, "=?") == NULL;
}

/* What RFC 2047 5 (3) lets stand for itself in a phrase, in Q; the narrowest of its sets does everywhere. */
static bool is_bare_in_q(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!*+-/", c) != NULL);
}

static size_t q_size(const char *text, size_t len)
{
    size_t size = 0;

    for (size_t i = 0; i < len; i++)
        size += is_bare_in_q(text[i]) || text[i] == ' ' ? 1 : 3;
    return size;
}

static size_t b_size(size_t len)
{
    return (len + 2) / 3 * 4;
}

/* How many bytes of whole characters fit a payload of `room`. */
static size_t take(const char *text, size_t len, bool is_q, size_t room)
{
    size_t taken = 0;
    size_t payload = 0;
    uint32_t ignored;

    while (taken < len) {
        size_t size = utf8_read(text + taken, len - taken, &ignored);
        if (size == 0) /* not UTF-8 after all: bytes then */
            size = 1;
        payload = is_q ? payload + q_size(text + taken, size) : b_size(taken + size);
        if (payload > room)
            break;
        taken += size;
    }
    return taken;
}

static void put_word(struct line *line, const char *text, size_t len, bool is_q)
{
    static const char digits[] = "0123456789ABCDEF";
    char payload[PAYLOAD_MAX + 2];
    size_t used = 0;

    if (is_q) {
        for (size_t i = 0; i < len; i++) {
            if (is_bare_in_q(text[i]) || text[i] == ' ') {
                payload[used++] = text[i] == ' ' ? '_' : text[i];
            } else {
                payload[used++] = '=';
                payload[used++] = digits[(unsigned char)text[i] >> 4];
                payload[used++] = digits[(unsigned char)text[i] & 0xF];
            }
        }
    } else {
        encode_base64(text, len, payload);
        used = b_size(len);
    }
    line->max = HEADER_MAX_ENCODED_LINE;
    put(line, is_q ? WORD_START_Q : WORD_START_B, sizeof(WORD_START_B) - 1);
    put(line, payload, used);
    put(line, WORD_END, sizeof(WORD_END) - 1);
}

/* The whole text as encoded words, one a line, each of whole characters. Readers
 * drop the folds between them. */
static void put_words(struct line *line, const char *text)
{
    size_t len = strlen(text);
    bool is_q = q_size(text, len) <= b_size(len);

    while (len > 0) {
        if (line->column + WORD_FRAME + CHARACTER_MAX_PAYLOAD > HEADER_MAX_ENCODED_LINE)
            fold(line);
        size_t room = HEADER_MAX_ENCODED_LINE - line->column - WORD_FRAME;
        size_t taken = take(text, len, is_q, room < PAYLOAD_MAX ? room : PAYLOAD_MAX);
        put_word(line, text, taken, is_q);
        text += taken;
        len -= taken;
        if (len > 0)
            fold(line);
    }
}

/* Separates by a space, or by a fold if the next `len` bytes need one. */
static void put_separated(struct line *line, const char *bytes, size_t len)
{
    if (line->column + 1 + len > line->max)
        fold(line);
    else
        put(line, " ", 1);
    put(line, bytes, len);
}

void header_text(const char *field, const char *text, struct buffer *ret)
{
    struct line line;
    bool can_fold = true;
    size_t column = strlen(field) + 2;

    for (const char *word = text; *word != '\0' && can_fold;) {
        size_t len = strcspn(word, " ");
        can_fold = column + len <= HEADER_MAX_LINE;
        column = 1; /* every word but the first may begin a line */
        word += len + (word[len] == ' ');
    }
    start(&line, field, ret);
    if (!can_fold || !is_plain(text)) {
        put_words(&line, text);
        finish(&line);
        return;
    }
    for (const char *word = text; *word != '\0';) {
        size_t len = strcspn(word, " ");
        if (word == text)
            put(&line, word, len);
        else
            put_separated(&line, word, len);
        word += len + (word[len] == ' ');
    }
    finish(&line);
}

void header_token(const char *field, const char *token, struct buffer *ret)
{
    struct line line = {.out = ret, .max = HEADER_MAX_LINE};

    put(&line, field, strlen(field));
    put(&line, ":", 1);
    put_separated(&line, token, strlen(token));
    finish(&line);
}

/* Words of RFC 5322 atext with one space between: needs no quotes. */
static bool is_atoms(const char *name)
{
    bool is_behind_space = true;

    for (const char *c = name; *c != '\0'; c++) {
        if (*c == ' ' ? is_behind_space : strchr("()<>[]:;@\\,.\"", *c) != NULL)
            return false;
        is_behind_space = *c == ' ';
    }
    return !is_behind_space;
}

static void put_name(struct line *line, const char *name)
{
    size_t quotes = 2;

    for (const char *c = name; *c != '\0'; c++)
        quotes += *c == '"' || *c == '\\';
    /* Folds inside a name could be lost or doubled by a reader; encoded words can't. */
    if (!is_plain(name) || line->column + strlen(name) + quotes > HEADER_MAX_LINE) {
        put_words(line, name);
        return;
    }
    if (is_atoms(name)) {
        put(line, name, strlen(name));
        return;
    }
    put(line, "\"", 1);
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            put(line, "\\", 1);
        put(line, c, 1);
    }
    put(line, "\"", 1);
}

void header_mailbox(const char *field, const char *name, const char *address, struct buffer *ret)
{
    struct line line;

    if (name == NULL || name[0] == '\0') {
        header_token(field, address, ret);
        return;
    }
    start(&line, field, ret);
    put_name(&line, name);
    /* The space that separates, the brackets and the address stay together. */
    if (line.column + strlen(address) + 3 > line.max)
        fold(&line);
    else
        put(&line, " ", 1);
    put(&line, "<", 1);
    put(&line, address, strlen(address));
    put(&line, ">", 1);
    finish(&line);
}
