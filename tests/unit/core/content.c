/* Templates on disk: languages, partials, and what is refused when they are loaded. Each test has a directory
 * of its own. */
#include "herald/content.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "herald/template.h"

static char root[] = "/tmp/herald-content-XXXXXX";

static void make_root(void)
{
    cr_assert_not_null(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

static void remove_root(void)
{
    cr_assert_eq(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

TestSuite(content, .init = make_root, .fini = remove_root);

/* "dir/file" under the root. */
static void write_file(const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    *strrchr(path, '/') = '\0';
    cr_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

static struct content *load(const char *notification)
{
    struct content *content = NULL;
    struct err err = {0};

    cr_assert(content_load(root, notification, &content, &err), "%s", err.text);
    return content;
}

static void check(const struct content *content, enum content_part part, const char *locale, const char *json,
                  const char *wanted)
{
    struct json_object *data = json_tokener_parse(json);
    struct err err = {0};
    struct buffer out;

    buffer_init(&out, TEMPLATE_MAX_OUTPUT);
    buffer_text(&out, "before:");
    cr_assert(content_render(content, part, locale, data, &out, &err), "%s", err.text);
    cr_expect_str_eq(out.data + strlen("before:"), wanted, "%s: got <%s>, wanted <%s>", locale, out.data,
                     wanted);
    cr_expect(content_has_in(content, part, locale));
    buffer_done(&out);
    json_object_put(data);
}

static void check_fails(const struct content *content, enum content_part part, const char *locale,
                        const char *json, enum err_kind kind, const char *wanted)
{
    struct json_object *data = json_tokener_parse(json);
    struct err err = {0};
    struct buffer out;

    buffer_init(&out, TEMPLATE_MAX_OUTPUT);
    buffer_text(&out, "before");
    cr_expect_not(content_render(content, part, locale, data, &out, &err));
    cr_expect_eq(err.kind, kind);
    cr_expect_not_null(strstr(err.text, wanted), "got <%s>, wanted <%s>", err.text, wanted);
    cr_expect_str_eq(out.data, "before");
    buffer_done(&out);
    json_object_put(data);
}

Test(content, each_part_is_escaped_by_its_kind)
{
    write_file("order/subject.txt", "{{a}}\n");
    write_file("order/body.txt", "{{a}}\n");
    write_file("order/body.html", "<p>{{a}}\n");
    write_file("order/push.json", "{\"a\":\"{{a}}\"}\n");
    write_file("order/webhook.json", "{\"a\":{{{a}}}}\n");
    struct content *content = load("order");

    check(content, CONTENT_SUBJECT, "", "{\"a\":\"<\\\"\"}", "<\"");
    check(content, CONTENT_TEXT, "", "{\"a\":\"<\\\"\"}", "<\"\n");
    check(content, CONTENT_HTML, "", "{\"a\":\"<\\\"\"}", "<p>&lt;&quot;\n");
    check(content, CONTENT_PUSH, "", "{\"a\":\"<\\\"\"}", "{\"a\":\"<\\\"\"}\n");
    check(content, CONTENT_WEBHOOK, "", "{\"a\":\"<\\\"\"}", "{\"a\":\"<\\\"\"}\n");
    content_free(content);
}

Test(content, a_subject_is_one_line)
{
    write_file("order/subject.txt", "\n Order {{a}}\n\tis  here \n");
    write_file("order/body.txt", "x");
    struct content *content = load("order");

    check(content, CONTENT_SUBJECT, "", "{\"a\":\"1\\r\\n2\"}", "Order 1 2 is here");
    content_free(content);
    write_file("order/subject.txt", "");
    content = load("order");
    check(content, CONTENT_SUBJECT, "", "{}", "");
    content_free(content);
}

Test(content, the_best_language_wins)
{
    static const struct {
        const char *locale, *wanted;
    } rows[] = {
        {"", "default"},
        {"de", "German"},
        {"de-AT", "German"},
        {"DE_at", "German"},
        {"pt", "Portuguese"},
        {"pt-BR", "Brazil"},
        {"PT_br", "Brazil"},
        {"pt-BR-x-1", "Brazil"},
        {"pt-PT", "Portuguese"},
        {"zh-Hant-TW", "Hant"},
        {"zh-Hans", "default"},
        {"fr", "default"},
        {"d", "default"},
        {"deutsch", "default"},
        {"de/../x", "default"},
        {"de.UTF-8", "default"},
        {"-", "default"},
        {"de--AT", "default"},
        {"de-123456789", "default"},
        {"de-aaaaaaaa-bbbbbbbb-cccccccc-ddddd", "German"},
        {"de-aaaaaaaa-bbbbbbbb-cccccccc-dddddd", "default"}, /* 36 bytes */
    };

    write_file("order/push.json", "\"default\"");
    write_file("order.de/push.json", "\"German\"");
    write_file("order.pt/push.json", "\"Portuguese\"");
    write_file("order.pt_BR/push.json", "\"Brazil\"");
    write_file("order.zh-hant/push.json", "\"Hant\"");
    write_file("order.shipped/push.json", "not a language: {{");
    write_file("order-confirmed/push.json", "another notification: {{");
    struct content *content = load("order");
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char wanted[32];
        snprintf(wanted, sizeof(wanted), "\"%s\"", rows[i].wanted);
        check(content, CONTENT_PUSH, rows[i].locale, "{}", wanted);
    }
    content_free(content);
}

Test(content, no_mail_mixes_two_languages)
{
    write_file("order/subject.txt", "default");
    write_file("order/body.txt", "default");
    write_file("order/body.html", "default");
    write_file("order/push.json", "\"default\"");
    write_file("order.de/subject.txt", "German");
    write_file("order.de/body.txt", "German");
    write_file("order.fr/push.json", "\"French\"");
    struct content *content = load("order");

    check(content, CONTENT_SUBJECT, "de", "{}", "German");
    check(content, CONTENT_TEXT, "de", "{}", "German");
    cr_expect_not(content_has_in(content, CONTENT_HTML, "de"));
    check_fails(content, CONTENT_HTML, "de", "{}", ERR_CONFIG, "order: there is no body.html for it");
    check(content, CONTENT_PUSH, "de", "{}", "\"default\"");
    check(content, CONTENT_SUBJECT, "fr", "{}", "default");
    check(content, CONTENT_HTML, "fr", "{}", "default");
    check(content, CONTENT_PUSH, "fr", "{}", "\"French\"");
    content_free(content);
}

Test(content, has_asks_for_the_default_language)
{
    write_file("order/push.json", "1");
    write_file("order.de/subject.txt", "x");
    write_file("order.de/body.html", "x");
    struct content *content = load("order");

    cr_expect(content_has(content, CONTENT_PUSH));
    cr_expect_not(content_has(content, CONTENT_SUBJECT));
    cr_expect_not(content_has(content, CONTENT_WEBHOOK));
    cr_expect(content_has_in(content, CONTENT_HTML, "de-AT"));
    cr_expect_not(content_has_in(content, CONTENT_HTML, "fr"));
    check_fails(content, CONTENT_WEBHOOK, "", "{}", ERR_CONFIG, "order: there is no webhook.json for it");
    content_free(content);
}

Test(content, partials_are_shared_found_by_kind_and_may_name_others)
{
    write_file("partials/footer.txt", "text {{> name}}\n");
    write_file("partials/name.txt", "{{shop}}");
    write_file("partials/footer.html", "<p>{{shop}}</p>\n");
    write_file("partials/broken.txt", "nobody names it: {{");
    write_file("order/subject.txt", "x");
    write_file("order/body.txt", "  {{> footer}}\n");
    write_file("order/body.html", "{{> footer}}");
    struct content *content = load("order");

    check(content, CONTENT_TEXT, "", "{\"shop\":\"A&B\"}", "  text A&B\n");
    check(content, CONTENT_HTML, "", "{\"shop\":\"A&B\"}", "<p>A&amp;B</p>\n");
    content_free(content);
}

Test(content, a_partial_that_names_itself_loads_and_is_bounded_when_rendered)
{
    write_file("partials/tree.json", "[{{#kids}}{{> tree}}{{/kids}}]");
    write_file("partials/loop.json", "{{> loop}}");
    write_file("order/push.json", "{{> tree}}");
    write_file("order/webhook.json", "{{> loop}}");
    struct content *content = load("order");

    check(content, CONTENT_PUSH, "", "{\"kids\":[{\"kids\":[]}]}", "[[]]");
    check_fails(content, CONTENT_WEBHOOK, "", "{}", ERR_PERMANENT,
                "partials/loop.json:1: sections and partials are nested deeper than 32");
    content_free(content);
}

Test(content, what_is_no_json_is_not_sent)
{
    write_file("order/push.json", "{\"a\":{{a}}}");
    struct content *content = load("order");

    check(content, CONTENT_PUSH, "", "{\"a\":1}", "{\"a\":1}");
    check_fails(content, CONTENT_PUSH, "", "{}", ERR_CONFIG,
                "order/push.json: the result isn't JSON: at byte 5");
    content_free(content);
}

struct file {
    const char *name, *text;
};

static void check_refused(const struct file *files, size_t count, const char *wanted)
{
    struct content *content = NULL;
    struct err err = {0};
    char whole[512];

    for (size_t i = 0; i < count; i++)
        write_file(files[i].name, files[i].text);
    cr_expect_not(content_load(root, "order", &content, &err));
    cr_expect_null(content);
    cr_expect_eq(err.kind, ERR_CONFIG);
    snprintf(whole, sizeof(whole), "%s/%s", root, wanted);
    cr_expect_str_eq(err.text, whole);
}

#define REFUSED(wanted, ...)                                                                                 \
    check_refused((const struct file[]){__VA_ARGS__},                                                        \
                  sizeof((const struct file[]){__VA_ARGS__}) / sizeof(struct file), wanted)

Test(content, a_broken_template_is_refused_with_file_and_line)
{
    REFUSED("order/body.html:2: section 'b' is never closed", {"order/subject.txt", "x"},
            {"order/body.html", "a\n{{#b}}"});
}

Test(content, a_broken_template_of_another_language_is_refused)
{
    REFUSED("order.de/push.json:1: '': expected a name", {"order/push.json", "1"},
            {"order.de/push.json", "{{}}"});
}

Test(content, a_broken_partial_is_refused)
{
    REFUSED("partials/p.json:2: '': expected a name", {"partials/p.json", "\n{{}}"},
            {"order/push.json", "{{> p}}"});
}

Test(content, a_missing_partial_is_refused_where_it_is_named)
{
    char wanted[256];

    snprintf(wanted, sizeof(wanted), "order/push.json:2: partial 'p': there is no %s/partials/p.json", root);
    REFUSED(wanted, {"partials/p.txt", "another kind"}, {"order/push.json", "\n{{> p}}"});
}

Test(content, a_partials_name_can_not_leave_its_directory)
{
    REFUSED("order/push.json:1: partial '../order/push': expected letters, digits, hyphens and underscores, "
            "at most 64",
            {"order/push.json", "{{> ../order/push}}"});
}

Test(content, a_subject_without_a_body_is_refused)
{
    REFUSED("order: a mail with subject.txt needs body.txt or body.html", {"order/subject.txt", "x"});
}

Test(content, a_body_without_a_subject_is_refused)
{
    REFUSED("order: a mail's body needs subject.txt beside it", {"order/body.html", "x"});
}

Test(content, a_directory_without_templates_is_refused)
{
    REFUSED("order.de: expected subject.txt, body.txt, body.html, push.json or webhook.json",
            {"order/push.json", "1"}, {"order.de/readme", "x"});
}

Test(content, no_directory_at_all_is_refused)
{
    REFUSED("order: there is no such directory", {"orders/push.json", "1"});
}

Test(content, one_language_twice_is_refused)
{
    struct content *content = NULL;
    struct err err = {0};

    write_file("order.pt-BR/push.json", "1");
    write_file("order.pt_br/push.json", "1");
    cr_expect_not(content_load(root, "order", &content, &err));
    cr_expect_not_null(strstr(err.text, "another directory is the same language"), "%s", err.text);
}

Test(content, a_file_that_is_too_large_is_refused)
{
    char *text = malloc(TEMPLATE_MAX_BYTES + 2);

    memset(text, 'x', TEMPLATE_MAX_BYTES + 1);
    text[TEMPLATE_MAX_BYTES + 1] = '\0';
    REFUSED("order/push.json:1: longer than 262144 bytes", {"order/push.json", text});
    free(text);
}

Test(content, what_is_no_regular_file_is_refused_without_waiting_for_it)
{
    char path[256];

    write_file("order/readme", "x");
    snprintf(path, sizeof(path), "%s/order/push.json", root);
    cr_assert_eq(mkfifo(path, 0600), 0);
    REFUSED("order/push.json: expected a regular file", {"order/readme", "x"});
}

Test(content, a_missing_templates_directory_is_refused)
{
    struct content *content = NULL;
    struct err err = {0};
    char dir[256];

    snprintf(dir, sizeof(dir), "%s/none", root);
    cr_expect_not(content_load(dir, "order", &content, &err));
    cr_expect_eq(err.kind, ERR_CONFIG);
    cr_expect_not_null(strstr(err.text, "none: No such file or directory"), "%s", err.text);
}

Test(content, a_notifications_name_can_not_leave_the_directory)
{
    static const char *const names[] = {"", ".", "..", "../x", "a/b", ".hidden"};

    write_file(".hidden/push.json", "1");

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct content *content = NULL;
        struct err err = {0};
        cr_expect_not(content_load(root, names[i], &content, &err), "%s", names[i]);
        cr_expect_eq(err.kind, ERR_CONFIG);
        cr_expect_not_null(strstr(err.text, "expected a notification's name"), "%s", err.text);
    }
}

static void collect(void *arg, const char *path, const char *text)
{
    char *said = arg;
    size_t len = strlen(said);

    cr_assert_eq(strncmp(path, root, strlen(root)), 0);
    snprintf(said + len, 1024 - len, "%s %.11s\n", path + strlen(root), text);
}

static void collect_all(void *arg, const char *path, const char *text)
{
    char *said = arg;
    size_t len = strlen(said);
    snprintf(said + len, 1024 - len, "%s %s\n", path + strlen(root), text);
}

Test(content, a_template_that_makes_no_json_of_a_sample_is_doubted)
{
    static const struct {
        const char *text, *complaint; /* "" for none */
    } rows[] = {
        {"{\"n\":{{n}},\"s\":\"{{s}}\",\"r\":{{{r}}},\"d\":\"{{recipient.name}}\"}", ""},
        {"{\"a\":1{{#b}},\"b\":{{b}}{{/b}}{{^b}},\"c\":2{{/b}}}", ""},
        {"{\"l\":[{{#list}}{\"i\":{{i}}}{{^last}},{{/last}}{{/list}}]}", ""},
        {"{\"l\":[{{> item}}]}", ""}, /* calls itself: an event ends it, the sample does not */
        {"{\"a\":{{a}}", "with each section shown once: at byte "},
        {"{\"a\":{{#a}}{{/a}}}", "with each section shown once: at byte 5"},
        {"{{#a}}{\"a\":1}{{/a}}", "with its sections left out: at byte 0"},
        {"{\"a\":1,{{#order.b}}\"b\":2{{/order.b}}}", "with its sections left out: at byte 7"},
    };
    write_file("partials/item.json", "{{#child}}{{> item}}{{/child}}");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char said[1024] = "";
        write_file("order/push.json", rows[i].text);
        write_file("order.de/push.json", rows[i].text);
        struct content *content = load("order");
        content_each_doubt(root, (const struct content *const *)&content, 1, collect_all, said);
        if (rows[i].complaint[0] == '\0') {
            cr_expect_str_eq(said, "", "%s: %s", rows[i].text, said);
        } else {
            cr_expect_not_null(strstr(said, rows[i].complaint), "%s: %s", rows[i].text, said);
            cr_expect_not_null(strstr(said, "/order/push.json makes no JSON of a sample"), "%s", said);
            cr_expect_not_null(strstr(said, "/order.de/push.json makes"), "each language: %s", said);
        }
        content_free(content);
    }
}

Test(content, names_that_nobody_reads_and_empty_subjects_are_doubted)
{
    char said[1024] = "";
    static const char *const read[] = {"order/subject.txt", "order/body.txt",     "order.pt-BR/push.json",
                                       "partials/foot.txt", "partials/foot.html", "mail/webhook.json"};
    static const char *const hidden[] = {"order/.body.txt.swp", ".git/config"};
    static const char *const strays[] = {
        "order/body.txt~",  "order/Subject.txt", "order-de/body.txt", "order.german/x",      "partials/foot",
        "partials/a b.txt", "partials/x.text",   "other/subject.txt", "partials/deep.txt/x", "order.fr"};
    for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++)
        write_file(read[i], "{}");
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        write_file(hidden[i], "");
    struct content *contents[] = {load("order"), load("mail")};
    content_each_doubt(root, (const struct content *const *)contents, 2, collect, said);
    cr_expect_str_eq(said, "");

    content_free(contents[0]);
    write_file("order/subject.txt", "\n{{! nothing }} \n");
    for (size_t i = 0; i < sizeof(strays) / sizeof(strays[0]); i++)
        write_file(strays[i], "");
    contents[0] = load("order");
    content_each_doubt(root, (const struct content *const *)contents, 2, collect, said);
    cr_expect_str_eq(said, "/order/Subject.txt is not read\n"
                           "/order/body.txt~ is not read\n"
                           "/order-de is not read\n"
                           "/order.fr is not read\n"
                           "/order.german is not read\n"
                           "/other is not read\n"
                           "/partials/a b.txt is not read\n"
                           "/partials/deep.txt is not read\n"
                           "/partials/foot is not read\n"
                           "/partials/x.text is not read\n"
                           "/order/subject.txt is empty: t\n");
    content_free(contents[0]);
    content_free(contents[1]);
}

Test(content, of_texts_it_is_the_same_as_of_files)
{
    const char *const texts[CONTENT_PART_COUNT] = {
        [CONTENT_SUBJECT] = "Order\n {{id}}", [CONTENT_TEXT] = "<{{id}}>", [CONTENT_HTML] = "<p>{{id}}</p>"};
    const char *const broken[CONTENT_PART_COUNT] = {[CONTENT_SUBJECT] = "fine", [CONTENT_TEXT] = "{{#open}}"};
    struct content *content = NULL;
    struct err err = {0};
    struct buffer out;
    struct json_object *data = json_tokener_parse("{\"id\":\"a<b\"}");
    static const struct {
        enum content_part part;
        const char *text;
    } rows[] = {{CONTENT_SUBJECT, "Order a<b"}, {CONTENT_TEXT, "<a<b>"}, {CONTENT_HTML, "<p>a&lt;b</p>"}};

    cr_assert(content_make("ours:own", texts, &content, &err), "%s", err.text);
    cr_expect(!content_has(content, CONTENT_PUSH));
    for (size_t i = 0; i < 3; i++) {
        buffer_init(&out, 1000);
        cr_expect(content_render(content, rows[i].part, "de", data, &out, &err), "%s", err.text);
        cr_expect_str_eq(out.data, rows[i].text);
        buffer_done(&out);
    }
    json_object_put(data);
    content_free(content);
    content = NULL;
    cr_expect(!content_make("ours:own", broken, &content, &err));
    cr_expect_null(content);
    cr_expect_eq(err.kind, ERR_CONFIG);
}
