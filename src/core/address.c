/* address.c - may this text be an envelope recipient, or stand in a header?
 *
 * Narrower than RFC 5321 on purpose: what is refused here (quoted locals, literals, comments) is what mail
 * software disagrees about. Any thread. */
#include "herald/address.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "herald/utf8.h"
#include "punycode.h"

#define LOCAL_MAX_BYTES 64 /* RFC 5321 4.5.3.1.1 */
#define LABEL_MAX_BYTES 63 /* RFC 1035 2.3.4 */

/* Characters beyond ASCII that are no letters, digits or marks of a name: invisible ones, spaces,
 * punctuation, symbols, and the compatibility forms that name preparation would turn into '.', '@' or other
 * letters (U+3002 is a dot to IDNA, U+FF20 an '@'). Ascending. Unassigned characters pass: no resolver will
 * know them. */
static const struct range {
    uint32_t first, last;
} not_letters[] = {
    {0x0080, 0x00A9},    {0x00AB, 0x00B4}, /* C1 controls, no-break space, Latin-1 punctuation */
    {0x00B6, 0x00B6},    {0x00B8, 0x00B9}, {0x00BB, 0x00BF}, {0x00D7, 0x00D7},
    {0x00F7, 0x00F7},    {0x034F, 0x034F}, /* combining grapheme joiner */
    {0x061C, 0x061C},                      /* Arabic letter mark */
    {0x115F, 0x1160},                      /* Hangul fillers */
    {0x1680, 0x1680},                      /* Ogham space */
    {0x17B4, 0x17B5},    {0x180B, 0x180F}, /* Khmer and Mongolian invisibles */
    {0x2000, 0x2BFF},    {0x2E00, 0x2E7F}, /* spaces, direction overrides, punctuation, arrows, symbols */
    {0x2FF0, 0x3004},    {0x3008, 0x3020}, {0x3030, 0x3030}, {0x3036, 0x3037},
    {0x303D, 0x303F},    {0x3164, 0x3164}, {0xD800, 0xF8FF}, /* private use */
    {0xFB1D, 0xFDFF},                                        /* presentation forms */
    {0xFE00, 0xFFFF},    /* variation selectors, small, half- and full-width forms, specials */
    {0x1F000, 0x1FAFF},  /* pictures */
    {0xE0000, 0x10FFFF}, /* tags, private use */
};

static bool is_letter_beyond_ascii(uint32_t code)
{
    for (size_t i = 0; i < sizeof(not_letters) / sizeof(not_letters[0]) && not_letters[i].first <= code; i++)
        if (code <= not_letters[i].last)
            return false;
    return true;
}

static bool is_alphanumeric(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_atext(unsigned char c)
{
    return is_alphanumeric(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* One byte of an address tells nobody whose it is. */
static bool refuse_byte(const char *text, size_t at, const char *where, struct err *err)
{
    return err_set(err, ERR_INPUT, "byte %zu: 0x%02x is not allowed in %s", at, (unsigned char)text[at],
                   where);
}

static bool check_local(const char *text, size_t len, struct err *err)
{
    if (len == 0)
        return err_set(err, ERR_INPUT, "byte 0: nothing before '@'");
    if (len > LOCAL_MAX_BYTES)
        return err_set(err, ERR_INPUT, "byte %d: more than %d bytes before '@'", LOCAL_MAX_BYTES,
                       LOCAL_MAX_BYTES);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.') {
            if (i == 0 || i == len - 1 || text[i - 1] == '.')
                return err_set(err, ERR_INPUT, "byte %zu: a dot has to stand between two other characters",
                               i);
        } else if (!is_atext((unsigned char)text[i])) {
            return refuse_byte(text, i, "the part before '@'", err);
        }
    }
    return true;
}

static bool check_label(const char *text, size_t start, size_t end, struct err *err)
{
    if (start == end)
        return err_set(err, ERR_INPUT, "byte %zu: an empty label in the domain", start);
    if (end - start > LABEL_MAX_BYTES)
        return err_set(err, ERR_INPUT, "byte %zu: a label of more than %d bytes in the domain", start,
                       LABEL_MAX_BYTES);
    for (size_t i = start; i < end;) {
        unsigned char c = (unsigned char)text[i];
        uint32_t code;
        if (c == '-' && (i == start || i == end - 1))
            return err_set(err, ERR_INPUT, "byte %zu: a label can't begin or end with a hyphen", i);
        if (c < 0x80) {
            if (c != '-' && !is_alphanumeric(c))
                return refuse_byte(text, i, "the domain", err);
            i++;
            continue;
        }
        size_t width = utf8_read(text + i, end - i, &code);
        if (width == 0)
            return err_set(err, ERR_INPUT, "byte %zu: invalid UTF-8", i);
        if (!is_letter_beyond_ascii(code))
            return err_set(err, ERR_INPUT, "byte %zu: U+%04X is not allowed in the domain", i,
                           (unsigned)code);
        i += width;
    }
    return true;
}

/* text[start … len) */
static bool check_domain(const char *text, size_t start, size_t len, struct err *err)
{
    size_t label = start;
    unsigned labels = 0;

    for (size_t i = start; i <= len; i++) {
        if (i < len && text[i] != '.')
            continue;
        if (!check_label(text, label, i, err))
            return false;
        labels++;
        if (i < len)
            label = i + 1;
    }
    if (labels == 1 && !(len - start == 9 && strncasecmp(text + start, "localhost", 9) == 0))
        return err_set(err, ERR_INPUT, "byte %zu: expected a domain with a dot in it", start);
    for (size_t i = label; is_digit((unsigned char)text[i]); i++)
        if (i == len - 1)
            return err_set(err, ERR_INPUT, "byte %zu: a domain can't end in a number", label);
    return true;
}

bool address_check(const char *text, size_t len, struct err *err)
{
    if (len > ADDRESS_MAX_BYTES)
        return err_set(err, ERR_INPUT, "%zu bytes, at most %d are allowed", len, ADDRESS_MAX_BYTES);
    const char *at = len > 0 ? memchr(text, '@', len) : NULL;
    if (at == NULL)
        return err_set(err, ERR_INPUT, "byte %zu: expected '@'", len);
    size_t local_len = (size_t)(at - text);
    return check_local(text, local_len, err) && check_domain(text, local_len + 1, len, err);
}

const char *address_domain(const char *text)
{
    const char *at = strchr(text, '@');

    assert(at != NULL);
    return at + 1;
}

bool address_ascii(const char *address, struct buffer *ret)
{
    const char *domain = address_domain(address);
    buffer_append(ret, address, (size_t)(domain - address));
    return punycode_domain(domain, ret);
}

bool address_check_text(const char *text, size_t len, size_t max, struct err *err)
{
    uint32_t code;

    if (len > max)
        return err_set(err, ERR_INPUT, "%zu bytes, at most %zu are allowed", len, max);
    for (size_t i = 0; i < len;) {
        size_t width = utf8_read(text + i, len - i, &code);
        if (width == 0)
            return err_set(err, ERR_INPUT, "byte %zu: invalid UTF-8", i);
        if (code < 0x20 || (code >= 0x7F && code <= 0x9F))
            return err_set(err, ERR_INPUT, "byte %zu: U+%04X is a control character", i, (unsigned)code);
        i += width;
    }
    return true;
}
