/* link.c - one connection to a real Redis, and to a false one where Redis would not misbehave: tests of
 * herald/link.h. */
#include "herald/link.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "herald/clock.h"
#include "loop.h"
#include "redis_server.h"

struct world {
    uv_loop_t loop;
    struct redis_server *server; /* NULL: there is none */
    struct config_redis redis;
    struct link *link; /* NULL once closed */
    bool is_closed;
    unsigned ready, lost, failed;
    unsigned attempt;
    char reason[256];        /* of the last loss or failure */
    unsigned replies, nulls; /* answers, by kind */
    long long last;          /* integer of the last reply */
    bool is_out_of_order;
    void (*when_ready)(struct world *world);
    void (*when_lost)(struct world *world);
    void (*when_failed)(struct world *world);
};

static void on_ready(void *arg)
{
    struct world *world = arg;

    world->ready++;
    if (world->when_ready != NULL)
        world->when_ready(world);
}

static void on_lost(void *arg, const char *reason)
{
    struct world *world = arg;

    world->lost++;
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
    if (world->when_failed != NULL)
        world->when_failed(world);
}

static void on_closed(void *arg)
{
    ((struct world *)arg)->is_closed = true;
}

static void close_link(struct world *world)
{
    struct link *link = world->link;

    world->link = NULL;
    link_close(link, on_closed, world);
}

/* A world without a link; the configuration may be changed before connect_to_it. */
static void begin(struct world *world, struct redis_server *server)
{
    *world = (struct world){.server = server};
    cr_assert_eq(uv_loop_init(&world->loop), 0);
    /* Long, for a busy machine; a test of a deadline sets its own. */
    world->redis = (struct config_redis){.connect_timeout_ms = 20000, .command_timeout_ms = 20000};
    world->redis.host = strdup("127.0.0.1");
    if (server != NULL)
        world->redis.port = redis_server_port(server);
}

static void use_unix_socket(struct world *world, const char *path)
{
    free(world->redis.host);
    world->redis.host = NULL;
    world->redis.socket_path = strdup(path);
}

static void connect_to_it(struct world *world)
{
    struct err err = {0};
    struct link_options options = {
        .loop = &world->loop,
        .redis = &world->redis,
        .client_name = "herald-test",
        .callbacks = {.on_ready = on_ready, .on_lost = on_lost, .on_failed = on_failed, .arg = world},
    };

    cr_assert(link_open(&options, &world->link, &err), "%s", err.text);
}

static void end(struct world *world)
{
    if (world->link != NULL)
        close_link(world);
    cr_assert(loop_finish(&world->loop), "a handle is left in the loop");
    cr_assert(world->is_closed);
    free(world->redis.host);
    free(world->redis.socket_path);
    redis_server_free(world->server);
}

static bool is_ready(void *arg)
{
    const struct world *world = arg;

    return world->link != NULL && link_is_ready(world->link);
}

static bool has_lost(void *arg)
{
    return ((struct world *)arg)->lost > 0;
}

static bool has_failed(void *arg)
{
    return ((struct world *)arg)->failed > 0;
}

static bool has_failed_thrice(void *arg)
{
    return ((struct world *)arg)->failed >= 3;
}

static bool is_all_answered(void *arg)
{
    return link_pending(((struct world *)arg)->link) == 0;
}

static bool is_gone(void *arg)
{
    return ((struct world *)arg)->is_closed;
}

#define AWAIT(world, is_so) cr_assert(loop_until(&(world)->loop, is_so, world, LOOP_PATIENCE_MS), #is_so)

static void on_reply(void *arg, const redisReply *reply)
{
    struct world *world = arg;

    if (reply == NULL) {
        world->nulls++;
        return;
    }
    world->replies++;
    if (reply->type == REDIS_REPLY_INTEGER) {
        if (reply->integer != world->last + 1)
            world->is_out_of_order = true;
        world->last = reply->integer;
    }
}

static bool send_words(struct world *world, link_reply_fn *callback, const char *first, const char *second)
{
    const char *argv[] = {first, second};
    struct err err = {0};

    return link_command(world->link, second == NULL ? 1 : 2, argv, NULL, callback, world, &err);
}

