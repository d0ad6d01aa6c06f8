/* smtp.c - mail to real servers: the scripted receiver for each thing that can go wrong, postfix's smtp-sink
 * for many mails. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "expect.h"
#include "herald/clock.h"
#include "herald/json.h"
#include "lane_world.h"
#include "server_process.h"

#define SCRIPT HERALD_TEST_SUPPORT "/smtp_script.py"
#define FROM "from = \"Example Shop\" <orders@shop.example>\n"

static struct lane_world world;
static struct server_process server;
static char mails[128], commands[128], cert[128], key[128];

static void init(void)
{
    lane_world_init(&world);
    snprintf(mails, sizeof(mails), "%s/mails", world.directory);
    snprintf(commands, sizeof(commands), "%s/commands", world.directory);
    snprintf(cert, sizeof(cert), "%s/cert.pem", world.directory);
    snprintf(key, sizeof(key), "%s/key.pem", world.directory);
}

static void done(void)
{
    lane_world_done(&world);
    server_process_stop(&server);
}

TestSuite(smtp, .init = init, .fini = done);

static void serve(const char *script)
{
    server = server_process_start((const char *const[]){"/usr/bin/python3", SCRIPT, "--script", script,
                                                        "--mails", mails, "--commands", commands, NULL});
}

static void connect_to(const char *scheme, const char *host, const char *more)
{
    char text[1024];
    snprintf(text, sizeof(text), FROM "url = %s://%s:%d\nconnections = 1\n%s\n%s", scheme, host, server.port,
             strncmp(more, "timeout", 7) == 0 ? "" : "timeout = 5s", more);
    lane_world_configure(&world, CHANNEL_EMAIL, NULL, text);
    lane_world_start(&world);
}

static void start(const char *script)
{
    serve(script);
    connect_to("smtp", "127.0.0.1", "");
}

static struct attempt send_to(const char *to)
{
    return lane_world_try(&world, CHANNEL_EMAIL, to);
}

static bool file_has(const char *name, const char *text)
{
    char *all = lane_world_read(&world, name);
    bool has = strstr(all, text) != NULL;
    free(all);
    return has;
}

/* ---- what arrives ------------------------------------------------------------------------------------- */

Test(smtp, a_mail_arrives_whole_from_the_from_address)
{
    serve("{}");
    connect_to("smtp", "127.0.0.1", "hello = shop.example");
    struct attempt attempt = send_to("ann@shop.example");
    EXPECT_CLASS(attempt, OUTCOME_SENT);
    cr_expect_eq(attempt.protocol, ATTEMPT_SMTP);
    cr_expect_eq(attempt.stage, STAGE_FINAL);
    cr_expect_str_eq(attempt.enhanced, "2.0.0");
    cr_expect_str_eq(attempt.reply, "2.0.0 queued");
    cr_expect(attempt.is_committed);
    cr_expect_geq(attempt.first_byte_mono_us, attempt.started_mono_us);
    cr_expect_geq(attempt.ended_mono_us, attempt.first_byte_mono_us);
    cr_expect_eq(lane_world_count_lines(&world, "mails"), 1);
    cr_expect(file_has("mails", "\"hello\": \"shop.example\""));
    cr_expect(file_has("mails", "\"from\": \"orders@shop.example\""));
    cr_expect(file_has("mails", "\"to\": \"ann@shop.example\""));
    cr_expect(file_has("mails", "Subject: Order o-1\\r\\n"));
    cr_expect(file_has("mails", "for o-1.\\r\\n"));
    cr_expect(file_has("commands", "SIZE="));
}

