/* load.c - a file becomes a snapshot: sections and options as they come, then what depends on several of
 * them.
 *
 * The first complaint ends it, so that what is reported is the cause and not what follows from it. One thread
 * at a time; blocks on files. */
#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply.h"
#include "herald/value.h"
#include "inifile.h"
#include "url.h"

#define MAILDIR_NAME "maildir" /* of the provider that is added where mail would have none */

void *load_base(const struct loader *loader, const struct section *section)
{
    struct config *config = loader->config;
    switch (section->kind) {
    case SECTION_REDIS:
        return &config->redis;
    case SECTION_SOURCE:
        return &config->sources[section->index];
    case SECTION_NOTIFICATION:
        return &config->notifications[section->index];
    case SECTION_PROVIDER:
        return &config->providers[section->index];
    case SECTION_LIMIT:
        return &config->limit;
    case SECTION_HERALD:
    case SECTION_KIND_COUNT:
        break;
    }
    return config;
}

int load_line(const struct section *section, const char *option)
{
    const struct option *found = option_find(section->kind, option);
    return found != NULL ? section->lines[found - option_table] : 0;
}

bool load_wrap(const struct loader *loader, const struct section *section, const char *option,
               struct err *err)
{
    int line = option != NULL && load_line(section, option) != 0 ? load_line(section, option) : section->line;
    char place[16] = "";
    if (line != 0)
        snprintf(place, sizeof(place), ":%d", line);
    return err_wrap(err, "%s%s: [%s%s%s]%s%s", loader->path, place, section_kind_names[section->kind],
                    section->name[0] != '\0' ? " " : "", section->name, option != NULL ? " " : "",
                    option != NULL ? option : "");
}

bool load_refuse(const struct loader *loader, const struct section *section, const char *option,
                 struct err *err, const char *format, ...)
{
    char text[sizeof(err->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)err_set(err, ERR_CONFIG, "%s", text);
    return load_wrap(loader, section, option, err);
}

static bool out_of_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "out of memory");
}

/* Makes room for one more in the snapshot's array of that kind and gives it its name. */
static bool grow(struct config *config, enum section_kind kind, const char *name, size_t *ret_index,
                 struct err *err)
{
    void **array;
    size_t *count, size, index;
    char *copy = strdup(name);
    if (kind == SECTION_SOURCE)
        array = (void **)&config->sources, count = &config->source_count, size = sizeof(*config->sources);
    else if (kind == SECTION_NOTIFICATION)
        array = (void **)&config->notifications, count = &config->notification_count,
        size = sizeof(*config->notifications);
    else
        array = (void **)&config->providers, count = &config->provider_count,
        size = sizeof(*config->providers);

    void *grown = copy != NULL ? reallocarray(*array, *count + 1, size) : NULL;
    if (grown == NULL) {
        free(copy);
        return out_of_memory(err);
    }
    *array = grown;
    index = (*count)++;
    memset((char *)grown + index * size, 0, size);
    if (kind == SECTION_SOURCE) {
        config->sources[index].name = copy;
    } else if (kind == SECTION_NOTIFICATION) {
        config->notifications[index].name = copy;
        config->notifications[index].index = index;
    } else {
        config->providers[index].name = copy;
        config->providers[index].index = index;
    }
    *ret_index = index;
    return true;
}

static struct section *add_section(struct loader *loader, enum section_kind kind, const char *name, int line)
{
    struct section *section = &loader->sections[loader->section_count++];
    section->kind = kind;
    section->line = line;
    snprintf(section->name, sizeof(section->name), "%s", name);
    return section;
}

static bool refuse_heading(const struct loader *loader, int line, struct err *err, const char *text,
                           const char *complaint)
{
    return err_set(err, ERR_CONFIG, "%s:%d: [%s]: %s", loader->path, line, text, complaint);
}

