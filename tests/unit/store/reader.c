/* reader.c - streams by consumer group on a real Redis: what is read, when it is acknowledged, and how what
 * Redis does to a stream is mended. Tests of herald/reader.h. */
#include "herald/reader.h"

#include <criterion/criterion.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "loop.h"
#include "redis_server.h"

#define SEEN 4096

enum answer { CONSUME, HOLD, RETRY_ONCE };

struct world {
    uv_loop_t loop;
    struct redis_server *server;
    struct config_redis redis;
    struct reader *reader; /* NULL once closed */
    bool is_closed;
    enum answer answer;
    int64_t claim_idle_ms;
    bool is_trimmed;
    unsigned reading, lost, refused, batches;
    size_t refused_origin;
    char what[128], reason[256];

    bool is_held;
    size_t received, wanted, largest_batch;
    struct {
        size_t origin, len;
        bool is_too_large;
        char entry[48], bytes[64], refusal[64];
    } seen[SEEN];
};

static const char *const keys[] = {"orders", "refunds"};

TestSuite(reader, .timeout = 120);

static void on_reading(void *arg)
{
    ((struct world *)arg)->reading++;
}

static void on_lost(void *arg, const char *reason)
{
    struct world *world = arg;
    world->lost++;
    snprintf(world->reason, sizeof world->reason, "%s", reason);
}

static void on_failed(void *arg, unsigned attempt, const char *reason)
{
    (void)arg, (void)attempt, (void)reason;
}

static void on_refused(void *arg, size_t origin, const char *what, const char *reason)
{
    struct world *world = arg;
    world->refused++;
    world->refused_origin = origin;
    snprintf(world->what, sizeof world->what, "%s", what);
    snprintf(world->reason, sizeof world->reason, "%s", reason);
}

static void on_batch(void *arg, const struct incoming *entries, size_t count)
{
    struct world *world = arg;
    cr_assert_not(world->is_held, "one batch at a time");
    world->batches++;
    world->largest_batch = count > world->largest_batch ? count : world->largest_batch;
    cr_assert(count > 0 && count <= INCOMING_MAX_BATCH);
    for (size_t i = 0; i < count; i++) {
        size_t at = world->received++;
        cr_assert_lt(at, SEEN);
        world->seen[at].origin = entries[i].origin;
        world->seen[at].len = entries[i].len;
        world->seen[at].is_too_large = entries[i].is_too_large;
        snprintf(world->seen[at].entry, sizeof world->seen[at].entry, "%s", entries[i].entry);
        snprintf(world->seen[at].bytes, sizeof world->seen[at].bytes, "%.*s", (int)entries[i].len,
                 entries[i].bytes);
        snprintf(world->seen[at].refusal, sizeof world->seen[at].refusal, "%s",
                 entries[i].refusal != NULL ? entries[i].refusal : "");
    }
    if (world->answer == CONSUME) {
        reader_consume(world->reader);
    } else if (world->answer == RETRY_ONCE) {
        world->answer = CONSUME;
        reader_retry(world->reader, 5);
    } else {
        world->is_held = true;
    }
}

static void on_closed(void *arg)
{
    ((struct world *)arg)->is_closed = true;
}

static void open_as(struct world *world, const char *consumer)
{
    const struct reader_stream streams[] = {{keys[0], world->is_trimmed}, {keys[1], world->is_trimmed}};
    static struct reader_stream kept[2];
    struct err err;
    memcpy(kept, streams, sizeof kept);
    const struct reader_options options = {
        .loop = &world->loop,
        .redis = &world->redis,
        .client_name = "herald-reader",
        .streams = kept,
        .stream_count = 2,
        .group = "herald",
        .consumer = consumer,
        .claim_idle_ms = world->claim_idle_ms,
        .callbacks = {on_reading, on_lost, on_failed, on_refused, on_batch, world},
    };
    cr_assert(reader_open(&options, &world->reader, &err), "%s", err.text);
    world->is_closed = false;
}

static bool is_gone(void *arg)
{
    return ((struct world *)arg)->is_closed;
}

static bool is_reading(void *arg)
{
    const struct world *world = arg;
    return world->reading > 0 && reader_is_reading(world->reader);
}

static bool has_wanted(void *arg)
{
    const struct world *world = arg;
    return world->received >= world->wanted;
}

static bool is_refused(void *arg)
{
    return ((struct world *)arg)->refused > 0;
}

