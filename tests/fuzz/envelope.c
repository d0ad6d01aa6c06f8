/* envelope.c - an envelope from anybody, and one that we have sealed ourselves. Sealed it opens to exactly
 * its body; with any other key, at another time or with one byte changed it does not. The input: an id and a
 * body, separated by a line's end, and behind a NUL the place and the bits of the change. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "herald/encode.h"
#include "herald/event.h"
#include "herald/hash.h"
#include "herald/utf8.h"

#define NOW_MS INT64_C(1767261600000)
#define NOW_TEXT "1767261600"
#define MAX_AGE_MS 3600000

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct event_key ours = {.bytes = "0123456789abcdef", .len = 16};
static const struct event_key others = {.bytes = "0123456789abcdeg", .len = 16};

static bool opens(const struct buffer *envelope, const struct event_key *key, int64_t now_ms, char **ret,
                  size_t *ret_len)
{
    struct err err = {0};
    if (event_open_envelope(envelope->data, envelope->len, key, 1, now_ms, MAX_AGE_MS, ret, ret_len, &err))
        return true;
    assert(err.kind == ERR_INPUT && strncmp(err.text, "envelope: ", 10) == 0);
    return false;
}

static void refuse(const struct buffer *envelope, const struct event_key *key, int64_t now_ms)
{
    char *body = NULL;
    size_t len;
    if (opens(envelope, key, now_ms, &body, &len))
        abort();
}

/* Text that JSON can hold: UTF-8 without NUL. */
static bool is_text(const char *bytes, size_t len)
{
    uint32_t code;
    for (size_t i = 0, width; i < len; i += width) {
        width = utf8_read(bytes + i, len - i, &code);
        if (width == 0 || code == 0)
            return false;
    }
    return true;
}

static void seal(const char *id, size_t id_len, const char *body, size_t body_len, struct buffer *ret)
{
    struct buffer content;
    uint8_t hash[HASH_BYTES];
    char signature[64];
    buffer_init(&content, JSON_MAX_BYTES);
    buffer_append(&content, id, id_len);
    buffer_text(&content, "." NOW_TEXT ".");
    buffer_append(&content, body, body_len);
    hash_hmac_sha256(ours.bytes, ours.len, content.data, content.len, hash);
    encode_base64(hash, sizeof(hash), signature);
    buffer_text(ret, "{\"id\":\"");
    json_escape(id, id_len, ret);
    buffer_text(ret, "\",\"time\":" NOW_TEXT ",\"body\":\"");
    json_escape(body, body_len, ret);
    buffer_printf(ret, "\",\"signature\":\"v1,%s\"}", signature);
    buffer_done(&content);
}

/* With one byte changed: what still opens, opens to the same (white space, or another way to escape). */
static void check_changed(struct buffer *envelope, size_t at, uint8_t mask, const char *expected,
                          size_t expected_len)
{
    char *body = NULL;
    size_t body_len = 0;
    envelope->data[at % envelope->len] ^= (char)(mask != 0 ? mask : 1);
    if (opens(envelope, &ours, NOW_MS, &body, &body_len)) {
        assert(body_len == expected_len && memcmp(body, expected, body_len) == 0);
        free(body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct buffer envelope;
    char *body = NULL;
    size_t body_len = 0, at = 0;

    buffer_init(&envelope, 8 * JSON_MAX_BYTES);
    buffer_append(&envelope, bytes, len);
    if (len > 0)
        refuse(&envelope, &ours, NOW_MS); /* nobody guesses a signature */
    buffer_reset(&envelope);

    const uint8_t *change = len > 0 ? memchr(bytes, 0, len) : NULL;
    size_t text_len = change != NULL ? (size_t)(change - bytes) : len;
    const uint8_t *line_end = text_len > 0 ? memchr(bytes, '\n', text_len) : NULL;
    if (line_end == NULL || text_len > 4096)
        return buffer_done(&envelope), 0;
    const char *id = (const char *)bytes, *text = (const char *)line_end + 1;
    size_t id_len = (size_t)(line_end - bytes);
    text_len -= id_len + 1;
    seal(id, id_len, text, text_len, &envelope);
    bool is_open = opens(&envelope, &ours, NOW_MS, &body, &body_len);
    assert(!is_open || (body_len == text_len && memcmp(body, text, text_len) == 0));
    free(body);
    /* Refused only for what the id says, or text that is none. */
    bool is_good_id = id_len >= 1 && id_len <= EVENT_ID_MAX && memchr(id, '.', id_len) == NULL;
    for (size_t i = 0; i < id_len; i++)
        is_good_id &= bytes[i] >= ' ' && bytes[i] < 0x7F;
    assert(is_open || !is_good_id || !is_text(text, text_len));
    if (is_open) {
        refuse(&envelope, &others, NOW_MS);
        refuse(&envelope, &ours, NOW_MS + MAX_AGE_MS + 1000);
        refuse(&envelope, &ours, NOW_MS - 301000);
        size_t left = change != NULL ? len - (size_t)(change - bytes) : 0;
        if (left >= 4) {
            at = (size_t)change[1] << 8 | change[2];
            check_changed(&envelope, at, change[3], text, text_len);
        }
    }
    buffer_done(&envelope);
    return 0;
}