static bool take_section(void *arg, const char *text, int line, struct err *err)
{
    struct loader *loader = arg;
    char word[64]; /* inih cuts a heading at 49 bytes, longer than any good one */
    size_t of_kind = 0, index = 0;
    int kind;
    size_t word_len = strcspn(text, " ");
    const char *name = text + word_len + strspn(text + word_len, " ");
    snprintf(word, sizeof(word), "%.*s", (int)word_len, text);
    if (!value_choice(word, section_kind_names, &kind))
        return refuse_heading(
            loader, line, err, text,
            "expected [herald], [redis], [source NAME], [notification NAME], [provider NAME] or "
            "[limit recipient]");
    if (!section_kind_has_name((enum section_kind)kind) && *name != '\0')
        return refuse_heading(loader, line, err, text, "expected no name");
    if (kind == SECTION_LIMIT && strcmp(name, "recipient") != 0)
        return refuse_heading(loader, line, err, text, "expected [limit recipient]");
    if (section_kind_has_name((enum section_kind)kind) && !value_is_name(name, 0))
        return refuse_heading(
            loader, line, err, text,
            "expected a name of 1 to 20 lower-case letters, digits and hyphens, a letter first");

    for (size_t i = 0; i < loader->section_count; i++) {
        struct section *other = &loader->sections[i];
        of_kind += other->kind == (enum section_kind)kind;
        if (other->kind != (enum section_kind)kind || strcmp(other->name, name) != 0)
            continue;
        if (other->line != 0)
            return err_set(err, ERR_CONFIG, "%s:%d: [%s]: there is one in line %d already", loader->path,
                           line, text, other->line);
        other->line = line;
        loader->current = other;
        return true;
    }
    if (of_kind == CONFIG_MAX_SECTIONS)
        return refuse_heading(loader, line, err, text, "expected at most 64 sections of a kind");
    if (!grow(loader->config, (enum section_kind)kind, name, &index, err))
        return false;
    loader->current = add_section(loader, (enum section_kind)kind, name, line);
    loader->current->index = index;
    return true;
}

static bool take_entry(void *arg, const char *name, const char *value, int line, struct err *err)
{
    struct loader *loader = arg;
    struct section *section = loader->current;
    const struct option *option = option_find(section->kind, name);
    if (option == NULL) {
        char file[64];
        struct section here = *section;
        here.line = line;
        snprintf(file, sizeof(file), "%.40s_file", name);
        if (option_find(section->kind, file) != NULL)
            return load_refuse(loader, &here, NULL, err,
                               "'%s': a secret stands in a file of its own: expected %s", name, file);
        return load_refuse(loader, &here, NULL, err, "'%.40s': there is no such option", name);
    }
    int *first = &section->lines[option - option_table];
    int before = *first;
    *first = line;
    if (before != 0 && option->type != OPTION_LINES)
        return load_refuse(loader, section, name, err, "given in line %d already", before);
    return apply_text(option, value, loader->directory, load_base(loader, section), err) ||
           load_wrap(loader, section, name, err);
}

static bool apply_defaults(const struct loader *loader, const struct section *section, struct err *err)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (option->section != section->kind || section->lines[i] != 0 || *option->fallback == '(')
            continue;
        if (!apply_text(option, option->fallback, loader->directory, load_base(loader, section), err))
            return load_wrap(loader, section, option->name, err);
    }
    return true;
}

/* REDIS_HOST, REDIS_PORT and REDIS_PASSWORD, as container platforms set them. */
static bool take_environment(const struct loader *loader, const struct section *section, struct err *err)
{
    struct config_redis *redis = &loader->config->redis;
    const char *host = getenv("REDIS_HOST"), *port = getenv("REDIS_PORT"),
               *password = getenv("REDIS_PASSWORD");
    if (load_line(section, "url") == 0 && host != NULL && *host != '\0') {
        char url[URL_HOST_BYTES + 16];
        struct url parts;
        bool is_v6 = strchr(host, ':') != NULL;
        int len = snprintf(url, sizeof(url), is_v6 ? "redis://[%s]" : "redis://%s", host);
        if (len >= (int)sizeof(url) || !url_split(url, &parts) || parts.user != NULL || *parts.rest != '\0')
            return err_set(err, ERR_CONFIG, "REDIS_HOST: '%.80s': expected a host's name or address", host);
        char *copy = strdup(host);
        if (copy == NULL)
            return out_of_memory(err);
        free(redis->host);
        redis->host = copy;
    }
    if (load_line(section, "url") == 0 && port != NULL && *port != '\0') {
        int64_t number;
        if (!value_count(port, &number) || number < 1 || number > 65535)
            return err_set(err, ERR_CONFIG,
                           "REDIS_PORT: '%.80s': expected 1 to 65535 (Kubernetes sets this variable for a "
                           "service called redis: give [redis] url instead)",
                           port);
        redis->port = (int)number;
    }
    if (redis->password == NULL && password != NULL && *password != '\0' &&
        (redis->password = strdup(password)) == NULL)
        return out_of_memory(err);
    return true;
}

