/* Mustache by our own cases: one row per rule, and per way of breaking it. */
#include "herald/template.h"

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most rows need no partials. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define MAX_PARTIALS 3

struct partial {
    const char *name, *text;
};

/* A table of at most MAX_PARTIALS, compiled; ends with the first that has no name. */
struct partials {
    const struct partial *texts;
    struct template *compiled[MAX_PARTIALS];
};

static const struct template *find_partial(void *arg, const char *name)
{
    struct partials *partials = arg;

    for (int i = 0; i < MAX_PARTIALS && partials->texts[i].name != NULL; i++)
        if (strcmp(partials->texts[i].name, name) == 0)
            return partials->compiled[i];
    return NULL;
}

static struct template *compile(const char *name, const char *text, enum template_escape escape)
{
    struct template *template = NULL;
    struct err err = {0};

    cr_assert(template_compile(name, text, strlen(text), escape, &template, &err), "%s: %s", text, err.text);
    return template;
}

static struct json_object *parse(const char *json)
{
    struct json_tokener *tokener = json_tokener_new_ex(4 * TEMPLATE_MAX_DEPTH);
    struct json_object *data = json_tokener_parse_ex(tokener, json, (int)strlen(json) + 1);

    cr_assert_eq(json_tokener_get_error(tokener), json_tokener_success, "%s", json);
    json_tokener_free(tokener);
    return data;
}

/* Renders `text` with `json`; the caller frees the result. NULL if it fails, with *err filled. */
static char *render(const char *text, const char *json, enum template_escape escape,
                    const struct partial *texts, struct err *err)
{
    static const struct partial none[1];
    struct partials partials = {.texts = texts != NULL ? texts : none};
    struct template *template = compile("t", text, escape);
    struct json_object *data = parse(json);
    struct buffer out;
    char *ret = NULL;
    size_t len;

    for (int i = 0; i < MAX_PARTIALS && partials.texts[i].name != NULL; i++)
        partials.compiled[i] = compile(partials.texts[i].name, partials.texts[i].text, escape);
    buffer_init(&out, 2 * TEMPLATE_MAX_OUTPUT);
    if (template_render(template, data, find_partial, &partials, &out, err))
        cr_assert(buffer_take(&out, &ret, &len));
    buffer_done(&out);
    for (int i = 0; i < MAX_PARTIALS; i++)
        template_free(partials.compiled[i]);
    template_free(template);
    json_object_put(data);
    return ret;
}

struct row {
    const char *text, *json, *wanted;
    struct partial partials[MAX_PARTIALS];
};

static void check_rows(const struct row *rows, size_t count, enum template_escape escape)
{
    for (size_t i = 0; i < count; i++) {
        struct err err = {0};
        char *got = render(rows[i].text, rows[i].json, escape, rows[i].partials, &err);
        cr_assert_not_null(got, "%s: %s", rows[i].text, err.text);
        cr_expect_str_eq(got, rows[i].wanted, "<%s> with %s: got <%s>, wanted <%s>", rows[i].text,
                         rows[i].json, got, rows[i].wanted);
        free(got);
    }
}

#define CHECK(rows, escape) check_rows(rows, sizeof(rows) / sizeof(*(rows)), escape)

