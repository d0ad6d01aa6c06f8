/* template.c - from a template's text to its nodes; see template.h.
 *
 * One pass, tag by tag. What is decided here and never again: which lines are a tag's alone and vanish, which
 * section a tag closes, how a name falls into parts. Pure; any thread.
 */
#include "template_tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "herald/utf8.h"

#define DELIMITER_MAX 16    /* bytes; any real one has two or three, a longer one is a forgotten "=}}" */
#define SHOWN_MAX 60        /* bytes of a tag repeated in an error */
#define SIGILS "#^/>&!{=<$" /* what may follow the opening delimiter and isn't part of a name */

/* Bytes of the template or of a literal. */
struct span {
    const char *bytes;
    size_t len;
};

struct tag {
    size_t start;        /* the opening delimiter */
    size_t end;          /* behind the closing one */
    char sigil;          /* one of SIGILS, or NUL for {{name}} */
    struct span content; /* trimmed */
    uint32_t line;
};

struct compiler {
    struct template *template; /* borrowed from template_compile; holds what is built so far */
    const char *text;          /* template->text */
    size_t len;
    struct span open, close; /* delimiters in force */
    struct buffer names;
    size_t node_cap;
    struct span section_names[TEMPLATE_MAX_DEPTH]; /* as written in the tags that opened them */
    uint32_t sections[TEMPLATE_MAX_DEPTH];         /* their nodes */
    size_t depth;
    size_t counted; /* lines are counted up to here … */
    uint32_t line;  /* … and this is the line it is in */
    struct err *err;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span span)
{
    while (span.len > 0 && is_space(span.bytes[0])) {
        span.bytes++;
        span.len--;
    }
    while (span.len > 0 && is_space(span.bytes[span.len - 1]))
        span.len--;
    return span;
}

static int shown(struct span span)
{
    return span.len < SHOWN_MAX ? (int)span.len : SHOWN_MAX;
}

static bool is_equal(struct span a, struct span b)
{
    return a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0;
}

/* The line of a position; positions never go back. */
static uint32_t line_of(struct compiler *c, size_t at)
{
    for (; c->counted < at; c->counted++)
        c->line += c->text[c->counted] == '\n';
    return c->line;
}

static bool starts_line(const struct compiler *c, size_t at)
{
    return at == 0 || c->text[at - 1] == '\n';
}

/* Offset of `wanted` at or behind `from`; false if there is none. */
static bool find(const struct compiler *c, size_t from, struct span wanted, size_t *ret)
{
    const char *hit = memmem(c->text + from, c->len - from, wanted.bytes, wanted.len);

    if (hit == NULL)
        return false;
    *ret = (size_t)(hit - c->text);
    return true;
}

/* Reads the tag whose opening delimiter stands at `start`. */
static bool read_tag(struct compiler *c, size_t start, struct tag *ret)
{
    size_t from = start + c->open.len;
    uint32_t line = line_of(c, start);
    char sigil =
        from < c->len && c->text[from] != '\0' && strchr(SIGILS, c->text[from]) ? c->text[from] : '\0';
    char ending[DELIMITER_MAX + 1];
    size_t extra = 0;
    size_t at;

    /* {{{name}}} and {{=<% %>=}} end in a sigil of their own. */
    if (sigil == '{' || sigil == '=')
        ending[extra++] = sigil == '{' ? '}' : '=';
    memcpy(ending + extra, c->close.bytes, c->close.len);
    from += sigil != '\0';
    if (!find(c, from, (struct span){ending, extra + c->close.len}, &at))
        return err_set(c->err, ERR_CONFIG, "%s:%u: the tag is never closed: expected '%.*s'",
                       c->template->name, line, (int)(extra + c->close.len), ending);
    *ret = (struct tag){.start = start,
                        .end = at + extra + c->close.len,
                        .sigil = sigil,
                        .content = trim((struct span){c->text + from, at - from}),
                        .line = line};
    return true;
}

/* A tag that writes nothing is standalone when its line holds nothing else but blanks: then the line goes
 * too. On true the line's first byte and the first byte of the next line. */
static bool is_standalone(const struct compiler *c, const struct tag *tag, size_t *ret_from, size_t *ret_to)
{
    size_t from = tag->start;
    size_t to = tag->end;

    if (tag->sigil == '\0' || strchr("#^/>!=", tag->sigil) == NULL)
        return false;
    while (from > 0 && (c->text[from - 1] == ' ' || c->text[from - 1] == '\t'))
        from--;
    while (to < c->len && (c->text[to] == ' ' || c->text[to] == '\t'))
        to++;
    if (!starts_line(c, from))
        return false;
    if (to + 1 < c->len && c->text[to] == '\r' && c->text[to + 1] == '\n')
        to++;
    if (to < c->len && c->text[to] != '\n')
        return false;
    *ret_from = from;
    *ret_to = to < c->len ? to + 1 : to;
    return true;
}