static bool is_lost(void *arg)
{
    return ((struct world *)arg)->lost > 0;
}

static bool is_never(void *arg)
{
    (void)arg;
    return false;
}

#define AWAIT(world, is_so) cr_assert(loop_until(&(world)->loop, is_so, world, LOOP_PATIENCE_MS), #is_so)
#define AWAIT_ENTRIES(world, count)                                                                          \
    do {                                                                                                     \
        (world)->wanted = (count);                                                                           \
        AWAIT(world, has_wanted);                                                                            \
    } while (0)

static void begin(struct world *world)
{
    static const char *const args[] = {"--stream-node-max-entries", "10", NULL}; /* what XTRIM ~ removes */
    *world = (struct world){.claim_idle_ms = 60000};
    cr_assert_eq(uv_loop_init(&world->loop), 0);
    world->server = redis_server_new(args);
    world->redis.host = strdup("127.0.0.1");
    world->redis.port = redis_server_port(world->server);
    world->redis.connect_timeout_ms = 20000;
    world->redis.command_timeout_ms = 20000;
}

static void close_it(struct world *world)
{
    reader_close(world->reader, on_closed, world);
    world->reader = NULL;
    world->is_held = false;
    AWAIT(world, is_gone);
}

static void end(struct world *world)
{
    if (world->reader != NULL)
        close_it(world);
    cr_assert(loop_finish(&world->loop), "a handle is left in the loop");
    redis_server_free(world->server);
    free(world->redis.host);
    free(world);
}

static struct world *begin_reading(void)
{
    struct world *world = malloc(sizeof *world);
    begin(world);
    open_as(world, "one");
    AWAIT(world, is_reading);
    return world;
}

static void add(struct world *world, const char *key, const char *id, const char *event)
{
    redis_server_do(world->server, "XADD", key, id, "event", event, NULL);
}

static long long ask(struct world *world, int argc, const char *const *argv)
{
    redisReply *reply = redis_server_command(world->server, argc, argv, NULL);
    long long number = reply->type == REDIS_REPLY_INTEGER ? reply->integer
                       : reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                               reply->element[0]->type == REDIS_REPLY_INTEGER
                           ? reply->element[0]->integer
                           : -1;
    freeReplyObject(reply);
    return number;
}

static long long pending(struct world *world, const char *key)
{
    const char *const argv[] = {"XPENDING", key, "herald"};
    return ask(world, 3, argv);
}

static bool is_acknowledged(void *arg)
{
    return pending(arg, keys[0]) == 0 && pending(arg, keys[1]) == 0;
}

static bool is_one_left(void *arg)
{
    const char *const argv[] = {"XLEN", keys[0]};
    return ask(arg, 2, argv) <= 11; /* a node, and the first of the next */
}

Test(reader, an_entry_is_read_with_its_stream_and_acknowledged_when_it_is_safe)
{
    struct world *world = begin_reading();
    world->answer = HOLD;
    add(world, "orders", "1-1", "{\"a\":1}");
    AWAIT_ENTRIES(world, 1);
    cr_assert_eq(world->seen[0].origin, 0);
    cr_assert_str_eq(world->seen[0].entry, "1-1");
    cr_assert_str_eq(world->seen[0].bytes, "{\"a\":1}");
    cr_assert_eq(pending(world, "orders"), 1, "not safe yet");

    add(world, "refunds", "2-1", "{}");
    cr_assert_not(loop_until(&world->loop, is_never, world, 100));
    cr_assert_eq(world->received, 1, "nothing more while a batch is out");

    world->answer = CONSUME;
    world->is_held = false;
    reader_consume(world->reader);
    AWAIT_ENTRIES(world, 2);
    cr_assert_eq(world->seen[1].origin, 1);
    AWAIT(world, is_acknowledged);
    end(world);
}

Test(reader, members_as_fields_are_an_event_too)
{
    struct world *world = begin_reading();
    redis_server_do(world->server, "XADD", "orders", "1-1", "orderId", "o-1", "userId", "u\"1", NULL);
    AWAIT_ENTRIES(world, 1);
    cr_assert_str_eq(world->seen[0].bytes, "{\"orderId\":\"o-1\",\"userId\":\"u\\\"1\"}");
    end(world);
}

