/* wire.c - a connected socket on the loop; see wire.h. Its handles live on for a loop turn after it: the
 * struct goes with the last of them. Loop thread. */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "herald/buffer.h"
#include "herald/link.h"

#define MAX_IDLE_OUTPUT (1024 * 1024) /* output memory kept after a burst */
#define SEND_SOON 16384               /* bytes that are not worth keeping until the end of the turn */

struct wire {
    uv_poll_t poll;
    uv_prepare_t prepare; /* runs once before the loop polls, when something is to be sent */
    unsigned open_handles;
    int fd; /* owned */
    wire_event_fn *on_event;
    void *arg;
    int poll_events; /* as started */
    bool is_read_wanted;
    bool is_blocked;      /* the kernel took no more, or an error that poll will report */
    struct buffer output; /* [sent, len) is to be sent */
    size_t sent;
};

static void on_poll(uv_poll_t *handle, int status, int events);

static void update_poll(struct wire *wire)
{
    int events = (wire->is_read_wanted ? UV_READABLE : 0) | (wire->is_blocked ? UV_WRITABLE : 0);

    if (events == wire->poll_events)
        return;
    wire->poll_events = events;
    if (events == 0)
        uv_poll_stop(&wire->poll);
    else
        uv_poll_start(&wire->poll, events, on_poll); /* fails only on a closing handle */
}

static size_t unsent(const struct wire *wire)
{
    return wire->output.len - wire->sent;
}

static void forget_output(struct wire *wire)
{
    wire->sent = 0;
    wire->is_blocked = false;
    if (wire->output.cap > MAX_IDLE_OUTPUT)
        buffer_done(&wire->output);
    buffer_reset(&wire->output);
}

/* Sends what it can. False: the connection is broken. */
static bool flush(struct wire *wire)
{
    wire->is_blocked = false;
    while (unsent(wire) > 0) {
        ssize_t n = send(wire->fd, wire->output.data + wire->sent, unsent(wire), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            wire->is_blocked = true;
            return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
        }
        wire->sent += (size_t)n;
    }
    forget_output(wire);
    return true;
}

/* All that was written in this turn leaves in one send. An error is left to poll, which reports it in the
 * next turn: an event told from here would have its own writes miss this one. */
static void on_prepare(uv_prepare_t *handle)
{
    struct wire *wire = handle->data;

    uv_prepare_stop(handle);
    if (!wire->is_blocked) {
        (void)flush(wire);
        update_poll(wire);
    }
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct wire *wire = handle->data;

    if (status < 0)
        wire->poll_events = 0; /* libuv has stopped the handle */
    else if ((events & UV_WRITABLE) != 0) {
        if (!flush(wire))
            status = UV_EPIPE;
        else
            update_poll(wire);
    }
    if (status < 0)
        forget_output(wire); /* it will never leave; and waiting for that would spin */
    if (status == UV_EPIPE)
        update_poll(wire);
    if (status < 0 || (wire->is_read_wanted && (events & UV_READABLE) != 0))
        wire->on_event(wire->arg, status < 0 ? status : 0);
}

bool wire_open(uv_loop_t *loop, int fd, wire_event_fn *on_event, void *arg, struct wire **ret,
               struct err *err)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    int status = 0;

    if (wire == NULL) {
        close(fd);
        return err_set(err, ERR_NOMEM, "no memory for a connection to Redis");
    }
    status = uv_poll_init(loop, &wire->poll, fd);
    if (status < 0) {
        close(fd);
        free(wire);
        return err_set(err, ERR_TRANSIENT, "polling a connection to Redis: %s", uv_strerror(status));
    }
    uv_prepare_init(loop, &wire->prepare);
    wire->poll.data = wire->prepare.data = wire;
    wire->open_handles = 2;
    wire->fd = fd;
    wire->on_event = on_event;
    wire->arg = arg;
    buffer_init(&wire->output,
                2 * (size_t)LINK_MAX_OUTPUT); /* unsent bytes, and as many sent ones not yet moved away */
    wire_want_read(wire, true);
    *ret = wire;
    return true;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct wire *wire = handle->data;

    if (--wire->open_handles == 0)
        free(wire);
}

void wire_close(struct wire *wire)
{
    uv_close((uv_handle_t *)&wire->poll, on_handle_closed);
    uv_close((uv_handle_t *)&wire->prepare, on_handle_closed);
    close(wire->fd); /* after uv_close, which has taken it out of the loop */
    buffer_done(&wire->output);
}

int wire_fd(const struct wire *wire)
{
    return wire->fd;
}

void wire_want_read(struct wire *wire, bool is_wanted)
{
    wire->is_read_wanted = is_wanted;
    update_poll(wire);
}

bool wire_write(struct wire *wire, const char *bytes, size_t len, struct err *err)
{
    if (len > LINK_MAX_OUTPUT - unsent(wire))
        return err_set(err, ERR_TRANSIENT, "%zu bytes wait to be sent to Redis: no more are taken",
                       unsent(wire));
    if (wire->sent > 0 &&
        wire->sent >= wire->output.len / 2) { /* so that each byte is moved once on average */
        buffer_consume(&wire->output, wire->sent);
        wire->sent = 0;
    }
    buffer_append(&wire->output, bytes, len);
    if (wire->output.failed) {
        wire->output.failed = false; /* nothing was appended: the bytes before are whole */
        return err_set(err, ERR_NOMEM, "no memory for a command to Redis");
    }
    if (wire->is_blocked)
        return true;
    if (unsent(wire) < SEND_SOON) {
        uv_prepare_start(&wire->prepare, on_prepare);
        return true;
    }
    /* Redis may as well begin with it. An error is left to poll, as in on_prepare. */
    (void)flush(wire);
    update_poll(wire);
    return true;
}