static void increment(struct world *world, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        cr_assert(send_words(world, on_reply, "INCR", "n"));
}

/* ── a false server ── */

static int listen_somewhere(int backlog, int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    cr_assert_eq(listen(fd, backlog), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static bool is_acceptable(void *arg)
{
    struct pollfd poller = {.fd = *(int *)arg, .events = POLLIN};

    return poll(&poller, 1, 0) == 1;
}

/* Takes the link's next connection and answers its handshake. */
static int accept_and_greet(struct world *world, int listener, const char *greeting)
{
    cr_assert(loop_until(&world->loop, is_acceptable, &listener, LOOP_PATIENCE_MS));
    int fd = accept(listener, NULL, NULL);
    cr_assert_geq(fd, 0);
    cr_assert_eq(send(fd, greeting, strlen(greeting), MSG_NOSIGNAL), (ssize_t)strlen(greeting));
    return fd;
}

/* ── connecting ── */

Test(link, commands_are_answered_in_order_over_tcp_and_unix_socket)
{
    for (int is_unix = 0; is_unix <= 1; is_unix++) {
        struct world world;

        begin(&world, redis_server_new(NULL));
        if (is_unix)
            use_unix_socket(&world, redis_server_socket(world.server));
        connect_to_it(&world);
        AWAIT(&world, is_ready);
        cr_assert_eq(link_is_unix(world.link), is_unix == 1);
        increment(&world, 5000);
        cr_assert_eq(link_pending(world.link), 5000);
        AWAIT(&world, is_all_answered);
        cr_assert_eq(world.replies, 5000);
        cr_assert_not(world.is_out_of_order);
        cr_assert_eq(link_oldest_ms(world.link), 0);
        end(&world);
        cr_assert_eq(world.lost + world.failed, 0);
    }
}

Test(link, a_refused_connection_is_told_and_tried_until_there_is_a_server)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    redis_server_stop(world.server);
    connect_to_it(&world);
    AWAIT(&world, has_failed_thrice);
    cr_assert_eq(world.attempt, 3);
    cr_assert_not_null(strstr(world.reason, "127.0.0.1:"), "%s", world.reason);
    cr_assert_not_null(strstr(world.reason, "Connection refused"), "%s", world.reason);
    cr_assert_not(send_words(&world, on_reply, "PING", NULL), "there is no offline queue");
    redis_server_start(world.server);
    AWAIT(&world, is_ready);
    cr_assert_eq(world.lost, 0);
    end(&world);
}

Test(link, a_missing_unix_socket_is_told)
{
    struct world world;

    begin(&world, NULL);
    use_unix_socket(&world, "/nonexistent/socket");
    connect_to_it(&world);
    AWAIT(&world, has_failed);
    cr_assert_str_eq(world.reason, "/nonexistent/socket: No such file or directory");
    end(&world);
}

Test(link, a_unix_path_that_is_too_long_is_told)
{
    struct world world;
    char path[200];

    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    begin(&world, NULL);
    use_unix_socket(&world, path);
    connect_to_it(&world);
    AWAIT(&world, has_failed);
    cr_assert_not_null(strstr(world.reason, "at most 107 bytes"), "%s", world.reason);
    end(&world);
}

/* Overrides the C library's for libuv's resolver threads: "two.test" has an address where nobody listens,
 * then the right one. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");

    if (node == NULL || strcmp(node, "two.test") != 0 || (hints->ai_flags & AI_NUMERICHOST) != 0)
        return real(node, service, hints, ret);
    int status = real("127.0.0.2", service, hints, ret);
    return status != 0 ? status : real("127.0.0.1", service, hints, &(*ret)->ai_next);
}

Test(link, a_name_is_resolved_and_its_addresses_are_tried_in_turn)
{
    static const char *const names[] = {"localhost", "two.test"};

    for (size_t i = 0; i < 2; i++) {
        struct world world;

        begin(&world, redis_server_new(NULL)); /* listens on 127.0.0.1 only */
        free(world.redis.host);
        world.redis.host = strdup(names[i]);
        connect_to_it(&world);
        AWAIT(&world, is_ready);
        cr_assert_eq(world.failed, 0);
        end(&world);
    }
}

