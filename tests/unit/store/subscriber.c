/* subscriber.c - peek, accept, consume, on real Redis servers, and on false ones where Redis would not
 * misbehave: tests of herald/subscriber.h. */
#include "herald/subscriber.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "herald/clock.h"
#include "loop.h"
#include "redis_server.h"

#define KIB 1024
#define KINDS 2 /* 0: TCP, 1: unix socket */

static const char *const channels[] = {"orders", "canary"};
/* Larger than Redis's default for subscribers, which cuts one off that has 32 MiB waiting. */
static const char *const no_limit[] = {"--client-output-buffer-limit", "pubsub 0 0 0", NULL};

enum answer { CONSUME, HOLD, RETRY_ONCE };

struct world {
    uv_loop_t loop;
    struct redis_server *server; /* NULL: a false one */
    struct config_redis redis;
    struct subscriber *subscriber; /* NULL once closed */
    bool is_closed;
    int listener;  /* of the false server, -1 if there is none */
    char path[64]; /* of its unix socket */
    enum answer answer;
    unsigned subscribed, lost, failed, attempt, batches;
    char reason[256];

    size_t received, wanted;
    bool is_held;
    bool is_taking;
    unsigned takings;
    bool is_idle;
    uint64_t last_number; /* flood: each message is the next number */
    bool is_out_of_order;
    struct incoming last; /* its bytes are a copy, owned */
    char *before_retry;   /* copy of the last message at its first sight, owned */
    bool is_same_again;
    size_t per_channel[2];
    unsigned last_subscription; /* `subscribed` at the last message: offsets grow within one */
    void (*when_subscribed)(struct world *world);
    void (*when_lost)(struct world *world);
};

static void on_closed(void *arg)
{
    ((struct world *)arg)->is_closed = true;
}

static void close_it(struct world *world)
{
    struct subscriber *subscriber = world->subscriber;

    world->subscriber = NULL;
    subscriber_close(subscriber, on_closed, world);
}

static void on_subscribed(void *arg)
{
    struct world *world = arg;

    world->subscribed++;
    if (world->when_subscribed != NULL)
        world->when_subscribed(world);
}

static void on_lost(void *arg, const char *reason)
{
    struct world *world = arg;

    cr_assert_not(world->is_held, "a batch was out");
    world->lost++;
    world->is_taking = false;
    snprintf(world->reason, sizeof(world->reason), "%s", reason);
    if (world->when_lost != NULL)
        world->when_lost(world);
}

static void on_failed(void *arg, unsigned attempt, const char *reason)
{
    struct world *world = arg;

    world->failed++;
    world->attempt = attempt;
    snprintf(world->reason, sizeof(world->reason), "%s", reason);
}

static void note(struct world *world, const struct incoming *message)
{
    char *copy = malloc(message->len + 1);

    memcpy(copy, message->bytes, message->len);
    copy[message->len] = '\0';
    if (world->last_subscription == world->subscribed && message->offset <= world->last.offset)
        world->is_out_of_order = true;
    world->last_subscription = world->subscribed;
    free((char *)(uintptr_t)world->last.bytes);
    world->last = *message;
    world->last.bytes = copy;
    world->received++;
    world->per_channel[message->origin]++;
    if (message->len > 0 && message->len < 12) {
        uint64_t number = strtoull(copy, NULL, 10);
        if (number != world->last_number + 1)
            world->is_out_of_order = true;
        world->last_number = number;
    }
}

static void on_batch(void *arg, const struct incoming *messages, size_t count)
{
    struct world *world = arg;
    const struct incoming *last = &messages[count - 1];

    world->batches++;
    cr_assert_gt(count, 0);
    cr_assert_leq(count, INCOMING_MAX_BATCH);
    if (world->answer == RETRY_ONCE && world->before_retry == NULL) {
        world->before_retry = malloc(last->len + 1);
        memcpy(world->before_retry, last->bytes, last->len);
        world->last.len = last->len;
        world->last.offset = last->offset;
        subscriber_retry(world->subscriber, 5);
        return;
    }
    if (world->answer == RETRY_ONCE) {
        world->is_same_again = last->len == world->last.len && last->offset == world->last.offset &&
                               memcmp(last->bytes, world->before_retry, last->len) == 0;
        free(world->before_retry);
        world->before_retry = NULL;
    }
    for (size_t i = 0; i < count; i++)
        note(world, &messages[i]);
    if (world->answer == HOLD)
        world->is_held = true;
    else
        subscriber_consume(world->subscriber);
}

static void on_taking(void *arg, bool is_taking)
{
    struct world *world = arg;

    cr_assert_neq(is_taking, world->is_taking);
    world->is_taking = is_taking;
    world->takings += is_taking;
    cr_assert_eq(subscriber_descriptor(world->subscriber) < 0, is_taking);
}

