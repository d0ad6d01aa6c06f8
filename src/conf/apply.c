/* apply.c - an option's text becomes a field, is compared, is given back. One case per type; conf only. */
#include "apply.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "herald/message.h"
#include "herald/value.h"
#include "secret.h"
#include "url.h"

static bool refuse(const struct option *option, const char *value, size_t len, struct err *err)
{
    char range[OPTION_RANGE_BYTES];
    option_write_range(option, range);
    if (option->is_private)
        return err_set(err, ERR_CONFIG, "expected %s", range);
    return err_set(err, ERR_CONFIG, "'%.*s%s': expected %s", len > 80 ? 80 : (int)len, value,
                   len > 80 ? "…" : "", range);
}

/* Takes `copy`, which is NULL when memory is out. */
static bool keep(char *copy, char **field, struct err *err)
{
    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    free(*field);
    *field = copy;
    return true;
}

static bool add_entry(const struct option *option, char **list, const char *text, size_t len, struct err *err)
{
    size_t count = 0;
    while (list[count] != NULL)
        count++;
    if (count == CONFIG_MAX_LIST)
        return err_set(err, ERR_CONFIG, "expected at most %d entries", CONFIG_MAX_LIST);
    char *copy = strndup(text, len);
    if (copy != NULL && !option->is_valid(copy, (size_t)option->max)) {
        free(copy);
        return refuse(option, text, len, err);
    }
    return keep(copy, &list[count], err);
}

static void clear_list(char **list)
{
    for (size_t i = 0; list[i] != NULL; i++) {
        free(list[i]);
        list[i] = NULL;
    }
}

struct list_being_read {
    const struct option *option;
    char **list;
};

static bool add_word(void *arg, const char *word, size_t len, struct err *err)
{
    struct list_being_read *reading = arg;
    return add_entry(reading->option, reading->list, word, len, err);
}

static bool apply_number(const struct option *option, const char *text, void *field, struct err *err)
{
    int64_t number;
    int place;
    bool is_good = false;
    switch (option->type) {
    case OPTION_DURATION:
        if ((is_good = value_duration(text, &number) && number >= option->min && number <= option->max))
            *(int64_t *)field = number;
        break;
    case OPTION_COUNT:
        if ((is_good = value_count(text, &number) && number >= option->min && number <= option->max))
            *(unsigned *)field = (unsigned)number;
        break;
    case OPTION_BOOL:
        if ((is_good = value_choice(text, option->words, &place)))
            *(bool *)field = place == 1;
        break;
    default: /* OPTION_CHOICE: our enums are unsigned int to both compilers */
        if ((is_good = value_choice(text, option->words, &place)))
            *(unsigned *)field = (unsigned)place;
        break;
    }
    if (!is_good && option->type == OPTION_DURATION) {
        (void)refuse(option, text, strlen(text), err);
        char rest[sizeof(err->text)];
        memcpy(rest, err->text, sizeof(rest));
        return err_set(err, ERR_CONFIG, "%s, such as 250ms, 30s, 10m, 24h or 30d", rest);
    }
    return is_good || refuse(option, text, strlen(text), err);
}

static bool apply_mailbox(const char *text, char **name, char **address, struct err *err)
{
    char *new_name = NULL, *new_address = NULL;
    if (!message_parse_mailbox(text, &new_name, &new_address, err))
        return err_wrap(err, "'%.80s'", text);
    return keep(new_name, name, err) && keep(new_address, address, err);
}

static bool apply_secret(const char *text, const char *directory, char **field, struct err *err)
{
    char *secret = NULL;
    if (*field != NULL) /* a password that came with Redis's URL */
        return err_set(err, ERR_CONFIG, "the url has a password already");
    if (!secret_read(directory, text, &secret, err))
        return false;
    *field = secret;
    return true;
}

static bool apply_keys(const char *text, const char *directory, struct event_key keys[2], size_t *count,
                       struct err *err)
{
    struct event_key read[2];
    size_t read_count;
    if (!secret_read_keys(directory, text, read, &read_count, err))
        return false;
    memcpy(keys, read, sizeof(read));
    *count = read_count;
    return true;
}