Test(link, when_no_address_answers_the_last_one_is_named)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    redis_server_stop(world.server);
    free(world.redis.host);
    world.redis.host = strdup("two.test");
    connect_to_it(&world);
    AWAIT(&world, has_failed);
    cr_assert_eq(strncmp(world.reason, "127.0.0.1:", 10), 0, "%s", world.reason);
    end(&world);
}

Test(link, a_name_that_can_not_be_resolved_is_told)
{
    struct world world;

    begin(&world, NULL);
    free(world.redis.host);
    world.redis.host = malloc(101);
    memset(world.redis.host, 'x', 100); /* no label is so long: the resolver asks no one */
    world.redis.host[100] = '\0';
    world.redis.port = 6379;
    connect_to_it(&world);
    AWAIT(&world, has_failed);
    cr_assert_not_null(strstr(world.reason, "xxx:6379: "), "%s", world.reason);
    end(&world);
}

Test(link, a_connect_that_nobody_answers_ends_in_time)
{
    struct world world;
    int fillers[16];
    int filled = 0;

    begin(&world, NULL);
    int listener = listen_somewhere(0, &world.redis.port);
    /* With its backlog full, Linux drops the SYNs of all others. */
    for (; filled < 16; filled++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)world.redis.port),
                                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
        fillers[filled] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fillers[filled], (struct sockaddr *)&address, sizeof(address));
        struct pollfd poller = {.fd = fillers[filled], .events = POLLOUT};
        if (poll(&poller, 1, 50) == 0) {
            filled++;
            break;
        }
    }
    world.redis.connect_timeout_ms = 100;
    connect_to_it(&world);
    AWAIT(&world, has_failed);
    cr_assert_not_null(strstr(world.reason, "no answer to the connect in time"), "%s", world.reason);
    end(&world);
    while (filled > 0)
        close(fillers[--filled]);
    close(listener);
}

Test(link, a_server_that_accepts_and_says_nothing_is_given_up_in_time)
{
    struct world world;

    begin(&world, NULL);
    int listener = listen_somewhere(8, &world.redis.port);
    world.redis.command_timeout_ms = 100;
    connect_to_it(&world);
    AWAIT(&world, has_failed);
    cr_assert_str_eq(world.reason, "no answer within 100 ms");
    end(&world);
    close(listener);
}

/* ── the handshake ── */

static void on_text(void *arg, const redisReply *reply)
{
    struct world *world = arg;

    cr_assert_not_null(reply);
    world->replies++;
    snprintf(world->reason, sizeof(world->reason), "%s", reply->str);
}

Test(link, the_database_is_chosen_and_the_connection_named)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    world.redis.database = 5;
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    cr_assert(send_words(&world, on_text, "CLIENT", "INFO"));
    AWAIT(&world, is_all_answered);
    cr_assert_not_null(strstr(world.reason, " name=herald-test "), "%s", world.reason);
    cr_assert_not_null(strstr(world.reason, " db=5 "), "%s", world.reason);
    end(&world);
}