Test(template, values_are_written_where_their_names_stand)
{
    static const struct row rows[] = {
        {"", "{}", ""},
        {"no tags, {one brace}", "{}", "no tags, {one brace}"},
        {"Dear {{name}}!", "{\"name\":\"Ana\"}", "Dear Ana!"},
        {"{{ name }}{{\tname\n}}", "{\"name\":\"Ana\"}", "AnaAna"},
        {"<{{missing}}>", "{}", "<>"},
        {"<{{null}}>", "{\"null\":null}", "<>"},
        {"{{t}} {{f}}", "{\"t\":true,\"f\":false}", "true false"},
        {"{{a}}", "{\"a\":\"{{b}}\",\"b\":\"scanned again\"}", "{{b}}"},
        {"{{{a}}}", "{\"a\":\"{{#b}}{{/b}}{{>p}}\",\"b\":1}", "{{#b}}{{/b}}{{>p}}", {{"p", "scanned again"}}},
        {"{{.}}", "\"root\"", "root"},
        {"  {{a}}\n", "{\"a\":1}", "  1\n"},
        {"\xEF\xBB\xBF"
         "{{a}}",
         "{\"a\":1}", "1"},
        {"{{l}} {{o}}", "{\"l\":[1,2],\"o\":{\"a\":\"b/c\"}}", "[1,2] {\"a\":\"b/c\"}"},
    };
    CHECK(rows, ESCAPE_NONE);
}

Test(template, numbers_are_written_as_they_stood)
{
    static const struct row rows[] = {
        {"{{n}}", "{\"n\":85}", "85"},
        {"{{n}}", "{\"n\":-3}", "-3"},
        {"{{n}}", "{\"n\":1.10}", "1.10"},
        {"{{n}}", "{\"n\":0.1}", "0.1"},
        {"{{n}}", "{\"n\":1e3}", "1e3"},
        {"{{n}}", "{\"n\":19.999999999999999999999}", "19.999999999999999999999"},
        {"{{{n}}}", "{\"n\":9007199254740993}", "9007199254740993"},
    };
    CHECK(rows, ESCAPE_NONE);
    CHECK(rows, ESCAPE_HTML);
    CHECK(rows, ESCAPE_JSON);
}

Test(template, dotted_names_go_down_and_never_sideways)
{
    static const struct row rows[] = {
        {"{{a.b.c}}", "{\"a\":{\"b\":{\"c\":\"deep\"}}}", "deep"},
        {"<{{a.b.c}}>", "{\"a\":{}}", "<>"},
        {"<{{a.b}}>", "{\"a\":\"text\"}", "<>"},
        {"<{{a.b}}>", "{\"a.b\":\"one key\"}", "<>"},
        /* The innermost context that has the first part decides. */
        {"{{#a}}<{{b.c}}>{{/a}}", "{\"a\":{\"b\":{}},\"b\":{\"c\":\"outer\"}}", "<>"},
        {"{{#a}}<{{b.c}}>{{/a}}", "{\"a\":{\"x\":1},\"b\":{\"c\":\"outer\"}}", "<outer>"},
        /* A member that is null is there. */
        {"{{#a}}<{{b}}>{{/a}}", "{\"a\":{\"b\":null},\"b\":\"outer\"}", "<>"},
    };
    CHECK(rows, ESCAPE_NONE);
}

Test(template, html_escapes_five_characters_unless_told_not_to)
{
    static const struct row rows[] = {
        {"{{a}}", "{\"a\":\"<b>&\\\"'x\"}", "&lt;b&gt;&amp;&quot;&#39;x"},
        {"{{{a}}}|{{&a}}|{{& a }}", "{\"a\":\"<&>\"}", "<&>|<&>|<&>"},
        {"{{a}}", "{\"a\":\"\"}", ""},
        {"{{o}}", "{\"o\":{\"a\":\"<\"}}", "{&quot;a&quot;:&quot;&lt;&quot;}"},
        {"&<{{a}}", "{\"a\":\"\xC3\xA9\"}", "&<\xC3\xA9"},
    };
    CHECK(rows, ESCAPE_HTML);
}

Test(template, text_is_not_escaped)
{
    static const struct row rows[] = {{"{{a}}", "{\"a\":\"<&>\\\"'\"}", "<&>\"'"}};
    CHECK(rows, ESCAPE_NONE);
}