static bool add_node(struct compiler *c, const struct node *node)
{
    struct template *template = c->template;

    if (template->node_count == c->node_cap) {
        size_t cap = c->node_cap == 0 ? 16 : c->node_cap * 2;
        struct node *nodes = realloc(template->nodes, cap * sizeof(*nodes));
        if (nodes == NULL)
            return err_set(c->err, ERR_NOMEM, "%s: out of memory", template->name);
        template->nodes = nodes;
        c->node_cap = cap;
    }
    assert(template->nodes != NULL);
    template->nodes[template->node_count++] = *node;
    return true;
}

static bool add_text(struct compiler *c, size_t from, size_t to)
{
    if (from == to)
        return true;
    return add_node(c, &(struct node){.kind = NODE_TEXT,
                                      .starts_line = starts_line(c, from),
                                      .line = line_of(c, from),
                                      .start = (uint32_t)from,
                                      .len = (uint32_t)(to - from)});
}

/* Checks a tag's name and cuts it at the dots, unless it is a partial's, whose dots mean nothing. */
static bool add_name(struct compiler *c, const struct tag *tag, struct node *node)
{
    struct span name = tag->content;
    const char *wrong = NULL;

    if (name.len == 0)
        wrong = "expected a name";
    else if (strchr(SIGILS, name.bytes[0]) != NULL)
        wrong = "a name can't start like this";
    for (size_t i = 0; i < name.len && wrong == NULL; i++)
        if (is_space(name.bytes[i]))
            wrong = "a name can't have white space inside";

    node->name = (uint32_t)c->names.len;
    bool is_dotted = tag->sigil != '>' && !(name.len == 1 && name.bytes[0] == '.');
    for (size_t from = 0; is_dotted && from <= name.len && wrong == NULL;) {
        const char *dot = memchr(name.bytes + from, '.', name.len - from);
        size_t to = dot != NULL ? (size_t)(dot - name.bytes) : name.len;
        if (to == from)
            wrong = "a dot needs a name on both sides";
        buffer_append(&c->names, name.bytes + from, to - from);
        buffer_char(&c->names, '\0');
        node->parts++;
        from = to + 1;
    }
    if (tag->sigil == '>') {
        buffer_append(&c->names, name.bytes, name.len);
        buffer_char(&c->names, '\0');
        node->parts = 1;
    }
    if (wrong != NULL)
        return err_set(c->err, ERR_CONFIG, "%s:%u: '%.*s': %s", c->template->name, tag->line, shown(name),
                       name.bytes, wrong);
    return true;
}

/* `indent` is what stands before a standalone tag; no bytes at all (NULL) before another. */
static bool add_tag(struct compiler *c, const struct tag *tag, enum node_kind kind, struct span indent)
{
    struct node node = {
        .kind = kind, .starts_line = indent.bytes != NULL, .line = tag->line, .len = (uint32_t)indent.len};

    if (indent.bytes != NULL)
        node.start = (uint32_t)(indent.bytes - c->text);
    return add_name(c, tag, &node) && add_node(c, &node);
}

static bool open_section(struct compiler *c, const struct tag *tag)
{
    if (c->depth == TEMPLATE_MAX_DEPTH)
        return err_set(c->err, ERR_CONFIG, "%s:%u: '%.*s': sections are nested deeper than %d",
                       c->template->name, tag->line, shown(tag->content), tag->content.bytes,
                       TEMPLATE_MAX_DEPTH);
    c->section_names[c->depth] = tag->content;
    c->sections[c->depth++] = c->template->node_count;
    return add_tag(c, tag, tag->sigil == '#' ? NODE_SECTION : NODE_INVERTED, (struct span){0});
}

static bool close_section(struct compiler *c, const struct tag *tag)
{
    if (c->depth == 0)
        return err_set(c->err, ERR_CONFIG, "%s:%u: '%.*s' closes a section that isn't open",
                       c->template->name, tag->line, shown(tag->content), tag->content.bytes);

    struct span open = c->section_names[c->depth - 1];
    struct node *node = &c->template->nodes[c->sections[c->depth - 1]];
    if (!is_equal(open, tag->content))
        return err_set(c->err, ERR_CONFIG, "%s:%u: '%.*s' closes a section, but '%.*s' of line %u is open",
                       c->template->name, tag->line, shown(tag->content), tag->content.bytes, shown(open),
                       open.bytes, node->line);
    node->end = c->template->node_count;
    c->depth--;
    return true;
}

static bool set_delimiters(struct compiler *c, const struct tag *tag)
{
    struct span open = {tag->content.bytes, 0};

    while (open.len < tag->content.len && !is_space(open.bytes[open.len]))
        open.len++;
    struct span close = trim((struct span){open.bytes + open.len, tag->content.len - open.len});
    bool is_good = open.len > 0 && close.len > 0 && open.len <= DELIMITER_MAX && close.len <= DELIMITER_MAX;
    for (size_t i = 0; i < close.len; i++)
        is_good = is_good && !is_space(close.bytes[i]);
    if (!is_good || memchr(tag->content.bytes, '=', tag->content.len) != NULL)
        return err_set(c->err, ERR_CONFIG,
                       "%s:%u: '%.*s': expected two delimiters with a space between and no '=', each of at "
                       "most %d bytes",
                       c->template->name, tag->line, shown(tag->content), tag->content.bytes, DELIMITER_MAX);
    c->open = open;
    c->close = close;
    return true;
}

