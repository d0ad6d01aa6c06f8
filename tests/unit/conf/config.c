/* config.c - tests of config_load: what a good file means. The bad ones are in refusals.c. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox.h"

TestSuite(config, .init = sandbox_enter, .fini = sandbox_leave);

static struct config *load(const char *text)
{
    sandbox_write("herald.conf", text);
    return sandbox_load();
}

Test(config, an_empty_file_is_all_defaults)
{
    struct config *config = load("");
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    cr_expect_str_eq(config->instance, host);
    cr_expect_str_eq(config->prefix, "herald");
    cr_expect_str_eq(config->templates, "./templates");
    cr_expect_eq(config->log_level, LOG_LEVEL_INFO);
    cr_expect_eq(config->log_format, LOG_FORMAT_AUTO);
    cr_expect_eq(config->drain_timeout_ms, 30000);
    cr_expect_eq(config->lease_ms, 60000);
    cr_expect_eq(config->lease_margin_ms, 5000);
    cr_expect_eq(config->dedupe_window_ms, INT64_C(72) * 3600000);
    cr_expect_eq(config->canary_interval_ms, 5000);
    cr_expect_eq(config->dead_max_age_ms, INT64_C(30) * 86400000);
    cr_expect_eq(config->dead_max_count, 100000);
    cr_expect_eq(config->log_rate, 1000);
    cr_expect_null(config->metrics);
    cr_expect_not(config->allow_unfit_redis);
    cr_expect_null(config->redirect_to);
    cr_expect_null(config->allow_domains[0]);
    cr_expect_eq(config->on_limiter_error, LIMITER_OPEN);
    cr_expect_str_eq(config->redis.host, "127.0.0.1");
    cr_expect_eq(config->redis.port, 6379);
    cr_expect_null(config->redis.socket_path);
    cr_expect_null(config->redis.user);
    cr_expect_null(config->redis.password);
    cr_expect_eq(config->redis.connect_timeout_ms, 5000);
    cr_expect_eq(config->redis.command_timeout_ms, 5000);
    cr_expect_eq(config->source_count + config->notification_count + config->provider_count, 0);
    for (int i = 0; i < CHANNEL_COUNT; i++)
        cr_expect_eq(config->recipient_rate[i].count, 0);
    config_unref(config);
}

Test(config, every_word_means_its_own_value)
{
    struct config *config = load(
        "[herald]\nlog_level = debug\nlog_format = journal\nallow_unfit_redis = yes\n"
        "on_limiter_error = closed\nredirect_to = qa@shop.example\nallow_domains = a.example, b.example\n");
    cr_expect_eq(config->log_level, LOG_LEVEL_DEBUG);
    cr_expect_eq(config->log_format, LOG_FORMAT_JOURNAL);
    cr_expect(config->allow_unfit_redis);
    cr_expect_eq(config->on_limiter_error, LIMITER_CLOSED);
    cr_expect_str_eq(config->redirect_to, "qa@shop.example");
    cr_expect_str_eq(config->allow_domains[0], "a.example");
    cr_expect_str_eq(config->allow_domains[1], "b.example");
    cr_expect_null(config->allow_domains[2]);
    config_unref(config);
}

Test(config, a_source_knows_its_notification_and_defaults_to_its_name_as_space)
{
    sandbox_write("keys", "0123456789abcdef\n");
    struct config *config =
        load(SOURCE "[source stream]\ntype = stream\nstream = order:confirmed\ntrim = no\nspace = s\nid = n\n"
                    "volatile = a b\nrecipient_in_event = allow\nnotification = order-confirmed\n"
                    "signing_key_file = keys\n" NOTIFICATION);
    cr_assert_eq(config->source_count, 2);
    const struct config_source *orders = &config->sources[0], *stream = &config->sources[1];
    cr_expect_eq(orders->notification, config_notification(config, "order-confirmed"));
    cr_expect_eq(orders->type, SOURCE_PUBSUB);
    cr_expect_str_eq(orders->space, "order-confirmed");
    cr_expect_null(orders->id_member);
    cr_expect_str_eq(orders->volatile_members[0], "confirmedAt");
    cr_expect_null(orders->volatile_members[1]);
    cr_expect_not(orders->recipient_in_event);
    cr_expect_eq(orders->signing_key_count, 0);
    cr_expect_eq(stream->type, SOURCE_STREAM);
    cr_expect_str_eq(stream->stream, "order:confirmed");
    cr_expect_null(stream->channel);
    cr_expect_not(stream->trim);
    cr_expect_str_eq(stream->space, "s");
    cr_expect_str_eq(stream->id_member, "n");
    cr_expect_str_eq(stream->volatile_members[1], "b");
    cr_expect(stream->recipient_in_event);
    cr_assert_eq(stream->signing_key_count, 1);
    cr_expect_eq(stream->signing_keys[0].len, 16);
    config_unref(config);
}

Test(config, mail_goes_into_a_directory_until_a_provider_takes_it)
{
    struct config *config = load(SOURCE NOTIFICATION);
    const struct config_provider *maildir = config_provider(config, "maildir");
    cr_assert_not_null(maildir);
    cr_expect_eq(config->notifications[0].targets[0].provider, maildir);
    cr_expect_eq(maildir->type, PROVIDER_MAILDIR);
    cr_expect_eq(maildir->channel, CHANNEL_EMAIL);
    cr_expect_str_eq(maildir->path, "/var/lib/herald/mail");
    cr_expect_eq(maildir->max_messages, 10000);
    cr_expect_eq(maildir->connections, 1);
    cr_expect_eq(maildir->streams, 1);
    cr_expect_eq(maildir->max_attempts, 40);
    cr_expect_eq(strncmp(maildir->from_address, "herald@", 7), 0);
    config_unref(config);

    config = load(SOURCE NOTIFICATION "[provider mail]\nchannel = email\ntype = null\n");
    cr_expect_eq(config->provider_count, 1);
    cr_expect_str_eq(config->notifications[0].targets[0].provider->name, "mail");
    config_unref(config);
}

Test(config, no_maildir_is_added_where_no_notification_is_a_mail)
{
    struct config *config = load(
        "[notification order-confirmed]\nchannels = push\n[provider app]\nchannel = push\ntype = null\n");
    cr_expect_eq(config->provider_count, 1);
    config_unref(config);
}

#define MAIL                                                                                                 \
    "[provider mail]\nchannel = email\nurl = smtp://mail.shop.example\nfrom = \"Shop\" "                     \
    "<shop@shop.example>\n"

Test(config, a_mail_server_has_its_defaults)
{
    struct config *config = load(SOURCE NOTIFICATION MAIL);
    const struct config_provider *mail = config_provider(config, "mail");
    cr_expect_eq(mail->type, PROVIDER_SMTP);
    cr_expect_str_eq(mail->from_name, "Shop");
    cr_expect_str_eq(mail->from_address, "shop@shop.example");
    cr_expect_eq(mail->starttls, STARTTLS_NEVER);
    cr_expect_eq(mail->connections, 16);
    cr_expect_eq(mail->streams, 1);
    cr_expect_eq(mail->connect_timeout_ms, 30000);
    cr_expect_eq(mail->timeout_ms, 600000);
    cr_expect_eq(mail->max_attempts, 40);
    cr_expect_eq(mail->max_age_ms, 86400000);
    cr_expect_eq(mail->backoff_base_ms, 15000);
    cr_expect_eq(mail->backoff_max_ms, 3600000);
    cr_expect_eq(mail->on_unknown, ON_UNKNOWN_RESEND);
    cr_expect_eq(mail->rate.count, 0);
    cr_expect_null(mail->path);
    config_unref(config);
}

Test(config, a_user_makes_starttls_required_unless_it_is_tls_already)
{
    static const struct {
        const char *more;
        enum starttls starttls;
    } rows[] = {
        {"url = smtp://mail.shop.example\n", STARTTLS_REQUIRED},
        {"url = smtps://mail.shop.example\n", STARTTLS_NEVER},
        {"url = smtp://127.0.0.1\nstarttls = never\n", STARTTLS_NEVER},
        {"url = smtp://mail.shop.example\nstarttls = never\nallow_cleartext = yes\n", STARTTLS_NEVER},
    };
    sandbox_write("password", "s3cret\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[1024];
        snprintf(
            text, sizeof(text),
            "%s[provider mail]\nchannel = email\nfrom = a@b.example\nuser = u\npassword_file = password\n%s",
            SOURCE NOTIFICATION, rows[i].more);
        struct config *config = load(text);
        cr_expect_eq(config_provider(config, "mail")->starttls, rows[i].starttls, "row %zu", i);
        cr_expect_str_eq(config_provider(config, "mail")->password, "s3cret");
        config_unref(config);
    }
}

Test(config, an_http_provider_has_its_headers_and_token)
{
    sandbox_write("token", "abc\n");
    struct config *config =
        load("[notification order-confirmed]\nchannels = webhook push\n"
             "[provider erp]\nchannel = webhook\nurl = https://erp.shop.example/in\ntoken_file = token\n"
             "header = X-Shop: a\nheader = X-More: b, c\nrate = 5/1s burst 9\non_unknown = hold\nwas = old\n"
             "[provider app]\nchannel = push\nurl = http://127.0.0.1:8080/\n");
    const struct config_provider *erp = config_provider(config, "erp"), *app = config_provider(config, "app");
    cr_expect_eq(erp->type, PROVIDER_HTTP);
    cr_expect_str_eq(erp->token, "abc");
    cr_expect_str_eq(erp->headers[0], "X-Shop: a");
    cr_expect_str_eq(erp->headers[1], "X-More: b, c");
    cr_expect_null(erp->headers[2]);
    cr_expect_eq(erp->rate.count, 5);
    cr_expect_eq(erp->rate.burst, 9);
    cr_expect_eq(erp->on_unknown, ON_UNKNOWN_HOLD);
    cr_expect_str_eq(erp->was, "old");
    cr_expect_eq(erp->connections, 2);
    cr_expect_eq(erp->streams, 100);
    cr_expect_eq(erp->timeout_ms, 30000);
    cr_expect_null(app->from_address);
    cr_expect_eq(app->index, 1);
    cr_assert_eq(config->notifications[0].target_count, 2);
    cr_expect_eq(config->notifications[0].targets[0].provider, erp);
    cr_expect_eq(config->notifications[0].targets[1].channel, CHANNEL_PUSH);
    cr_expect_null(config->notifications[0].targets[1].provider, "the device's record names it");
    config_unref(config);
}

Test(config, one_of_two_providers_is_named_behind_the_channel)
{
    struct config *config =
        load("[provider a]\nchannel = email\ntype = null\n[provider b]\nchannel = email\ntype = null\n"
             "[notification order-confirmed]\nchannels = email:b\n");
    cr_expect_str_eq(config->notifications[0].targets[0].provider->name, "b");
    config_unref(config);
}

Test(config, a_notification_may_bring_its_own_sender)
{
    struct config *config =
        load(NOTIFICATION "from = \"Shop\" <s@shop.example>\nreply_to = help@shop.example\nrate = 3/1h\n"
                          "[provider mail]\nchannel = email\nurl = smtp://127.0.0.1\n");
    const struct config_notification *notification = &config->notifications[0];
    cr_expect_str_eq(notification->from_name, "Shop");
    cr_expect_str_eq(notification->from_address, "s@shop.example");
    cr_expect_str_eq(notification->reply_to_name, "");
    cr_expect_str_eq(notification->reply_to_address, "help@shop.example");
    cr_expect_eq(notification->rate.count, 3);
    cr_expect_null(config_provider(config, "mail")->from_address);
    cr_expect(content_has(notification->content, CONTENT_SUBJECT));
    config_unref(config);
}

Test(config, the_limit_for_a_recipient_is_for_the_channels_it_names)
{
    struct config *config = load("[limit recipient]\nrate = 20/1h\n");
    for (int i = 0; i < CHANNEL_COUNT; i++)
        cr_expect_eq(config->recipient_rate[i].count, 20);
    config_unref(config);

    config = load("[limit recipient]\nrate = 20/1h\nchannels = push\n");
    cr_expect_eq(config->recipient_rate[CHANNEL_PUSH].count, 20);
    cr_expect_eq(config->recipient_rate[CHANNEL_EMAIL].count, 0);
    config_unref(config);
}

Test(config, relative_names_start_at_the_file)
{
    sandbox_write("conf/herald.conf",
                  NOTIFICATION "[herald]\ntemplates = words\n[provider mail]\nchannel = email\n"
                               "type = maildir\npath = out\n");
    sandbox_write("conf/words/order-confirmed/subject.txt", "s");
    sandbox_write("conf/words/order-confirmed/body.html", "<p>b</p>");
    struct config *config = NULL;
    struct err err = {.text = ""};
    cr_assert(config_load("conf/herald.conf", &config, &err), "%s", err.text);
    cr_expect_str_eq(config->templates, "conf/words");
    cr_expect_str_eq(config_provider(config, "mail")->path, "conf/out");
    config_unref(config);
}

Test(config, names_that_are_not_there_are_not_found)
{
    struct config *config = load(SOURCE NOTIFICATION);
    cr_expect_null(config_provider(config, "other"));
    cr_expect_null(config_notification(config, "other"));
    config_unref(config);
    config_unref(NULL);
}

Test(config, the_last_reference_frees)
{
    struct config *config = load(SOURCE NOTIFICATION);
    cr_expect_eq(config_ref(config), config);
    config_unref(config);
    cr_expect_str_eq(config->prefix, "herald");
    config_unref(config); /* a leak or a second free fails the test under AddressSanitizer */
}