Test(template, json_escapes_inside_strings_and_writes_whole_values)
{
    static const struct row rows[] = {
        {"{\"a\":\"{{a}}\"}", "{\"a\":\"\\\"\\\\\\n\\u0001/<\"}", "{\"a\":\"\\\"\\\\\\n\\u0001/<\"}"},
        {"{\"a\":{{{a}}}}", "{\"a\":\"x\\\"y/\"}", "{\"a\":\"x\\\"y/\"}"},
        {"{\"a\":{{&a}}}", "{\"a\":[1,{\"b\":null}]}", "{\"a\":[1,{\"b\":null}]}"},
        {"{\"a\":{{{a}}}}", "{\"a\":1.50}", "{\"a\":1.50}"},
        {"{\"a\":{{{a}}},\"b\":{{{b}}}}", "{\"b\":null}", "{\"a\":null,\"b\":null}"},
        {"{\"a\":\"{{a}}\"}", "{}", "{\"a\":\"\"}"},
    };
    CHECK(rows, ESCAPE_JSON);
}

Test(template, sections_show_what_is_true_once_and_lists_item_by_item)
{
    static const struct row rows[] = {
        {"<{{#a}}x{{/a}}>", "{\"a\":true}", "<x>"},
        {"<{{#a}}x{{/a}}>", "{\"a\":false}", "<>"},
        {"<{{#a}}x{{/a}}>", "{\"a\":null}", "<>"},
        {"<{{#a}}x{{/a}}>", "{}", "<>"},
        {"<{{#a}}x{{/a}}>", "{\"a\":[]}", "<>"},
        {"<{{#a}}x{{/a}}>", "{\"a\":\"\"}", "<>"},
        {"<{{#a}}x{{/a}}>", "{\"a\":\"0\"}", "<x>"},
        {"<{{#a}}{{.}}{{/a}}>", "{\"a\":0}", "<0>"},
        {"<{{#a}}x{{/a}}>", "{\"a\":{}}", "<x>"},
        {"{{#a}}{{.}},{{/a}}", "{\"a\":[1,\"b\",2.50]}", "1,b,2.50,"},
        {"{{#a}}{{n}}{{/a}}", "{\"a\":[{\"n\":1},{\"n\":2}]}", "12"},
        {"{{#a}}({{#.}}{{.}}{{/.}}){{/a}}", "{\"a\":[[1,2],[3]]}", "(12)(3)"},
        {"{{#a}}{{n}}{{m}}{{/a}}{{n}}", "{\"a\":{\"n\":1},\"n\":2,\"m\":3}", "132"},
        {"{{#a}}{{#a}}x{{/a}}{{/a}}", "{\"a\":true}", "x"},
        {"{{#a.b}}{{c}}{{/a.b}}", "{\"a\":{\"b\":{\"c\":1}}}", "1"},
        {"{{#a}}{{#b}}{{x}}{{/b}}{{/a}}{{#b}}{{x}}{{/b}}", "{\"a\":{\"x\":1},\"b\":{\"y\":2},\"x\":3}", "13"},
    };
    CHECK(rows, ESCAPE_NONE);
}

Test(template, inverted_sections_show_exactly_what_sections_hide)
{
    static const struct row rows[] = {
        {"<{{^a}}x{{/a}}>", "{\"a\":true}", "<>"},       {"<{{^a}}x{{/a}}>", "{\"a\":false}", "<x>"},
        {"<{{^a}}x{{/a}}>", "{\"a\":null}", "<x>"},      {"<{{^a}}x{{/a}}>", "{}", "<x>"},
        {"<{{^a}}x{{/a}}>", "{\"a\":[]}", "<x>"},        {"<{{^a}}x{{/a}}>", "{\"a\":[1,2]}", "<>"},
        {"<{{^a}}x{{/a}}>", "{\"a\":\"\"}", "<x>"},      {"<{{^a}}x{{/a}}>", "{\"a\":0}", "<>"},
        {"<{{^a.b}}{{c}}{{/a.b}}>", "{\"c\":1}", "<1>"},
    };
    CHECK(rows, ESCAPE_NONE);
}

