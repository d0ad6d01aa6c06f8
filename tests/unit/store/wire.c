/* wire.c - a connected socket on the loop: tests of src/store/wire.h on socket pairs. */
#include "wire.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "herald/link.h"
#include "loop.h"

struct world {
    uv_loop_t loop;
    struct wire *wire;
    int peer;
    unsigned readable, broken;
};

static void on_event(void *arg, int status)
{
    struct world *world = arg;

    if (status < 0)
        world->broken++;
    else
        world->readable++;
}

static void begin(struct world *world)
{
    int fds[2];
    struct err err = {0};

    *world = (struct world){0};
    cr_assert_eq(uv_loop_init(&world->loop), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert(wire_open(&world->loop, fds[0], on_event, world, &world->wire, &err));
    world->peer = fds[1];
}

static void end(struct world *world)
{
    wire_close(world->wire);
    cr_assert(loop_finish(&world->loop), "a handle is left in the loop");
    if (world->peer >= 0)
        close(world->peer);
}

Test(wire, bytes_leave_whole_and_in_order_however_little_the_peer_takes_at_once)
{
    enum { TOTAL = 24 * 1024 * 1024 };
    static unsigned char sent[TOTAL], got[TOTAL];
    struct world world;
    struct err err = {0};
    size_t written = 0, read = 0;

    for (size_t i = 0; i < TOTAL; i++)
        sent[i] = (unsigned char)((i * 2654435761u) >> 13);
    begin(&world);
    for (unsigned turn = 0; read < TOTAL; turn++) {
        size_t piece = 1 + (turn * 7919u) % 90000;
        if (written < TOTAL) { /* the buffer grows and shrinks in waves */
            size_t len = turn % 64 < 32 ? 3 * piece : piece / 3 + 1;
            len = len < TOTAL - written ? len : TOTAL - written;
            cr_assert(wire_write(world.wire, (char *)sent + written, len, &err), "%s", err.text);
            written += len;
        }
        uv_run(&world.loop, UV_RUN_NOWAIT);
        ssize_t n = recv(world.peer, got + read, piece < TOTAL - read ? piece : TOTAL - read, 0);
        read += n > 0 ? (size_t)n : 0;
    }
    cr_assert_eq(memcmp(sent, got, TOTAL), 0);
    end(&world);
}

Test(wire, what_is_written_in_one_turn_leaves_in_one_send)
{
    struct world world;
    struct err err = {0};
    char bytes[16];

    begin(&world);
    for (int i = 0; i < 5; i++)
        cr_assert(wire_write(world.wire, "ab", 2, &err));
    cr_assert_eq(recv(world.peer, bytes, sizeof(bytes), 0), -1, "not before the turn's end");
    uv_run(&world.loop, UV_RUN_NOWAIT);
    cr_assert_eq(recv(world.peer, bytes, sizeof(bytes), 0), 10);
    end(&world);
}

Test(wire, output_is_bounded_and_refused_bytes_leave_no_trace)
{
    struct world world;
    struct err err = {0};
    char *bytes = calloc(1, LINK_MAX_OUTPUT);

    begin(&world);
    size_t written = 0;
    while (wire_write(world.wire, bytes, 1024 * 1024, &err))
        cr_assert_leq(written += 1024 * 1024, LINK_MAX_OUTPUT + 2 * 1024 * 1024,
                      "the kernel takes some, not more");
    cr_assert_geq(written, LINK_MAX_OUTPUT - 1024 * 1024);
    cr_assert_eq(err.kind, ERR_TRANSIENT);
    cr_assert_not_null(strstr(err.text, " bytes wait to be sent to Redis: no more are taken"), "%s",
                       err.text);
    size_t got = 0;
    for (unsigned turn = 0; turn < 100000 && got < written; turn++) {
        ssize_t n = recv(world.peer, bytes, LINK_MAX_OUTPUT, 0);
        got += n > 0 ? (size_t)n : 0;
        uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    cr_assert_eq(got, written);
    cr_assert_eq(recv(world.peer, bytes, 1, 0), -1);
    end(&world);
    free(bytes);
}

Test(wire, a_broken_one_is_told_and_does_not_spin)
{
    struct world world;
    struct err err = {0};
    char *bytes = calloc(1, 4 * 1024 * 1024);

    begin(&world);
    wire_want_read(world.wire, false);
    cr_assert(wire_write(world.wire, bytes, 4 * 1024 * 1024, &err));
    uv_run(&world.loop, UV_RUN_NOWAIT);
    close(world.peer); /* with unread bytes, and more to come */
    world.peer = -1;
    for (int i = 0; i < 50; i++)
        uv_run(&world.loop, UV_RUN_NOWAIT);
    cr_assert_eq(world.broken, 1);
    cr_assert_eq(world.readable, 0);
    end(&world);
    free(bytes);
}