static bool finish_herald(const struct loader *loader, const struct section *section, struct err *err)
{
    struct config *config = loader->config;
    const struct option *instance = option_find(SECTION_HERALD, "instance");
    if (config->lease_margin_ms > config->lease_ms / 2) {
        char margin[VALUE_DURATION_BYTES], half[VALUE_DURATION_BYTES];
        value_write_duration(config->lease_margin_ms, margin);
        value_write_duration(config->lease_ms / 2, half);
        return load_refuse(loader, section, "lease_margin", err, "'%s': expected at most %s, half of lease",
                           margin, half);
    }
    if (config->instance == NULL) {
        char host[256] = "";
        (void)gethostname(host, sizeof(host) - 1);
        if (!apply_text(instance, host, loader->directory, config, err))
            return load_wrap(loader, section, instance->name, err);
    }
    if (config->group == NULL && (config->group = strdup(config->prefix)) == NULL)
        return out_of_memory(err);
    return true;
}

static void spread_limit(struct config *config)
{
    enum channel channel;
    for (size_t i = 0; config->limit.channels[i] != NULL; i++) {
        if (channel_parse(config->limit.channels[i], &channel))
            config->recipient_rate[channel] = config->limit.rate;
    }
}

static bool needs_maildir(const struct config *config)
{
    for (size_t i = 0; i < config->provider_count; i++) {
        if (config->providers[i].channel == CHANNEL_EMAIL)
            return false;
    }
    for (size_t i = 0; i < config->notification_count; i++) {
        char *const *channels = config->notifications[i].channels;
        for (size_t k = 0; channels[k] != NULL; k++) {
            if (strncmp(channels[k], "email", 5) == 0)
                return true;
        }
    }
    return false;
}

/* A newcomer sees the mails before owning a mail server. */
static bool add_maildir(struct loader *loader, struct err *err)
{
    struct config *config = loader->config;
    size_t index;
    if (config->provider_count == CONFIG_MAX_SECTIONS)
        return err_set(err, ERR_CONFIG,
                       "%s: expected a [provider] with channel = email: there is no room to add one",
                       loader->path);
    for (size_t i = 0; i < loader->section_count; i++) {
        if (loader->sections[i].kind == SECTION_PROVIDER &&
            strcmp(loader->sections[i].name, MAILDIR_NAME) == 0)
            return load_refuse(loader, &loader->sections[i], NULL, err,
                               "the name is kept for the provider that takes mail while no other does");
    }
    if (!grow(config, SECTION_PROVIDER, MAILDIR_NAME, &index, err))
        return false;
    config->providers[index].channel = CHANNEL_EMAIL;
    config->providers[index].type = PROVIDER_MAILDIR;
    struct section *section = add_section(loader, SECTION_PROVIDER, MAILDIR_NAME, 0);
    section->index = index;
    return apply_defaults(loader, section, err);
}

static bool finish_kind(const struct loader *loader, enum section_kind kind,
                        bool (*finish)(const struct loader *loader, const struct section *section,
                                       struct err *err),
                        struct err *err)
{
    for (size_t i = 0; i < loader->section_count; i++) {
        if (loader->sections[i].kind == kind && !finish(loader, &loader->sections[i], err))
            return false;
    }
    return true;
}

bool load_file(struct loader *loader, struct err *err)
{
    struct inifile_callbacks callbacks = {.on_section = take_section, .on_entry = take_entry, .arg = loader};
    add_section(loader, SECTION_HERALD, "", 0);
    add_section(loader, SECTION_REDIS, "", 0);
    add_section(loader, SECTION_LIMIT, "recipient", 0);
    if (!inifile_read(loader->path, &callbacks, err))
        return false;
    for (size_t i = 0; i < loader->section_count; i++) {
        if (!apply_defaults(loader, &loader->sections[i], err))
            return false;
    }
    if (!finish_kind(loader, SECTION_HERALD, finish_herald, err) ||
        !finish_kind(loader, SECTION_REDIS, take_environment, err))
        return false;
    /* Adding a provider moves the array, so it comes before anything borrows from it. */
    if (needs_maildir(loader->config) && !add_maildir(loader, err))
        return false;
    spread_limit(loader->config);
    return finish_kind(loader, SECTION_PROVIDER, provider_finish, err) &&
           finish_kind(loader, SECTION_NOTIFICATION, notification_finish, err) &&
           finish_kind(loader, SECTION_SOURCE, source_finish, err);
}
