/* content_load.c - reads a notification's templates from files; see content.h.
 *
 * All mistakes a file can hold are found here, so that rendering fails on data only. Blocks on files: at
 * start, at reload and in heraldctl.
 */
#include "content_set.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "herald/file.h"
#include "template_tree.h"

#define MAX_LANGUAGES 256 /* more directories than that are a mistake, not a shop's languages */
#define MAX_PARTIALS 256  /* of one notification, likewise */

/* Compiles the file at `path`; on true *ret is NULL if there is none. */
static bool load_file(const char *path, enum template_escape escape, struct template **ret, struct err *err)
{
    struct buffer text;
    ssize_t got = 1;
    bool is_done = false;
    const char *complaint;
    int fd = file_open_regular(path, &complaint);

    if (fd < 0 && errno == ENOENT) {
        *ret = NULL;
        return true;
    }
    if (fd < 0)
        return err_set(err, ERR_CONFIG, "%s: %s", path, complaint);

    buffer_init(&text, TEMPLATE_MAX_BYTES + BUFSIZ);
    while (got > 0 && text.len <= TEMPLATE_MAX_BYTES) {
        char *to = buffer_reserve(&text, BUFSIZ);
        if (to == NULL) {
            err_set(err, ERR_NOMEM, "%s: out of memory", path);
            goto out;
        }
        got = read(fd, to, BUFSIZ);
        if (got < 0 && errno == EINTR) {
            got = 1;
            continue;
        }
        if (got < 0) {
            err_set(err, ERR_CONFIG, "%s: %s", path, strerror(errno));
            goto out;
        }
        text.len += (size_t)got;
    }
    is_done = template_compile(path, text.data, text.len, escape, ret, err);
out:
    buffer_done(&text);
    close(fd);
    return is_done;
}

static bool join_path(const char *dir, const char *name, const char *file, const char *suffix,
                      char ret[PATH_MAX], struct err *err)
{
    int len = snprintf(ret, PATH_MAX, "%s/%s/%s%s%s", dir, name, file, suffix[0] != '\0' ? "." : "", suffix);

    if (len < 0 || len >= PATH_MAX)
        return err_set(err, ERR_CONFIG, "%s/%s: the path is too long", dir, name);
    return true;
}

bool content_is_partial_name(const char *name)
{
    size_t len = strlen(name);

    for (const char *c = name; *c != '\0'; c++)
        if (!isascii(*c) || (!isalnum(*c) && *c != '-' && *c != '_'))
            return false;
    return len > 0 && len <= CONTENT_MAX_PARTIAL_NAME;
}

/* Loads the partials that a template names and that aren't there yet. Their own are
 * the caller's next round. */
static bool load_partials(struct content *content, const char *dir, const struct template *template,
                          const struct content_kind *kind, struct err *err)
{
    for (uint32_t i = 0; i < template->node_count; i++) {
        const struct node *node = &template->nodes[i];
        const char *name = template->names + node->name;
        char path[PATH_MAX];
        struct template *loaded = NULL;

        if (node->kind != NODE_PARTIAL || content_find_partial(content, kind, name) != NULL)
            continue;
        if (!content_is_partial_name(name))
            return err_set(
                err, ERR_CONFIG,
                "%s:%u: partial '%.80s': expected letters, digits, hyphens and underscores, at most %d",
                template->name, node->line, name, CONTENT_MAX_PARTIAL_NAME);
        if (content->partial_count == MAX_PARTIALS)
            return err_set(err, ERR_CONFIG, "%s:%u: partial '%s': more than %d partials", template->name,
                           node->line, name, MAX_PARTIALS);
        if (!join_path(dir, "partials", name, kind->suffix, path, err) ||
            !load_file(path, kind->escape, &loaded, err))
            return false;
        if (loaded == NULL)
            return err_set(err, ERR_CONFIG, "%s:%u: partial '%s': there is no %s", template->name, node->line,
                           name, path);

        struct partial *partials =
            realloc(content->partials, (content->partial_count + 1) * sizeof(*partials));
        if (partials == NULL) {
            template_free(loaded);
            return err_set(err, ERR_NOMEM, "%s: out of memory", path);
        }
        content->partials = partials;
        struct partial *partial = &partials[content->partial_count++];
        *partial = (struct partial){.kind = kind, .template = loaded};
        memcpy(partial->name, name, strlen(name) + 1);
    }
    return true;
}

/* Loads what the directory `name` holds and checks that a mail's parts are complete. */
static bool load_language(struct content *content, const char *dir, const char *name, const char *locale,
                          struct err *err)
{
    bool has_any = false;

    if (content_find_language(content, locale) != NULL)
        return err_set(err, ERR_CONFIG, "%s/%s: another directory is the same language", dir, name);
    if (content->language_count == MAX_LANGUAGES)
        return err_set(err, ERR_CONFIG, "%s/%s: more than %d languages", dir, name, MAX_LANGUAGES);
    struct language *languages =
        realloc(content->languages, (content->language_count + 1) * sizeof(*languages));
    if (languages == NULL)
        return err_set(err, ERR_NOMEM, "%s/%s: out of memory", dir, name);
    content->languages = languages;
    struct language *language = &languages[content->language_count++];
    *language = (struct language){0};
    memcpy(language->locale, locale, strlen(locale) + 1);

