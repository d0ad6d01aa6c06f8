/* content_sample.c - tries a template before any event does: does what it makes of a sample become JSON?
 *
 * The sample is read off the template. Every value is the number 1, which holds between quotes and without
 * them, and shows a section once. Tried twice: with each section shown, and with each left out, for a comma
 * is easily wrong in one of the two. Any one thread. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "content_set.h"
#include "template_tree.h"

/* Puts 1 where a dotted name leads. False: out of memory. */
static bool put(struct json_object *data, const struct template *template, const struct node *node)
{
    const char *part = template->names + node->name;
    struct json_object *at = data, *child = NULL;
    for (uint32_t i = 1; i < node->parts; i++) {
        if (!json_object_object_get_ex(at, part, &child) || !json_object_is_type(child, json_type_object)) {
            child = json_object_new_object();
            if (child == NULL || json_object_object_add(at, part, child) != 0) {
                json_object_put(child);
                return false;
            }
        }
        at = child;
        part += strlen(part) + 1;
    }
    if (json_object_object_get_ex(at, part, &child))
        return true;
    child = json_object_new_int(1);
    if (child != NULL && json_object_object_add(at, part, child) == 0)
        return true;
    json_object_put(child);
    return false;
}

static bool is_section(const struct node *node)
{
    return node->kind == NODE_SECTION || node->kind == NODE_INVERTED;
}

static bool is_tested(const struct template *template, const struct node *node)
{
    const char *name = template->names + node->name;
    for (uint32_t i = 0; i < template->node_count; i++) {
        const struct node *other = &template->nodes[i];
        if (is_section(other) && other->parts == node->parts &&
            strcmp(template->names + other->name, name) == 0)
            return true;
    }
    return false;
}

static bool put_all(struct json_object *data, const struct template *template, bool are_shown)
{
    for (uint32_t i = 0; i < template->node_count; i++) {
        const struct node *node = &template->nodes[i];
        bool is_name = node->kind == NODE_VALUE || node->kind == NODE_RAW || is_section(node);
        if (is_name && node->parts > 0 && (are_shown || !is_tested(template, node)) &&
            !put(data, template, node))
            return false;
    }
    return true;
}

static bool make_sample(const struct content *content, const struct template *template, bool are_shown,
                        struct json_object **ret)
{
    struct json_object *data = json_object_new_object();
    bool is_made = data != NULL && put_all(data, template, are_shown);
    for (size_t i = 0; is_made && i < content->partial_count; i++)
        if (strcmp(content->partials[i].kind->suffix, "json") == 0)
            is_made = put_all(data, content->partials[i].template, are_shown);
    if (!is_made)
        json_object_put(data);
    else
        *ret = data;
    return is_made;
}

/* True unless it makes something and that is no JSON: a partial that calls itself for each child ends here
 * never, and with an event's children well. */
static bool becomes_json(const struct content *content, enum content_part part,
                         const struct language *language, bool are_shown, struct err *err)
{
    struct json_object *data = NULL;
    struct buffer out;
    if (!make_sample(content, language->parts[part], are_shown, &data))
        return true;
    buffer_init(&out, TEMPLATE_MAX_OUTPUT);
    bool is_made = content_render(content, part, language->locale, data, &out, err);
    buffer_done(&out);
    json_object_put(data);
    return is_made || err->kind != ERR_CONFIG;
}

void content_try(const struct content *content, content_doubt_fn *on_doubt, void *arg)
{
    for (size_t i = 0; i < content->language_count; i++) {
        const struct language *language = &content->languages[i];
        for (int part = 0; part < CONTENT_PART_COUNT; part++) {
            const struct template *template = language->parts[part];
            struct err err;
            char text[sizeof err.text + 128];
            if (template == NULL || content_kinds[part].escape != ESCAPE_JSON)
                continue;
            bool is_good = becomes_json(content, (enum content_part)part, language, true, &err);
            const char *how = is_good ? "with its sections left out" : "with each section shown once";
            if (is_good && becomes_json(content, (enum content_part)part, language, false, &err))
                continue;
            const char *at = strstr(err.text, "at byte ");
            snprintf(text, sizeof text, "makes no JSON of a sample, where every value is 1, %s: %s", how,
                     at != NULL ? at : err.text);
            on_doubt(arg, template->name, text);
        }
    }
}