Test(smtp, the_envelope_of_a_domain_beyond_ascii_needs_no_smtputf8)
{
    static const char from[] =
        "from = orders@münchen.example\nurl = smtp://127.0.0.1:%d\nconnections = 1\ntimeout = 5s\n";
    char text[256];
    serve("{}");
    snprintf(text, sizeof(text), from, server.port);
    lane_world_configure(&world, CHANNEL_EMAIL, NULL, text);
    lane_world_start(&world);
    EXPECT_CLASS(send_to("ada@пример.рф"), OUTCOME_SENT);
    cr_expect(file_has("commands", "MAIL FROM:<orders@xn--mnchen-3ya.example>"));
    cr_expect(file_has("commands", "RCPT TO:<ada@xn--e1afmkfd.xn--p1ai>"));
}

Test(smtp, one_connection_serves_mail_after_mail)
{
    start("{}");
    for (int i = 0; i < 5; i++)
        cr_expect_eq(send_to("ann@shop.example").code, 250);
    cr_expect_eq(lane_world_count_lines(&world, "mails"), 5);
    cr_expect_not(file_has("mails", "\"connection\": 2"));
}

/* Whether the message was received byte for byte as it is rendered. */
static void expect_received(const struct delivery *delivery)
{
    struct buffer text, escaped;
    struct err err = {0};

    buffer_init(&text, 4 << 20);
    buffer_init(&escaped, 8 << 20);
    cr_assert(render_delivery(delivery, &text, &err), "%s", err.text);
    json_escape(text.data, text.len, &escaped);
    cr_expect(file_has("mails", escaped.data));
    buffer_done(&escaped);
    buffer_done(&text);
}

Test(smtp, dots_and_a_large_message_arrive_byte_for_byte)
{
    static const char start_of_event[] = "{\"words\":\".dot\\n.\\n..\\n";
    static char event[200000];

    start("{}");
    memset(event, 'x', sizeof(event) - 1);
    memcpy(event, start_of_event, strlen(start_of_event));
    memcpy(event + sizeof(event) - 3, "\"}", 2);
    static const char *const events[] = {"{\"words\":\".dot\\n.\\n..\"}", event};
    for (size_t i = 0; i < 2; i++) {
        struct delivery *delivery =
            lane_world_delivery_of(&world, CHANNEL_EMAIL, "ann@shop.example", events[i]);
        lane_world_push(&world, delivery);
        delivery = lane_world_wait(&world);
        EXPECT_CLASS(delivery->attempt, OUTCOME_SENT);
        expect_received(delivery);
        lane_world_release(&world, delivery);
    }
}

Test(smtp, an_address_that_would_be_a_command_is_never_sent)
{
    start("{}");
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
    delivery->email = "ann@shop.example>\r\nRSET";
    lane_world_push(&world, delivery);
    delivery = lane_world_wait(&world);
    cr_expect_eq(delivery->attempt.abort, ABORT_RENDER);
    lane_world_release(&world, delivery);
    cr_expect_eq(lane_world_count_lines(&world, "commands"), 0);
}

/* ---- refusals ----------------------------------------------------------------------------------------- */

