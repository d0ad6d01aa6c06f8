/* header.c - a header field from any text that is allowed into one: it is lines of ASCII that a server takes,
 * and a reader that undoes folds, quotes and encoded words (written here for itself) finds the same text. The
 * input: a name, a text and an address, separated by NUL. */
#include "header.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "herald/address.h"
#include "herald/encode.h"
#include "herald/utf8.h"

#define MAX_TEXT 1000 /* more than a subject has */
#define MAX_FIELD (64 * 1024)
#define MAX_LINE 998 /* RFC 5322 2.1.1 */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t take_part(const uint8_t **bytes, size_t *len, char ret[MAX_TEXT + 1])
{
    const uint8_t *end = memchr(*bytes, 0, *len);
    size_t whole = end != NULL ? (size_t)(end - *bytes) : *len;
    size_t part = whole < MAX_TEXT ? whole : MAX_TEXT;
    memcpy(ret, *bytes, part);
    ret[part] = '\0';
    *bytes += end != NULL ? whole + 1 : whole;
    *len -= end != NULL ? whole + 1 : whole;
    return part;
}

/* As callers do: one space where there are several, none at the ends. */
static void squeeze(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++)
        if (*from != ' ' || (to > text && to[-1] != ' '))
            *to++ = *from;
    while (to > text && to[-1] == ' ')
        to--;
    *to = '\0';
}

/* The field's text without its folds; each line is checked on the way. */
static void unfold(const struct buffer *field, size_t name_len, size_t max_line, char ret[MAX_FIELD])
{
    size_t column = 0, used = 0;
    assert(!field->failed && field->len > name_len + 2);
    for (size_t i = 0; i < field->len; i++) {
        unsigned char byte = (unsigned char)field->data[i];
        bool is_end = byte == '\r' || byte == '\n';
        assert(byte < 0x7F && (byte >= ' ' || is_end));
        if (byte == '\r')
            assert(i + 1 < field->len && field->data[i + 1] == '\n' && column > 0);
        if (byte == '\n') {
            assert(i > 0 && field->data[i - 1] == '\r');
            assert(i + 1 == field->len || field->data[i + 1] == ' '); /* nothing begins a header of its own */
        }
        column = is_end ? 0 : column + 1;
        assert(column <= max_line);
        if (!is_end && i > name_len)
            ret[used++] = (char)byte;
    }
    assert(memcmp(field->data + field->len - 2, "\r\n", 2) == 0 && field->data[name_len] == ':');
    while (used > 0 && ret[used - 1] == ' ')
        used--;
    ret[used] = '\0';
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c - 'A' + 10;
}

/* No character is spread over two words: RFC 2047 5 (3). */
static bool is_whole(const char *text, size_t len)
{
    uint32_t code;
    for (size_t i = 0, width; i < len; i += width)
        if ((width = utf8_read(text + i, len - i, &code)) == 0)
            return false;
    return true;
}

/* One encoded word at `word`; returns its end. */
static const char *decode_word(const char *word, char *ret, size_t *used)
{
    size_t before = *used;
    const char *text = word + strlen("=?utf-8?Q?"), *end = strstr(text, "?=");
    assert(strncmp(word, "=?utf-8?", 8) == 0 && (word[8] == 'Q' || word[8] == 'B') && word[9] == '?');
    assert(end != NULL && end + 2 - word <= 75);
    if (word[8] == 'B') {
        size_t decoded = 0;
        if (!decode_base64(text, (size_t)(end - text), (uint8_t *)ret + *used, &decoded))
            abort();
        *used += decoded;
        assert(is_whole(ret + before, *used - before));
        return end + 2;
    }
    for (const char *c = text; c < end; c++) {
        if (*c == '=') {
            assert(end - c > 2);
            ret[(*used)++] = (char)(hex(c[1]) * 16 + hex(c[2]));
            c += 2;
        } else {
            ret[(*used)++] = (char)(*c == '_' ? ' ' : *c);
        }
    }
    assert(is_whole(ret + before, *used - before));
    return end + 2;
}

/* Encoded words, or the text as it is. The space between two encoded words is none. */
static void decode(const char *text, char ret[MAX_FIELD])
{
    size_t used = 0;
    if (strncmp(text, "=?", 2) != 0) {
        memcpy(ret, text, strlen(text) + 1); /* from a buffer of the same size */
        return;
    }
    while (*text != '\0') {
        text = decode_word(text, ret, &used);
        text += strspn(text, " ");
    }
    ret[used] = '\0';
}

static void unquote(const char *text, char ret[MAX_FIELD])
{
    size_t len = strlen(text), used = 0;
    assert(len >= 2 && text[0] == '"' && text[len - 1] == '"');
    for (size_t i = 1; i < len - 1; i++) {
        assert(text[i] != '"');
        i += text[i] == '\\';
        assert(i < len - 1);
        ret[used++] = text[i];
    }
    ret[used] = '\0';
}

static void check_text(const char *text)
{
    static char unfolded[MAX_FIELD], decoded[MAX_FIELD];
    struct buffer field;
    buffer_init(&field, MAX_FIELD);
    header_text("Subject", text, &field);
    /* Any text can be folded, so here the narrower bounds hold. */
    unfold(&field, strlen("Subject"), HEADER_MAX_LINE, unfolded);
    decode(unfolded + (unfolded[0] == ' '), decoded);
    assert(strcmp(decoded, text) == 0);
    buffer_done(&field);
}

static void check_mailbox(const char *name, const char *address)
{
    static char unfolded[MAX_FIELD], found[MAX_FIELD];
    struct buffer field;
    buffer_init(&field, MAX_FIELD);
    header_mailbox("From", name, address, &field);
    unfold(&field, strlen("From"), MAX_LINE, unfolded);
    char *text = unfolded + strspn(unfolded, " "), *bracket = strrchr(text, '<');
    if (name[0] == '\0') {
        assert(strcmp(text, address) == 0);
    } else {
        size_t address_len = strlen(address);
        assert(bracket != NULL && bracket > text && bracket[-1] == ' ');
        assert(strncmp(bracket + 1, address, address_len) == 0 &&
               strcmp(bracket + 1 + address_len, ">") == 0);
        bracket[-1] = '\0';
        if (text[0] == '"')
            unquote(text, found);
        else
            decode(text, found);
        assert(strcmp(found, name) == 0);
    }
    buffer_done(&field);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static char name[MAX_TEXT + 1], text[MAX_TEXT + 1], address[MAX_TEXT + 1];
    struct err err;
    size_t name_len = take_part(&bytes, &len, name), text_len = take_part(&bytes, &len, text);
    take_part(&bytes, &len, address);
    if (address_check_text(text, text_len, MAX_TEXT, &err)) {
        squeeze(text);
        check_text(text);
    }
    bool is_plain_address = address_check(address, strlen(address), &err);
    for (const char *c = address; *c != '\0'; c++)
        is_plain_address &= (unsigned char)*c < 0x80; /* message.c has made Punycode of others */
    if (address_check_text(name, name_len, 256, &err)) {
        squeeze(name);
        check_mailbox(name, is_plain_address ? address : "ana@shop.example");
    }
    return 0;
}
