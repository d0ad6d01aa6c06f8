/* http.c - push and webhooks to real servers: the scripted receiver for each thing that can go wrong, nghttpd
 * for many requests. */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "herald/clock.h"
#include "lane_world.h"
#include "server_process.h"

#define SCRIPT HERALD_TEST_SUPPORT "/http_script.py"

static struct lane_world world;
static struct server_process server;
static char requests[128], cert[128], key[128];

static void init(void)
{
    lane_world_init(&world);
    snprintf(requests, sizeof(requests), "%s/requests", world.directory);
    snprintf(cert, sizeof(cert), "%s/cert.pem", world.directory);
    snprintf(key, sizeof(key), "%s/key.pem", world.directory);
}

static void done(void)
{
    lane_world_done(&world);
    server_process_stop(&server);
}

TestSuite(http, .init = init, .fini = done);

static void connect_to(const char *scheme, const char *host, const char *more)
{
    char text[1024];
    snprintf(text, sizeof(text), "type = http\nurl = %s://%s:%d/send\n%s\n%s", scheme, host, server.port,
             strstr(more, "connections") != NULL ? "" : "connections = 1", more);
    lane_world_configure(&world, CHANNEL_PUSH, NULL, text);
    lane_world_start(&world);
}

/* Cleartext HTTP/1.1. */
static void serve(const char *script)
{
    server = server_process_start(
        (const char *const[]){"/usr/bin/python3", SCRIPT, "--script", script, "--requests", requests, NULL});
}

static void serve_tls(const char *script, const char *http2)
{
    server_process_certificate(world.directory);
    server = server_process_start((const char *const[]){"/usr/bin/python3", SCRIPT, "--script", script,
                                                        "--requests", requests, "--cert", cert, "--key", key,
                                                        http2, NULL});
}

static void start(const char *script)
{
    serve(script);
    connect_to("http", "127.0.0.1", "");
}

static void start_http2(const char *script)
{
    serve_tls(script, "--http2");
    connect_to("https", "localhost", "ca_file = cert.pem");
}

static struct attempt send_to(const char *token)
{
    return lane_world_try(&world, CHANNEL_PUSH, token);
}

static bool requests_have(const char *text)
{
    char *all = lane_world_read(&world, "requests");
    bool has = strstr(all, text) != NULL;
    free(all);
    return has;
}

/* ---- what arrives ------------------------------------------------------------------------------------- */

static void expect_arrived(const char *version)
{
    char text[128];
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_PUSH, "tok");

    lane_world_push(&world, delivery);
    delivery = lane_world_wait(&world);
    EXPECT_CLASS(delivery->attempt, OUTCOME_SENT);
    cr_expect_eq(delivery->attempt.protocol, ATTEMPT_HTTP);
    cr_expect_eq(delivery->attempt.code, 200);
    cr_expect(delivery->attempt.is_committed);
    cr_expect_geq(delivery->attempt.first_byte_mono_us, delivery->attempt.started_mono_us);
    cr_expect_geq(delivery->attempt.ended_mono_us, delivery->attempt.first_byte_mono_us);
    snprintf(text, sizeof(text), "\"version\": \"%s\", \"method\": \"POST\", \"path\": \"/send\"", version);
    cr_expect(requests_have(text));
    snprintf(text, sizeof(text), "\"idempotency-key\": \"\\\"%s\\\"\"", delivery->key);
    cr_expect(requests_have(text));
    snprintf(text, sizeof(text), "\"traceparent\": \"%s\"", delivery->traceparent);
    cr_expect(requests_have(text));
    cr_expect(requests_have("\"content-type\": \"application/json\""));
    cr_expect(requests_have("\"x-shop\": \"example\""));
    cr_expect(requests_have("\"authorization\": \"Bearer s3cret\""));
    cr_expect(requests_have("\"user-agent\": \"herald/"));
    cr_expect_not(requests_have("\"expect\""));
    cr_expect(requests_have("\"body\": \"{\\\"order\\\":\\\"o-1\\\",\\\"to\\\":\\\"tok\\\"}\\n\"") ||
              requests_have("\"body\": \"{\\\"order\\\":\\\"o-1\\\",\\\"to\\\":\\\"tok\\\"}\""));
    cr_expect_eq(lane_world_count_lines(&world, "requests"), 1);
    lane_world_release(&world, delivery);
}

