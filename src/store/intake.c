/* intake.c - what waits in the subscriber's socket; see intake.h. Loop thread. */
#include "intake.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define WINDOW_REPLIES 2             /* a largest one, and room for the segments behind it */
#define TAKE_PER_TURN (8 * 1024 * 1024) /* some milliseconds of discarding: other connections wait no longer */

bool intake_init(struct intake *intake, size_t cap, struct err *err)
{
    *intake = (struct intake){.fd = -1, .bytes = malloc(cap), .cap = cap, .lowat = 1};
    return intake->bytes != NULL || err_set(err, ERR_NOMEM, "no memory to read from Redis");
}

void intake_done(struct intake *intake)
{
    free(intake->bytes);
    *intake = (struct intake){.fd = -1};
}

/* Peeking never moves TCP's receive window, so it would end at the buffer's first size (128,000 bytes on loopback), and where it is shut the
 * kernel opens it by whole segments only: a reply that ends a few bytes behind it would never be whole. Asking for a high mark once
 * grows the buffer for good, the mark itself goes back at once. */
static void widen_window(struct intake *intake)
{
    (void)intake_await(intake, WINDOW_REPLIES * intake->cap);
    (void)intake_await(intake, 1);
}

void intake_open(struct intake *intake, int fd, bool is_unix)
{
    intake->fd = fd;
    intake->is_unix = is_unix;
    intake->start = intake->end = intake->taken = intake->kept = 0;
    intake->lowat = 0; /* unknown: the socket may come from elsewhere */
    intake->consumed = 0;
    if (fd >= 0)
        widen_window(intake);
}

/* recv that never waits and never is interrupted. On OK *ret is more than 0. */
static enum intake_status receive(struct intake *intake, void *to, size_t len, int flags, size_t *ret, struct err *err)
{
    ssize_t n;

    do {
        n = recv(intake->fd, to, len, flags | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        *ret = (size_t)n;
        return INTAKE_OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS)) /* short memory passes */
        return INTAKE_EMPTY;
    if (n == 0)
        err_set(err, ERR_TRANSIENT, "Redis closed the connection");
    else
        err_set(err, ERR_TRANSIENT, "receiving from Redis: %s", strerror(errno));
    return INTAKE_GONE;
}

/* Bytes for no one: TCP drops them without a copy, a unix socket has to copy them somewhere. */
static enum intake_status discard(struct intake *intake, char *scratch, size_t scratch_len, size_t len, size_t *ret,
                                  struct err *err)
{
    if (!intake->is_unix)
        return receive(intake, NULL, len, MSG_TRUNC, ret, err);
    return receive(intake, scratch, len < scratch_len ? len : scratch_len, 0, ret, err);
}

enum intake_status intake_peek(struct intake *intake, struct err *err)
{
    size_t n = 0;
    enum intake_status status = receive(intake, intake->bytes, intake->cap, MSG_PEEK, &n, err);

    assert(intake->taken == 0);
    intake->start = 0;
    intake->end = n;
    return status;
}

enum intake_status intake_consume(struct intake *intake, size_t len, struct err *err)
{
    assert(len <= intake->end - intake->start);
    while (len > 0) {
        size_t n = 0;
        /* On a unix socket they are received over the very same bytes in memory. */
        enum intake_status status = discard(intake, intake->bytes + intake->start, len, len, &n, err);
        if (status == INTAKE_EMPTY) {
            err_set(err, ERR_TRANSIENT, "%zu bytes that waited in the socket are gone", len);
            status = INTAKE_GONE;
        }
        if (status == INTAKE_GONE)
            return status;
        len -= n;
        intake->start += n;
        intake->consumed += n;
    }
    return INTAKE_OK;
}

bool intake_await(struct intake *intake, size_t len)
{
    if (intake->is_unix)
        return false;
    if (len != intake->lowat) {
        int value = len > INT32_MAX ? INT32_MAX : (int)len; /* the kernel lowers it to what the socket can hold */
        if (setsockopt(intake->fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value)) < 0)
            return false;
        intake->lowat = len;
    }
    return true;
}

enum intake_status intake_take(struct intake *intake, size_t keep, size_t total, struct err *err)
{
    assert(keep <= total && keep <= intake->cap && (keep < intake->cap || keep == total));
    intake->start = intake->end = 0; /* what was peeked is received over itself */
    for (size_t turn = 0; intake->taken < total && turn < TAKE_PER_TURN;) {
        size_t n = 0;
        size_t left = total - intake->taken;
        enum intake_status status;
        bool is_kept = intake->kept < keep;
        if (is_kept)
            status = receive(intake, intake->bytes + intake->kept, keep - intake->kept, 0, &n, err);
        else
            status = discard(intake, intake->bytes + keep, intake->cap - keep, left, &n, err);
        if (status != INTAKE_OK)
            return status;
        intake->taken += n;
        intake->kept += is_kept ? n : 0;
        intake->consumed += n;
        turn += n;
    }
    return INTAKE_OK;
}

void intake_end_taking(struct intake *intake)
{
    intake->start = intake->end = intake->taken = intake->kept = 0;
}

size_t intake_waiting(const struct intake *intake)
{
    int n = 0;

    return intake->fd >= 0 && ioctl(intake->fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}
