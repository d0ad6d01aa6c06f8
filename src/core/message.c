/* message.c - an RFC 5322 message from its parts; see message.h.
 *
 * Every value that comes from outside is checked here once more, whoever checked it before: one CR LF in a
 * header is another mail than the one that was meant. Pure; any thread.
 */
#include "herald/message.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "header.h"
#include "herald/address.h"
#include "herald/clock.h"
#include "herald/utf8.h"
#include "mime.h"

#define MAX_NAME 256    /* bytes of a display name: as a recipient's */
#define MAX_KEY 64      /* bytes: the boundary made of it still fits a line, and SHA-256 in hex fits */
#define MAX_TRACE_ID 64 /* bytes; W3C's has 32 */

/* Encoded a part takes at most three times its bytes and 3 for each of 73, a header
 * less; and what is fixed. */
#define MAX_GROWTH 4
#define MAX_FIXED (16 * 1024)

static bool is_each(const char *text, size_t max, bool (*is_good)(char))
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (!is_good(text[i]))
            return false;
    return len > 0 && len <= max;
}

static bool is_hex(char c)
{
    return isascii(c) && isxdigit(c);
}

static bool is_trace_char(char c)
{
    return isascii(c) && (isalnum(c) || c == '-');
}

/* Writes a checked address with its domain in ASCII; *ret is as after buffer_init. */
static bool make_address(const char *field, const char *address, struct buffer *ret, struct err *err)
{
    if (!address_check(address, strlen(address), err)) {
        err->kind = ERR_PERMANENT;
        return err_wrap(err, "%s", field);
    }
    if (!address_ascii(address, ret) || ret->len > ADDRESS_ASCII_BYTES)
        return err_set(err, ERR_PERMANENT, "%s: the domain has no ASCII form", field);
    if (ret->failed)
        return err_set(err, ERR_NOMEM, "%s: out of memory", field);
    return true;
}

static bool put_mailbox(const char *field, const struct mailbox_address *mailbox, struct buffer *ret,
                        struct err *err)
{
    struct buffer address;

    if (mailbox->name != NULL && !address_check_text(mailbox->name, strlen(mailbox->name), MAX_NAME, err)) {
        err->kind = ERR_PERMANENT;
        return err_wrap(err, "%s: name", field);
    }
    buffer_init(&address, 2 * ADDRESS_ASCII_BYTES);
    bool is_done = make_address(field, mailbox->address, &address, err);
    if (is_done)
        header_mailbox(field, mailbox->name, address.data, ret);
    buffer_done(&address);
    return is_done;
}

/* Any kind of control, line end or space that isn't U+0020 itself. */
static bool is_blank(uint32_t code)
{
    return code <= 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0x2028 || code == 0x2029;
}

static bool put_subject(const char *subject, struct buffer *ret, struct err *err)
{
    size_t len = strlen(subject);
    struct buffer clean;
    bool is_done = false;

    buffer_init(&clean, len);
    buffer_text(&clean, "");
    for (size_t at = 0; at < len;) {
        uint32_t code;
        size_t size = utf8_read(subject + at, len - at, &code);
        if (size == 0) {
            err_set(err, ERR_PERMANENT, "Subject: byte %zu isn't UTF-8", at);
            goto out;
        }
        if (!is_blank(code))
            buffer_append(&clean, subject + at, size);
        else if (clean.len > 0 && clean.data[clean.len - 1] != ' ')
            buffer_char(&clean, ' ');
        at += size;
    }
    if (clean.failed) {
        err_set(err, ERR_NOMEM, "Subject: out of memory");
        goto out;
    }
    if (clean.len > 0 && clean.data[clean.len - 1] == ' ')
        clean.data[--clean.len] = '\0';
    header_text("Subject", clean.data, ret);
    is_done = true;
out:
    buffer_done(&clean);
    return is_done;
}

static bool put_message_id(const struct message *message, struct buffer *ret, struct err *err)
{
    struct buffer address;
    struct buffer id;

    if (!is_each(message->key, MAX_KEY, is_hex))
        return err_set(err, ERR_PERMANENT, "Message-ID: expected 1 to %d hexadecimal digits", MAX_KEY);
    buffer_init(&address, 2 * ADDRESS_ASCII_BYTES);
    buffer_init(&id, 2 * ADDRESS_ASCII_BYTES);
    buffer_printf(&address, "%s@%s", message->key, message->domain);
    buffer_char(&id, '<');
    bool is_done = !address.failed && make_address("Message-ID", address.data, &id, err);
    if (address.failed)
        err_set(err, ERR_PERMANENT, "Message-ID: the domain is too long");
    buffer_char(&id, '>');
    if (is_done)
        header_token("Message-ID", id.data, ret);
    buffer_done(&address);
    buffer_done(&id);
    return is_done;
}