Test(http, a_request_arrives_whole_over_http1)
{
    serve("[]");
    lane_world_write(&world, "token", "s3cret\n");
    connect_to("http", "127.0.0.1", "header = X-Shop: example\ntoken_file = token");
    expect_arrived("1.1");
}

Test(http, a_request_arrives_whole_over_http2)
{
    serve_tls("[]", "--http2");
    lane_world_write(&world, "token", "s3cret\n");
    connect_to("https", "127.0.0.1", "header = X-Shop: example\ntoken_file = token\nca_file = cert.pem");
    expect_arrived("2");
}

Test(http, one_connection_serves_request_after_request)
{
    start_http2("[]");
    for (int i = 0; i < 5; i++)
        EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
    cr_expect_eq(lane_world_count_lines(&world, "requests"), 5);
    cr_expect_not(requests_have("\"connection\": 2"));
}

Test(http, a_traceparent_is_not_left_over_for_the_next_request)
{
    start("[]");
    for (int i = 0; i < 2; i++) {
        struct delivery *delivery = lane_world_delivery(&world, CHANNEL_PUSH, "tok");
        if (i == 1)
            delivery->traceparent = "";
        lane_world_push(&world, delivery);
        lane_world_release(&world, lane_world_wait(&world));
    }
    char *all = lane_world_read(&world, "requests");
    char *second = strchr(all, '\n');
    cr_assert(second != NULL);
    cr_expect(strstr(second, "idempotency-key") != NULL);
    cr_expect(strstr(second, "traceparent") == NULL);
    free(all);
}

Test(http, a_large_body_arrives_whole)
{
    static char event[200000];

    lane_world_write(&world, "templates/note/push.json", "{{{words}}}");
    memset(event, 'x', sizeof(event) - 1);
    memcpy(event, "{\"words\":\"", 10);
    memcpy(event + sizeof(event) - 3, "\"}", 2);
    start_http2("[]");
    struct delivery *delivery = lane_world_delivery_of(&world, CHANNEL_PUSH, "tok", event);
    lane_world_push(&world, delivery);
    delivery = lane_world_wait(&world);
    EXPECT_CLASS(delivery->attempt, OUTCOME_SENT);
    lane_world_release(&world, delivery);
    char *all = lane_world_read(&world, "requests");
    cr_expect_gt(strlen(all), sizeof(event));
    free(all);
}

/* ---- answers ------------------------------------------------------------------------------------------ */

static const struct status {
    int code;
    enum outcome_class class;
} statuses[] = {
    {200, OUTCOME_SENT},        {201, OUTCOME_SENT},        {204, OUTCOME_SENT},
    {301, OUTCOME_DESTINATION}, {400, OUTCOME_PERMANENT},   {401, OUTCOME_DESTINATION},
    {408, OUTCOME_TEMPORARY},   {410, OUTCOME_PERMANENT},   {429, OUTCOME_THROTTLED},
    {500, OUTCOME_TEMPORARY},   {503, OUTCOME_DESTINATION},
};

static void expect_statuses(void)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct attempt attempt = send_to("tok");
        EXPECT_CLASS(attempt, statuses[i].class);
        cr_expect_eq(attempt.transport, TRANSPORT_OK);
        cr_expect_eq(attempt.code, statuses[i].code);
        cr_expect_str_eq(attempt.reply, statuses[i].code == 204 ? "" : "{\"reason\": \"so\"}");
    }
    cr_expect_eq(lane_world_count_lines(&world, "requests"), sizeof(statuses) / sizeof(statuses[0]));
}