static const struct refusal {
    const char *script;
    enum attempt_stage stage;
    int code;
    const char *enhanced;
    enum outcome_class class;
} refusals[] = {
    {"{\"always\":{\"greeting\":\"554 5.3.2 not today\"}}", STAGE_GREETING, 554, "5.3.2",
     OUTCOME_DESTINATION},
    {"{\"always\":{\"greeting\":\"421 4.3.2 full\"}}", STAGE_GREETING, 421, "4.3.2", OUTCOME_THROTTLED},
    {"{\"always\":{\"ehlo\":\"550 5.7.1 who are you\"}}", STAGE_EHLO, 550, "5.7.1", OUTCOME_DESTINATION},
    {"{\"always\":{\"mail\":\"550 5.7.1 not you\"}}", STAGE_MAIL, 550, "5.7.1", OUTCOME_DESTINATION},
    {"{\"always\":{\"mail\":\"451 4.3.0 later\"}}", STAGE_MAIL, 451, "4.3.0", OUTCOME_TEMPORARY},
    {"{\"always\":{\"mail\":\"530 5.7.0 log in\"}}", STAGE_MAIL, 530, "5.7.0", OUTCOME_DESTINATION},
    {"{\"always\":{\"rcpt\":\"550-5.1.1 no such\\r\\n550 5.1.1 user\"}}", STAGE_RCPT, 550, "5.1.1",
     OUTCOME_PERMANENT},
    {"{\"always\":{\"rcpt\":\"450 4.7.1 greylisted\"}}", STAGE_RCPT, 450, "4.7.1", OUTCOME_TEMPORARY},
    {"{\"always\":{\"rcpt\":\"451 4.7.1 rate limit\"}}", STAGE_RCPT, 451, "4.7.1", OUTCOME_THROTTLED},
    {"{\"always\":{\"data\":\"554 5.5.1 no valid recipients\"}}", STAGE_DATA, 554, "5.5.1",
     OUTCOME_PERMANENT},
    {"{\"always\":{\"data\":\"451 4.3.0 later\"}}", STAGE_DATA, 451, "4.3.0", OUTCOME_TEMPORARY},
    {"{\"always\":{\"final\":\"554-5.7.1 spam\\r\\n554 5.7.1 it is\"}}", STAGE_FINAL, 554, "5.7.1",
     OUTCOME_PERMANENT},
    {"{\"always\":{\"final\":\"452 4.2.2 mailbox full\"}}", STAGE_FINAL, 452, "4.2.2", OUTCOME_TEMPORARY},
};

ParameterizedTestParameters(smtp, a_refusal_is_reported_with_its_stage_and_words)
{
    static size_t numbers[sizeof(refusals) / sizeof(refusals[0])];

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        numbers[i] = i;
    return cr_make_param_array(size_t, numbers, sizeof(refusals) / sizeof(refusals[0]));
}

ParameterizedTest(size_t *number, smtp, a_refusal_is_reported_with_its_stage_and_words)
{
    const struct refusal *row = &refusals[*number];

    start(row->script);
    struct attempt attempt = send_to("ann@shop.example");
    EXPECT_CLASS(attempt, row->class);
    cr_expect_eq(attempt.transport, TRANSPORT_OK, "%d", attempt.transport);
    cr_expect_eq(attempt.stage, row->stage, "%d", attempt.stage);
    cr_expect_eq(attempt.code, row->code, "%d", attempt.code);
    cr_expect_str_eq(attempt.enhanced, row->enhanced);
    cr_expect(attempt.reply[0] != '\0');
    cr_expect_eq(attempt.is_committed, row->stage == STAGE_FINAL);
    cr_expect_eq(lane_world_count_lines(&world, "mails"), 0);
}

Test(smtp, after_a_refusal_the_next_mail_is_judged_by_its_own_replies)
{
    start("{\"recipients\":{\"bob@shop.example\":{\"rcpt\":[\"550 5.1.1 unknown\"]},"
          "\"eve@shop.example\":{\"final\":[\"554 5.7.1 spam\"]}}}");
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
    EXPECT_CLASS(send_to("bob@shop.example"), OUTCOME_PERMANENT);
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
    EXPECT_CLASS(send_to("eve@shop.example"), OUTCOME_PERMANENT);
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
    cr_expect_eq(lane_world_count_lines(&world, "mails"), 3);
}

Test(smtp, any_2xx_to_the_final_dot_is_a_yes)
{
    start("{\"always\":{\"final\":\"251 2.0.0 will forward\"}}");
    struct attempt attempt = send_to("ann@shop.example");
    EXPECT_CLASS(attempt, OUTCOME_SENT);
    cr_expect_eq(attempt.code, 251);
}