static void release(struct world *world)
{
    cr_assert(world->is_held);
    world->is_held = false;
    subscriber_consume(world->subscriber);
}

static void begin(struct world *world)
{
    *world = (struct world){.listener = -1};
    cr_assert_eq(uv_loop_init(&world->loop), 0);
    world->redis.connect_timeout_ms = world->redis.command_timeout_ms = 20000; /* long, for a busy machine */
}

static void open_it(struct world *world)
{
    struct err err = {0};
    struct subscriber_options options = {
        .loop = &world->loop,
        .redis = &world->redis,
        .client_name = "herald-sub",
        .channels = channels,
        .channel_count = 2,
        .is_idle = world->is_idle,
        .callbacks = {.on_subscribed = on_subscribed,
                      .on_lost = on_lost,
                      .on_failed = on_failed,
                      .on_batch = on_batch,
                      .on_taking = on_taking,
                      .arg = world},
    };

    cr_assert(subscriber_open(&options, &world->subscriber, &err), "%s", err.text);
}

static bool is_subscribed(void *arg)
{
    const struct world *world = arg;

    return world->subscriber != NULL && subscriber_is_subscribed(world->subscriber);
}

static bool is_lost(void *arg)
{
    return ((struct world *)arg)->lost > 0;
}

static bool has_failed(void *arg)
{
    return ((struct world *)arg)->failed > 0;
}

static bool has_failed_twice(void *arg)
{
    return ((struct world *)arg)->failed > 1;
}

static bool is_held(void *arg)
{
    return ((struct world *)arg)->is_held;
}

static bool is_safe_again(void *arg)
{
    return !((struct world *)arg)->is_taking;
}

static bool is_gone(void *arg)
{
    return ((struct world *)arg)->is_closed;
}

static bool has_wanted(void *arg)
{
    const struct world *world = arg;

    return world->received >= world->wanted;
}

static bool is_never(void *arg)
{
    (void)arg;
    return false;
}

#define AWAIT(world, is_so) cr_assert(loop_until(&(world)->loop, is_so, world, LOOP_PATIENCE_MS), #is_so)
#define AWAIT_MESSAGES(world, count)                                                                         \
    do {                                                                                                     \
        (world)->wanted = (count);                                                                           \
        AWAIT(world, has_wanted);                                                                            \
    } while (0)

static void begin_with_server(struct world *world, int kind, const char *const *args)
{
    begin(world);
    world->server = redis_server_new(args);
    if (kind == 0) {
        world->redis.host = strdup("127.0.0.1");
        world->redis.port = redis_server_port(world->server);
    } else {
        world->redis.socket_path = strdup(redis_server_socket(world->server));
    }
}

/* Subscribed to a real server. */
static void begin_subscribed(struct world *world, int kind, const char *const *args)
{
    begin_with_server(world, kind, args);
    open_it(world);
    AWAIT(world, is_subscribed);
}

static void end(struct world *world)
{
    if (world->subscriber != NULL)
        close_it(world);
    cr_assert(loop_finish(&world->loop), "a handle is left in the loop");
    cr_assert(world->is_closed);
    redis_server_free(world->server);
    if (world->listener >= 0)
        close(world->listener);
    if (world->path[0] != '\0')
        unlink(world->path);
    free(world->redis.host);
    free(world->redis.socket_path);
    free((char *)(uintptr_t)world->last.bytes);
}

static void publish(struct world *world, const char *text)
{
    cr_assert_eq(redis_server_publish(world->server, "orders", text, strlen(text)), 1);
}

static void publish_numbers(struct world *world, const char *from, const char *to)
{
    redis_server_do(world->server, "EVAL",
                    "for i = ARGV[1], ARGV[2] do redis.call('PUBLISH', 'orders', string.format('%d', i)) end",
                    "0", from, to, NULL);
}

/* Bytes that look like anything: line ends, NULs, and beginnings of replies. */
static char *make_payload(size_t len)
{
    static const char piece[] = "{\"a\":1}\r\n*3\r\n$7\r\nmessage\r\n\0-ERR no\r\n";
    char *bytes = malloc(len);

    for (size_t i = 0; i < len; i++)
        bytes[i] = piece[(i + i / 4093) % (sizeof(piece) - 1)];
    return bytes;
}

/* What waits in our sockets to the server: the journal. */
static size_t waiting_bytes(const struct world *world)
{
    size_t sum = 0;

    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        int n = 0;
        memset(&peer, 0, sizeof(peer));
        if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
            continue;
        bool is_ours = world->redis.host != NULL ? peer.ss_family == AF_INET : peer.ss_family == AF_UNIX;
        if (is_ours && ioctl(fd, FIONREAD, &n) == 0)
            sum += (size_t)n;
    }
    return sum;
}