Test(link, passwords_and_users_are_sent_and_refusals_name_the_reason_without_the_password)
{
    static const struct {
        const char *user, *password;
        const char *reason; /* NULL: it is let in */
    } rows[] = {
        {NULL, "right", NULL},
        {NULL, "wrong-secret", "AUTH: WRONGPASS"},
        {NULL, NULL, "CLIENT SETNAME: NOAUTH"},
        {"writer", "writers", NULL},
        {"writer", "wrong-secret", "AUTH: WRONGPASS"},
        {"nobody", "wrong-secret", "AUTH: WRONGPASS"},
        {"weak", "weaks", "PING: NOPERM"},
    };
    const char *args[] = {"--requirepass", "right", NULL};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world world;

        begin(&world, redis_server_new(args));
        redis_server_authenticate(world.server, "right");
        redis_server_do(world.server, "ACL", "SETUSER", "writer", "on", ">writers", "~*", "+@all", NULL);
        redis_server_do(world.server, "ACL", "SETUSER", "weak", "on", ">weaks", "-@all", "+client", NULL);
        world.redis.user = (char *)(uintptr_t)rows[i].user;
        world.redis.password = (char *)(uintptr_t)rows[i].password;
        connect_to_it(&world);
        if (rows[i].reason == NULL) {
            AWAIT(&world, is_ready);
        } else {
            AWAIT(&world, has_failed);
            cr_expect_eq(strncmp(world.reason, rows[i].reason, strlen(rows[i].reason)), 0, "%s",
                         world.reason);
            cr_expect_null(strstr(world.reason, "secret"), "%s", world.reason);
        }
        end(&world);
    }
}

Test(link, a_server_that_does_not_know_auth_does_not_give_the_password_away)
{
    struct world world;

    begin(&world, NULL);
    world.redis.password = (char[]){"secret"};
    int listener = listen_somewhere(8, &world.redis.port);
    connect_to_it(&world);
    int peer = accept_and_greet(&world, listener,
                                "-ERR unknown command 'AUTH', with args beginning with: 'secret' \r\n");
    AWAIT(&world, has_failed);
    cr_assert_str_eq(world.reason, "AUTH: ERR unknown command ");
    end(&world);
    close(peer);
    close(listener);
}

Test(link, a_full_server_is_told_by_what_it_said)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    redis_server_do(world.server, "CONFIG", "SET", "maxclients", "1", NULL); /* the connection that says it */
    connect_to_it(&world);
    AWAIT(&world, has_failed_thrice);
    cr_assert_not_null(strstr(world.reason, "ERR max number of clients reached"), "%s", world.reason);
    redis_server_do(world.server, "CONFIG", "SET", "maxclients", "100", NULL);
    AWAIT(&world, is_ready);
    end(&world);
}

Test(link, a_server_that_is_still_loading_is_not_ready)
{
    /* 3,000 keys at 1 ms each, with an ear for clients after every KiB. */
    const char *args[] = {"--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024",
                          NULL};
    struct world world;

    begin(&world, redis_server_new(args));
    redis_server_do(world.server, "EVAL",
                    "for i = 1, 3000 do redis.call('SET', 'key' .. i, 'value' .. i) end", "0", NULL);
    redis_server_do(world.server, "SAVE", NULL);
    redis_server_stop(world.server);
    redis_server_start(world.server);
    connect_to_it(&world);
    AWAIT(&world, has_failed);
    cr_assert_eq(strncmp(world.reason, "PING: LOADING", 13), 0, "%s", world.reason);
    AWAIT(&world, is_ready);
    end(&world);
}

/* ── commands ── */

static void on_binary(void *arg, const redisReply *reply)
{
    struct world *world = arg;

    cr_assert_not_null(reply);
    if (reply->type == REDIS_REPLY_STRING) {
        cr_assert_eq(reply->len, 5);
        cr_assert_eq(memcmp(reply->str, "a\0\r\nb", 5), 0);
        world->replies++;
    }
}

Test(link, arguments_may_hold_any_byte_and_a_command_may_come_ready_made)
{
    struct world world;
    struct err err = {0};
    const char *argv[] = {"SET", "k", "a\0\r\nb"};
    const size_t argv_len[] = {3, 1, 5};
    const char *raw = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";

    begin(&world, redis_server_new(NULL));
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    cr_assert(link_command(world.link, 3, argv, argv_len, NULL, NULL, &err), "nobody has to want the reply");
    cr_assert(link_command_raw(world.link, raw, strlen(raw), on_binary, &world, &err));
    AWAIT(&world, is_all_answered);
    cr_assert_eq(world.replies, 1);
    end(&world);
}

static void on_large(void *arg, const redisReply *reply)
{
    struct world *world = arg;

    cr_assert_not_null(reply);
    cr_assert_eq(reply->type, REDIS_REPLY_STRING);
    cr_assert_eq(reply->len, 20 * 1024 * 1024);
    world->replies++;
}

