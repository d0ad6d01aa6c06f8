/* template_render.c - writes a compiled template for one set of data; see template.h.
 *
 * What comes out of the data is written and never looked at again, so no data can become a tag. Depth, output
 * and work are bounded: partials may call themselves, and data comes from publishers. Any thread.
 */
#include "template_tree.h"

#include <json-c/json.h>
#include <string.h>

#include "herald/json.h"

/* A list inside itself ({{#a}}{{#a}}{{#a}}) over a large event can take hours without writing a byte, which
 * the bound on output doesn't see. A text of TEMPLATE_MAX_OUTPUT in pieces of one byte fits. */
#define MAX_STEPS (1024 * 1024)

/* What stands in front of each line of a partial: its own white space behind that
 * of the partials around it. */
struct indent {
    const char *bytes;
    size_t len;
    const struct indent *outer; /* NULL: outermost */
};

struct render {
    template_partial_fn *partial;
    void *arg;
    struct buffer *out;                                  /* its max is this rendering's bound */
    struct json_object *context[TEMPLATE_MAX_DEPTH + 1]; /* borrowed from data; the innermost last */
    unsigned context_count;
    unsigned depth; /* sections and partials around this point */
    unsigned steps;
    struct err *err;
};

static bool walk(struct render *r, const struct template *template, uint32_t from, uint32_t to,
                 const struct indent *indent);

/* Judges an append of at most `most` bytes. */
static bool is_written(struct render *r, const struct template *template, size_t most)
{
    if (!r->out->failed)
        return true;
    if (most > r->out->max - r->out->len)
        return err_set(r->err, ERR_PERMANENT, "%s: the text passes its bound of %zu bytes", template->name,
                       r->out->max);
    return err_set(r->err, ERR_NOMEM, "%s: out of memory", template->name);
}

static bool put(struct render *r, const struct template *template, const char *bytes, size_t len)
{
    buffer_append(r->out, bytes, len);
    return is_written(r, template, len);
}

static bool put_html(struct render *r, const struct template *template, const char *bytes, size_t len)
{
    size_t plain = 0; /* start of what needs no escape */

    for (size_t i = 0; i < len; i++) {
        const char *name = NULL;

        switch (bytes[i]) {
        case '&':
            name = "&amp;";
            break;
        case '<':
            name = "&lt;";
            break;
        case '>':
            name = "&gt;";
            break;
        case '"':
            name = "&quot;";
            break;
        case '\'':
            name = "&#39;"; /* &apos; isn't HTML 4, and some mail programs stopped there */
            break;
        default:
            continue;
        }
        if (!put(r, template, bytes + plain, i - plain) || !put(r, template, name, strlen(name)))
            return false;
        plain = i + 1;
    }
    return put(r, template, bytes + plain, len - plain);
}

static bool put_indent(struct render *r, const struct template *template, const struct indent *indent)
{
    if (indent == NULL)
        return true;
    return put_indent(r, template, indent->outer) && put(r, template, indent->bytes, indent->len);
}

static bool put_text(struct render *r, const struct template *template, const struct node *node,
                     const struct indent *indent)
{
    const char *at = template->text + node->start;
    const char *end = at + node->len;
    bool starts_line = node->starts_line;

    if (indent == NULL)
        return put(r, template, at, node->len);
    do {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *next = newline != NULL ? newline + 1 : end;
        if ((starts_line && !put_indent(r, template, indent)) || !put(r, template, at, (size_t)(next - at)))
            return false;
        starts_line = true;
        at = next;
    } while (at < end);
    return true;
}

/* What a node's name means here. False if nothing does; a member that is null is found. */
static bool look_up(const struct render *r, const struct template *template, const struct node *node,
                    struct json_object **ret)
{
    const char *part = template->names + node->name;
    struct json_object *value = NULL;
    bool is_found = false;

    if (node->parts == 0) {
        *ret = r->context[r->context_count - 1];
        return true;
    }
    /* The first part decides where we are; a chain that breaks after it isn't looked for further out. */
    for (unsigned i = r->context_count; i > 0 && !is_found; i--)
        is_found = json_object_is_type(r->context[i - 1], json_type_object) &&
                   json_object_object_get_ex(r->context[i - 1], part, &value);
    for (uint32_t i = 1; i < node->parts && is_found; i++) {
        part += strlen(part) + 1;
        is_found =
            json_object_is_type(value, json_type_object) && json_object_object_get_ex(value, part, &value);
    }
    if (is_found)
        *ret = value;
    return is_found;
}

static bool is_truthy(struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        return false;
    case json_type_boolean:
        return json_object_get_boolean(value);
    case json_type_array:
        return json_object_array_length(value) > 0;
    case json_type_string:
        return json_object_get_string_len(value) > 0;
    default:
        return true; /* 0 is a number like any other: an amount of 0 is shown */
    }
}