static bool has_waiting(void *arg)
{
    struct world *world = arg;

    return waiting_bytes(world) >= world->wanted;
}

/* ── a false server ── */

static void listen_to(struct world *world, int kind)
{
    if (kind == 0) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t len = sizeof(address);
        world->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(world->listener, (struct sockaddr *)&address, len), 0);
        cr_assert_eq(getsockname(world->listener, (struct sockaddr *)&address, &len), 0);
        world->redis.host = strdup("127.0.0.1");
        world->redis.port = ntohs(address.sin_port);
    } else {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(world->path, sizeof(world->path), "/tmp/herald-subscriber-%d", (int)getpid());
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", world->path);
        unlink(world->path);
        world->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(world->listener, (struct sockaddr *)&address, sizeof(address)), 0);
        world->redis.socket_path = strdup(world->path);
    }
    cr_assert_eq(listen(world->listener, 8), 0);
}

static bool is_acceptable(void *arg)
{
    struct pollfd poller = {.fd = ((struct world *)arg)->listener, .events = POLLIN};

    return poll(&poller, 1, 0) == 1;
}

static void say(int fd, const char *bytes, size_t len)
{
    cr_assert_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void say_text(int fd, const char *text)
{
    say(fd, text, strlen(text));
}

#define GREETING "+OK\r\n+PONG\r\n"
#define ACKS "*3\r\n$9\r\nsubscribe\r\n$6\r\norders\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$6\r\ncanary\r\n:2\r\n"

static bool has_asked_to_subscribe(void *arg)
{
    char bytes[256];
    ssize_t n = recv(*(int *)arg, bytes, sizeof(bytes) - 1, MSG_PEEK | MSG_DONTWAIT);

    bytes[n > 0 ? n : 0] = '\0';
    return strstr(bytes, "SUBSCRIBE\r\n$6\r\norders\r\n$6\r\ncanary\r\n") != NULL;
}

/* The subscriber's next connection, shaken hands with and asked for the channels. */
static int accept_it(struct world *world)
{
    AWAIT(world, is_acceptable);
    int fd = accept(world->listener, NULL, NULL);
    int on = 1;
    cr_assert_geq(fd, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
               sizeof(on)); /* like Redis; else what is said waits for the last answer */
    say_text(fd, GREETING);
    cr_assert(loop_until(&world->loop, has_asked_to_subscribe, &fd, LOOP_PATIENCE_MS));
    return fd;
}

static int begin_with_false_server(struct world *world, int kind)
{
    begin(world);
    listen_to(world, kind);
    open_it(world);
    int fd = accept_it(world);
    say_text(fd, ACKS);
    AWAIT(world, is_subscribed);
    return fd;
}

/* One "message" reply; *ret_len is its length. */
static char *make_reply(const char *channel, const char *payload, size_t len, size_t *ret_len)
{
    char *bytes = malloc(len + 128);
    int head =
        snprintf(bytes, 128, "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(channel), channel, len);

    memcpy(bytes + head, payload, len);
    memcpy(bytes + head + len, "\r\n", 2);
    *ret_len = (size_t)head + len + 2;
    return bytes;
}

/* ── what comes through ── */

Test(subscriber, messages_of_each_channel_come_with_their_bytes)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;

        begin_subscribed(&world, kind, NULL);
        cr_assert_eq(redis_server_publish(world.server, "orders", "a\0b\r\nccccccccccccc", 18), 1);
        AWAIT_MESSAGES(&world, 1);
        cr_assert_eq(world.last.len, 18);
        cr_assert_eq(world.last.total_len, 18);
        cr_assert_eq(world.last.origin, 0);
        cr_assert_not(world.last.is_too_large);
        cr_assert_eq(memcmp(world.last.bytes, "a\0b\r\nccccccccccccc", 18), 0);
        uint64_t offset = world.last.offset;
        cr_assert_eq(redis_server_publish(world.server, "canary", "", 0), 1);
        AWAIT_MESSAGES(&world, 2);
        cr_assert_eq(world.last.origin, 1);
        cr_assert_eq(world.last.len, 0);
        cr_assert_eq(world.last.offset - offset,
                     strlen("*3\r\n$7\r\nmessage\r\n$6\r\norders\r\n$18\r\n") + 18 + 2);
        cr_assert_eq(offset, strlen(ACKS));
        end(&world);
        cr_assert_eq(world.lost + world.failed, 0);
    }
}