Test(template, comments_vanish)
{
    static const struct row rows[] = {
        {"a{{! any thing: {{ }}b", "{}", "ab"},
        {"a{{!\n two\n lines\n}}b\n", "{}", "ab\n"},
        {"a\n  {{! own line }}  \nb\n", "{}", "a\nb\n"},
        {"a\n{{!\n own\n lines\n}}\nb\n", "{}", "a\nb\n"},
    };
    CHECK(rows, ESCAPE_NONE);
}

Test(template, a_line_with_only_a_tag_that_writes_nothing_goes_away)
{
    static const struct row rows[] = {
        {"a\n{{#t}}\nb\n{{/t}}\nc\n", "{\"t\":1}", "a\nb\nc\n"},
        {"a\n \t{{#t}} \t\nb\n  {{/t}}\nc\n", "{\"t\":1}", "a\nb\nc\n"},
        {"a\r\n{{^t}}\r\nb\r\n{{/t}}\r\nc", "{}", "a\r\nb\r\nc"},
        {"  {{#t}}\nb{{/t}}\nc", "{\"t\":1}", "b\nc"}, /* without a line before */
        {"a\n  {{! x }}", "{}", "a\n"},                /* without a newline behind */
        {"a\r{{! x }}\rb", "{}", "a\r\rb"},            /* CR alone ends no line */
        {" {{#t}}b{{/t}}\n", "{\"t\":1}", " b\n"},     /* two tags */
        {"{{#t}}{{/t}}\n", "{\"t\":1}", "\n"},
        {" {{! x }} y\n", "{}", "  y\n"},
        {"y {{! x }}\n", "{}", "y \n"},
        {"  {{t}}  \n", "{\"t\":1}", "  1  \n"}, /* a value writes something */
        {"  {{{u}}}  \n  {{&u}}\n", "{}", "    \n  \n"},
        {"{{=| |=}}\n|t|\n", "{\"t\":1}", "1\n"},
        {"\n\n{{! x }}\n\n", "{}", "\n\n\n"},
    };
    CHECK(rows, ESCAPE_NONE);
}

Test(template, delimiters_change_for_the_rest_of_their_file_only)
{
    static const struct row rows[] = {
        {"{{=<% %>=}}<%a%>{{a}}", "{\"a\":1}", "1{{a}}"},
        {"{{= | | =}}|a||={{ }}=|{{a}}|a|", "{\"a\":1}", "11|a|"},
        {"{{=[ ]=}}[#a][.][/a]", "{\"a\":[1,2]}", "12"},
        {"{{=<% %>=}}<%{a}%><%&a%>", "{\"a\":\"<\"}", "<<"},
        {"{{=| |=}}|>p||a|", "{\"a\":1}", "1|a|1", {{"p", "{{a}}|a|"}}},
        {"{{>p}}{{a}}|a|", "{\"a\":1}", "11|a|", {{"p", "{{=| |=}}|a|"}}},
        {"{{=@\t @=}}@a@", "{\"a\":1}", "1"},
    };
    CHECK(rows, ESCAPE_HTML);
}

Test(template, partials_see_the_context_and_may_be_missing)
{
    static const struct row rows[] = {
        {"<{{>p}}>", "{\"a\":1}", "<1>", {{"p", "{{a}}"}}},
        {"<{{> p }}>", "{\"a\":1}", "<1>", {{"p", "{{a}}"}}},
        {"<{{>q}}>", "{}", "<>", {{"p", "x"}}},
        {"{{#a}}{{>p}}{{/a}}", "{\"a\":[{\"b\":1},{\"b\":2}]}", "12", {{"p", "{{b}}"}}},
        {"{{>p.q}}", "{}", "x", {{"p.q", "x"}}},
        {"{{>node}}",
         "{\"v\":1,\"kids\":[{\"v\":2,\"kids\":[]},{\"v\":3,\"kids\":[]}]}",
         "1<2<>3<>>",
         {{"node", "{{v}}<{{#kids}}{{>node}}{{/kids}}>"}}},
    };
    CHECK(rows, ESCAPE_NONE);
}