static bool apply(struct compiler *c, const struct tag *tag, struct span indent)
{
    switch (tag->sigil) {
    case '!':
        return true;
    case '#':
    case '^':
        return open_section(c, tag);
    case '/':
        return close_section(c, tag);
    case '>':
        return add_tag(c, tag, NODE_PARTIAL, indent);
    case '{':
    case '&':
        return add_tag(c, tag, NODE_RAW, indent);
    case '=':
        return set_delimiters(c, tag);
    case '<':
    case '$':
        return err_set(c->err, ERR_CONFIG,
                       "%s:%u: '%c%.*s': blocks and parents are not supported, use {{> partial}}",
                       c->template->name, tag->line, tag->sigil, shown(tag->content), tag->content.bytes);
    default:
        return add_tag(c, tag, NODE_VALUE, indent);
    }
}

/* Refuses what isn't text; it would end up in a message that says it is UTF-8. */
static bool check_text(struct compiler *c)
{
    uint32_t line = 1;
    uint32_t code;

    for (size_t at = 0; at < c->len;) {
        size_t size = utf8_read(c->text + at, c->len - at, &code);
        if (size == 0 || code == 0)
            return err_set(c->err, ERR_CONFIG, "%s:%u: expected UTF-8 text, found byte 0x%02X",
                           c->template->name, line, (unsigned char)c->text[at]);
        line += code == '\n';
        at += size;
    }
    return true;
}

static bool compile(struct compiler *c)
{
    size_t at = 0; /* everything before it is done */
    size_t start;
    struct tag tag;

    while (find(c, at, c->open, &start)) {
        size_t from;
        size_t to;

        if (!read_tag(c, start, &tag))
            return false;
        if (is_standalone(c, &tag, &from, &to)) {
            /* A tag of another kind on this line would have made it not blank: so
             * `from` is not before `at`. */
            if (!add_text(c, at, from) || !apply(c, &tag, (struct span){c->text + from, tag.start - from}))
                return false;
            at = to;
            continue;
        }
        if (!add_text(c, at, tag.start))
            return false;
        /* A line that starts with a tag still has to be indented when the whole template is. */
        if (starts_line(c, tag.start) &&
            !add_node(c, &(struct node){.kind = NODE_TEXT, .starts_line = true, .line = tag.line}))
            return false;
        if (!apply(c, &tag, (struct span){0}))
            return false;
        at = tag.end;
    }
    if (!add_text(c, at, c->len))
        return false;
    if (c->depth > 0) {
        struct span open = c->section_names[c->depth - 1];
        return err_set(c->err, ERR_CONFIG, "%s:%u: section '%.*s' is never closed", c->template->name,
                       c->template->nodes[c->sections[c->depth - 1]].line, shown(open), open.bytes);
    }
    return true;
}

bool template_compile(const char *name, const char *text, size_t len, enum template_escape escape,
                      struct template **ret, struct err *err)
{
    size_t ignored;
    bool is_done = false;
    struct compiler c = {.open = {"{{", 2}, .close = {"}}", 2}, .line = 1, .err = err};

    if (len > TEMPLATE_MAX_BYTES)
        return err_set(err, ERR_CONFIG, "%s:1: longer than %d bytes", name, TEMPLATE_MAX_BYTES);
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) { /* some editors put a byte-order mark in front */
        text += 3;
        len -= 3;
    }

    buffer_init(&c.names,
                2 * TEMPLATE_MAX_BYTES); /* a one-letter name takes two bytes here, and more in the text */
    c.template = calloc(1, sizeof(*c.template));
    if (c.template == NULL)
        goto nomem;
    c.template->escape = escape;
    c.template->name = strdup(name);
    c.template->text = malloc(len + 1);
    if (c.template->name == NULL || c.template->text == NULL)
        goto nomem;
    if (len > 0)
        memcpy(c.template->text, text, len);
    c.template->text[len] = '\0';
    c.text = c.template->text;
    c.len = len;

    if (!check_text(&c) || !compile(&c))
        goto out;
    if (!buffer_take(&c.names, &c.template->names, &ignored))
        goto nomem;
    *ret = c.template;
    c.template = NULL;
    is_done = true;
    goto out;

nomem:
    err_set(err, ERR_NOMEM, "%s: out of memory", name);
out:
    buffer_done(&c.names);
    template_free(c.template);
    return is_done;
}

void template_free(struct template *template)
{
    if (template == NULL)
        return;
    free(template->name);
    free(template->text);
    free(template->names);
    free(template->nodes);
    free(template);
}