Test(reader, what_is_too_large_is_cut_to_its_beginning)
{
    struct world *world = begin_reading();
    char *large = malloc(EVENT_MAX_BYTES + 2);
    memset(large, 'x', EVENT_MAX_BYTES + 1);
    large[EVENT_MAX_BYTES + 1] = '\0';
    add(world, "orders", "1-1", large);
    large[EVENT_MAX_BYTES] = '\0';
    add(world, "orders", "1-2", large);
    free(large);
    AWAIT_ENTRIES(world, 2);
    cr_assert(world->seen[0].is_too_large);
    cr_assert_eq(world->seen[0].len, INCOMING_BEGINNING);
    cr_assert_not(world->seen[1].is_too_large);
    cr_assert_eq(world->seen[1].len, EVENT_MAX_BYTES);
    AWAIT(world, is_acknowledged);
    end(world);
}

Test(reader, a_batch_that_is_not_safe_comes_again_as_it_was)
{
    struct world *world = begin_reading();
    world->answer = RETRY_ONCE;
    add(world, "orders", "1-1", "{\"a\":1}");
    AWAIT_ENTRIES(world, 2);
    cr_assert_str_eq(world->seen[0].entry, world->seen[1].entry);
    cr_assert_str_eq(world->seen[0].bytes, world->seen[1].bytes);
    AWAIT(world, is_acknowledged);
    end(world);
}

Test(reader, what_was_there_before_the_group_is_read_from_the_beginning)
{
    struct world *world = malloc(sizeof *world);
    begin(world);
    add(world, "orders", "1-1", "first");
    add(world, "orders", "1-2", "second");
    open_as(world, "one");
    AWAIT_ENTRIES(world, 2);
    cr_assert_str_eq(world->seen[0].bytes, "first");
    cr_assert_str_eq(world->seen[1].bytes, "second");
    end(world);
}

Test(reader, what_the_same_consumer_left_comes_first)
{
    struct world *world = begin_reading();
    world->answer = HOLD;
    add(world, "orders", "1-1", "left");
    AWAIT_ENTRIES(world, 1);
    close_it(world);
    add(world, "orders", "1-2", "new");
    world->answer = CONSUME;
    world->received = 0;
    open_as(world, "one");
    AWAIT_ENTRIES(world, 2);
    cr_assert_str_eq(world->seen[0].bytes, "left");
    cr_assert_str_eq(world->seen[1].bytes, "new");
    AWAIT(world, is_acknowledged);
    end(world);
}

Test(reader, what_a_dead_consumer_left_is_taken_over_when_it_has_been_idle_for_long)
{
    struct world *world = begin_reading();
    world->answer = HOLD;
    add(world, "orders", "1-1", "left");
    AWAIT_ENTRIES(world, 1);
    close_it(world);
    world->answer = CONSUME;
    world->received = 0;

    open_as(world, "two"); /* a minute is not over */
    cr_assert_not(loop_until(&world->loop, has_wanted, world, 300));
    close_it(world);

    world->claim_idle_ms = 100;
    open_as(world, "two");
    AWAIT_ENTRIES(world, 1);
    cr_assert_str_eq(world->seen[0].bytes, "left");
    AWAIT(world, is_acknowledged);
    end(world);
}

Test(reader, entries_that_were_deleted_are_acknowledged_and_no_events)
{
    struct world *world = begin_reading();
    world->answer = HOLD;
    add(world, "orders", "1-1", "deleted");
    AWAIT_ENTRIES(world, 1);
    close_it(world);
    redis_server_do(world->server, "XDEL", "orders", "1-1", NULL);
    world->answer = CONSUME;
    world->received = 0;
    open_as(world, "one");
    AWAIT(world, is_acknowledged);
    cr_assert_eq(world->received, 0);
    end(world);
}

Test(reader, a_group_that_redis_has_forgotten_is_made_again)
{
    struct world *world = begin_reading();
    redis_server_do(world->server, "FLUSHALL", NULL);
    add(world, "orders", "1-1", "after");
    AWAIT_ENTRIES(world, 1);
    cr_assert_str_eq(world->seen[0].bytes, "after");
    AWAIT(world, is_acknowledged);
    end(world);
}