/* The answers of the table above, each with a body and, for whoever follows, a place to go. */
static const char *script_of_statuses(void)
{
    static char script[2048];

    snprintf(script, sizeof(script), "[");
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        snprintf(script + strlen(script), sizeof(script) - strlen(script),
                 "%s{\"status\":%d,\"body\":\"%s\",\"headers\":{\"Location\":\"/elsewhere\"}}",
                 i > 0 ? "," : "", statuses[i].code,
                 statuses[i].code == 204 ? "" : "{\\\"reason\\\": \\\"so\\\"}");
    snprintf(script + strlen(script), sizeof(script) - strlen(script), "]");
    return script;
}

Test(http, each_status_is_reported_with_the_providers_words_over_http1)
{
    start(script_of_statuses());
    expect_statuses();
}

Test(http, each_status_is_reported_with_the_providers_words_over_http2)
{
    start_http2(script_of_statuses());
    expect_statuses();
}

static const struct retry_after {
    const char *value;
    int64_t at_least_ms, at_most_ms;
} retry_afters[] = {
    {"7", 7000, 7000},
    {"100000", 3600000, 3600000},
    {"Fri, 31 Dec 2100 23:59:59 GMT", 3600000, 3600000},
    {"Thu, 01 Jan 2015 00:00:00 GMT", 1000, 1000},
    {"soon", 0, 0},
    {"0", 0, 0},
};

Test(http, retry_after_is_read_in_both_forms_and_bounded)
{
    char script[2048] = "[";
    size_t count = sizeof(retry_afters) / sizeof(retry_afters[0]);

    for (size_t i = 0; i < count; i++)
        snprintf(script + strlen(script), sizeof(script) - strlen(script),
                 "{\"status\":429,\"headers\":{\"Retry-After\":\"%s\"}},", retry_afters[i].value);
    snprintf(script + strlen(script), sizeof(script) - strlen(script), "429]");
    start(script);
    for (size_t i = 0; i < count; i++) {
        struct attempt attempt = send_to("tok");
        EXPECT_CLASS(attempt, OUTCOME_THROTTLED);
        cr_expect(attempt.retry_after_ms >= retry_afters[i].at_least_ms &&
                      attempt.retry_after_ms <= retry_afters[i].at_most_ms,
                  "%s: %lld", retry_afters[i].value, (long long)attempt.retry_after_ms);
    }
    cr_expect_eq(send_to("tok").retry_after_ms, 0);
}

Test(http, a_long_answer_is_dropped_and_harms_nothing)
{
    start("[{\"status\":200,\"body_bytes\":1000000},{\"status\":200}]");
    struct attempt attempt = send_to("tok");
    EXPECT_CLASS(attempt, OUTCOME_SENT);
    cr_expect_eq(strlen(attempt.reply), (size_t)ATTEMPT_REPLY_BYTES);
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
}

/* ---- no answer ---------------------------------------------------------------------------------------- */

Test(http, read_whole_and_closed_is_unknown_and_was_sent_once)
{
    /* The second request goes over the connection that the first has left: there libcurl would repeat it by
     * itself. */
    start("[200,{\"drop\":true},200]");
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
    struct attempt attempt = send_to("tok");
    EXPECT_CLASS(attempt, OUTCOME_UNKNOWN);
    cr_expect_eq(attempt.transport, TRANSPORT_BROKEN);
    cr_expect_eq(attempt.code, 0);
    cr_expect(attempt.is_committed);
    cr_expect_eq(lane_world_count_lines(&world, "requests"), 2);
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
}

Test(http, read_whole_and_closed_is_unknown_over_http2_as_well)
{
    start_http2("[200,{\"drop\":true},200]");
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
    EXPECT_CLASS(send_to("tok"), OUTCOME_UNKNOWN);
    cr_expect_eq(lane_world_count_lines(&world, "requests"), 2);
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
}