/* The key test: each size that a peeker trips over, and what comes behind it. */
static void check_size(struct world *world, size_t len)
{
    char *payload = make_payload(len);
    bool is_too_large = len > EVENT_MAX_BYTES;
    size_t before = world->received;

    cr_assert_eq(redis_server_publish(world->server, "orders", payload, len), 1);
    publish(world, "a small one behind it");
    world->wanted = before + 1;
    cr_assert(loop_until(&world->loop, has_wanted, world, LOOP_PATIENCE_MS), "%zu bytes did not come", len);
    if (world->received == before + 1) {
        cr_expect_eq(world->last.total_len, len);
        cr_expect_eq(world->last.is_too_large, is_too_large, "%zu bytes", len);
        cr_expect_eq(world->last.len, is_too_large ? KIB : len, "%zu bytes", len);
        cr_expect_eq(memcmp(world->last.bytes, payload, world->last.len), 0, "%zu bytes came changed", len);
    }
    world->wanted = before + 2;
    cr_assert(loop_until(&world->loop, has_wanted, world, 1000), "nothing came behind %zu bytes", len);
    cr_expect_str_eq(world->last.bytes, "a small one behind it");
    cr_expect_eq(world->lost, 0);
    free(payload);
}

Test(subscriber, large_events_come_whole_or_cut_and_the_next_one_comes_within_a_second)
{
    static const size_t sizes[] = {
        127 * KIB,           129 * KIB, 218 * KIB, 220 * KIB,  255 * KIB,  EVENT_MAX_BYTES,
        EVENT_MAX_BYTES + 1, 260 * KIB, 300 * KIB, 1024 * KIB, 4096 * KIB, 64 * 1024 * KIB,
    };

    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;

        begin_subscribed(&world, kind, no_limit);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            check_size(&world, sizes[i]);
        end(&world);
    }
}

Test(subscriber, a_large_event_among_small_ones_keeps_the_order)
{
    static const size_t sizes[] = {200 * KIB, 1000 * KIB};

    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < 2; i++) {
            struct world world;
            char *payload = make_payload(sizes[i]);

            begin_subscribed(&world, kind, no_limit);
            publish_numbers(&world, "1", "3000");
            cr_assert_eq(redis_server_publish(world.server, "canary", payload, sizes[i]), 1);
            publish_numbers(&world, "3001", "6000");
            AWAIT_MESSAGES(&world, 6001);
            cr_assert_eq(world.per_channel[0], 6000);
            cr_assert_eq(world.per_channel[1], 1);
            cr_assert_not(world.is_out_of_order);
            end(&world);
            free(payload);
        }
    }
}

Test(subscriber, a_flood_arrives_whole_and_in_order)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;

        begin_subscribed(&world, kind, no_limit);
        publish_numbers(&world, "1", "200000");
        world.wanted = 200000;
        cr_assert(loop_until(&world.loop, has_wanted, &world, LOOP_PATIENCE_MS));
        cr_assert_eq(world.received, 200000);
        cr_assert_not(world.is_out_of_order);
        cr_assert_lt(world.batches, 200000 / 50, "many messages make a batch");
        end(&world);
        cr_assert_eq(world.lost, 0);
    }
}

/* ── peek, accept, consume ── */

Test(subscriber, nothing_leaves_the_socket_before_it_is_consumed)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;

        begin_subscribed(&world, kind, NULL);
        world.answer = HOLD;
        publish(&world, "first of all events");
        AWAIT(&world, is_held);
        size_t first = waiting_bytes(&world);
        cr_assert_eq(first, strlen("*3\r\n$7\r\nmessage\r\n$6\r\norders\r\n$19\r\n") + 19 + 2);
        publish(&world, "the event behind it");
        world.wanted = 2 * first;
        AWAIT(&world, has_waiting);
        cr_assert_eq(world.batches, 1, "one batch at a time");
        release(&world);
        cr_assert_eq(waiting_bytes(&world), first, "exactly the batch's bytes");
        AWAIT(&world, is_held);
        cr_assert_str_eq(world.last.bytes, "the event behind it");
        release(&world);
        cr_assert_eq(waiting_bytes(&world), 0);
        end(&world);
    }
}

Test(subscriber, an_event_of_any_size_waits_in_a_tcp_socket_until_it_is_consumed)
{
    static const size_t sizes[] = {127 * KIB, 129 * KIB, 220 * KIB, EVENT_MAX_BYTES};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct world world;
        char *payload = make_payload(sizes[i]);

        begin_subscribed(&world, 0, NULL); /* each on a new connection, whose window is small yet */
        world.answer = HOLD;
        cr_assert_eq(redis_server_publish(world.server, "orders", payload, sizes[i]), 1);
        AWAIT(&world, is_held);
        cr_expect_eq(waiting_bytes(&world),
                     strlen("*3\r\n$7\r\nmessage\r\n$6\r\norders\r\n$130048\r\n") + sizes[i] + 2, "%zu bytes",
                     sizes[i]);
        release(&world);
        cr_expect_eq(waiting_bytes(&world), 0);
        end(&world);
        free(payload);
    }
}

