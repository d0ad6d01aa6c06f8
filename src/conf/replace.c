/* replace.c - whether a reload may put one snapshot in the place of another. Pure; any thread that holds
 * both. */
#include <string.h>

#include "apply.h"
#include "herald/buffer.h"
#include "herald/config.h"
#include "options.h"

#define LIST_BYTES 300 /* of what changed: fits an err's text with the words around it */

static void note(struct buffer *changed, const char *section, const char *name, const char *option)
{
    buffer_printf(changed, "%s[%s%s%s]%s%s", changed->len > 0 ? ", " : "", section, *name != '\0' ? " " : "",
                  name, *option != '\0' ? " " : "", option);
}

static void compare(struct buffer *changed, enum section_kind kind, const char *name, const void *now,
                    const void *next)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (option->section == kind && option->reload == RELOAD_RESTART && !apply_is_equal(option, now, next))
            note(changed, section_kind_names[kind], name, option->name);
    }
}

static const struct config_source *find_source(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->source_count; i++) {
        if (strcmp(config->sources[i].name, name) == 0)
            return &config->sources[i];
    }
    return NULL;
}

bool config_can_replace(const struct config *now, const struct config *next, struct err *err)
{
    struct buffer changed;
    buffer_init(&changed, LIST_BYTES);
    compare(&changed, SECTION_HERALD, "", now, next);
    compare(&changed, SECTION_REDIS, "", &now->redis, &next->redis);
    /* What is subscribed to is settled when the connection is made. */
    for (size_t i = 0; i < now->source_count; i++) {
        const struct config_source *source = find_source(next, now->sources[i].name);
        if (source != NULL)
            compare(&changed, SECTION_SOURCE, source->name, &now->sources[i], source);
        else
            note(&changed, "source", now->sources[i].name, "");
    }
    for (size_t i = 0; i < next->source_count; i++) {
        if (find_source(now, next->sources[i].name) == NULL)
            note(&changed, "source", next->sources[i].name, "");
    }
    bool is_same = changed.len == 0 && !changed.failed;
    if (!is_same)
        (void)err_set(err, ERR_CONFIG, "needs a restart: %s%s", changed.len > 0 ? changed.data : "",
                      changed.failed ? ", …" : "");
    buffer_done(&changed);
    return is_same;
}
