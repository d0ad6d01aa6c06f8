/* config.c - a snapshot's life: loaded by one thread, held by many, freed by the last.
 * Loading blocks on files; everything else is for any thread. */
#include "herald/config.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apply.h"
#include "herald/address.h"
#include "load.h"

struct snapshot {
    struct config config; /* first, so that one pointer is both */
    _Atomic unsigned references;
};

bool config_load(const char *path, struct config **ret, struct err *err)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    struct loader loader = {.path = path};
    const char *slash = strrchr(path, '/');
    loader.directory =
        slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    loader.sections = calloc(LOAD_MAX_SECTIONS, sizeof(*loader.sections));
    bool is_loaded = false;
    if (snapshot == NULL || loader.directory == NULL || loader.sections == NULL) {
        (void)err_set(err, ERR_NOMEM, "out of memory");
    } else {
        atomic_init(&snapshot->references, 1);
        loader.config = &snapshot->config;
        is_loaded = load_file(&loader, err);
    }
    free(loader.directory);
    free(loader.sections);
    if (is_loaded)
        *ret = &snapshot->config;
    else if (loader.config != NULL)
        config_unref(loader.config);
    else
        free(snapshot);
    return is_loaded;
}

struct config *config_ref(struct config *config)
{
    atomic_fetch_add_explicit(&((struct snapshot *)config)->references, 1, memory_order_relaxed);
    return config;
}

void config_unref(struct config *config)
{
    struct snapshot *snapshot = (struct snapshot *)config;
    if (config == NULL || atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < config->source_count; i++) {
        apply_release(SECTION_SOURCE, &config->sources[i]);
        free(config->sources[i].name);
    }
    for (size_t i = 0; i < config->notification_count; i++) {
        apply_release(SECTION_NOTIFICATION, &config->notifications[i]);
        content_free(config->notifications[i].content);
        free(config->notifications[i].name);
    }
    for (size_t i = 0; i < config->provider_count; i++) {
        apply_release(SECTION_PROVIDER, &config->providers[i]);
        free(config->providers[i].name);
    }
    apply_release(SECTION_LIMIT, &config->limit);
    apply_release(SECTION_REDIS, &config->redis);
    apply_release(SECTION_HERALD, config);
    free(config->sources);
    free(config->notifications);
    free(config->providers);
    free(snapshot);
}

const struct config_provider *config_provider(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->provider_count; i++) {
        if (strcmp(config->providers[i].name, name) == 0)
            return &config->providers[i];
    }
    return NULL;
}

const struct config_notification *config_notification(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->notification_count; i++) {
        if (strcmp(config->notifications[i].name, name) == 0)
            return &config->notifications[i];
    }
    return NULL;
}

bool config_allows(const struct config *config, const char *address)
{
    if (config->allow_domains[0] == NULL)
        return true;
    /* The option's domains are in ASCII. */
    struct buffer ascii;
    buffer_init(&ascii, ADDRESS_ASCII_BYTES);
    bool is_allowed = false;
    if (address_ascii(address, &ascii) && !ascii.failed)
        for (size_t i = 0; config->allow_domains[i] != NULL; i++)
            is_allowed = is_allowed || strcasecmp(address_domain(ascii.data), config->allow_domains[i]) == 0;
    buffer_done(&ascii);
    return is_allowed;
}

bool config_add_notification(struct config *config, const char *name, struct content *content,
                             struct err *err)
{
    size_t count = config->notification_count;
    char *copy = strdup(name);
    struct config_notification *grown =
        copy != NULL ? realloc(config->notifications, (count + 1) * sizeof(*grown)) : NULL;
    if (grown == NULL) {
        free(copy);
        content_free(content);
        return err_set(err, ERR_NOMEM, "out of memory");
    }
    grown[count] = (struct config_notification){.name = copy, .index = count, .content = content};
    config->notifications = grown;
    config->notification_count = count + 1;
    for (size_t i = 0; i < config->source_count; i++)
        config->sources[i].notification = config_notification(config, config->sources[i].notification_name);
    return true;
}