Test(config, a_notification_of_our_own_is_added_and_the_sources_keep_theirs)
{
    static const char *const texts[CONTENT_PART_COUNT] = {[CONTENT_SUBJECT] = "s", [CONTENT_TEXT] = "t"};
    struct config *config = load(SOURCE NOTIFICATION);
    struct err err = {.text = ""};
    for (int i = 0; i < 20; i++) {
        struct content *content = NULL;
        cr_assert(content_make("ours", texts, &content, &err), "%s", err.text);
        cr_assert(config_add_notification(config, "ours:own", content, &err), "%s", err.text);
    }
    const struct config_notification *own = config_notification(config, "ours:own");
    cr_assert_not_null(own);
    cr_expect_eq(own->index, 1);
    cr_expect(content_has(own->content, CONTENT_TEXT));
    cr_expect_eq(own->target_count, 0);
    cr_expect_eq(config->notification_count, 21);
    cr_expect_eq(config->sources[0].notification, config_notification(config, "order-confirmed"));
    config_unref(config);
}

Test(config, only_domains_that_are_listed_are_allowed_if_any_is)
{
    static const struct {
        const char *address;
        bool is_allowed;
    } rows[] = {{"a@shop.example", true},
                {"a@SHOP.example", true},
                {"a@sub.shop.example", false},
                {"a@example.org", false},
                {"a@xn--bcher-kva.example", true},
                {"a@b\xc3\xbc"
                 "cher.example",
                 true}};
    struct config *config = load(SOURCE NOTIFICATION);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect(config_allows(config, rows[i].address));
    config_unref(config);
    config = load("[herald]\nallow_domains = shop.example xn--bcher-kva.example\n" SOURCE NOTIFICATION);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_eq(config_allows(config, rows[i].address), rows[i].is_allowed, "%s", rows[i].address);
    config_unref(config);
}
