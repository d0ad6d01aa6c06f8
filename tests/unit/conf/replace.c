/* replace.c - tests of config_can_replace: what a reload takes up, and what it leaves to a restart. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox.h"

TestSuite(replace, .init = sandbox_enter, .fini = sandbox_leave);

static const char *restart_needed(const char *now_text, const char *next_text)
{
    static struct err err;
    err = (struct err){.text = ""};
    sandbox_write("herald.conf", now_text);
    struct config *now = sandbox_load();
    sandbox_write("herald.conf", next_text);
    struct config *next = sandbox_load();
    bool can_replace = config_can_replace(now, next, &err);
    cr_expect_eq(can_replace, err.text[0] == '\0');
    cr_expect_eq(err.kind, can_replace ? ERR_NONE : ERR_CONFIG);
    config_unref(now);
    config_unref(next);
    return err.text;
}

Test(replace, what_needs_a_restart_is_listed)
{
    sandbox_write("password", "s3cret");
    static const struct {
        const char *next, *complaint;
    } rows[] = {
        {SOURCE NOTIFICATION, ""},
        {"[herald]\nlog_level = debug\nlog_rate = 5\ndrain_timeout = 10s\n[limit recipient]\nrate = "
         "1/1h\n" SOURCE NOTIFICATION "rate = 5/1s\n[provider mail]\nchannel = email\ntype = null\n",
         ""},
        {"[redis]\nurl = redis://127.0.0.1\n" SOURCE NOTIFICATION, ""},
        {"[redis]\nurl = redis://localhost\n" SOURCE NOTIFICATION, "needs a restart: [redis] url"},
        {"[redis]\nurl = redis://127.0.0.1:1\n" SOURCE NOTIFICATION, "needs a restart: [redis] url"},
        {"[redis]\nurl = redis://127.0.0.1/1\n" SOURCE NOTIFICATION, "needs a restart: [redis] url"},
        {"[redis]\nurl = redis://shop@127.0.0.1\n" SOURCE NOTIFICATION, "needs a restart: [redis] url"},
        {"[redis]\nurl = unix:///run/redis\n" SOURCE NOTIFICATION, "needs a restart: [redis] url"},
        {"[redis]\npassword_file = password\nconnect_timeout = 1s\ncommand_timeout = 1s\n" SOURCE
             NOTIFICATION,
         "needs a restart: [redis] password_file, [redis] connect_timeout, [redis] command_timeout"},
        {"[herald]\ninstance = other\nprefix = other\nlog_format = json\nlease = 2s\nlease_margin = "
         "1s\n" SOURCE NOTIFICATION,
         "needs a restart: [herald] instance, [herald] prefix, [herald] group, [herald] log_format, [herald] "
         "lease, [herald] "
         "lease_margin"},
        {"[source orders]\ntype = stream\nstream = orders\ntrim = no\nnotification = "
         "order-confirmed\n" NOTIFICATION,
         "needs a restart: [source orders] type, [source orders] channel, [source orders] stream, [source "
         "orders] trim"},
        {"[herald]\nmetrics = 127.0.0.1:1\n" SOURCE NOTIFICATION, "needs a restart: [herald] metrics"},
        {"[herald]\ngroup = other\n" SOURCE NOTIFICATION, "needs a restart: [herald] group"},
        {NOTIFICATION, "needs a restart: [source orders]"},
        {SOURCE "[source more]\nchannel = more\nnotification = order-confirmed\n" NOTIFICATION,
         "needs a restart: [source more]"},
        {"[source orders]\nchannel = other\nid = id\nnotification = order-confirmed\n" NOTIFICATION,
         "needs a restart: [source orders] channel"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(restart_needed(SOURCE NOTIFICATION, rows[i].next), rows[i].complaint, "row %zu", i);
}

Test(replace, a_list_that_is_too_long_says_that_it_goes_on)
{
    static char text[8192] = NOTIFICATION;
    for (int i = 10; i < 40; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len,
                 "[source source-%d]\nchannel = c%d\nnotification = order-confirmed\n", i, i);
    }
    const char *complaint = restart_needed(NOTIFICATION, text);
    size_t len = strlen(complaint);
    cr_assert_gt(len, 100);
    cr_expect_str_eq(complaint + len - strlen(", …"), ", …");
}

static void count_rule(void *arg, const struct config_option_help *option)
{
    size_t *live = arg;
    cr_expect(strcmp(option->reload, "live") == 0 || strcmp(option->reload, "restart") == 0);
    *live += strcmp(option->reload, "live") == 0;
    if (strcmp(option->section, "redis") == 0)
        cr_expect_str_eq(option->reload, "restart", "%s", option->name);
    if (strcmp(option->section, "provider") == 0 || strcmp(option->section, "notification") == 0)
        cr_expect_str_eq(option->reload, "live", "%s", option->name);
}

Test(replace, the_connections_to_redis_keep_their_first_settings_and_providers_do_not)
{
    size_t live = 0;
    config_each_option(count_rule, &live);
    cr_expect_gt(live, 30);
}