Test(smtp, a_server_that_hangs_after_its_refusal_does_not_hold_the_thread)
{
    serve("{\"always\":{\"rcpt\":\"550 5.1.1 unknown\",\"quit\":{\"reply\":\"221 bye\",\"delay\":60}}}");
    connect_to("smtp", "127.0.0.1", "");
    int64_t begun_ms = clock_mono_ms();
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_PERMANENT);
    cr_expect_lt(clock_mono_ms() - begun_ms, 4500); /* less than timeout */
}

/* ---- no answer ---------------------------------------------------------------------------------------- */

Test(smtp, a_drop_before_the_body_is_not_unknown)
{
    static const char *const stages[] = {"greeting", "ehlo", "mail", "rcpt", "data"};
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
        char script[128];
        lane_world_done(&world);
        server_process_stop(&server);
        init();
        snprintf(script, sizeof(script), "{\"always\":{\"%s\":{\"drop\":true}}}", stages[i]);
        start(script);
        struct attempt attempt = send_to("ann@shop.example");
        cr_expect_eq(attempt.transport, TRANSPORT_BROKEN, "%s: %d", stages[i], attempt.transport);
        cr_expect_not(attempt.is_committed);
        EXPECT_CLASS(attempt, i <= 2 ? OUTCOME_DESTINATION : OUTCOME_TEMPORARY);
        cr_expect(attempt.reply[0] != '\0');
    }
}

Test(smtp, a_drop_after_the_dot_is_unknown)
{
    start("{\"sequence\":{\"final\":[{\"drop\":true,\"accept\":true}]}}");
    struct attempt attempt = send_to("ann@shop.example");
    EXPECT_CLASS(attempt, OUTCOME_UNKNOWN);
    cr_expect_eq(attempt.transport, TRANSPORT_BROKEN);
    cr_expect_eq(attempt.code, 354);
    cr_expect_eq(attempt.stage, STAGE_DATA);
    cr_expect(attempt.is_committed);
    cr_expect_eq(lane_world_count_lines(&world, "mails"), 1);
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
}

Test(smtp, a_late_final_reply_is_unknown_and_is_not_taken_for_the_next_mails)
{
    serve("{\"sequence\":{\"final\":[{\"reply\":\"250 2.0.0 late\",\"delay\":2,\"accept\":true}]},"
          "\"recipients\":{\"bob@shop.example\":{\"rcpt\":[\"550 5.1.1 unknown\"]}}}");
    connect_to("smtp", "127.0.0.1", "timeout = 1s");
    struct attempt attempt = send_to("ann@shop.example");
    EXPECT_CLASS(attempt, OUTCOME_UNKNOWN);
    cr_expect_eq(attempt.transport, TRANSPORT_TIMEOUT);
    attempt = send_to("bob@shop.example");
    EXPECT_CLASS(attempt, OUTCOME_PERMANENT);
    cr_expect_eq(attempt.stage, STAGE_RCPT);
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
}

