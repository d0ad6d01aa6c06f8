/* content.c - chooses a notification's language and renders a part in it; see content.h. Pure; any thread. */
#include "content_set.h"

#include <ctype.h>
#include <string.h>

#include "herald/json.h"
#include "template_tree.h" /* the name in errors */

const struct content_kind content_kinds[CONTENT_PART_COUNT] = {
    [CONTENT_SUBJECT] = {"subject.txt", "txt", ESCAPE_NONE},
    [CONTENT_TEXT] = {"body.txt", "txt", ESCAPE_NONE},
    [CONTENT_HTML] = {"body.html", "html", ESCAPE_HTML},
    [CONTENT_PUSH] = {"push.json", "json", ESCAPE_JSON},
    [CONTENT_WEBHOOK] = {"webhook.json", "json", ESCAPE_JSON},
};

bool content_read_locale(const char *text, char ret[CONTENT_MAX_LOCALE + 1])
{
    size_t len = strlen(text);
    size_t subtag = 0; /* bytes of the one being read */
    bool is_first = true;

    if (len > CONTENT_MAX_LOCALE)
        return false;
    for (size_t i = 0; i <= len; i++) {
        char c = text[i];
        if (c == '-' || c == '_' || c == '\0') {
            if (is_first ? subtag < 2 || subtag > 3 : subtag < 1 || subtag > 8)
                return false;
            ret[i] = c == '\0' ? '\0' : '-';
            is_first = false;
            subtag = 0;
        } else {
            if (!isascii(c) || (is_first ? !isalpha(c) : !isalnum(c)))
                return false;
            ret[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
            subtag++;
        }
    }
    return true;
}

const struct language *content_find_language(const struct content *content, const char *locale)
{
    for (size_t i = 0; i < content->language_count; i++)
        if (strcmp(content->languages[i].locale, locale) == 0)
            return &content->languages[i];
    return NULL;
}

const struct partial *content_find_partial(const struct content *content, const struct content_kind *kind,
                                           const char *name)
{
    for (size_t i = 0; i < content->partial_count; i++) {
        const struct partial *partial = &content->partials[i];
        if (strcmp(partial->kind->suffix, kind->suffix) == 0 && strcmp(partial->name, name) == 0)
            return partial;
    }
    return NULL;
}

/* The language whose set of parts is used: see content_render. NULL if none has it. */
static const struct language *choose(const struct content *content, enum content_part part,
                                     const char *locale)
{
    bool is_mail = part == CONTENT_SUBJECT || part == CONTENT_TEXT || part == CONTENT_HTML;
    enum content_part decides = is_mail ? CONTENT_SUBJECT : part;
    char range[CONTENT_MAX_LOCALE + 1];

    if (!content_read_locale(locale, range))
        range[0] = '\0';
    /* pt-br, pt, then "": the default. */
    for (;;) {
        const struct language *language = content_find_language(content, range);
        if (language != NULL && language->parts[decides] != NULL)
            return language->parts[part] != NULL ? language : NULL;
        if (range[0] == '\0')
            return NULL;
        char *hyphen = strrchr(range, '-');
        *(hyphen != NULL ? hyphen : range) = '\0';
    }
}

bool content_has(const struct content *content, enum content_part part)
{
    return content_has_in(content, part, "");
}

bool content_has_in(const struct content *content, enum content_part part, const char *locale)
{
    return choose(content, part, locale) != NULL;
}

struct partial_source {
    const struct content *content;
    const struct content_kind *kind;
};

static const struct template *give_partial(void *arg, const char *name)
{
    const struct partial_source *source = arg;
    const struct partial *partial = content_find_partial(source->content, source->kind, name);

    return partial != NULL ? partial->template : NULL;
}

/* A file ends in a newline and may be wrapped; a subject is one line without blanks around it. */
static void make_one_line(struct buffer *text, size_t start)
{
    size_t to = start;
    bool is_blank = true; /* at the start, or behind a blank */

    for (size_t from = start; from < text->len; from++) {
        char c = text->data[from];
        bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (!blank)
            text->data[to++] = c;
        else if (!is_blank)
            text->data[to++] = ' ';
        is_blank = blank;
    }
    if (to > start && is_blank)
        to--;
    text->len = to;
    if (text->data != NULL)
        text->data[to] = '\0';
}

static bool check_json(const struct template *template, const struct buffer *text, size_t start,
                       struct err *err)
{
    struct json json;

    if (!json_parse(text->data + start, text->len - start, &json, err)) {
        /* Values are escaped, so it is the template that doesn't hold for this data; and it can be mended. */
        if (err->kind == ERR_INPUT)
            err->kind = ERR_CONFIG;
        return err_wrap(err, "%s: the result isn't JSON", template->name);
    }
    json_done(&json);
    return true;
}

bool content_render(const struct content *content, enum content_part part, const char *locale,
                    struct json_object *data, struct buffer *ret, struct err *err)
{
    const struct language *language = choose(content, part, locale);
    struct partial_source source = {content, &content_kinds[part]};
    size_t start = ret->len;

    if (language == NULL)
        return err_set(err, ERR_CONFIG, "%s: there is no %s for it", content->notification,
                       content_kinds[part].file);
    const struct template *template = language->parts[part];
    buffer_reserve(ret, 0); /* so that an empty result is a text as well */
    if (!template_render(template, data, give_partial, &source, ret, err))
        return false;
    if (part == CONTENT_SUBJECT)
        make_one_line(ret, start);
    if (content_kinds[part].escape == ESCAPE_JSON && !check_json(template, ret, start, err)) {
        ret->len = start;
        ret->data[start] = '\0';
        return false;
    }
    return true;
}