Test(http, half_a_yes_is_unknown_and_half_a_no_is_a_no)
{
    start("[{\"status\":200,\"body_bytes\":1000,\"cut\":true},{\"status\":503,\"body_bytes\":1000,\"cut\":"
          "true}]");
    struct attempt attempt = send_to("tok");
    EXPECT_CLASS(attempt, OUTCOME_UNKNOWN);
    cr_expect_eq(attempt.transport, TRANSPORT_BROKEN);
    attempt = send_to("tok");
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
    cr_expect_eq(attempt.code, 503);
}

Test(http, a_silent_server_is_a_timeout_and_unknown)
{
    serve("[{\"delay\":60}]");
    connect_to("http", "127.0.0.1", "timeout = 500ms");
    struct attempt attempt = send_to("tok");
    cr_expect_eq(attempt.transport, TRANSPORT_TIMEOUT, "%d", attempt.transport);
    EXPECT_CLASS(attempt, OUTCOME_UNKNOWN);
}

Test(http, a_refused_stream_is_not_processed_where_that_is_certain)
{
    start_http2("[{\"refuse\":true}]");
    struct attempt attempt = send_to("tok");
    cr_expect_eq(attempt.transport, TRANSPORT_REFUSED_STREAM, "%d %s", attempt.transport, attempt.reply);
    cr_expect(attempt.is_committed);
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
}

Test(http, a_goaway_that_excludes_the_stream_is_unknown_for_libcurl_does_not_tell_it_from_a_broken_one)
{
    start_http2("[{\"goaway\":true}]");
    EXPECT_CLASS(send_to("tok"), OUTCOME_UNKNOWN);
    cr_expect_eq(lane_world_count_lines(&world, "requests"), 1);
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
}

Test(http, a_refused_stream_on_a_used_connection_is_unknown_and_never_sent_again_by_itself)
{
    start_http2("[200,{\"refuse\":true}]");
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
    EXPECT_CLASS(send_to("tok"), OUTCOME_UNKNOWN);
    cr_expect_eq(lane_world_count_lines(&world, "requests"), 2);
}

Test(http, a_reset_stream_is_unknown_and_many_of_them_do_not_stop_the_lane)
{
    start_http2("[{\"reset\":2},{\"reset\":2},{\"reset\":2},{\"reset\":2},{\"reset\":2}]");
    for (int i = 0; i < 5; i++) {
        struct attempt attempt = send_to("tok");
        EXPECT_CLASS(attempt, OUTCOME_UNKNOWN);
        cr_expect_eq(attempt.transport, TRANSPORT_BROKEN);
    }
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
    cr_expect(requests_have("\"connection\": 2")); /* after three in a row even the connections are new */
}

Test(http, a_server_that_wants_http1_instead_is_not_sent_a_request_without_its_body)
{
    start_http2("[{\"reset\":13}]"); /* HTTP_1_1_REQUIRED: libcurl begins again by itself, with what it has
                                        not read yet */
    struct attempt attempt = send_to("tok");
    cr_expect_eq(attempt.transport, TRANSPORT_BROKEN, "%d %s", attempt.transport, attempt.reply);
    EXPECT_CLASS(attempt, OUTCOME_UNKNOWN);
    cr_expect_lt(attempt.ended_mono_us - attempt.started_mono_us, 10000000);
    cr_expect_eq(lane_world_count_lines(&world, "requests"), 1);
}

/* ---- the lane's own ends ------------------------------------------------------------------------------ */

Test(http, nobody_there_is_a_connect_failure)
{
    serve("[]");
    server_process_stop(&server);
    connect_to("http", "127.0.0.1", "");
    struct attempt attempt = send_to("tok");
    cr_expect_eq(attempt.transport, TRANSPORT_CONNECT);
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
}

Test(http, a_certificate_that_nobody_vouches_for_is_a_tls_failure)
{
    serve_tls("[]", "--http2");
    connect_to("https", "localhost", "");
    struct attempt attempt = send_to("tok");
    cr_expect_eq(attempt.transport, TRANSPORT_TLS, "%d", attempt.transport);
    EXPECT_CLASS(attempt, OUTCOME_DESTINATION);
    cr_expect_eq(lane_world_count_lines(&world, "requests"), 0);
}