static bool apply_redis_url(const char *text, struct config_redis *redis, struct err *err)
{
    struct config_redis parsed;
    if (!url_read_redis(text, &parsed, err))
        return false;
    bool is_given_twice = parsed.password != NULL && redis->password != NULL;
    if (!is_given_twice) {
        redis->port = parsed.port;
        redis->database = parsed.database;
        redis->host = parsed.host;
        redis->socket_path = parsed.socket_path;
        redis->user = parsed.user;
        if (parsed.password != NULL)
            redis->password = parsed.password;
        return true;
    }
    free(parsed.host);
    free(parsed.socket_path);
    free(parsed.user);
    secret_free(parsed.password);
    return err_set(err, ERR_CONFIG, "password_file gives a password already");
}

bool apply_text(const struct option *option, const char *text, const char *directory, void *base,
                struct err *err)
{
    void *field = (char *)base + option->offset, *second = (char *)base + option->second;
    struct list_being_read reading = {option, field};
    switch (option->type) {
    case OPTION_DURATION:
    case OPTION_COUNT:
    case OPTION_BOOL:
    case OPTION_CHOICE:
        return apply_number(option, text, field, err);
    case OPTION_RATE:
        return rate_parse(text, field, err);
    case OPTION_TEXT:
        if (!option->is_valid(text, (size_t)option->max))
            return refuse(option, text, strlen(text), err);
        return keep(strdup(text), field, err);
    case OPTION_LIST:
        clear_list(field);
        return value_each_word(text, add_word, &reading, err);
    case OPTION_LINES:
        return add_entry(option, field, text, strlen(text), err);
    case OPTION_MAILBOX:
        return apply_mailbox(text, field, second, err);
    case OPTION_REDIS_URL:
        return apply_redis_url(text, base, err);
    case OPTION_PATH:
    case OPTION_SECRET:
    case OPTION_KEYS:
        if (*text == '\0')
            return refuse(option, text, 0, err);
        if (option->type == OPTION_PATH)
            return keep(secret_path(directory, text), field, err);
        if (option->type == OPTION_SECRET)
            return apply_secret(text, directory, field, err);
        return apply_keys(text, directory, field, second, err);
    }
    assert(false && "every type has its case");
    return false;
}

static void release_text(char **field)
{
    free(*field);
    *field = NULL;
}

static void release_keys(struct event_key keys[2], size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        explicit_bzero((void *)keys[i].bytes, keys[i].len);
        free((void *)keys[i].bytes);
    }
    *count = 0;
}

static void release(const struct option *option, void *base)
{
    void *field = (char *)base + option->offset, *second = (char *)base + option->second;
    struct config_redis *redis = base;
    switch (option->type) {
    case OPTION_TEXT:
    case OPTION_PATH:
        release_text(field);
        return;
    case OPTION_SECRET:
        secret_free(*(char **)field);
        *(char **)field = NULL;
        return;
    case OPTION_KEYS:
        release_keys(field, second);
        return;
    case OPTION_LIST:
    case OPTION_LINES:
        clear_list(field);
        return;
    case OPTION_MAILBOX:
        release_text(field);
        release_text(second);
        return;
    case OPTION_REDIS_URL:
        release_text(&redis->host);
        release_text(&redis->socket_path);
        release_text(&redis->user);
        return;
    case OPTION_BOOL:
    case OPTION_COUNT:
    case OPTION_DURATION:
    case OPTION_CHOICE:
    case OPTION_RATE:
        return;
    }
}

void apply_release(enum section_kind section, void *base)
{
    for (size_t i = 0; i < option_count; i++) {
        if (option_table[i].section == section)
            release(&option_table[i], base);
    }
}

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool apply_is_equal(const struct option *option, const void *a, const void *b)
{
    const void *field_a = (const char *)a + option->offset, *field_b = (const char *)b + option->offset;
    const struct config_redis *redis_a = a, *redis_b = b;
    switch (option->type) {
    case OPTION_DURATION:
        return *(const int64_t *)field_a == *(const int64_t *)field_b;
    case OPTION_CHOICE:
        return *(const unsigned *)field_a == *(const unsigned *)field_b;
    case OPTION_BOOL:
        return *(const bool *)field_a == *(const bool *)field_b;
    case OPTION_TEXT:
    case OPTION_SECRET:
        return is_same_text(*(char *const *)field_a, *(char *const *)field_b);
    case OPTION_REDIS_URL:
        return is_same_text(redis_a->host, redis_b->host) &&
               is_same_text(redis_a->socket_path, redis_b->socket_path) &&
               is_same_text(redis_a->user, redis_b->user) && redis_a->port == redis_b->port &&
               redis_a->database == redis_b->database;
    default:
        assert(false && "no option that needs a restart has this type");
        return true;
    }
}