Test(subscriber, a_batch_that_is_not_safe_is_handed_up_again_byte_for_byte)
{
    static const size_t sizes[] = {18, 100 * KIB, 250 * KIB, 1000 * KIB};

    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;

        begin_subscribed(&world, kind, no_limit);
        world.answer = RETRY_ONCE;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            char *payload = make_payload(sizes[i]);
            world.is_same_again = false;
            cr_assert_eq(redis_server_publish(world.server, "orders", payload, sizes[i]), 1);
            AWAIT_MESSAGES(&world, i + 1);
            cr_expect(world.is_same_again, "%zu bytes", sizes[i]);
            free(payload);
        }
        cr_assert_eq(world.batches, 2 * sizeof(sizes) / sizeof(sizes[0]));
        end(&world);
    }
}

Test(subscriber, a_paused_one_hands_up_no_more_and_takes_nothing)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;

        begin_subscribed(&world, kind, NULL);
        world.answer = HOLD;
        publish(&world, "first of all events");
        AWAIT(&world, is_held);
        subscriber_pause(world.subscriber);
        publish(&world, "the event behind it");
        release(&world);
        (void)loop_until(&world.loop, is_never, NULL, 100);
        cr_assert_eq(world.batches, 1);
        cr_assert_eq(waiting_bytes(&world),
                     strlen("*3\r\n$7\r\nmessage\r\n$6\r\norders\r\n$19\r\n") + 19 + 2);
        end(&world);
    }
}

/* ── losing and finding it ── */

Test(subscriber, what_waits_whole_in_a_dead_socket_is_handed_up_before_the_loss_is_told)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;

        begin_subscribed(&world, kind, NULL);
        world.answer = HOLD;
        publish_numbers(&world, "1", "1");
        AWAIT(&world, is_held);
        publish_numbers(&world, "2", "1500");
        world.wanted = 1500 * strlen("*3\r\n$7\r\nmessage\r\n$6\r\norders\r\n$1\r\n2\r\n");
        AWAIT(&world, has_waiting);
        redis_server_kill(world.server);
        while (world.lost == 0) {
            if (world.is_held)
                release(&world);
            uv_run(&world.loop, UV_RUN_ONCE);
        }
        cr_assert_eq(world.received, 1500);
        cr_assert_not(world.is_out_of_order);
        world.answer = CONSUME;
        redis_server_start(world.server);
        AWAIT(&world, is_subscribed);
        cr_assert_eq(world.subscribed, 2);
        publish_numbers(&world, "1501", "1501");
        AWAIT_MESSAGES(&world, 1501);
        cr_assert_eq(world.lost, 1);
        end(&world);
    }
}

Test(subscriber, a_reset_hands_up_what_waits_then_subscribes_anew)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;

        begin_subscribed(&world, kind, NULL);
        world.answer = HOLD;
        publish_numbers(&world, "1", "1");
        AWAIT(&world, is_held);
        publish_numbers(&world, "2", "1500");
        world.wanted = 1500 * strlen("*3\r\n$7\r\nmessage\r\n$6\r\norders\r\n$1\r\n2\r\n");
        AWAIT(&world, has_waiting);
        subscriber_reset(world.subscriber, "the canary was not seen");
        (void)loop_until(&world.loop, is_never, NULL, 50);
        cr_assert_eq(world.lost, 0, "a batch is out");
        cr_assert_eq(world.batches, 1);
        while (world.lost == 0) {
            if (world.is_held)
                release(&world);
            uv_run(&world.loop, UV_RUN_ONCE);
        }
        cr_assert_str_eq(world.reason, "the canary was not seen");
        cr_assert_eq(world.received, 1500);
        world.answer = CONSUME;
        AWAIT(&world, is_subscribed);
        publish_numbers(&world, "1501", "1501");
        AWAIT_MESSAGES(&world, 1501);
        cr_assert_not(world.is_out_of_order);
        end(&world);
    }
}

Test(subscriber, a_reset_of_an_idle_or_paused_one_needs_no_message)
{
    for (int is_paused = 0; is_paused <= 1; is_paused++) {
        struct world world;

        begin_subscribed(&world, 0, NULL);
        if (is_paused)
            subscriber_pause(world.subscriber);
        subscriber_reset(world.subscriber, "test");
        AWAIT(&world, is_lost);
        AWAIT(&world, is_subscribed);
        end(&world);
    }
}