Test(template, a_partial_on_its_own_line_is_indented_line_by_line)
{
    static const struct row rows[] = {
        {"a\n  {{>p}}\nb\n", "{}", "a\n  x\n  y\nb\n", {{"p", "x\ny\n"}}},
        {"a\n\t{{>p}}  \nb", "{}", "a\n\tx\n\tyb", {{"p", "x\ny"}}},
        {"  {{>p}}", "{\"v\":\"1\\n2\"}", "  1\n2\n", {{"p", "{{v}}\n"}}}, /* data is not */
        {"  {{>p}}", "{\"v\":[1,2]}", "  -1\n  -2\n", {{"p", "{{#v}}\n-{{.}}\n{{/v}}\n"}}},
        {"  {{>p}}", "{\"v\":1}", "  1\n  1\n  !", {{"p", "{{v}}\n{{#v}}{{.}}{{/v}}\n{{! c }}!"}}},
        {" {{>p}}", "{}", "  x\n y\n", {{"p", " {{>q}}\ny\n"}, {"q", "x\n"}}}, /* adds up */
        {" {{>p}}", "{}", " -x\ny\n", {{"p", "-{{>q}}\n"}, {"q", "x\ny"}}},    /* within a line: not */
        {" {{>p}}", "{}", " x\n y\n", {{"p", "{{>q}}\n"}, {"q", "x\ny\n"}}},
        {"  -{{>p}}\n", "{}", "  -x\ny\n", {{"p", "x\ny"}}},
        {" {{>p}}\n", "{\"v\":1}", " a 1\n b\n", {{"p", "a {{#v}}{{v}}\nb{{/v}}\n"}}},
    };
    CHECK(rows, ESCAPE_NONE);
}

Test(template, broken_templates_are_refused_with_their_line)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"a\n{{b", "t:2: the tag is never closed: expected '}}'"},
        {"{{{b}}", "t:1: the tag is never closed: expected '}}}'"},
        {"{{=| |", "t:1: the tag is never closed: expected '=}}'"},
        {"\n\n{{}}", "t:3: '': expected a name"},
        {"{{#}}{{/}}", "t:1: '': expected a name"},
        {"{{a b}}", "t:1: 'a b': a name can't have white space inside"},
        {"{{ #a }}", "t:1: '#a': a name can't start like this"},
        {"{{a..b}}", "t:1: 'a..b': a dot needs a name on both sides"},
        {"{{.a}}", "t:1: '.a': a dot needs a name on both sides"},
        {"{{#a.}}{{/a.}}", "t:1: 'a.': a dot needs a name on both sides"},
        {"a\n{{#b}}\n{{#c}}\n{{/c}}\n", "t:2: section 'b' is never closed"},
        {"\n{{/b}}", "t:2: 'b' closes a section that isn't open"},
        {"{{#a}}\n{{^b}}\n{{/a}}\n{{/b}}", "t:3: 'a' closes a section, but 'b' of line 2 is open"},
        {"{{=a=}}",
         "t:1: 'a': expected two delimiters with a space between and no '=', each of at most 16 bytes"},
        {"{{=a b c=}}", "t:1: 'a b c': expected two delimiters"},
        {"{{=a= b=}}", "t:1: 'a= b': expected two delimiters"},
        {"{{=12345678901234567 b=}}", "t:1: '12345678901234567 b': expected two delimiters"},
        {"{{$block}}{{/block}}", "t:1: '$block': blocks and parents are not supported"},
        {"{{<parent}}{{/parent}}", "t:1: '<parent': blocks and parents are not supported"},
        {"a\n\xFF", "t:2: expected UTF-8 text, found byte 0xFF"},
        {"\n\n{{a}}\n{{! \xC3 }}", "t:4: expected UTF-8 text, found byte 0xC3"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct template *template = NULL;
        struct err err = {0};
        cr_expect_not(template_compile("t", rows[i].text, strlen(rows[i].text), ESCAPE_NONE, &template, &err),
                      "%s", rows[i].text);
        cr_expect_null(template);
        cr_expect_eq(err.kind, ERR_CONFIG);
        cr_expect(strncmp(err.text, rows[i].wanted, strlen(rows[i].wanted)) == 0, "%s: got <%s>, wanted <%s>",
                  rows[i].text, err.text, rows[i].wanted);
    }
}