Test(smtp, the_reply_to_the_dot_is_waited_for_and_the_thread_shows_signs_of_life_meanwhile)
{
    start("{\"always\":{\"final\":{\"reply\":\"250 2.0.0 ok\",\"delay\":2.5}}}");
    lane_world_push(&world, lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example"));
    int64_t begun_ms = clock_mono_ms();
    int64_t oldest_ms = 0;
    while (clock_mono_ms() < begun_ms + 2300) {
        int64_t progress_ms = lane_oldest_progress_ms(world.lane);
        int64_t age_ms = progress_ms == INT64_MAX ? 0 : clock_mono_ms() - progress_ms;
        oldest_ms = age_ms > oldest_ms ? age_ms : oldest_ms;
        poll(NULL, 0, 10);
    }
    cr_expect_lt(oldest_ms, 2000);
    struct delivery *delivery = lane_world_wait(&world);
    EXPECT_CLASS(delivery->attempt, OUTCOME_SENT);
    lane_world_release(&world, delivery);
}

Test(smtp, a_silent_server_is_a_timeout_and_surely_not_sent)
{
    serve("{\"always\":{\"rcpt\":{\"reply\":\"250 ok\",\"delay\":60}}}");
    connect_to("smtp", "127.0.0.1", "timeout = 1s");
    struct attempt attempt = send_to("ann@shop.example");
    cr_expect_eq(attempt.transport, TRANSPORT_TIMEOUT);
    cr_expect_not(attempt.is_committed);
    EXPECT_CLASS(attempt, OUTCOME_TEMPORARY);
}

Test(smtp, a_kept_connection_that_the_server_has_left_costs_the_next_mail_nothing)
{
    start("{\"sequence\":{\"mail\":[\"250 ok\",{\"reply\":\"421 4.4.2 idle too long\",\"drop\":true},\"250 "
          "ok\",{\"drop\":true}]}}");
    for (int i = 0; i < 3; i++) /* the second and third begin on a connection that ends at MAIL */
        EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
    cr_expect_eq(lane_world_count_lines(&world, "mails"), 3);
    cr_expect(file_has("mails", "\"connection\": 3"));
}

/* ---- the lane's own ends ------------------------------------------------------------------------------ */

Test(smtp, nobody_there_is_a_connect_failure)
{
    serve("{}");
    server_process_stop(&server);
    connect_to("smtp", "127.0.0.1", "");
    struct attempt attempt = send_to("ann@shop.example");
    cr_expect_eq(attempt.transport, TRANSPORT_CONNECT);
    cr_expect_eq(attempt.stage, STAGE_NONE);
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
}

/* A port whose SYNs get no answer: somebody listens, and has more waiting than it wants. */
static int fill_a_listener(int ret_fds[4])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);

    ret_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(ret_fds[0], (struct sockaddr *)&address, len), 0);
    cr_assert_eq(listen(ret_fds[0], 0), 0);
    cr_assert_eq(getsockname(ret_fds[0], (struct sockaddr *)&address, &len), 0);
    for (int i = 1; i < 4; i++) {
        ret_fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(ret_fds[i], (struct sockaddr *)&address, len);
    }
    return ntohs(address.sin_port);
}

Test(smtp, a_connect_timeout_is_a_connect_failure)
{
    int fds[4];

    server.port = fill_a_listener(fds);
    connect_to("smtp", "127.0.0.1", "connect_timeout = 300ms");
    struct attempt attempt = send_to("ann@shop.example");
    cr_expect_eq(attempt.transport, TRANSPORT_CONNECT, "%d %s", attempt.transport, attempt.reply);
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

Test(smtp, a_name_that_does_not_exist_is_a_resolve_failure)
{
    server.port = 25;
    connect_to("smtp", "mail.invalid", "");
    server.port = 0;
    struct attempt attempt = send_to("ann@shop.example");
    cr_expect_eq(attempt.transport, TRANSPORT_RESOLVE, "%d %s", attempt.transport, attempt.reply);
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
}

Test(smtp, no_descriptor_is_our_own_trouble)
{
    start("{}");
    struct rlimit few = {.rlim_cur = 3, .rlim_max = 3}; /* 0, 1, 2 are there: no more */
    struct rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    few.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &few);
    struct attempt attempt = send_to("ann@shop.example");
    setrlimit(RLIMIT_NOFILE, &before);
    cr_expect_eq(attempt.transport, TRANSPORT_INTERNAL, "%d %s", attempt.transport, attempt.reply);
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
}

/* Waits until the server has heard the command. */
static void wait_for_command(const char *command)
{
    int64_t deadline_ms = clock_mono_ms() + 10000;
    while (!file_has("commands", command)) {
        cr_assert_lt(clock_mono_ms(), deadline_ms, "no %s", command);
        poll(NULL, 0, 2);
    }
}

