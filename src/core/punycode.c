/* punycode.c - see punycode.h.
 *
 * Why: address_check lets internationalised domains pass, libcurl converts them for the envelope, and a
 * header that holds them as UTF-8 would need SMTPUTF8 on the whole way. Names and numbers are those of RFC
 * 3492, section 5 and 6.
 */
#include "punycode.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "herald/utf8.h"

#define MAX_LABEL 63 /* RFC 1035 2.3.4; also bounds the code points of one */

enum { BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, INITIAL_BIAS = 72, INITIAL_N = 128 };

static char digit(uint32_t value)
{
    return (char)(value < 26 ? 'a' + value : '0' + (value - 26));
}

static uint32_t adapt(uint32_t delta, uint32_t points, bool is_first)
{
    uint32_t k = 0;

    delta = is_first ? delta / DAMP : delta / 2;
    delta += delta / points;
    for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE)
        delta /= BASE - T_MIN;
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

/* Appends delta as a number of variable length; false when the label is full. */
static bool put_delta(uint32_t delta, uint32_t bias, char *label, size_t *len)
{
    for (uint32_t k = BASE;; k += BASE) {
        uint32_t t = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;

        if (*len == MAX_LABEL)
            return false;
        if (delta < t) {
            label[(*len)++] = digit(delta);
            return true;
        }
        label[(*len)++] = digit(t + (delta - t) % (BASE - t));
        delta = (delta - t) / (BASE - t);
    }
}

/* Writes the label of `count` code points, at least one of them not ASCII. */
static bool encode_label(const uint32_t *points, size_t count, char label[MAX_LABEL], size_t *ret_len)
{
    size_t len = 4;
    size_t done = 0;

    memcpy(label, "xn--", 4);
    for (size_t i = 0; i < count; i++) {
        if (points[i] >= INITIAL_N)
            continue;
        if (len == MAX_LABEL)
            return false;
        label[len++] = (char)points[i];
        done++;
    }

    size_t basic = done;
    if (basic > 0) {
        if (len == MAX_LABEL)
            return false;
        label[len++] = '-';
    }
    uint32_t n = INITIAL_N;
    uint32_t delta = 0; /* below 0x110000 * 64: no overflow */
    uint32_t bias = INITIAL_BIAS;
    while (done < count) {
        uint32_t next = UINT32_MAX;

        for (size_t i = 0; i < count; i++)
            if (points[i] >= n && points[i] < next)
                next = points[i];
        delta += (next - n) * (uint32_t)(done + 1);
        n = next;
        for (size_t i = 0; i < count; i++) {
            if (points[i] < n)
                delta++;
            if (points[i] != n)
                continue;
            if (!put_delta(delta, bias, label, &len))
                return false;
            bias = adapt(delta, (uint32_t)(done + 1), done == basic);
            delta = 0;
            done++;
        }
        delta++;
        n++;
    }
    *ret_len = len;
    return true;
}

bool punycode_domain(const char *domain, struct buffer *ret)
{
    for (;;) {
        uint32_t points[MAX_LABEL];
        char label[MAX_LABEL];
        size_t len = strcspn(domain, ".");
        size_t count = 0;
        bool is_ascii = true;

        for (size_t at = 0; at < len;) {
            size_t size = count < MAX_LABEL ? utf8_read(domain + at, len - at, &points[count]) : 0;
            if (size == 0)
                return false;
            if (points[count] >= 'A' && points[count] <= 'Z')
                points[count] += 'a' - 'A';
            if (points[count] >= 0x80)
                is_ascii = false;
            else
                label[count] = (char)points[count];
            count++;
            at += size;
        }
        size_t label_len = count;
        if (!is_ascii && !encode_label(points, count, label, &label_len))
            return false;
        buffer_append(ret, label, label_len);
        if (domain[len] == '\0')
            return true;
        buffer_char(ret, '.');
        domain += len + 1;
    }
}