Test(http, the_environment_names_no_proxy)
{
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    start("[]");
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
}

Test(http, a_lease_that_ends_before_the_body_is_handed_over_stops_the_request)
{
    /* One transfer at a time: the second waits for the first, with its lease running. */
    start("[{\"status\":200,\"delay\":0.4}]");
    lane_world_push(&world, lane_world_delivery(&world, CHANNEL_PUSH, "tok"));
    struct delivery *late = lane_world_delivery(&world, CHANNEL_PUSH, "late");
    lane_world_push(&world, late);
    atomic_store(&late->lease_until_ms, 0);
    for (int i = 0; i < 2; i++) {
        struct delivery *delivery = lane_world_wait(&world);
        EXPECT_CLASS(delivery->attempt, delivery == late ? OUTCOME_RELEASED : OUTCOME_SENT);
        lane_world_release(&world, delivery);
    }
    cr_expect_eq(lane_world_count_lines(&world, "requests"), 1);
}

Test(http, at_the_commit_point_a_lease_that_is_over_stops_the_request)
{
    /* A server that accepts but does not speak TLS yet holds the request in front of its commit point. */
    server_process_certificate(world.directory);
    server =
        server_process_start((const char *const[]){"/usr/bin/python3", SCRIPT, "--script", "[]", "--requests",
                                                   requests, "--cert", cert, "--key", key, "--http2", NULL});
    server_process_freeze(&server);
    connect_to("https", "localhost", "ca_file = cert.pem");
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_PUSH, "tok");
    lane_world_push(&world, delivery);
    while (lane_running(world.lane) == 0) /* until it is begun */
        poll(NULL, 0, 1);
    int64_t until_ms = clock_mono_ms() + 100;
    while (clock_mono_ms() < until_ms)
        poll(NULL, 0, 10);
    atomic_store(&delivery->lease_until_ms, 0);
    kill(server.pid, SIGCONT);
    delivery = lane_world_wait(&world);
    cr_expect_eq(delivery->attempt.abort, ABORT_LEASE);
    cr_expect_not(delivery->attempt.is_committed);
    lane_world_release(&world, delivery);
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT);
    cr_expect_eq(lane_world_count_lines(&world, "requests"), 1);
}

Test(http, a_hurried_shutdown_gives_up_what_is_not_committed)
{
    server_process_certificate(world.directory);
    server = server_process_start(
        (const char *const[]){"/usr/bin/python3", SCRIPT, "--cert", cert, "--key", key, NULL});
    server_process_freeze(&server);
    connect_to("https", "localhost", "ca_file = cert.pem");
    lane_world_push(&world, lane_world_delivery(&world, CHANNEL_PUSH, "tok"));
    while (lane_running(world.lane) == 0)
        poll(NULL, 0, 1);
    int64_t begun_ms = clock_mono_ms();
    atomic_store(&world.gate.is_closed, true);
    struct delivery *delivery = lane_world_wait(&world);
    cr_expect_lt(clock_mono_ms() - begun_ms, 3000);
    cr_expect_eq(delivery->attempt.abort, ABORT_LEASE);
    lane_world_release(&world, delivery);
}

Test(http, the_thread_shows_signs_of_life_while_it_waits)
{
    start("[{\"status\":200,\"delay\":2.2}]");
    lane_world_push(&world, lane_world_delivery(&world, CHANNEL_PUSH, "tok"));
    int64_t begun_ms = clock_mono_ms();
    int64_t oldest_ms = 0;
    while (clock_mono_ms() < begun_ms + 2000) {
        int64_t progress_ms = lane_oldest_progress_ms(world.lane);
        int64_t age_ms = progress_ms == INT64_MAX ? 0 : clock_mono_ms() - progress_ms;
        oldest_ms = age_ms > oldest_ms ? age_ms : oldest_ms;
        poll(NULL, 0, 10);
    }
    cr_expect_lt(oldest_ms, 1500);
    lane_world_release(&world, lane_world_wait(&world));
}

