/* content_doubt.c - what is no mistake among the templates and yet hardly meant; see content.h. Blocks on
 * files; any one thread. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "content_set.h"
#include "template_tree.h"

#define PARTIALS "partials"
#define WHITE " \t\r\n"

struct look {
    const struct content *const *contents;
    size_t count;
    content_doubt_fn *on_doubt;
    void *arg;
};

static bool is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The names in a directory, sorted; calls `on_name` with the path of each. What can't be listed has been
 * complained of by content_load, or is nobody's. */
static void each_name(const struct look *look, const char *dir,
                      void (*on_name)(const struct look *look, const char *path, const char *name))
{
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        const char *name = entries[i]->d_name;
        int len = snprintf(path, sizeof(path), "%s/%s", dir, name);
        if (name[0] != '.' && len > 0 && len < PATH_MAX)
            on_name(look, path, name);
        free(entries[i]);
    }
    free(entries);
}

static void look_at_part(const struct look *look, const char *path, const char *name)
{
    for (size_t i = 0; i < CONTENT_PART_COUNT; i++)
        if (strcmp(name, content_kinds[i].file) == 0)
            return;
    look->on_doubt(
        look->arg, path,
        "is not read: expected subject.txt, body.txt, body.html, push.json or webhook.json in here");
}

static void look_at_partial(const struct look *look, const char *path, const char *name)
{
    static const char expected[] = "is not read: expected NAME.txt, NAME.html or NAME.json in here, NAME of "
                                   "letters, digits, hyphens and underscores";
    char stem[CONTENT_MAX_PARTIAL_NAME + 1];
    const char *dot = strchr(name, '.');
    size_t len = dot != NULL ? (size_t)(dot - name) : sizeof(stem);
    bool is_read = false;
    if (len < sizeof(stem)) {
        memcpy(stem, name, len);
        stem[len] = '\0';
        for (size_t i = 0; content_is_partial_name(stem) && i < CONTENT_PART_COUNT; i++)
            is_read = is_read || strcmp(dot + 1, content_kinds[i].suffix) == 0;
    }
    if (!is_read || is_directory(path))
        look->on_doubt(look->arg, path, expected);
}

static bool is_language_of(const struct content *content, const char *name)
{
    char locale[CONTENT_MAX_LOCALE + 1];
    size_t len = strlen(content->notification);
    return strncmp(name, content->notification, len) == 0 &&
           (name[len] == '\0' || (name[len] == '.' && content_read_locale(name + len + 1, locale)));
}

static void look_at_entry(const struct look *look, const char *path, const char *name)
{
    bool is_read = false;
    if (strcmp(name, PARTIALS) == 0 && is_directory(path)) {
        each_name(look, path, look_at_partial);
        return;
    }
    for (size_t i = 0; i < look->count; i++)
        is_read = is_read || is_language_of(look->contents[i], name);
    if (is_read && is_directory(path))
        each_name(look, path, look_at_part);
    else
        look->on_doubt(look->arg, path,
                       "is not read: expected partials/, or a directory NOTIFICATION or "
                       "NOTIFICATION.LANGUAGE of a [notification]");
}

/* Whatever the data, nothing comes out but white space. */
static bool is_blank(const struct template *template)
{
    for (uint32_t i = 0; i < template->node_count; i++) {
        const struct node *node = &template->nodes[i];
        if (node->kind != NODE_TEXT)
            return false;
        for (uint32_t at = node->start; at < node->start + node->len; at++)
            if (strchr(WHITE, template->text[at]) == NULL)
                return false;
    }
    return true;
}

void content_each_doubt(const char *dir, const struct content *const *contents, size_t count,
                        content_doubt_fn *on_doubt, void *arg)
{
    const struct look look = {.contents = contents, .count = count, .on_doubt = on_doubt, .arg = arg};
    each_name(&look, dir, look_at_entry);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < contents[i]->language_count; k++) {
            const struct template *subject = contents[i]->languages[k].parts[CONTENT_SUBJECT];
            if (subject != NULL && is_blank(subject))
                on_doubt(arg, subject->name, "is empty: these mails have no subject");
        }
        content_try(contents[i], on_doubt, arg);
    }
}