Test(reader, a_batch_outlives_its_connection)
{
    struct world *world = begin_reading();
    world->answer = HOLD;
    add(world, "orders", "1-1", "{}");
    AWAIT_ENTRIES(world, 1);
    redis_server_do(world->server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL);
    AWAIT(world, is_lost);
    world->answer = CONSUME;
    world->is_held = false;
    reader_consume(world->reader);
    AWAIT(world, is_acknowledged);
    cr_assert_eq(world->received, 1);
    end(world);
}

Test(reader, a_key_that_is_no_stream_is_said_once_and_the_other_stream_goes_on)
{
    struct world *world = malloc(sizeof *world);
    begin(world);
    redis_server_do(world->server, "SET", "orders", "foreign", NULL);
    open_as(world, "one");
    AWAIT(world, is_refused);
    cr_assert_eq(world->refused_origin, 0);
    cr_assert_not_null(strstr(world->reason, "WRONGTYPE"), "%s", world->reason);
    add(world, "refunds", "1-1", "{}");
    AWAIT_ENTRIES(world, 1);
    cr_assert_not(is_reading(world), "not every stream can be read");
    cr_assert_not(loop_until(&world->loop, is_never, world, 1500));
    cr_assert_eq(world->refused, 1);

    redis_server_do(world->server, "DEL", "orders", NULL);
    AWAIT(world, is_reading);
    add(world, "orders", "1-1", "{}");
    AWAIT_ENTRIES(world, 2);
    end(world);
}

Test(reader, an_acknowledgement_that_is_refused_is_repeated_and_nothing_is_read_before)
{
    struct world *world = begin_reading();
    redis_server_do(world->server, "ACL", "SETUSER", "default", "-xack", NULL);
    add(world, "orders", "1-1", "{}");
    AWAIT(world, is_refused);
    cr_assert_eq(world->refused_origin, 0);
    cr_assert_not_null(strstr(world->what, "acknowledged"), "%s", world->what);
    add(world, "refunds", "1-1", "{}");
    cr_assert_not(loop_until(&world->loop, is_never, world, 1500));
    cr_assert_eq(world->received, 1);
    cr_assert_eq(world->refused, 1, "said once");
    redis_server_do(world->server, "ACL", "SETUSER", "default", "+xack", NULL);
    AWAIT_ENTRIES(world, 2);
    AWAIT(world, is_acknowledged);
    end(world);
}

Test(reader, a_paused_reader_asks_for_no_more)
{
    struct world *world = begin_reading();
    world->answer = HOLD;
    add(world, "orders", "1-1", "{}");
    AWAIT_ENTRIES(world, 1);
    reader_pause(world->reader);
    world->is_held = false;
    add(world, "orders", "1-2", "{}");
    reader_consume(world->reader);
    AWAIT(world, is_acknowledged);
    cr_assert_not(loop_until(&world->loop, is_never, world, 100));
    cr_assert_eq(world->received, 1);
    end(world);
}

Test(reader, batches_grow_with_the_backlog_up_to_their_bound)
{
    struct world *world = malloc(sizeof *world);
    begin(world);
    redis_server_do(world->server, "EVAL",
                    "for i = 1, 2000 do redis.call('XADD', KEYS[1], i .. '-1', 'event', i) end", "1",
                    "orders", NULL);
    open_as(world, "one");
    AWAIT_ENTRIES(world, 2000);
    for (size_t i = 0; i < 2000; i++)
        cr_assert_eq(strtoul(world->seen[i].bytes, NULL, 10), i + 1);
    cr_assert_gt(world->largest_batch, 100);
    AWAIT(world, is_acknowledged);
    end(world);
}

Test(reader, what_is_done_with_is_removed_and_not_while_another_group_reads)
{
    for (int others = 0; others < 2; others++) {
        struct world *world = malloc(sizeof *world);
        begin(world);
        world->is_trimmed = true;
        redis_server_do(world->server, "EVAL",
                        "for i = 1, 100 do redis.call('XADD', KEYS[1], i .. '-1', 'event', i) end", "1",
                        "orders", NULL);
        if (others != 0)
            redis_server_do(world->server, "XGROUP", "CREATE", "orders", "other", "0", NULL);
        open_as(world, "one");
        AWAIT_ENTRIES(world, 100);
        if (others == 0) {
            AWAIT(world, is_one_left);
        } else {
            cr_assert_not(loop_until(&world->loop, is_one_left, world, 6000));
            const char *const argv[] = {"XLEN", "orders"};
            cr_assert_eq(ask(world, 2, argv), 100);
        }
        end(world);
    }
}