Test(http, a_push_wakes_a_thread_that_waits_for_answers)
{
    start_http2("[200,{\"delay\":2}]");
    EXPECT_CLASS(send_to("tok"), OUTCOME_SENT); /* from here on there is room for more than one */
    lane_world_push(&world, lane_world_delivery(&world, CHANNEL_PUSH, "slow"));
    int64_t until_ms = clock_mono_ms() + 300;
    while (clock_mono_ms() < until_ms)
        poll(NULL, 0, 10);
    struct delivery *second = lane_world_delivery(&world, CHANNEL_PUSH, "tok");
    int64_t pushed_us = clock_mono_us();
    lane_world_push(&world, second);
    for (int i = 0; i < 2; i++) {
        struct delivery *delivery = lane_world_wait(&world);
        if (delivery == second)
            cr_expect_lt(delivery->attempt.started_mono_us - pushed_us, 400000);
        lane_world_release(&world, delivery);
    }
}

/* ---- many --------------------------------------------------------------------------------------------- */

/* Sends `count`, as many at once as the lane takes; all must come back once, with 200. The most that were out
 * at once. */
static void exchange(int count)
{
    bool *seen = calloc((size_t)count + 1, sizeof(*seen));
    unsigned first = world.made;

    for (int sent = 0, back = 0; back < count;) {
        while (sent < count && (size_t)(sent - back) < lane_capacity(world.lane)) {
            lane_world_push(&world, lane_world_delivery(&world, CHANNEL_PUSH, "tok"));
            sent++;
        }
        struct delivery *delivery = lane_world_wait(&world);
        unsigned number = (unsigned)strtoul(delivery->id + 2, NULL, 10) - first;
        cr_assert(number <= (unsigned)count && !seen[number]);
        seen[number] = true;
        cr_assert_eq(delivery->attempt.code, 200, "transport %d: %s", delivery->attempt.transport,
                     delivery->attempt.reply);
        lane_world_release(&world, delivery);
        back++;
    }
    free(seen);
}

Test(http, many_requests_over_http2_come_back_once_each)
{
    server_process_certificate(world.directory);
    lane_world_write(&world, "htdocs/send", "ok\n");
    char htdocs[128];
    snprintf(htdocs, sizeof(htdocs), "%s/htdocs", world.directory);
    server = server_process_start_at_port(
        (const char *const[]){"nghttpd", "-a", "127.0.0.1", "-d", htdocs, "PORT", key, cert, NULL});
    connect_to("https", "localhost", "connections = 2\nstreams = 50\nca_file = cert.pem");
    cr_expect_eq(lane_slots(world.lane), 100);
    exchange(2000);
}

Test(http, a_server_that_knows_only_http1_gets_one_request_per_connection)
{
    serve_tls("[]", NULL);
    connect_to("https", "localhost", "connections = 2\nstreams = 50\nca_file = cert.pem");
    exchange(100);
    cr_expect_not(requests_have("\"connection\": 3"));
}

Test(http, a_slow_http1_server_is_not_given_more_than_it_can_answer_in_time)
{
    /* Six answers of 0.3 s on one connection take longer than one request may: none
     * may wait inside libcurl. */
    serve_tls(
        "[" /* one each */
        "{\"delay\":0.3},{\"delay\":0.3},{\"delay\":0.3},{\"delay\":0.3},{\"delay\":0.3},{\"delay\":0.3}]",
        NULL);
    connect_to("https", "localhost", "connections = 1\nstreams = 50\nca_file = cert.pem\ntimeout = 1s");
    exchange(6);
}

Test(http, cleartext_has_one_transfer_per_connection)
{
    serve("[]");
    connect_to("http", "127.0.0.1", "connections = 3\nstreams = 50");
    cr_expect_eq(lane_slots(world.lane), 3);
    exchange(60);
    cr_expect_not(requests_have("\"connection\": 4"));
}