    for (size_t i = 0; i < CONTENT_PART_COUNT; i++) {
        char path[PATH_MAX];
        if (!join_path(dir, name, content_kinds[i].file, "", path, err) ||
            !load_file(path, content_kinds[i].escape, &language->parts[i], err))
            return false;
        has_any = has_any || language->parts[i] != NULL;
        if (language->parts[i] != NULL &&
            !load_partials(content, dir, language->parts[i], &content_kinds[i], err))
            return false;
    }

    bool has_subject = language->parts[CONTENT_SUBJECT] != NULL;
    bool has_body = language->parts[CONTENT_TEXT] != NULL || language->parts[CONTENT_HTML] != NULL;
    if (!has_any)
        return err_set(err, ERR_CONFIG,
                       "%s/%s: expected subject.txt, body.txt, body.html, push.json or webhook.json", dir,
                       name);
    if (has_subject && !has_body)
        return err_set(err, ERR_CONFIG, "%s/%s: a mail with subject.txt needs body.txt or body.html", dir,
                       name);
    if (has_body && !has_subject)
        return err_set(err, ERR_CONFIG, "%s/%s: a mail's body needs subject.txt beside it", dir, name);
    return true;
}

static bool load_languages(struct content *content, const char *dir, const char *notification,
                           struct err *err)
{
    size_t len = strlen(notification);
    bool is_done = false;
    DIR *listing = opendir(dir);
    struct dirent *entry;

    if (listing == NULL)
        return err_set(err, ERR_CONFIG, "%s: %s", dir, strerror(errno));
    for (errno = 0; (entry = readdir(listing)) != NULL; errno = 0) {
        char locale[CONTENT_MAX_LOCALE + 1] = "";
        char path[PATH_MAX];
        struct stat info;

        if (strncmp(entry->d_name, notification, len) != 0)
            continue;
        const char *rest = entry->d_name + len;
        if (rest[0] != '\0' && (rest[0] != '.' || !content_read_locale(rest + 1, locale)))
            continue;
        if (!join_path(dir, entry->d_name, "", "", path, err))
            goto out;
        if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) /* a stray file; the path ends in a slash */
            continue;
        if (!load_language(content, dir, entry->d_name, locale, err))
            goto out;
    }
    if (errno != 0) {
        err_set(err, ERR_CONFIG, "%s: %s", dir, strerror(errno));
        goto out;
    }
    if (content->language_count == 0) {
        err_set(err, ERR_CONFIG, "%s/%s: there is no such directory", dir, notification);
        goto out;
    }
    is_done = true;
out:
    closedir(listing);
    return is_done;
}

bool content_load(const char *dir, const char *notification, struct content **ret, struct err *err)
{
    if (notification[0] == '\0' || notification[0] == '.' || strchr(notification, '/') != NULL)
        return err_set(err, ERR_CONFIG,
                       "'%.80s': expected a notification's name, without '/' and no dot in front",
                       notification);

    struct content *content = calloc(1, sizeof(*content));
    if (content == NULL || (content->notification = strdup(notification)) == NULL) {
        free(content);
        return err_set(err, ERR_NOMEM, "%s/%s: out of memory", dir, notification);
    }
    bool is_done = load_languages(content, dir, notification, err);
    /* Partials name partials: each is looked through once, those found on the way included. */
    for (size_t i = 0; is_done && i < content->partial_count; i++)
        is_done = load_partials(content, dir, content->partials[i].template, content->partials[i].kind, err);
    if (!is_done) {
        content_free(content);
        return false;
    }
    *ret = content;
    return true;
}

bool content_make(const char *notification, const char *const texts[CONTENT_PART_COUNT], struct content **ret,
                  struct err *err)
{
    struct content *content = calloc(1, sizeof(*content));
    bool is_done = content != NULL && (content->notification = strdup(notification)) != NULL &&
                   (content->languages = calloc(1, sizeof(*content->languages))) != NULL;

    if (!is_done)
        err_set(err, ERR_NOMEM, "%s: out of memory", notification);
    else
        content->language_count = 1;
    for (size_t i = 0; is_done && i < CONTENT_PART_COUNT; i++)
        if (texts[i] != NULL)
            is_done = template_compile(content_kinds[i].file, texts[i], strlen(texts[i]),
                                       content_kinds[i].escape, &content->languages[0].parts[i], err);
    if (is_done)
        *ret = content;
    else
        content_free(content);
    return is_done;
}

void content_free(struct content *content)
{
    if (content == NULL)
        return;
    for (size_t i = 0; i < content->language_count; i++)
        for (size_t part = 0; part < CONTENT_PART_COUNT; part++)
            template_free(content->languages[i].parts[part]);
    for (size_t i = 0; i < content->partial_count; i++)
        template_free(content->partials[i].template);
    free(content->languages);
    free(content->partials);
    free(content->notification);
    free(content);
}
