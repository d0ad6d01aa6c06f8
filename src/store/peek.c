/* peek.c - what waits in the subscriber's socket; see peek.h. Loop thread. */
#include "peek.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define WINDOW_REPLIES 2 /* a largest one, and room for the segments behind it */
/* some milliseconds of discarding: other connections wait no longer */
#define TAKE_PER_TURN (8 * 1024 * 1024)

bool peek_init(struct peek *peek, size_t cap, struct err *err)
{
    *peek = (struct peek){.fd = -1, .bytes = malloc(cap), .cap = cap, .lowat = 1};
    return peek->bytes != NULL || err_set(err, ERR_NOMEM, "no memory to read from Redis");
}

void peek_done(struct peek *peek)
{
    free(peek->bytes);
    *peek = (struct peek){.fd = -1};
}

/* Peeking never moves TCP's receive window, so it would end at the buffer's first size (128,000 bytes on
 * loopback), and where it is shut the kernel opens it by whole segments only: a reply that ends a few bytes
 * behind it would never be whole. Asking for a high mark once grows the buffer for good, the mark itself goes
 * back at once. */
static void widen_window(struct peek *peek)
{
    (void)peek_await(peek, WINDOW_REPLIES * peek->cap);
    (void)peek_await(peek, 1);
}

void peek_open(struct peek *peek, int fd, bool is_unix)
{
    peek->fd = fd;
    peek->is_unix = is_unix;
    peek->start = peek->end = peek->taken = peek->kept = 0;
    peek->lowat = 0; /* unknown: the socket may come from elsewhere */
    peek->consumed = 0;
    if (fd >= 0)
        widen_window(peek);
}

/* recv that never waits and never is interrupted. On OK *ret is more than 0. */
static enum peek_status receive(struct peek *peek, void *to, size_t len, int flags, size_t *ret,
                                struct err *err)
{
    ssize_t n;

    do {
        n = recv(peek->fd, to, len, flags | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        *ret = (size_t)n;
        return PEEK_OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS)) /* short memory passes */
        return PEEK_EMPTY;
    if (n == 0)
        err_set(err, ERR_TRANSIENT, "Redis closed the connection");
    else
        err_set(err, ERR_TRANSIENT, "receiving from Redis: %s", strerror(errno));
    return PEEK_GONE;
}

/* Bytes for no one: TCP drops them without a copy, a unix socket has to copy them somewhere. */
static enum peek_status discard(struct peek *peek, char *scratch, size_t scratch_len, size_t len, size_t *ret,
                                struct err *err)
{
    if (!peek->is_unix)
        return receive(peek, NULL, len, MSG_TRUNC, ret, err);
    return receive(peek, scratch, len < scratch_len ? len : scratch_len, 0, ret, err);
}

enum peek_status peek_peek(struct peek *peek, struct err *err)
{
    size_t n = 0;
    enum peek_status status = receive(peek, peek->bytes, peek->cap, MSG_PEEK, &n, err);

    assert(peek->taken == 0);
    peek->start = 0;
    peek->end = n;
    return status;
}

enum peek_status peek_consume(struct peek *peek, size_t len, struct err *err)
{
    assert(len <= peek->end - peek->start);
    while (len > 0) {
        size_t n = 0;
        /* On a unix socket they are received over the very same bytes in memory. */
        enum peek_status status = discard(peek, peek->bytes + peek->start, len, len, &n, err);
        if (status == PEEK_EMPTY) {
            err_set(err, ERR_TRANSIENT, "%zu bytes that waited in the socket are gone", len);
            status = PEEK_GONE;
        }
        if (status == PEEK_GONE)
            return status;
        len -= n;
        peek->start += n;
        peek->consumed += n;
    }
    return PEEK_OK;
}

bool peek_await(struct peek *peek, size_t len)
{
    if (peek->is_unix)
        return false;
    if (len != peek->lowat) {
        int value =
            len > INT32_MAX ? INT32_MAX : (int)len; /* the kernel lowers it to what the socket can hold */
        if (setsockopt(peek->fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value)) < 0)
            return false;
        peek->lowat = len;
    }
    return true;
}

enum peek_status peek_take(struct peek *peek, size_t keep, size_t total, struct err *err)
{
    assert(keep <= total && keep <= peek->cap && (keep < peek->cap || keep == total));
    peek->start = peek->end = 0; /* what was peeked is received over itself */
    for (size_t turn = 0; peek->taken < total && turn < TAKE_PER_TURN;) {
        size_t n = 0;
        size_t left = total - peek->taken;
        enum peek_status status;
        bool is_kept = peek->kept < keep;
        if (is_kept)
            status = receive(peek, peek->bytes + peek->kept, keep - peek->kept, 0, &n, err);
        else
            status = discard(peek, peek->bytes + keep, peek->cap - keep, left, &n, err);
        if (status != PEEK_OK)
            return status;
        peek->taken += n;
        peek->kept += is_kept ? n : 0;
        peek->consumed += n;
        turn += n;
    }
    return PEEK_OK;
}

void peek_end_taking(struct peek *peek)
{
    peek->start = peek->end = peek->taken = peek->kept = 0;
}

size_t peek_waiting(const struct peek *peek)
{
    int n = 0;

    return peek->fd >= 0 && ioctl(peek->fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}