Test(subscriber, an_error_of_redis_is_the_reason_for_the_failure)
{
    struct world world;

    begin_with_server(&world, 0, NULL);
    redis_server_do(world.server, "ACL", "SETUSER", "deaf", "on", ">pass", "resetchannels", "&canary",
                    "+@all", NULL);
    world.redis.user = (char[]){"deaf"};
    world.redis.password = (char[]){"pass"};
    open_it(&world);
    AWAIT(&world, has_failed_twice);
    cr_assert_eq(world.attempt, 2);
    cr_assert_eq(strncmp(world.reason, "NOPERM", 6), 0, "%s", world.reason);
    cr_assert_eq(world.lost, 0, "it never stood");
    redis_server_do(world.server, "ACL", "SETUSER", "deaf", "allchannels", NULL);
    AWAIT(&world, is_subscribed);
    end(&world);
}

Test(subscriber, a_subscription_that_is_not_acknowledged_in_full_is_given_up_in_time)
{
    struct world world;

    begin(&world);
    world.redis.command_timeout_ms = 500;
    listen_to(&world, 0);
    open_it(&world);
    int fd = accept_it(&world);
    say_text(fd, "*3\r\n$9\r\nsubscribe\r\n$6\r\norders\r\n:1\r\n");
    AWAIT(&world, has_failed);
    cr_assert_str_eq(world.reason, "SUBSCRIBE was not answered within 500 ms");
    cr_assert_eq(world.subscribed, 0);
    end(&world);
    close(fd);
}

Test(subscriber, a_stream_out_of_step_is_said_after_what_came_before_it)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;
        size_t len = 0;
        char *reply = make_reply("orders", "the last good event", 19, &len);
        char wanted[128];

        int fd = begin_with_false_server(&world, kind);
        world.answer = HOLD;
        say(fd, reply, len);
        say_text(fd, "garbage\r\n");
        AWAIT(&world, is_held);
        cr_assert_str_eq(world.last.bytes, "the last good event");
        release(&world);
        AWAIT(&world, is_lost);
        snprintf(wanted, sizeof(wanted),
                 "desynchronised: what begins with byte 0x67 at offset %zu is no reply", strlen(ACKS) + len);
        cr_assert_str_eq(world.reason, wanted);
        end(&world);
        close(fd);
        free(reply);
    }
}

Test(subscriber, what_is_for_nobody_is_passed_over)
{
    struct world world;
    size_t len = 0;
    char *other = make_reply("someone-elses", "not for us at all", 17, &len);

    int fd = begin_with_false_server(&world, 0);
    say(fd, other, len);
    say_text(fd, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    say_text(fd, "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$6\r\norders\r\n$1\r\nx\r\n");
    say_text(fd, "*3\r\n$7\r\nmessage\r\n$6\r\norders\r\n$12\r\nthis is ours\r\n");
    AWAIT_MESSAGES(&world, 1);
    cr_assert_eq(world.received, 1);
    cr_assert_str_eq(world.last.bytes, "this is ours");
    end(&world);
    close(fd);
    free(other);
}

Test(subscriber, a_connection_that_ends_within_a_message_is_lost_and_the_message_with_it)
{
    /* Cut in the header, in a payload that could be seen whole, and in one that is thrown away. */
    static const struct {
        size_t len, cut;
    } rows[] = {{100, 10}, {100, 60}, {200 * KIB, 150 * KIB}, {1000 * KIB, 500 * KIB}};

    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct world world;
            size_t len = 0;
            char *payload = make_payload(rows[i].len);
            char *reply = make_reply("orders", payload, rows[i].len, &len);

            int fd = begin_with_false_server(&world, kind);
            say_text(fd, "*3\r\n$7\r\nmessage\r\n$6\r\norders\r\n$12\r\nthis is ours\r\n");
            for (size_t sent = 0; sent < rows[i].cut;) {
                ssize_t n = send(fd, reply + sent, rows[i].cut - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
                sent += n > 0 ? (size_t)n : 0;
                uv_run(&world.loop, UV_RUN_NOWAIT);
            }
            close(fd); /* with our SUBSCRIBE unread: TCP makes a reset of it, which must not cost what came
                          before */
            AWAIT(&world, is_lost);
            cr_expect_eq(world.received, 1);
            end(&world);
            free(reply);
            free(payload);
        }
    }
}

Test(subscriber, replies_may_be_cut_anywhere)
{
    static const size_t sizes[] = {0, 1, 30, 5000, 150 * KIB, 250 * KIB, 400 * KIB};
    static const size_t pieces[] = {1, 7, 1000, 40000};

    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;
        size_t count = 0;

        int fd = begin_with_false_server(&world, kind);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            for (size_t j = 0; j < sizeof(pieces) / sizeof(pieces[0]); j++) {
                size_t len = 0;
                char *payload = make_payload(sizes[i]);
                char *reply = make_reply("orders", payload, sizes[i], &len);
                for (size_t sent = 0; sent < len;) {
                    size_t piece = len - sent > 200 && sent > 200 && pieces[j] < 1000
                                       ? 20000
                                       : pieces[j]; /* the ends are what matters */
                    ssize_t n = send(fd, reply + sent, piece < len - sent ? piece : len - sent,
                                     MSG_NOSIGNAL | MSG_DONTWAIT);
                    sent += n > 0 ? (size_t)n : 0;
                    uv_run(&world.loop, UV_RUN_NOWAIT);
                }
                AWAIT_MESSAGES(&world, ++count);
                cr_assert_eq(world.received, count);
                cr_assert_eq(world.last.total_len, sizes[i]);
                cr_assert_eq(memcmp(world.last.bytes, payload, world.last.len), 0,
                             "%zu bytes in pieces of %zu", sizes[i], pieces[j]);
                free(reply);
                free(payload);
            }
        }
        cr_assert_eq(world.lost, 0);
        end(&world);
        close(fd);
    }
}

