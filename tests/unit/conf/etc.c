/* etc.c - etc/herald.conf shows what the option table says, and works as it is installed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/config.h"
#include "sandbox.h"

TestSuite(etc, .init = sandbox_enter, .fini = sandbox_leave);

#define MAX_SHOWN 256 /* option lines in the file */

/* One "name = value" or "#name = value" of the file, with the line above it. */
struct shown {
    char section[24];
    char name[32];
    char value[128];
    char above[256];
    bool is_commented;
    unsigned used;
};

static struct shown shown[MAX_SHOWN];
static size_t shown_count;

/* A '#' with a letter or a bracket behind it is a line that could be taken; a '#' with a space is talk. */
static void read_shown(void)
{
    FILE *file = fopen(HERALD_ETC "/herald.conf", "r");
    char line[256], above[256] = "", section[24] = "";
    cr_assert_not_null(file);
    for (shown_count = 0; fgets(line, sizeof(line), file) != NULL;
         snprintf(above, sizeof(above), "%s", line)) {
        line[strcspn(line, "\n")] = '\0';
        bool is_commented = line[0] == '#';
        char *text = line + is_commented;
        if (*text == '[') {
            cr_assert_eq(sscanf(text, "[%20[a-z]", section), 1, "%s", line);
        } else if (*text != '\0' && *text != ' ' && *text != '#') {
            struct shown *row = &shown[shown_count++];
            cr_assert_lt(shown_count, MAX_SHOWN);
            memset(row, 0, sizeof(*row));
            cr_assert_eq(sscanf(text, "%31[a-z_] = %127[^\n]", row->name, row->value), 2, "%s", line);
            snprintf(row->section, sizeof(row->section), "%s", section);
            snprintf(row->above, sizeof(row->above), "%s", above);
            row->is_commented = is_commented;
        }
    }
    fclose(file);
}

static void expect_shown_once(void *arg, const struct config_option_help *option)
{
    size_t explained = 0;
    size_t *options = arg;
    ++*options;
    for (size_t i = 0; i < shown_count; i++) {
        struct shown *row = &shown[i];
        if (strcmp(row->section, option->section) != 0 || strcmp(row->name, option->name) != 0)
            continue;
        row->used++;
        if (strncmp(row->above, "# ", 2) != 0)
            continue; /* used again in an example */
        explained++;
        cr_expect_str_eq(row->above + 2, option->help, "[%s] %s", option->section, option->name);
        if (*option->fallback != '(') {
            /* A value that differs from the default is set on purpose, and then it is not commented out. */
            bool is_default = strcmp(row->value, option->fallback) == 0;
            cr_expect_eq(is_default, row->is_commented, "[%s] %s = %s, default %s", option->section,
                         option->name, row->value, option->fallback);
        }
    }
    cr_expect_eq(explained, 1, "[%s] %s is explained %zu times", option->section, option->name, explained);
}

Test(etc, every_option_is_explained_once_with_its_default)
{
    size_t options = 0;
    read_shown();
    config_each_option(expect_shown_once, &options);
    cr_assert_gt(options, 50);
}

Test(etc, no_line_shows_an_option_that_does_not_exist)
{
    size_t options = 0;
    read_shown();
    config_each_option(expect_shown_once, &options);
    for (size_t i = 0; i < shown_count; i++)
        cr_expect_eq(shown[i].used, 1, "[%s] %s", shown[i].section, shown[i].name);
}

static struct config *load_installed(const char *uncomment_from, const char *until)
{
    static char text[65536];
    FILE *file = fopen(HERALD_ETC "/herald.conf", "r");
    cr_assert_not_null(file);
    bool is_wanted = false;
    size_t len = 0;
    char line[256];
    while (fgets(line, sizeof(line), file) != NULL) {
        if (uncomment_from != NULL && strcmp(line, uncomment_from) == 0)
            is_wanted = true;
        else if (is_wanted && strcmp(line, until) == 0)
            is_wanted = false;
        const char *from = is_wanted && line[0] == '#' && line[1] != ' ' ? line + 1 : line;
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", from);
        cr_assert_lt(len, sizeof(text));
    }
    fclose(file);
    sandbox_write("herald.conf", text);
    return sandbox_load();
}

Test(etc, the_installed_file_listens_to_orders_and_writes_mail_into_a_directory)
{
    struct config *config = load_installed(NULL, NULL);
    cr_assert_eq(config->source_count, 1);
    cr_expect_str_eq(config->sources[0].channel, "order:confirmed");
    cr_expect_eq(config->sources[0].type, SOURCE_PUBSUB);
    cr_expect_str_eq(config->sources[0].id_member, "orderId");
    cr_assert_eq(config->notification_count, 1);
    cr_expect_eq(config->sources[0].notification, &config->notifications[0]);
    cr_assert_eq(config->notifications[0].target_count, 2);
    cr_expect_eq(config->notifications[0].targets[0].channel, CHANNEL_EMAIL);
    cr_expect_eq(config->notifications[0].targets[0].provider->type, PROVIDER_MAILDIR);
    cr_expect_eq(config->notifications[0].targets[1].channel, CHANNEL_PUSH);
    cr_expect_str_eq(config->redis.host, "127.0.0.1");
    config_unref(config);
}

Test(etc, the_mail_server_can_be_put_in_by_taking_the_comments_away)
{
    sandbox_write("mail-password", "secret\n");
    sandbox_write("mail-ca.pem", "");
    struct config *config = load_installed(
        "#[provider mail]\n", "# Push messages go to the provider that each device's record names. This "
                              "one only pretends: it sends nothing.\n");
    const struct config_provider *mail = config->notifications[0].targets[0].provider;
    cr_expect_str_eq(mail->name, "mail");
    cr_expect_eq(mail->type, PROVIDER_SMTP);
    cr_expect_str_eq(mail->password, "secret");
    cr_expect_eq(mail->starttls, STARTTLS_REQUIRED);
    cr_expect_eq(mail->connections, 16);
    config_unref(config);
}

Test(etc, it_loads_with_the_templates_beside_it)
{
    struct config *config = NULL;
    struct err err = {.text = ""};
    cr_assert(config_load(HERALD_ETC "/herald.conf", &config, &err), "%s", err.text);
    config_unref(config);
}
