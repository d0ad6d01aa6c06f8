/* value.c - an option's value: from text, and what makes one acceptable. Pure; any thread. */
#include "herald/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "herald/address.h"
#include "herald/config.h"
#include "herald/delivery.h"

/* far past every range, far below an overflow when a day's milliseconds multiply it */
#define COUNT_MAX_DIGITS 12
#define HOST_MAX_BYTES 253 /* RFC 1035, in text */

static const struct unit {
    const char *name;
    int64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

/* Digits at the front of `text`; false if there are none or too many. */
static bool take_digits(const char *text, int64_t *ret, const char **ret_rest)
{
    int64_t number = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > COUNT_MAX_DIGITS)
        return false;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (text[i] - '0');
    *ret = number;
    *ret_rest = text + digits;
    return true;
}

bool value_duration(const char *text, int64_t *ret_ms)
{
    int64_t number;
    const char *rest;
    if (!take_digits(text, &number, &rest))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(rest, units[i].name) == 0 && number <= INT64_MAX / units[i].ms) {
            *ret_ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

void value_write_duration(int64_t ms, char ret[VALUE_DURATION_BYTES])
{
    /* A day is written as 24h: people compare it with other hours. */
    size_t i = ms > units[0].ms && ms % units[0].ms == 0 ? 0 : 1;
    while (ms % units[i].ms != 0 || (ms == 0 && units[i].ms != 1000))
        i++;
    snprintf(ret, VALUE_DURATION_BYTES, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
}

bool value_count(const char *text, int64_t *ret)
{
    const char *rest;
    int64_t number;
    if (!take_digits(text, &number, &rest) || *rest != '\0')
        return false;
    *ret = number;
    return true;
}

bool value_choice(const char *text, const char *const *words, int *ret)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

bool value_each_word(const char *text,
                     bool (*on_word)(void *arg, const char *word, size_t len, struct err *err), void *arg,
                     struct err *err)
{
    for (;;) {
        text += strspn(text, " ,");
        size_t len = strcspn(text, " ,");
        if (len == 0)
            return true;
        if (!on_word(arg, text, len, err))
            return false;
        text += len;
    }
}

static bool has_length(const char *text, size_t max)
{
    size_t len = strlen(text);
    return len > 0 && len <= max;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool value_is_text(const char *text, size_t max)
{
    return has_length(text, max);
}

bool value_is_word(const char *text, size_t max)
{
    return has_length(text, max) && strpbrk(text, " \"'{}") == NULL;
}

bool value_is_key(const char *text, size_t max)
{
    return has_length(text, max) && strchr(text, ' ') == NULL;
}

bool value_is_name(const char *text, size_t max)
{
    (void)max;
    if (!has_length(text, CONFIG_MAX_NAME) || text[0] < 'a' || text[0] > 'z')
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(text);
}

bool value_is_address(const char *text, size_t max)
{
    (void)max;
    struct err ignored;
    return address_check(text, strlen(text), &ignored);
}

bool value_is_host(const char *text, size_t max)
{
    (void)max;
    if (!has_length(text, HOST_MAX_BYTES))
        return false;
    char last = '.'; /* so that neither the text nor a label starts with a dot or a hyphen */
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '-'   ? last == '.'
            : *c == '.' ? last == '.' || last == '-'
                        : !is_letter(*c) && !is_digit(*c))
            return false;
        last = *c;
    }
    return last != '.' && last != '-';
}

bool value_is_header(const char *text, size_t max)
{
    (void)max;
    size_t name = 0;
    while (is_letter(text[name]) || is_digit(text[name]) ||
           (text[name] != '\0' && strchr("!#$%&'*+-.^_`|~", text[name])))
        name++;
    if (name == 0 || text[name] != ':')
        return false;
    const char *value = text + name + 1;
    value += strspn(value, " ");
    if (*value == '\0') /* libcurl reads "Name:" as "leave this header out" */
        return false;
    for (const char *c = value; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~')
            return false;
    }
    return true;
}

bool value_is_channel(const char *text, size_t max)
{
    (void)max;
    enum channel ignored;
    return channel_parse(text, &ignored);
}

bool value_is_target(const char *text, size_t max)
{
    char channel[16]; /* the longest is "webhook" */
    size_t len = strcspn(text, ":");
    if (len >= sizeof(channel))
        return false;
    memcpy(channel, text, len);
    channel[len] = '\0';
    return value_is_channel(channel, max) && (text[len] == '\0' || value_is_name(text + len + 1, max));
}

bool value_is_secret(const char *text, size_t max)
{
    if (!has_length(text, max))
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~')
            return false;
    }
    return true;
}