static void count_turn(uv_prepare_t *handle)
{
    ++*(unsigned *)handle->data;
}

static long cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

Test(subscriber, an_incomplete_message_does_not_make_the_loop_spin)
{
    static const size_t there[] = {5, 60, 120 * KIB, 190 * KIB};

    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
            struct world world;
            size_t len = 0;
            char *payload = make_payload(250 * KIB);
            char *reply = make_reply("orders", payload, 250 * KIB, &len);
            uv_prepare_t prepare;
            unsigned turns = 0;

            int fd = begin_with_false_server(&world, kind);
            for (size_t sent = 0; sent < there[i];) {
                ssize_t n = send(fd, reply + sent, there[i] - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
                sent += n > 0 ? (size_t)n : 0;
                uv_run(&world.loop, UV_RUN_NOWAIT);
            }
            uv_prepare_init(&world.loop, &prepare);
            prepare.data = &turns;
            uv_prepare_start(&prepare, count_turn);
            long before_ms = cpu_ms();
            (void)loop_until(&world.loop, is_never, NULL, 500);
            uv_close((uv_handle_t *)&prepare, NULL);
            cr_expect_lt(turns, 500 / LOOP_TICK_MS + 40, "%u turns with %zu bytes of a message there", turns,
                         there[i]);
            cr_expect_lt(cpu_ms() - before_ms, 100);
            cr_expect_eq(world.received, 0);
            for (size_t sent = there[i]; sent < len;) {
                ssize_t n = send(fd, reply + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
                sent += n > 0 ? (size_t)n : 0;
                uv_run(&world.loop, UV_RUN_NOWAIT);
            }
            AWAIT_MESSAGES(&world, 1);
            cr_expect_eq(memcmp(world.last.bytes, payload, 250 * KIB), 0);
            end(&world);
            close(fd);
            free(reply);
            free(payload);
        }
    }
}

/* ── from inside callbacks ── */

static void reset_at_once(struct world *world)
{
    if (world->subscribed < 3)
        subscriber_reset(world->subscriber, "from inside");
}

static bool has_subscribed_thrice(void *arg)
{
    return ((struct world *)arg)->subscribed >= 3;
}

Test(subscriber, it_may_be_reset_and_closed_from_its_callbacks)
{
    struct world world;

    begin_with_server(&world, 0, NULL);
    world.when_subscribed = reset_at_once;
    open_it(&world);
    AWAIT(&world, has_subscribed_thrice);
    cr_assert_eq(world.lost, 2);
    world.when_lost = close_it;
    redis_server_kill(world.server);
    AWAIT(&world, is_gone);
    end(&world);

    begin_with_server(&world, 1, NULL);
    world.when_subscribed = close_it;
    open_it(&world);
    AWAIT(&world, is_gone);
    end(&world);
}

Test(subscriber, it_may_be_closed_with_a_batch_out_and_an_answer_too_late_is_ignored)
{
    struct world world;

    begin_subscribed(&world, 0, NULL);
    world.answer = HOLD;
    publish(&world, "an event nobody answers");
    AWAIT(&world, is_held);
    release(&world);
    subscriber_consume(world.subscriber); /* there is no batch any more */
    subscriber_retry(world.subscriber, 0);
    publish(&world, "and another one of these");
    AWAIT(&world, is_held);
    cr_assert_str_eq(world.last.bytes, "and another one of these");
    subscriber_retry(world.subscriber, 1000);
    end(&world);
}

/* ── from one process to the next ── */

/* A copy of the socket of a subscription to a real server, whose owner has ended with a batch unanswered. */
static int leave_behind(struct world *world)
{
    world->answer = HOLD;
    publish_numbers(world, "1", "3");
    AWAIT(world, is_held);
    int copy = dup(subscriber_descriptor(world->subscriber));
    cr_assert_geq(copy, 0);
    world->is_held = false;
    close_it(world);
    AWAIT(world, is_gone);
    world->answer = CONSUME;
    world->is_closed = false;
    world->last_number = 0;
    world->received = world->subscribed = 0;
    world->last_subscription = 1; /* offsets begin anew */
    return copy;
}

