/* template_tree.h - a compiled template: what template.c builds, template_render.c walks and
 * content.c reads the partials' names from. Immutable once built; any thread. */
#ifndef HERALD_CORE_TEMPLATE_TREE_H
#define HERALD_CORE_TEMPLATE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/template.h"

enum node_kind {
    NODE_TEXT,
    NODE_VALUE, /* {{name}} */
    NODE_RAW,   /* {{{name}}}, {{&name}} */
    NODE_SECTION,
    NODE_INVERTED,
    NODE_PARTIAL,
};

/* The nodes stand in the order of the text; a section's own follow it up to `end`. Offsets fit 32 bits
 * because TEMPLATE_MAX_BYTES does. */
struct node {
    enum node_kind kind;
    bool starts_line; /* text: what indents the whole template goes in front; the text may be empty for just
                         that. partial: it has its line to itself, so all its lines are indented */
    uint32_t line;    /* in the file, from 1 */
    uint32_t start;   /* text: its bytes; partial: the white space that indents it */
    uint32_t len;
    uint32_t name;  /* all but text: offset in names of the first part, each part NUL-terminated */
    uint32_t parts; /* "a.b" has two, "." none */
    uint32_t end;   /* sections: index behind the last node inside */
};

struct template
{
    char *name;         /* owned; how errors call it */
    char *text;         /* owned; the file without a byte-order mark */
    char *names;        /* owned */
    struct node *nodes; /* owned */
    uint32_t node_count;
    enum template_escape escape;
};

#endif
