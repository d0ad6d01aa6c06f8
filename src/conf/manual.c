/* manual.c - the option lists of herald.conf(5), from the option table; run by the build, installed nowhere.
 *
 * usage: conf_manual FRAME PAGE. Reads the page's hand-written frame and writes the page. A line
 * "@options SECTION@" of the frame becomes the list of that section's options. Each kind of section must have
 * exactly one such line, or the build fails: so no option can be missing from the page, and none can be in it
 * that the program does not know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/value.h"
#include "options.h"

#define LINE_BYTES 1024 /* of the frame: far more than a line of prose */

/* What stands for the value; NULL: its words do. */
static const char *const values[] = {
    [OPTION_TEXT] = "TEXT",         [OPTION_PATH] = "PATH",         [OPTION_SECRET] = "FILE",
    [OPTION_KEYS] = "FILE",         [OPTION_BOOL] = NULL,           [OPTION_COUNT] = "NUMBER",
    [OPTION_DURATION] = "DURATION", [OPTION_CHOICE] = NULL,         [OPTION_RATE] = "RATE",
    [OPTION_LIST] = "LIST",         [OPTION_LINES] = "NAME: VALUE", [OPTION_MAILBOX] = "MAILBOX",
    [OPTION_REDIS_URL] = "URL",
};

/* As it would be read, whatever roff makes of some characters. Text that begins a line must not look like a
 * request. */
static void print_text(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\\')
            fputs("\\e", stdout);
        else if (*c == '`')
            fputs("\\(ga", stdout);
        else if (*c == '-')
            fputs("\\-", stdout);
        else if ((*c == '.' || *c == '\'') && c == text)
            printf("\\&%c", *c);
        else
            putchar(*c);
    }
}

static void print_value(const struct option *option)
{
    const char *value = values[option->type];
    for (size_t i = 0; value == NULL && option->words[i] != NULL; i++) {
        fputs(i > 0 ? " | " : "", stdout);
        print_text(option->words[i]);
    }
    if (value != NULL)
        printf("\\fI%s\\fR", value);
}

/* "For type smtp or http." */
static void print_types(const struct option *option)
{
    const char *glue = "For type ";
    for (unsigned type = 0; provider_type_names[type] != NULL; type++) {
        if ((option->types & 1u << type) == 0)
            continue;
        unsigned left = option->types >> (type + 1);
        printf("%s%s", glue, provider_type_names[type]);
        glue = (left & (left - 1)) == 0 ? " or " : ", ";
    }
    puts(".");
}

static void print_default(const struct option *option)
{
    size_t len = strlen(option->fallback);
    /* "(required with a user, else never)" speaks of a value of that name. */
    if (strcmp(option->fallback, "(required)") == 0 || strncmp(option->fallback, "(required for ", 14) == 0) {
        fputs("Required", stdout);
        printf("%.*s", (int)(len - 10), option->fallback + 9);
    } else if (*option->fallback == '(') {
        printf("Default: %.*s", (int)(len - 2), option->fallback + 1);
    } else {
        fputs("Default: \\fB", stdout);
        print_text(option->fallback);
        fputs("\\fR", stdout);
    }
    puts(".");
}

static void print_option(const struct option *option)
{
    char range[OPTION_RANGE_BYTES];
    printf(".TP\n\\fB%s\\fR = ", option->name);
    print_value(option);
    putchar('\n');
    print_text(option->help);
    puts("\n.br");
    print_default(option);
    /* The others are words in the line above, or a form that the page explains once. */
    if (option->type == OPTION_TEXT || option->type == OPTION_COUNT || option->type == OPTION_DURATION ||
        option->type == OPTION_LIST || option->type == OPTION_REDIS_URL) {
        option_write_range(option, range);
        fputs("Value: ", stdout);
        print_text(range);
        puts(".");
    }
    if (option->types != 0)
        print_types(option);
    if (option->reload == RELOAD_RESTART)
        puts("A change needs a restart.");
}

int main(int argc, char **argv)
{
    char line[LINE_BYTES];
    unsigned lists[SECTION_KIND_COUNT] = {0};
    if (argc != 3 || freopen(argv[1], "r", stdin) == NULL || freopen(argv[2], "w", stdout) == NULL) {
        fputs("usage: conf_manual FRAME PAGE\n", stderr);
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char name[32];
        int kind;
        if (sscanf(line, "@options %31[a-z]@", name) != 1) {
            fputs(line, stdout);
        } else if (!value_choice(name, section_kind_names, &kind)) {
            fprintf(stderr, "%s: @options %s@: there is no such section\n", argv[1], name);
            return EXIT_FAILURE;
        } else {
            lists[kind]++;
            for (size_t i = 0; i < option_count; i++)
                if (option_table[i].section == (enum section_kind)kind)
                    print_option(&option_table[i]);
        }
    }
    for (size_t i = 0; i < SECTION_KIND_COUNT; i++) {
        if (lists[i] == 1)
            continue;
        fprintf(stderr, "%s: expected one line @options %s@, found %u\n", argv[1], section_kind_names[i],
                lists[i]);
        return EXIT_FAILURE;
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