static void open_idle(struct world *world)
{
    world->is_idle = true;
    open_it(world);
    (void)loop_until(&world->loop, is_never, NULL, 50);
    cr_assert_not(subscriber_is_subscribed(world->subscriber));
    cr_assert_eq(world->failed + world->lost + world->subscribed, 0);
}

Test(subscriber, an_adopted_subscription_goes_on_where_the_last_owner_stopped)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;
        struct err err = {0};
        int mark = 5000; /* the last owner was waiting for so much */

        begin_subscribed(&world, kind, NULL);
        int fd = leave_behind(&world);
        setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
        publish_numbers(&world, "4", "1000");
        open_idle(&world);
        cr_assert(subscriber_adopt(world.subscriber, fd, &err), "%s", err.text);
        cr_assert(subscriber_is_subscribed(world.subscriber));
        AWAIT_MESSAGES(&world, 1000);
        publish_numbers(&world, "1001", "1001");
        AWAIT_MESSAGES(&world, 1001);
        cr_assert_not(world.is_out_of_order);
        cr_assert_eq(world.subscribed, 0, "it stood already");
        cr_assert_eq(world.lost + world.failed, 0);
        end(&world);
    }
}

Test(subscriber, an_adopted_socket_whose_peer_is_gone_is_drained_and_replaced)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;
        struct err err = {0};

        begin_subscribed(&world, kind, NULL);
        int fd = leave_behind(&world);
        redis_server_kill(world.server);
        redis_server_start(world.server);
        open_idle(&world);
        cr_assert(subscriber_adopt(world.subscriber, fd, &err), "%s", err.text);
        AWAIT(&world, is_lost);
        cr_assert_eq(world.received, 3);
        AWAIT(&world, is_subscribed);
        cr_assert_eq(world.subscribed, 1);
        publish_numbers(&world, "4", "4");
        AWAIT_MESSAGES(&world, 4);
        cr_assert_not(world.is_out_of_order);
        end(&world);
    }
}

Test(subscriber, what_can_not_be_polled_is_not_adopted_and_closed)
{
    struct world world;
    struct err err = {0};
    FILE *file = tmpfile();

    begin_with_server(&world, 0, NULL);
    int fd = dup(fileno(file));
    fclose(file);
    open_idle(&world);
    cr_assert_not(subscriber_adopt(world.subscriber, fd, &err));
    cr_assert_eq(fcntl(fd, F_GETFD), -1);
    cr_assert_not(subscriber_is_subscribed(world.subscriber));
    subscriber_begin(world.subscriber);
    AWAIT(&world, is_subscribed);
    end(&world);
}

Test(subscriber, taking_is_told_before_it_begins_and_when_the_message_is_safe)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;
        size_t len = 1000 * KIB;
        char *payload = make_payload(len);

        begin_subscribed(&world, kind, NULL);
        world.answer = HOLD;
        cr_assert_eq(redis_server_publish(world.server, "orders", payload, len), 1);
        AWAIT(&world, is_held);
        cr_assert(world.is_taking);
        release(&world);
        subscriber_pause(world.subscriber); /* which must not cost the socket its place */
        AWAIT(&world, is_safe_again);
        subscriber_resume(world.subscriber);
        cr_assert_eq(world.takings, 1);
        cr_assert_geq(subscriber_descriptor(world.subscriber), 0);
        world.answer = CONSUME;
        publish(&world, "what can be seen whole");
        AWAIT_MESSAGES(&world, 2);
        cr_assert_eq(world.takings, 1);
        end(&world);
        free(payload);
    }
}

Test(subscriber, a_message_right_behind_the_acknowledgements_is_no_hindrance)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct world world;
        size_t len = 0;
        char *reply = make_reply("orders", "the first event", 15, &len);
        char both[512];

        begin(&world);
        listen_to(&world, kind);
        open_it(&world);
        int fd = accept_it(&world);
        snprintf(both, sizeof(both), "%s%.*s", ACKS, (int)len, reply);
        say_text(fd, both);
        AWAIT_MESSAGES(&world, 1);
        cr_assert_eq(world.subscribed, 1);
        end(&world);
        close(fd);
        free(reply);
    }
}

Test(subscriber, a_paused_one_goes_on_when_it_is_resumed)
{
    struct world world;

    begin_subscribed(&world, 0, NULL);
    subscriber_pause(world.subscriber);
    publish_numbers(&world, "1", "1500");
    (void)loop_until(&world.loop, is_never, NULL, 50);
    cr_assert_eq(world.batches, 0);
    subscriber_resume(world.subscriber);
    AWAIT_MESSAGES(&world, 1500);
    cr_assert_not(world.is_out_of_order);
    end(&world);
}