static bool put_value(struct render *r, const struct template *template, const struct node *node)
{
    struct json_object *value = NULL;
    bool is_json = node->kind == NODE_RAW && template->escape == ESCAPE_JSON;
    const char *text;
    size_t len;

    if ((!look_up(r, template, node, &value) || value == NULL) && !is_json)
        return true;
    if (json_object_is_type(value, json_type_string) && !is_json) {
        text = json_object_get_string(value);
        len = (size_t)json_object_get_string_len(value); /* may hold a NUL */
    } else {
        /* A number that json-c read from text comes out as that text. NULL gives "null". */
        text = json_object_to_json_string_length(
            value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
        if (text == NULL)
            return err_set(r->err, ERR_NOMEM, "%s:%u: out of memory", template->name, node->line);
    }

    if (node->kind == NODE_RAW || template->escape == ESCAPE_NONE)
        return put(r, template, text, len);
    if (template->escape == ESCAPE_HTML)
        return put_html(r, template, text, len);
    json_escape(text, len, r->out);
    return is_written(r, template, 6 * len); /* \u001f */
}

static bool step(struct render *r, const struct template *template, const struct node *node)
{
    if (r->steps == MAX_STEPS)
        return err_set(r->err, ERR_PERMANENT, "%s:%u: takes more than %d steps", template->name, node->line,
                       MAX_STEPS);
    r->steps++;
    return true;
}

static bool enter(struct render *r, const struct template *template, const struct node *node)
{
    if (r->depth == TEMPLATE_MAX_DEPTH)
        return err_set(r->err, ERR_PERMANENT, "%s:%u: sections and partials are nested deeper than %d",
                       template->name, node->line, TEMPLATE_MAX_DEPTH);
    r->depth++;
    return true;
}

static bool walk_section(struct render *r, const struct template *template, uint32_t index,
                         const struct indent *indent)
{
    const struct node *node = &template->nodes[index];
    struct json_object *value = NULL;
    bool is_shown = look_up(r, template, node, &value) && is_truthy(value);

    if (is_shown != (node->kind == NODE_SECTION))
        return true;
    if (!enter(r, template, node))
        return false;
    if (node->kind == NODE_INVERTED) {
        if (!walk(r, template, index + 1, node->end, indent))
            return false;
    } else {
        bool is_list = json_object_is_type(value, json_type_array);
        size_t count = is_list ? json_object_array_length(value) : 1;

        r->context_count++;
        for (size_t i = 0; i < count; i++) {
            r->context[r->context_count - 1] = is_list ? json_object_array_get_idx(value, i) : value;
            if (!step(r, template, node) || !walk(r, template, index + 1, node->end, indent))
                return false;
        }
        r->context_count--;
    }
    r->depth--;
    return true;
}

static bool walk_partial(struct render *r, const struct template *template, const struct node *node,
                         const struct indent *outer)
{
    const struct template *partial = NULL;
    struct indent indent = {template->text + node->start, node->len, outer};

    if (r->partial != NULL)
        partial = r->partial(r->arg, template->names + node->name);
    if (partial == NULL)
        return true;
    if (!enter(r, template, node))
        return false;
    /* Within a line, its own lines are not indented, not even by what indents the lines around it. */
    const struct indent *inner = !node->starts_line ? NULL : node->len == 0 ? outer : &indent;
    if (!walk(r, partial, 0, partial->node_count, inner))
        return false;
    r->depth--;
    return true;
}

static bool walk(struct render *r, const struct template *template, uint32_t from, uint32_t to,
                 const struct indent *indent)
{
    for (uint32_t i = from; i < to;) {
        const struct node *node = &template->nodes[i];
        bool is_done = true;

        if (!step(r, template, node))
            return false;
        switch (node->kind) {
        case NODE_TEXT:
            is_done = put_text(r, template, node, indent);
            break;
        case NODE_VALUE:
        case NODE_RAW:
            is_done = put_value(r, template, node);
            break;
        case NODE_SECTION:
        case NODE_INVERTED:
            is_done = walk_section(r, template, i, indent);
            break;
        case NODE_PARTIAL:
            is_done = walk_partial(r, template, node, indent);
            break;
        }
        if (!is_done)
            return false;
        i = node->kind == NODE_SECTION || node->kind == NODE_INVERTED ? node->end : i + 1;
    }
    return true;
}

bool template_render(const struct template *template, struct json_object *data, template_partial_fn *partial,
                     void *arg, struct buffer *ret, struct err *err)
{
    struct render r = {
        .partial = partial, .arg = arg, .out = ret, .context = {data}, .context_count = 1, .err = err};
    size_t start = ret->len;
    size_t max = ret->max;

    if (ret->failed)
        return err_set(err, ERR_PERMANENT, "%s: the buffer had no room left", template->name);
    if (max - start > TEMPLATE_MAX_OUTPUT)
        ret->max = start + TEMPLATE_MAX_OUTPUT;
    bool is_done = walk(&r, template, 0, template->node_count, NULL);
    ret->max = max;
    if (!is_done) {
        ret->failed = false;
        ret->len = start;
        if (ret->data != NULL)
            ret->data[start] = '\0';
    }
    return is_done;
}