Test(link, large_replies_come_whole)
{
    struct world world;
    const char *argv[] = {"SETRANGE", "big", "20971519", "x"};
    struct err err = {0};

    begin(&world, redis_server_new(NULL));
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    cr_assert(link_command(world.link, 4, argv, NULL, NULL, NULL, &err));
    for (int i = 0; i < 3; i++)
        cr_assert(send_words(&world, on_large, "GET", "big"));
    AWAIT(&world, is_all_answered);
    cr_assert_eq(world.replies, 3);
    end(&world);
}

Test(link, unanswered_commands_are_bounded_in_number)
{
    struct world world;
    struct err err = {0};
    const char *argv[] = {"INCR", "n"};

    begin(&world, redis_server_new(NULL));
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    increment(&world, LINK_MAX_PENDING);
    cr_assert_not(link_command(world.link, 2, argv, NULL, on_reply, &world, &err));
    cr_assert_eq(err.kind, ERR_TRANSIENT);
    cr_assert_str_eq(err.text, "65536 commands wait for Redis: no more are taken");
    AWAIT(&world, is_all_answered);
    cr_assert_eq(world.replies, LINK_MAX_PENDING);
    cr_assert_not(world.is_out_of_order);
    end(&world);
}

Test(link, unsent_bytes_are_bounded_and_what_was_taken_is_answered)
{
    struct world world;
    struct err err = {0};
    size_t len = 1024 * 1024;
    char *value = malloc(len);
    const char *argv[] = {"SET", "k", value};
    const size_t argv_len[] = {3, 1, len};
    unsigned taken = 0;

    memset(value, 'x', len);
    begin(&world, redis_server_new(NULL));
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    redis_server_freeze(world.server);
    while (link_command(world.link, 3, argv, argv_len, on_reply, &world, &err)) {
        cr_assert_lt(++taken, 100);
        if (taken % 8 == 0)
            uv_run(&world.loop, UV_RUN_NOWAIT); /* the kernel takes some: partial writes */
    }
    cr_assert_eq(err.kind, ERR_TRANSIENT);
    cr_assert_gt(taken, LINK_MAX_OUTPUT / len - 2);
    redis_server_thaw(world.server);
    while (taken < 150) { /* more and more behind what is half sent */
        taken += link_command(world.link, 3, argv, argv_len, on_reply, &world, &err) ? 1 : 0;
        uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    AWAIT(&world, is_all_answered);
    cr_assert_eq(world.replies, taken);
    cr_assert_eq(world.lost, 0);
    end(&world);
    free(value);
}

/* ── losing it ── */

Test(link, a_killed_server_answers_everything_with_null_and_is_found_again)
{
    for (int is_unix = 0; is_unix <= 1; is_unix++) {
        struct world world;

        begin(&world, redis_server_new(NULL));
        if (is_unix)
            use_unix_socket(&world, redis_server_socket(world.server));
        connect_to_it(&world);
        AWAIT(&world, is_ready);
        redis_server_freeze(world.server);
        increment(&world, 100);
        uv_run(&world.loop, UV_RUN_NOWAIT);
        redis_server_kill(world.server);
        increment(&world, 100); /* written to a dead socket: no SIGPIPE */
        AWAIT(&world, has_lost);
        cr_assert_eq(world.nulls, 200);
        cr_assert_eq(world.replies, 0);
        cr_assert_not(link_is_ready(world.link));
        redis_server_start(world.server);
        AWAIT(&world, is_ready);
        increment(&world, 10);
        AWAIT(&world, is_all_answered);
        cr_assert_eq(world.replies, 10);
        cr_assert_eq(world.nulls, 200);
        cr_assert_eq(world.lost, 1);
        end(&world);
    }
}

Test(link, a_frozen_server_is_given_up_at_the_oldest_commands_deadline)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    world.redis.command_timeout_ms = 300;
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    redis_server_freeze(world.server);
    int64_t begun_ms = clock_mono_ms();
    increment(&world, 3);
    AWAIT(&world, has_lost);
    cr_assert_geq(clock_mono_ms() - begun_ms, 300);
    cr_assert_str_eq(world.reason, "no answer within 300 ms");
    cr_assert_eq(world.nulls, 3);
    AWAIT(&world, has_failed); /* the kernel connects for the frozen one; the handshake then has no answer */
    cr_assert_str_eq(world.reason, "no answer within 300 ms");
    redis_server_thaw(world.server);
    AWAIT(&world, is_ready);
    end(&world);
}