Test(smtp, at_the_commit_point_a_lease_that_is_over_stops_the_mail)
{
    start("{\"sequence\":{\"data\":[{\"reply\":\"354 go\",\"delay\":0.3}]}}");
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
    lane_world_push(&world, delivery);
    wait_for_command("\"DATA\"");
    atomic_store(&delivery->lease_until_ms, 0);
    delivery = lane_world_wait(&world);
    cr_expect_eq(delivery->attempt.abort, ABORT_LEASE);
    cr_expect_not(delivery->attempt.is_committed);
    EXPECT_CLASS(delivery->attempt, OUTCOME_RELEASED);
    lane_world_release(&world, delivery);
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT); /* and the next has a good connection */
    cr_expect_eq(lane_world_count_lines(&world, "mails"), 1);
    cr_expect_not(file_has("mails", "\"connection\": 1,"));
}

Test(smtp, after_the_commit_point_the_lease_does_not_matter)
{
    start("{\"sequence\":{\"final\":[{\"reply\":\"250 2.0.0 ok\",\"delay\":0.5}]}}");
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
    lane_world_push(&world, delivery);
    wait_for_command("\"DATA\"");
    int64_t deadline_ms = clock_mono_ms() + 200;
    while (clock_mono_ms() < deadline_ms)
        poll(NULL, 0, 10);
    atomic_store(&delivery->lease_until_ms, 0);
    atomic_fetch_add(&world.gate.epoch, 1);
    atomic_store(&world.gate.is_closed, true);
    delivery = lane_world_wait(&world);
    EXPECT_CLASS(delivery->attempt, OUTCOME_SENT);
    lane_world_release(&world, delivery);
}

