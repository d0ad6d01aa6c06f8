/* What INFO says, and what follows from it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "herald/server.h"

static const char info[] =
    "# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789012345678901234567890123456789\r\n"
    "# Persistence\r\nloading:0\r\naof_enabled:1\r\n# Memory\r\nmaxmemory:0\r\n"
    "maxmemory_policy:noeviction\r\n# Replication\r\nrole:master\r\n"
    "master_replid:9876543210987654321098765432109876543210\r\n";

static struct server good(void)
{
    struct server server;
    server_read(info, strlen(info), &server);
    return server;
}

Test(server, what_info_says_is_read)
{
    struct server server = good();
    cr_assert_str_eq(server.run_id, "0123456789012345678901234567890123456789");
    cr_assert_str_eq(server.replication_id, "9876543210987654321098765432109876543210");
    cr_assert_str_eq(server.policy, "noeviction");
    cr_assert(server.is_master && server.has_aof && !server.is_loading);
    cr_assert_eq(server.version_major, 7);
    cr_assert_eq(server.max_memory, 0);
}

Test(server, text_that_ends_anywhere_is_read_without_reading_past_it)
{
    for (size_t len = 0; len < strlen(info); len++) {
        struct server server;
        server_read(info, len, &server);
        cr_assert_leq(strlen(server.run_id), 40);
    }
}

Test(server, only_a_master_of_seven_or_newer_that_evicts_nothing_promised_is_fit)
{
    struct err err;
    struct server server = good();
    cr_assert(server_is_fit(&server, &err));
    server.version_major = 6;
    cr_assert_not(server_is_fit(&server, &err));
    cr_assert(strstr(err.text, "7.0 or newer"));
    server = good();
    server.is_master = false;
    cr_assert_not(server_is_fit(&server, &err));
    cr_assert(strstr(err.text, "replica"));
    server = good();
    memcpy(server.policy, "allkeys-lru", sizeof "allkeys-lru");
    cr_assert(server_is_fit(&server, &err), "without a maxmemory nothing is evicted");
    server.max_memory = 1;
    cr_assert_not(server_is_fit(&server, &err));
    cr_assert_eq(err.kind, ERR_CONFIG);
    server = good();
    server.is_loading = true;
    cr_assert_not(server_is_fit(&server, &err));
    cr_assert_eq(err.kind, ERR_TRANSIENT);
}

static void note_topic(void *arg, const char *topic, const char *text)
{
    char *topics = arg;
    cr_assert(strlen(text) > 20);
    snprintf(topics + strlen(topics), 64, "%s;", topic);
}

Test(server, what_may_surprise_an_operator_is_warned_of)
{
    char topics[256] = "";
    struct server server = good();
    server_each_warning(&server, note_topic, topics);
    cr_assert_str_empty(topics);
    server.has_aof = false;
    server.max_memory = 1;
    memcpy(server.policy, "volatile-lru", sizeof "volatile-lru");
    server_read_limits("normal 0 0 0 slave 268435456 67108864 60 pubsub 1048576 8388608 60", &server);
    server_each_warning(&server, note_topic, topics);
    cr_assert_str_eq(topics, "persistence;eviction;pubsub buffer;");
}

Test(server, another_run_or_history_is_another_server)
{
    struct server a = good(), b = good();
    cr_assert(server_is_same(&a, &b));
    b.run_id[0] = 'x';
    cr_assert_not(server_is_same(&a, &b));
    b = good();
    b.replication_id[0] = 'x';
    cr_assert_not(server_is_same(&a, &b));
}