Test(link, answers_that_waited_while_we_stood_still_are_no_loss)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    world.redis.command_timeout_ms = 500;
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    redis_server_freeze(world.server);
    increment(&world, 3);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    redis_server_thaw(world.server);
    poll(NULL, 0, 1000); /* the process stands still, as in a suspended machine */
    AWAIT(&world, is_all_answered);
    cr_assert_eq(world.replies, 3);
    cr_assert_eq(world.lost, 0);
    end(&world);
}

Test(link, a_reply_that_is_none_ends_the_connection)
{
    static const struct {
        const char *bytes;
        const char *reason;
    } rows[] = {
        {"!what\r\n", "reading a reply: Protocol error, got \"!\" as reply type byte"},
        {"-ERR you are not wanted\r\n", "ERR you are not wanted"},
        {"+surprise\r\n", "Redis sent a reply that nothing had asked for"},
        {"", "Redis closed the connection"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world world;

        begin(&world, NULL);
        int listener = listen_somewhere(8, &world.redis.port);
        connect_to_it(&world);
        int peer = accept_and_greet(&world, listener, "+OK\r\n+PONG\r\n");
        AWAIT(&world, is_ready);
        send(peer, rows[i].bytes, strlen(rows[i].bytes), MSG_NOSIGNAL);
        shutdown(peer, SHUT_WR);
        AWAIT(&world, has_lost);
        cr_expect_str_eq(world.reason, rows[i].reason);
        end(&world);
        close(peer);
        close(listener);
    }
}

Test(link, a_server_that_takes_and_drops_connections_is_not_hammered)
{
    struct world world;

    begin(&world, NULL);
    int listener = listen_somewhere(8, &world.redis.port);
    int64_t begun_ms = clock_mono_ms();
    connect_to_it(&world);
    for (unsigned i = 1; i <= 6; i++) {
        int peer = accept_and_greet(&world, listener, "+OK\r\n+PONG\r\n");
        close(peer); /* its answers are there first, so it is ready, then lost (or, where a reset overtakes
                        them, failed) */
        int64_t deadline_ms = clock_mono_ms() + LOOP_PATIENCE_MS;
        while (world.lost + world.failed < i && clock_mono_ms() < deadline_ms)
            uv_run(&world.loop, UV_RUN_ONCE);
        cr_assert_eq(world.lost + world.failed, i);
    }
    /* 50, 100, 150, 200, 250 ms, each at most a fifth shorter. */
    cr_assert_geq(clock_mono_ms() - begun_ms, 600 - 10);
    end(&world);
    close(listener);
}

/* ── from inside callbacks ── */

static void reset_it(void *arg, const redisReply *reply)
{
    struct world *world = arg;

    on_reply(arg, reply);
    if (reply != NULL)
        link_reset(world->link, "the answer was not liked");
}

Test(link, a_reset_from_a_reply_nulls_the_rest_once_and_reconnects)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    increment(&world, 5);
    cr_assert(send_words(&world, reset_it, "INCR", "n"));
    increment(&world, 5);
    AWAIT(&world, has_lost);
    cr_assert_str_eq(world.reason, "the answer was not liked");
    cr_assert_eq(world.replies, 6);
    cr_assert_eq(world.nulls, 5);
    AWAIT(&world, is_ready);
    cr_assert_eq(world.nulls, 5);
    cr_assert_eq(world.lost, 1);
    end(&world);
}

static void close_it(void *arg, const redisReply *reply)
{
    on_reply(arg, reply);
    close_link(arg);
}