Test(template, a_nul_byte_is_refused)
{
    struct template *template = NULL;
    struct err err = {0};

    cr_expect_not(template_compile("t", "a\nb\0c", 5, ESCAPE_NONE, &template, &err));
    cr_expect_str_eq(err.text, "t:2: expected UTF-8 text, found byte 0x00");
}

Test(template, a_template_of_the_largest_size_compiles_and_one_byte_more_does_not)
{
    char *text = malloc(TEMPLATE_MAX_BYTES + 1);
    struct template *template = NULL;
    struct err err = {0};

    memset(text, 'x', TEMPLATE_MAX_BYTES + 1);
    cr_assert_not(template_compile("t", text, TEMPLATE_MAX_BYTES + 1, ESCAPE_NONE, &template, &err));
    cr_expect_eq(err.kind, ERR_CONFIG);
    cr_expect_str_eq(err.text, "t:1: longer than 262144 bytes");

    /* The most nodes and names that fit: "{{a}}" and nothing else. */
    for (size_t i = 0; i + 5 <= TEMPLATE_MAX_BYTES; i += 5)
        memcpy(text + i, "{{a}}", 5);
    cr_assert(template_compile("t", text, TEMPLATE_MAX_BYTES / 5 * 5, ESCAPE_NONE, &template, &err), "%s",
              err.text);
    template_free(template);
    free(text);
}

/* "{{#a}}" … "{{/a}}", `depth` times. */
static char *nest(int depth)
{
    struct buffer text;
    char *ret = NULL;
    size_t len;

    buffer_init(&text, 1 << 16);
    for (int i = 0; i < depth; i++)
        buffer_text(&text, "{{#a}}");
    buffer_text(&text, "x");
    for (int i = 0; i < depth; i++)
        buffer_text(&text, "{{/a}}");
    cr_assert(buffer_take(&text, &ret, &len));
    return ret;
}

Test(template, sections_nest_to_the_bound_and_no_deeper)
{
    char *just = nest(TEMPLATE_MAX_DEPTH);
    char *deeper = nest(TEMPLATE_MAX_DEPTH + 1);
    struct template *template = NULL;
    struct err err = {0};

    char *got = render(just, "{\"a\":1}", ESCAPE_NONE, NULL, &err);
    cr_expect_str_eq(got, "x");
    cr_expect_not(template_compile("t", deeper, strlen(deeper), ESCAPE_NONE, &template, &err));
    cr_expect_eq(err.kind, ERR_CONFIG);
    cr_expect_str_eq(err.text, "t:1: 'a': sections are nested deeper than 32");
    free(got);
    free(just);
    free(deeper);
}

Test(template, a_partial_that_includes_itself_for_ever_is_given_up)
{
    static const struct partial itself[MAX_PARTIALS] = {{"p", "x\n{{>p}}"}};
    static const struct partial each_other[MAX_PARTIALS] = {{"p", "{{^no}}{{>q}}{{/no}}"}, {"q", "\n{{>p}}"}};
    struct err err = {0};

    cr_expect_null(render("{{>p}}", "{}", ESCAPE_NONE, itself, &err));
    cr_expect_eq(err.kind, ERR_PERMANENT);
    cr_expect_str_eq(err.text, "p:2: sections and partials are nested deeper than 32");
    err = (struct err){0};
    cr_expect_null(render("{{>p}}", "{}", ESCAPE_NONE, each_other, &err));
    cr_expect_eq(err.kind, ERR_PERMANENT);
}