Test(smtp, a_hurried_shutdown_aborts_what_is_not_committed)
{
    start("{\"always\":{\"mail\":{\"reply\":\"250 ok\",\"delay\":60}}}");
    lane_world_push(&world, lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example"));
    wait_for_command("MAIL");
    int64_t begun_ms = clock_mono_ms();
    atomic_store(&world.gate.is_closed, true);
    struct delivery *delivery = lane_world_wait(&world);
    cr_expect_lt(clock_mono_ms() - begun_ms, 3000);
    cr_expect_eq(delivery->attempt.abort, ABORT_LEASE);
    lane_world_release(&world, delivery);
}

Test(smtp, stopping_does_not_wait_for_a_server_that_no_longer_answers)
{
    start("{}");
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
    server_process_freeze(&server); /* with our kept connection */
    int64_t begun_ms = clock_mono_ms();
    lane_stop(world.lane);
    while (!lane_is_stopped(world.lane) && clock_mono_ms() < begun_ms + 10000)
        poll(NULL, 0, 5);
    cr_expect_lt(clock_mono_ms() - begun_ms, 4000);
}

Test(smtp, a_kept_connection_is_ended_with_quit)
{
    start("{}");
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
    lane_stop(world.lane);
    wait_for_command("QUIT");
}

/* ---- TLS and login ------------------------------------------------------------------------------------ */

static void serve_tls(const char *script, const char *more, const char *value)
{
    server_process_certificate(world.directory);
    server = server_process_start((const char *const[]){"/usr/bin/python3", SCRIPT, "--script", script,
                                                        "--mails", mails, "--commands", commands, "--cert",
                                                        cert, "--key", key, more, value, NULL});
}

Test(smtp, starttls_comes_before_login_and_mail)
{
    serve_tls("{}", "--auth", "shop:secret");
    lane_world_write(&world, "password", "secret\n");
    connect_to("smtp", "localhost", "user = shop\npassword_file = password\nca_file = cert.pem");
    for (int i = 0; i < 2; i++)
        EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
    cr_expect(file_has("mails", "\"user\": \"shop\", \"tls\": true"));
    cr_expect_not(file_has("mails", "\"connection\": 2"));
}

Test(smtp, implicit_tls_works)
{
    serve_tls("{}", "--implicit-tls", NULL);
    connect_to("smtps", "127.0.0.1", "ca_file = cert.pem");
    EXPECT_CLASS(send_to("ann@shop.example"), OUTCOME_SENT);
    cr_expect(file_has("mails", "\"tls\": true"));
}

Test(smtp, a_certificate_that_nobody_vouches_for_is_a_tls_failure)
{
    serve_tls("{}", NULL, NULL);
    connect_to("smtp", "127.0.0.1", "starttls = required");
    struct attempt attempt = send_to("ann@shop.example");
    cr_expect_eq(attempt.transport, TRANSPORT_TLS, "%d %s", attempt.transport, attempt.reply);
    cr_expect_eq(attempt.code, 0, "220 go ahead is no reason");
    cr_expect(strstr(attempt.reply, "certificate") != NULL, "%s", attempt.reply);
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
    cr_expect_not(file_has("commands", "MAIL"));
}

Test(smtp, a_server_without_starttls_gets_nothing_where_it_is_required)
{
    serve("{}");
    connect_to("smtp", "127.0.0.1", "starttls = required");
    struct attempt attempt = send_to("ann@shop.example");
    cr_expect_eq(attempt.transport, TRANSPORT_TLS, "%d %s", attempt.transport, attempt.reply);
    cr_expect_eq(attempt.code, 0);
    cr_expect_str_eq(attempt.reply, "STARTTLS not offered");
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
    cr_expect_not(file_has("commands", "MAIL"));
}

Test(smtp, a_server_that_offers_starttls_and_refuses_it_is_quoted)
{
    serve_tls("{\"sequence\": {\"starttls\": [\"454 4.7.0 TLS not available\"]}}", NULL, NULL);
    connect_to("smtp", "127.0.0.1", "starttls = required");
    struct attempt attempt = send_to("ann@shop.example");
    cr_expect_eq(attempt.transport, TRANSPORT_TLS, "%d %s", attempt.transport, attempt.reply);
    cr_expect_eq(attempt.code, 454);
    cr_expect_str_eq(attempt.reply, "4.7.0 TLS not available");
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
}

Test(smtp, a_wrong_password_is_the_lanes_trouble)
{
    serve_tls("{}", "--auth", "shop:other");
    lane_world_write(&world, "password", "secret\n");
    connect_to("smtp", "localhost", "user = shop\npassword_file = password\nca_file = cert.pem");
    struct attempt attempt = send_to("ann@shop.example");
    cr_expect_eq(attempt.transport, TRANSPORT_LOGIN, "%d %s", attempt.transport, attempt.reply);
    cr_expect_eq(attempt.stage, STAGE_AUTH);
    cr_expect_eq(attempt.code, 535);
    cr_expect_str_eq(attempt.enhanced, "5.7.8");
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
}

/* ---- many --------------------------------------------------------------------------------------------- */

Test(smtp, many_mails_over_many_connections_come_back_once_each)
{
    enum { COUNT = 400 };
    static bool seen[COUNT + 1];

    server = server_process_start_at_port(
        (const char *const[]){"smtp-sink", "-u", "nobody", "127.0.0.1:PORT", "64", NULL});
    char text[512];
    snprintf(text, sizeof(text), FROM "url = smtp://127.0.0.1:%d\nconnections = 4", server.port);
    lane_world_configure(&world, CHANNEL_EMAIL, NULL, text);
    lane_world_start(&world);
    for (int sent = 0, back = 0; back < COUNT;) {
        while (sent < COUNT && (size_t)(sent - back) < lane_capacity(world.lane)) {
            lane_world_push(&world, lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example"));
            sent++;
        }
        struct delivery *delivery = lane_world_wait(&world);
        unsigned number = (unsigned)strtoul(delivery->id + 2, NULL, 10);
        cr_assert(number <= COUNT && !seen[number]);
        seen[number] = true;
        cr_assert_eq(delivery->attempt.code, 250, "%s", delivery->attempt.reply);
        lane_world_release(&world, delivery);
        back++;
    }
}