Test(link, a_close_from_a_reply_nulls_the_rest_once)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    increment(&world, 5);
    cr_assert(send_words(&world, close_it, "INCR", "n"));
    increment(&world, 5);
    AWAIT(&world, is_gone);
    cr_assert_eq(world.replies, 6);
    cr_assert_eq(world.nulls, 5);
    cr_assert_eq(world.lost, 0);
    end(&world);
}

static void close_at_null(void *arg, const redisReply *reply)
{
    cr_assert_null(reply);
    close_it(arg, reply);
}

Test(link, a_close_from_a_null_answers_the_rest_once_and_no_loss_is_told)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    redis_server_freeze(world.server);
    increment(&world, 5);
    cr_assert(send_words(&world, close_at_null, "INCR", "n"));
    increment(&world, 5);
    link_reset(world.link, "test");
    cr_assert_eq(world.nulls, 11);
    AWAIT(&world, is_gone);
    cr_assert_eq(world.nulls, 11);
    cr_assert_eq(world.lost, 0);
    end(&world);
}

static void command_at_null(void *arg, const redisReply *reply)
{
    struct world *world = arg;

    on_reply(arg, reply);
    cr_assert_not(send_words(world, on_reply, "INCR", "n"), "a dying link takes no commands");
    link_reset(world->link, "once more");
}

Test(link, a_command_or_reset_from_a_null_does_nothing)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    for (int i = 0; i < 5; i++)
        cr_assert(send_words(&world, command_at_null, "INCR", "n"));
    link_reset(world.link, "first");
    cr_assert_eq(world.nulls, 5);
    cr_assert_eq(world.lost, 1);
    cr_assert_str_eq(world.reason, "first");
    AWAIT(&world, is_ready);
    end(&world);
}

static void command_again(void *arg, const redisReply *reply)
{
    struct world *world = arg;

    on_reply(arg, reply);
    if (world->replies < 1000)
        cr_assert(send_words(world, command_again, "INCR", "n"));
}

Test(link, a_command_from_a_reply_is_sent)
{
    struct world world;

    begin(&world, redis_server_new(NULL));
    connect_to_it(&world);
    AWAIT(&world, is_ready);
    cr_assert(send_words(&world, command_again, "INCR", "n"));
    AWAIT(&world, is_all_answered);
    cr_assert_eq(world.replies, 1000);
    cr_assert_not(world.is_out_of_order);
    end(&world);
}

Test(link, it_may_be_closed_from_ready_lost_and_failed)
{
    for (int which = 0; which < 3; which++) {
        struct world world;

        begin(&world, redis_server_new(NULL));
        world.when_ready = which == 0 ? close_link : NULL;
        world.when_lost = which == 1 ? close_link : NULL;
        world.when_failed = which == 2 ? close_link : NULL;
        if (which == 2)
            redis_server_stop(world.server);
        connect_to_it(&world);
        if (which == 1) {
            AWAIT(&world, is_ready);
            redis_server_kill(world.server);
        }
        AWAIT(&world, is_gone);
        cr_expect_eq(world.ready, which == 2 ? 0 : 1);
        cr_expect_eq(world.lost, which == 1 ? 1 : 0);
        cr_expect_eq(world.failed, which == 2 ? 1 : 0);
        end(&world);
    }
}

Test(link, it_may_be_closed_while_resolving_connecting_and_shaking_hands)
{
    for (unsigned turns = 0; turns < 8; turns++) {
        for (int by_name = 0; by_name <= 1; by_name++) {
            struct world world;

            begin(&world, NULL);
            int listener = listen_somewhere(8, &world.redis.port); /* never answers */
            if (by_name) {
                free(world.redis.host);
                world.redis.host = strdup("localhost");
            }
            connect_to_it(&world);
            for (unsigned i = 0; i < turns; i++)
                uv_run(&world.loop, UV_RUN_NOWAIT);
            link_reset(world.link, "test"); /* may come at any of these moments as well */
            close_link(&world);
            cr_assert_eq(world.ready, 0);
            end(&world);
            close(listener);
        }
    }
}