Test(template, sections_and_partials_count_together)
{
    static const struct partial node[MAX_PARTIALS] = {{"node", "<{{#kids}}{{>node}}{{/kids}}>"}};
    struct err err = {0};

    /* The outermost is one level, each below it two. */
    for (int below = 0; below <= (TEMPLATE_MAX_DEPTH - 1) / 2 + 1; below++) {
        struct buffer json;

        buffer_init(&json, 1 << 10);
        for (int i = 0; i < below; i++)
            buffer_text(&json, "{\"kids\":[");
        buffer_text(&json, "{\"kids\":[]}");
        for (int i = 0; i < below; i++)
            buffer_text(&json, "]}");
        char *got = render("{{>node}}", json.data, ESCAPE_NONE, node, &err);
        cr_expect_eq(got != NULL, 1 + 2 * below <= TEMPLATE_MAX_DEPTH, "%d", below);
        free(got);
        buffer_done(&json);
    }
}

static char *list_of(int count)
{
    struct buffer json;
    char *ret = NULL;
    size_t len;

    buffer_init(&json, 1 << 20);
    buffer_text(&json, "{\"a\":[1");
    for (int i = 1; i < count; i++)
        buffer_text(&json, ",1");
    buffer_text(&json, "]}");
    cr_assert(buffer_take(&json, &ret, &len));
    return ret;
}

Test(template, a_list_within_itself_cannot_work_for_ever)
{
    char *json = list_of(4000);
    struct err err = {0};

    cr_expect_null(render("\n{{#a}}{{#a}}{{/a}}{{/a}}", json, ESCAPE_NONE, NULL, &err));
    cr_expect_eq(err.kind, ERR_PERMANENT);
    cr_expect_str_eq(err.text, "t:2: takes more than 1048576 steps");
    free(json);
}

Test(template, output_past_its_bound_is_refused_and_leaves_the_buffer_as_it_was)
{
    char *json = list_of(200); /* 200 * 200 * 40 bytes are more than a MiB */
    struct template *template =
        compile("t", "{{#a}}{{#a}}1234567890123456789012345678901234567890{{/a}}{{/a}}", ESCAPE_NONE);
    struct json_object *data = parse(json);
    struct err err = {0};
    struct buffer out;

    buffer_init(&out, 8 * TEMPLATE_MAX_OUTPUT);
    buffer_text(&out, "before");
    cr_expect_not(template_render(template, data, NULL, NULL, &out, &err));
    cr_expect_eq(err.kind, ERR_PERMANENT);
    cr_expect(strstr(err.text, "t: the text passes its bound of") == err.text, "%s", err.text);
    cr_expect_str_eq(out.data, "before");
    cr_expect_not(out.failed);
    cr_expect_eq(out.max, 8 * TEMPLATE_MAX_OUTPUT);
    buffer_done(&out);
    template_free(template);
    json_object_put(data);
    free(json);
}

Test(template, the_buffers_own_bound_counts_in_every_mode)
{
    /* Room for what is to be escaped, not for the result. */
    static const size_t room[] = {[ESCAPE_NONE] = 3, [ESCAPE_HTML] = 5, [ESCAPE_JSON] = 5};

    for (size_t escape = ESCAPE_NONE; escape <= ESCAPE_JSON; escape++) {
        struct template *template = compile("t", "{{a}}", (enum template_escape)escape);
        struct json_object *data = parse("{\"a\":\"\\\"\\\"\\\"\\\"\"}");
        struct err err = {0};
        struct buffer out;

        buffer_init(&out, room[escape]);
        cr_expect_not(template_render(template, data, NULL, NULL, &out, &err));
        cr_expect_eq(err.kind, ERR_PERMANENT, "%s", err.text);
        cr_expect_eq(out.len, 0);
        cr_expect_not(out.failed);
        buffer_done(&out);
        template_free(template);
        json_object_put(data);
    }
}
