/* peek.c - seeing without taking: tests of src/store/peek.h on socket pairs. */
#include "peek.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CAP 4096

enum kind { TCP, UNIX };

struct pair {
    struct peek peek;
    int near, far;
};

static void connect_tcp(int ret[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    ret[0] = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(ret[0], (struct sockaddr *)&address, len), 0);
    ret[1] = accept(listener, NULL, NULL);
    cr_assert_geq(ret[1], 0);
    close(listener);
}

static void open_pair(struct pair *pair, enum kind kind)
{
    int fds[2];
    struct err err = {0};

    if (kind == UNIX)
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    else
        connect_tcp(fds);
    pair->near = fds[0];
    pair->far = fds[1];
    cr_assert(peek_init(&pair->peek, CAP, &err));
    peek_open(&pair->peek, pair->near, kind == UNIX);
}

static void close_pair(struct pair *pair)
{
    peek_done(&pair->peek);
    close(pair->near);
    if (pair->far >= 0)
        close(pair->far);
}

static void say(const struct pair *pair, const void *bytes, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(pair->far, (const char *)bytes + sent, len - sent, MSG_NOSIGNAL);
        cr_assert_gt(n, 0);
        sent += (size_t)n;
    }
}

static bool is_readable(const struct pair *pair, int timeout_ms)
{
    struct pollfd poller = {.fd = pair->near, .events = POLLIN};

    return poll(&poller, 1, timeout_ms) == 1;
}

Test(peek, peeking_takes_nothing_and_consuming_takes_exactly_what_it_says)
{
    for (enum kind kind = TCP; kind <= UNIX; kind++) {
        struct pair pair;
        struct err err = {0};

        open_pair(&pair, kind);
        cr_assert_eq(peek_peek(&pair.peek, &err), PEEK_EMPTY);
        say(&pair, "one two ", 8);
        cr_assert(is_readable(&pair, 1000));
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(peek_peek(&pair.peek, &err), PEEK_OK);
            cr_assert_eq(pair.peek.end, 8);
            cr_assert_eq(memcmp(pair.peek.bytes, "one two ", 8), 0);
        }
        cr_assert_eq(peek_waiting(&pair.peek), 8);
        cr_assert_eq(peek_consume(&pair.peek, 4, &err), PEEK_OK);
        cr_assert_eq(pair.peek.start, 4);
        cr_assert_eq(memcmp(pair.peek.bytes, "one two ", 8), 0, "the bytes in memory stay");
        cr_assert_eq(pair.peek.consumed, 4);
        cr_assert_eq(peek_waiting(&pair.peek), 4);
        cr_assert_eq(peek_peek(&pair.peek, &err), PEEK_OK);
        cr_assert_eq(pair.peek.end, 4);
        cr_assert_eq(memcmp(pair.peek.bytes, "two ", 4), 0);
        close_pair(&pair);
    }
}

Test(peek, a_closed_peer_is_gone_only_when_nothing_waits)
{
    for (enum kind kind = TCP; kind <= UNIX; kind++) {
        struct pair pair;
        struct err err = {0};

        open_pair(&pair, kind);
        say(&pair, "last", 4);
        close(pair.far);
        pair.far = -1;
        cr_assert(is_readable(&pair, 1000));
        cr_assert_eq(peek_peek(&pair.peek, &err), PEEK_OK);
        cr_assert_eq(peek_consume(&pair.peek, 4, &err), PEEK_OK);
        cr_assert_eq(peek_peek(&pair.peek, &err), PEEK_GONE);
        cr_assert_str_eq(err.text, "Redis closed the connection");
        close_pair(&pair);
    }
}

Test(peek, bytes_that_someone_else_took_are_said)
{
    struct pair pair;
    struct err err = {0};
    char byte;

    open_pair(&pair, TCP);
    say(&pair, "ab", 2);
    cr_assert(is_readable(&pair, 1000));
    cr_assert_eq(peek_peek(&pair.peek, &err), PEEK_OK);
    cr_assert_eq(recv(pair.near, &byte, 1, 0), 1);
    cr_assert_eq(peek_consume(&pair.peek, 2, &err), PEEK_GONE);
    cr_assert_str_eq(err.text, "1 bytes that waited in the socket are gone");
    close_pair(&pair);
}

Test(peek, poll_is_quiet_until_what_is_awaited_is_there_except_on_unix_sockets)
{
    struct pair pair;

    open_pair(&pair, TCP);
    cr_assert(peek_await(&pair.peek, 4));
    say(&pair, "abc", 3);
    cr_assert_not(is_readable(&pair, 50));
    say(&pair, "d", 1);
    cr_assert(is_readable(&pair, 1000));
    cr_assert(peek_await(&pair.peek, 1));
    close_pair(&pair);

    open_pair(&pair, UNIX);
    cr_assert_not(peek_await(&pair.peek, 4));
    close_pair(&pair);
}

Test(peek, taking_keeps_the_beginning_and_throws_the_rest_away)
{
    static char large[60000];

    for (enum kind kind = TCP; kind <= UNIX; kind++) {
        struct pair pair;
        struct err err = {0};

        memset(large, 'x', sizeof(large));
        memcpy(large, "beginning", 9);
        open_pair(&pair, kind);
        say(&pair, large, 5);
        cr_assert(is_readable(&pair, 1000));
        cr_assert_eq(peek_peek(&pair.peek, &err), PEEK_OK);
        cr_assert_eq(peek_take(&pair.peek, 9, sizeof(large), &err), PEEK_EMPTY);
        cr_assert_eq(pair.peek.taken, 5);
        cr_assert_eq(pair.peek.kept, 5);
        say(&pair, large + 5, sizeof(large) - 5);
        say(&pair, "next", 4);
        cr_assert(is_readable(&pair, 1000));
        enum peek_status status = PEEK_EMPTY;
        while (pair.peek.taken < sizeof(large)) {
            cr_assert(is_readable(&pair, 1000));
            status = peek_take(&pair.peek, 9, sizeof(large), &err);
            cr_assert_neq(status, PEEK_GONE);
        }
        cr_assert_eq(status, PEEK_OK);
        cr_assert_eq(pair.peek.kept, 9);
        cr_assert_eq(memcmp(pair.peek.bytes, "beginning", 9), 0);
        cr_assert_eq(pair.peek.consumed, sizeof(large));
        peek_end_taking(&pair.peek);
        cr_assert(is_readable(&pair, 1000));
        cr_assert_eq(peek_peek(&pair.peek, &err), PEEK_OK);
        cr_assert_eq(pair.peek.end, 4, "not a byte of the next reply was taken");
        close_pair(&pair);
    }
}
