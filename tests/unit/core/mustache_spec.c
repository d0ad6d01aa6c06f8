/* The Mustache specification's own cases (https://github.com/mustache/spec, the JSON files), where they are
 * at hand: HERALD_MUSTACHE_SPEC names the directory. Our own cases are in template.c. */
#include "herald/template.h"

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_PARTIALS 8

static const struct {
    const char *file;
    int cases;
} modules[] = {{"comments", 12}, {"delimiters", 14}, {"interpolation", 42},
               {"inverted", 22}, {"partials", 12},   {"sections", 34}};

struct partials {
    const char *names[MAX_PARTIALS];
    struct template *templates[MAX_PARTIALS];
    int count;
};

static const struct template *find_partial(void *arg, const char *name)
{
    struct partials *partials = arg;

    for (int i = 0; i < partials->count; i++)
        if (strcmp(partials->names[i], name) == 0)
            return partials->templates[i];
    return NULL;
}

static struct template *compile(const char *name, struct json_object *text)
{
    struct template *template = NULL;
    struct err err = {0};

    cr_assert(template_compile(name, json_object_get_string(text), (size_t)json_object_get_string_len(text),
                               ESCAPE_HTML, &template, &err),
              "%s", err.text);
    return template;
}

static void check_case(struct json_object *one)
{
    struct partials partials = {0};
    struct json_object *texts = json_object_object_get(one, "partials");
    const char *name = json_object_get_string(json_object_object_get(one, "name"));
    const char *expected = json_object_get_string(json_object_object_get(one, "expected"));
    struct template *template = compile(name, json_object_object_get(one, "template"));
    struct buffer out;
    struct err err = {0};

    if (texts != NULL) {
        json_object_object_foreach(texts, key, text)
        {
            cr_assert_lt(partials.count, MAX_PARTIALS);
            partials.names[partials.count] = key;
            partials.templates[partials.count++] = compile(key, text);
        }
    }
    buffer_init(&out, TEMPLATE_MAX_OUTPUT);
    buffer_text(&out, "");
    cr_assert(
        template_render(template, json_object_object_get(one, "data"), find_partial, &partials, &out, &err),
        "%s", err.text);
    cr_expect_str_eq(out.data, expected, "%s: got <%s>, expected <%s>", name, out.data, expected);

    buffer_done(&out);
    for (int i = 0; i < partials.count; i++)
        template_free(partials.templates[i]);
    template_free(template);
}

Test(mustache_spec, every_case_of_the_six_core_modules_passes)
{
    const char *dir = getenv("HERALD_MUSTACHE_SPEC");
    struct stat found;

    if (dir == NULL)
        dir = MUSTACHE_SPEC_DEFAULT;
    if (stat(dir, &found) != 0) {
        fprintf(stderr, "skipped: no Mustache specification at %s (see HERALD_MUSTACHE_SPEC)\n", dir);
        return;
    }
    for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s.json", dir, modules[i].file);
        struct json_object *module = json_object_from_file(path);
        struct json_object *cases = json_object_object_get(module, "tests");
        cr_assert_not_null(cases, "%s", path);
        cr_expect_geq((int)json_object_array_length(cases), modules[i].cases, "%s", path);
        for (size_t at = 0; at < json_object_array_length(cases); at++)
            check_case(json_object_array_get_idx(cases, at));
        json_object_put(module);
    }
}