static bool put_headers(const struct message *message, struct buffer *ret, struct err *err)
{
    char date[CLOCK_RFC5322_BYTES];

    clock_rfc5322(message->date_ms, date);
    header_token("Date", date, ret);
    if (!put_mailbox("From", &message->from, ret, err) || !put_mailbox("To", &message->to, ret, err) ||
        (message->reply_to.address != NULL && !put_mailbox("Reply-To", &message->reply_to, ret, err)) ||
        !put_subject(message->subject, ret, err) || !put_message_id(message, ret, err))
        return false;
    buffer_text(ret, "MIME-Version: 1.0\r\n"
                     "Auto-Submitted: auto-generated\r\n"); /* RFC 3834: no vacation notice comes back */
    if (message->trace_id != NULL) {
        if (!is_each(message->trace_id, MAX_TRACE_ID, is_trace_char))
            return err_set(err, ERR_PERMANENT, "X-Trace-Id: expected 1 to %d letters, digits and hyphens",
                           MAX_TRACE_ID);
        header_token("X-Trace-Id", message->trace_id, ret);
    }
    return true;
}

static void put_body(const struct message *message, struct buffer *ret)
{
    if (message->text == NULL || message->html == NULL) {
        if (message->text != NULL)
            mime_text_part("plain", message->text, message->text_len, ret);
        else
            mime_text_part("html", message->html, message->html_len, ret);
        return;
    }
    /* "=_" occurs in no quoted-printable and no base64 text, so no part can hold the boundary. A reader shows
     * the last part it understands. The line end before a boundary belongs to it, not to the part. */
    buffer_printf(ret, "Content-Type: multipart/alternative;\r\n boundary=\"=_%s\"\r\n\r\n--=_%s\r\n",
                  message->key, message->key);
    mime_text_part("plain", message->text, message->text_len, ret);
    buffer_printf(ret, "\r\n--=_%s\r\n", message->key);
    mime_text_part("html", message->html, message->html_len, ret);
    buffer_printf(ret, "\r\n--=_%s--\r\n", message->key);
}

bool message_build(const struct message *message, struct buffer *ret, struct err *err)
{
    size_t start = ret->len;
    size_t most =
        MAX_FIXED + MAX_GROWTH * (strlen(message->subject) + (message->text != NULL ? message->text_len : 0) +
                                  (message->html != NULL ? message->html_len : 0));

    if (message->text == NULL && message->html == NULL)
        return err_set(err, ERR_PERMANENT, "a message needs a text or an HTML part");
    if (ret->failed)
        return err_set(err, ERR_PERMANENT, "the buffer had no room left");

    bool is_done = put_headers(message, ret, err);
    if (is_done)
        put_body(message, ret);
    if (is_done && ret->failed)
        is_done = most > ret->max - start
                      ? err_set(err, ERR_PERMANENT, "the message passes its bound of %zu bytes", ret->max)
                      : err_set(err, ERR_NOMEM, "out of memory");
    if (!is_done) {
        ret->failed = false;
        ret->len = start;
        if (ret->data != NULL)
            ret->data[start] = '\0';
    }
    return is_done;
}

/* Reads a quoted name up to its closing quote into `name`; returns what stands behind it, NULL if it isn't
 * closed. */
static const char *read_quoted(const char *at, struct buffer *name)
{
    for (at++; *at != '\0' && *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0')
            at++;
        buffer_char(name, *at);
    }
    return *at == '"' ? at + 1 : NULL;
}

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

bool message_parse_mailbox(const char *text, char **ret_name, char **ret_address, struct err *err)
{
    static const char expected[] = "expected \"Name\" <local@domain> or local@domain";
    const char *at = skip_blanks(text);
    const char *address = at;
    size_t address_len;
    size_t name_len = 0;
    struct buffer name;
    char *copy = NULL;
    bool is_done = false;

    buffer_init(&name, strlen(text));
    if (*at == '"') {
        at = read_quoted(at, &name);
        if (at == NULL || *(at = skip_blanks(at)) != '<') {
            err_set(err, ERR_CONFIG, "%s", expected);
            goto out;
        }
    } else {
        size_t len = strcspn(at, "<>\"");
        if (at[len] == '<') {
            const char *angle = at + len;
            while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t'))
                len--;
            buffer_append(&name, at, len);
            at = angle;
        }
    }
    if (*at == '<') {
        address = skip_blanks(at + 1);
        address_len = strcspn(address, "<> \t");
        at = skip_blanks(address + address_len);
        if (*at != '>' || *skip_blanks(at + 1) != '\0') {
            err_set(err, ERR_CONFIG, "%s", expected);
            goto out;
        }
    } else {
        address_len = strcspn(address, " \t");
        if (*skip_blanks(address + address_len) != '\0') {
            err_set(err, ERR_CONFIG, "%s", expected);
            goto out;
        }
    }

    if (!address_check(address, address_len, err) ||
        (name.len > 0 && !address_check_text(name.data, name.len, MAX_NAME, err))) {
        err->kind = ERR_CONFIG;
        goto out;
    }
    copy = strndup(address, address_len);
    if (copy == NULL || !buffer_take(&name, ret_name, &name_len)) {
        err_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    *ret_address = copy;
    copy = NULL;
    is_done = true;
out:
    free(copy);
    buffer_done(&name);
    return is_done;
}
